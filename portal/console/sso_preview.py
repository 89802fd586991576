"""What new identity provider data would change, put side by side with what is in force, and what to mind (IC-6)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple

from flask_babel import gettext as _

from portal.core import clock
from portal.core.federation.certificates import EXPIRY_WARNING
from portal.core.federation.identity_provider import TrustedCertificate, TrustedIdentityProvider


class Line(NamedTuple):
    """`was` is None when nothing was configured before."""

    label: str
    was: str | None
    will: str

    @property
    def changed(self) -> bool:
        return self.was is not None and self.was != self.will


class CertificateLine(NamedTuple):
    """`change`: added, leaves, or empty when it stays."""

    certificate: TrustedCertificate
    change: str


def moments() -> dict[str, datetime]:
    return {"now": clock.now(), "soon": clock.now() + EXPIRY_WARNING}


def preview(idp: TrustedIdentityProvider, before: TrustedIdentityProvider | None, *, sso_on: bool) -> dict[str, Any]:
    """The names that `_proposal.html` wants."""
    lines, certificates = _lines(idp, before), _certificates(idp, before)
    changes = before is None or any(line.changed for line in lines) or any(line.change for line in certificates)
    warnings = list(_warnings(idp, before, sso_on=sso_on)) if changes else []
    return {
        "idp": idp,
        "before": before,
        "lines": lines,
        "certificate_lines": certificates,
        "changes": changes,
        "warnings": warnings,
    }


def _lines(idp: TrustedIdentityProvider, before: TrustedIdentityProvider | None) -> list[Line]:
    shown = (
        (_("Entity ID"), "entity_id"),
        (_("Login address"), "sso_url"),
        (_("Requests go by"), "sso_binding"),
        (_("Logout address"), "slo_url"),
        (_("Logout answers go to"), "slo_response_url"),
        (_("Metadata address"), "metadata_url"),
    )
    lines = [
        Line(label, (getattr(before, name) or "") if before else None, getattr(idp, name) or "")
        for label, name in shown
    ]
    return [line for line in lines if line.was or line.will]


def _certificates(idp: TrustedIdentityProvider, before: TrustedIdentityProvider | None) -> list[CertificateLine]:
    old = {one.fingerprint for one in before.certificates} if before else set()
    new = {one.fingerprint for one in idp.certificates}
    lines = [CertificateLine(one, "added" if before and one.fingerprint not in old else "") for one in idp.certificates]
    gone = [one for one in (before.certificates if before else ()) if one.fingerprint not in new]
    return lines + [CertificateLine(one, "leaves") for one in gone]


def _warnings(idp: TrustedIdentityProvider, before: TrustedIdentityProvider | None, *, sso_on: bool) -> Iterator[str]:
    now = clock.now()
    if before and before.entity_id != idp.entity_id:
        yield _("This is another identity provider than the one in force, or another application of it.")
    if before and not {one.fingerprint for one in before.certificates} & {one.fingerprint for one in idp.certificates}:
        yield _("No certificate stays: once this is trusted, what the present certificates sign is refused.")
    if any(one.not_after <= now for one in idp.certificates):
        yield _(
            "One of the certificates has expired. What it signs is still accepted: trust goes by the key, not by the "
            "date. The identity provider may refuse to sign with it."
        )
    if all(one.not_after <= now + EXPIRY_WARNING for one in idp.certificates):
        yield _("Every certificate expires within 30 days. Ask for the next one soon.")
    if any(one.not_before > now for one in idp.certificates):
        yield _("One of the certificates is not valid yet. What it signs is accepted all the same.")
    if not idp.sso_url.startswith("https://"):
        yield _("The login address is not https: passwords that people enter there can be read on the way.")
    if sso_on:
        yield _("SSO is on: once this is trusted, it takes effect at the next sign-in.")
