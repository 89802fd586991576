"""What a space has set when a message of its identity provider comes, read before anything is written."""

from __future__ import annotations

from dataclasses import dataclass

from flask import current_app, request
from sqlalchemy.orm import Session

from portal.core.federation import identity_provider, saml_settings
from portal.core.federation.identity_provider import TrustedIdentityProvider
from portal.core.federation.saml_settings import Choices
from portal.core.federation.sign_ins import SignInRefused
from portal.core.space import queries
from portal.core.space.models import Space
from portal.parties import our_side
from portal.settings import Settings
from portal.web.transactions import database
from saml.parties import ServiceProvider


@dataclass(frozen=True)
class Trust:
    space: Space
    idp: TrustedIdentityProvider | None
    sp: ServiceProvider
    choices: Choices


def trust_of(space: str) -> Trust:
    """In a short transaction of its own: while signatures are looked at nobody holds a lock."""
    with database.transaction(write=False) as session:
        return read_trust(session, queries.find(session, space))


def read_trust(session: Session, space: Space) -> Trust:
    return Trust(
        space,
        identity_provider.current(session, space),
        our_side(session, space, settings()),
        saml_settings.of(session, space),
    )


def only_field(name: str) -> str:
    values = request.form.getlist(name)
    if len(values) != 1:
        raise SignInRefused("form", f"{len(values)} fields {name}")
    return values[0]


def settings() -> Settings:
    found: Settings = current_app.extensions["settings"]
    return found
