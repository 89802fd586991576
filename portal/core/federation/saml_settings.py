"""How a space signs its employees in (IC-6, IC-16): what the administrator may choose."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass

from sqlalchemy import update
from sqlalchemy.orm import Session

from portal.core import audit
from portal.core.actor import Actor
from portal.core.database import flush_or
from portal.core.errors import Invalid, Stale
from portal.core.federation import saml_keys
from portal.core.federation.models import (
    IdentityProvider,
    IdentityProviderOffer,
    KeyStage,
    KeyUse,
    NameCase,
    SamlSettings,
    UnknownUsers,
)
from portal.core.space.models import Space

NEED_A_KEY = ("sign_requests", "encrypted_only", "single_logout")
_NOT_TESTED = {"idp_initiated", "single_logout"}
"""What a test sign-in says nothing about, so that it counts whatever these say."""


@dataclass(frozen=True)
class Choices:
    """The defaults are the careful ones. What each means is told at `SamlSettings` and on the settings page."""

    sign_requests: bool = False
    force_authn: bool = False
    idp_initiated: bool = False
    encrypted_only: bool = False
    single_logout: bool = False
    username_attribute: str = ""
    name_case: NameCase = NameCase.IGNORED
    unknown_users: UnknownUsers = UnknownUsers.REFUSE


def of(session: Session, space: Space) -> Choices:
    row = session.get(SamlSettings, space.id)
    if row is None:
        return Choices()
    return Choices(
        sign_requests=row.sign_requests,
        force_authn=row.force_authn,
        idp_initiated=row.idp_initiated,
        encrypted_only=row.encrypted_only,
        single_logout=row.single_logout,
        username_attribute=row.username_attribute,
        name_case=NameCase(row.name_case),
        unknown_users=UnknownUsers(row.unknown_users),
    )


def digest(choices: Choices) -> str:
    """By which a page says what it showed."""
    return hashlib.sha256(json.dumps(asdict(choices), sort_keys=True).encode()).hexdigest()


def choose(session: Session, actor: Actor, *, space: Space, choices: Choices, seen: str | None = None) -> None:
    """Keep them, and audit what changed. A test that passed under other settings counts no more.

    `seen`: the digest of what the administrator saw. Stale when that has changed meanwhile.
    Invalid for an attribute name that is too long or has blanks around it, for what needs a key while there is none,
    and for making users while SCIM is on: whom the identity provider did not push is not to come in by another door.
    """
    row = session.get(SamlSettings, space.id, with_for_update=True, populate_existing=True)
    if seen is not None and seen != digest(of(session, space)):
        raise _stale()
    attribute = choices.username_attribute
    if len(attribute) > 256 or attribute != attribute.strip() or not attribute.isprintable():
        raise Invalid("An attribute name has at most 256 printable characters.", field="username_attribute")
    if choices.unknown_users == UnknownUsers.CREATE and space.scim_enabled:
        raise Invalid(
            "SCIM is on: users come by it. Switch SCIM off first, or refuse unknown users.", field="unknown_users"
        )
    wanting = [name for name in NEED_A_KEY if getattr(choices, name)]
    if wanting and KeyStage.CURRENT not in saml_keys.by_stage(session, space, KeyUse.SERVICE_PROVIDER):
        raise Invalid("This needs a key of the space, and there is none yet. Make one first.", field=wanting[0])
    before = asdict(of(session, space))
    changed = {name: value for name, value in asdict(choices).items() if before[name] != value}
    if not changed:
        return
    if row is None:
        row = SamlSettings(space_id=space.id)
        session.add(row)
    for name, value in asdict(choices).items():
        setattr(row, name, value)
    flush_or(session, _stale())
    if changed.keys() - _NOT_TESTED:
        for party in (IdentityProvider, IdentityProviderOffer):
            session.execute(update(party).where(party.space_id == space.id).values(tested_at=None))
    audit.record(
        session,
        actor,
        "sso.choose_settings",
        target_type="space",
        target_id=space.id,
        target_name=space.name,
        details={"changed": changed, "before": {name: before[name] for name in changed}},
    )


def _stale() -> Stale:
    return Stale("Somebody else changed the settings since this page was loaded. Here they are as they are now.")
