"""What of a sign-in wants to be looked after: a panel of the SSO page, and steps on the overview (IC-6)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from flask import url_for
from flask_babel import gettext as _

from portal.console.scope import space
from portal.core import clock
from portal.core.federation import certificates, saml_keys, saml_settings, sp_keys
from portal.core.federation.certificates import EXPIRY_WARNING
from portal.core.federation.models import IdentityProvider, KeyStage
from portal.core.federation.saml_settings import Choices
from portal.web.transactions import db
from saml.keys import read_certificate


@dataclass(frozen=True)
class Maintenance:
    """`key_ends`: of our key in use; `soon_gone`: how many of the certificates have expired or do so within 30 days."""

    choices: Choices
    changed: bool
    key_ends: datetime | None
    rolls_over: bool
    certificates: int
    first_end: datetime | None
    soon_gone: int
    metadata_url: str
    refreshed_at: datetime | None
    refresh_at: datetime | None
    refresh_error: str


def maintenance() -> Maintenance:
    choices = saml_settings.of(db(), space())
    keys = saml_keys.by_stage(db(), space(), sp_keys.USE)
    ends = [certificate.not_after for certificate in certificates.of_space(db(), space())]
    idp = db().get(IdentityProvider, space().id)
    current = keys.get(KeyStage.CURRENT)
    return Maintenance(
        choices=choices,
        changed=choices != Choices(),
        key_ends=read_certificate(current.certificate).not_after if current else None,
        rolls_over=bool(keys.keys() - {KeyStage.CURRENT}),
        certificates=len(ends),
        first_end=min(ends, default=None),
        soon_gone=sum(end <= clock.now() + EXPIRY_WARNING for end in ends),
        metadata_url=(idp and idp.metadata_url) or "",
        refreshed_at=idp.refreshed_at if idp else None,
        refresh_at=idp.refresh_at if idp else None,
        refresh_error=idp.refresh_error if idp else "",
    )


def steps(found: Maintenance) -> list[tuple[str, str, str]]:
    """Title, text and address of what is to be done soon; the last certificate is the overview's own business."""
    wanted = []
    if 0 < found.soon_gone < found.certificates:
        text = _("Another one is valid for longer. Remove this one once the identity provider has changed over.")
        title = _("A certificate of the identity provider has expired or expires soon")
        wanted.append((title, text, url_for("console.sso_certificates")))
    if found.key_ends is not None and found.key_ends <= clock.now() + EXPIRY_WARNING:
        text = _("The identity provider may refuse it then. Publish a new key first.")
        wanted.append((_("Exchange the service provider key"), text, url_for("console.sso_keys")))
    if found.refresh_error:
        wanted.append((_("Metadata of the identity provider is not read"), found.refresh_error, url_for("console.sso")))
    return wanted
