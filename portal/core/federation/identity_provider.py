"""The enterprise IdP that a space trusts (IC-6). Its metadata is read above the heart; here come plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, delete, select
from sqlalchemy.orm import Session

from portal.core import audit, clock, limits
from portal.core.actor import Actor
from portal.core.errors import Invalid
from portal.core.federation.models import IdentityProvider, IdentityProviderCertificate, TrustSource
from portal.core.space.models import Space


@dataclass(frozen=True)
class TrustedCertificate:
    """`pem` and what people compare: the SHA-256 fingerprint, the subject, the dates (UTC)."""

    pem: str
    fingerprint: str
    subject: str
    not_before: datetime
    not_after: datetime


@dataclass(frozen=True)
class TrustedIdentityProvider:
    """What is believed of an identity provider, or offered to be. `metadata_certificates`: PEM, one after the other."""

    entity_id: str
    sso_url: str
    sso_binding: str
    certificates: tuple[TrustedCertificate, ...]
    updated_at: datetime
    slo_url: str | None = None
    slo_binding: str | None = None
    slo_response_url: str | None = None
    source: TrustSource = TrustSource.FILE
    metadata_url: str | None = None
    metadata_certificates: str = ""
    tested_at: datetime | None = None


PARTY = (
    "entity_id",
    "sso_url",
    "sso_binding",
    "slo_url",
    "slo_binding",
    "slo_response_url",
    "source",
    "metadata_url",
    "metadata_certificates",
    "tested_at",
)
"""What a row and a TrustedIdentityProvider have in common."""


def current(session: Session, space: Space) -> TrustedIdentityProvider | None:
    """The IdP of a space with its certificates, oldest first; None when none is set."""
    idp = session.get(IdentityProvider, space.id)
    if idp is None:
        return None
    rows = session.scalars(_certificates(space).order_by(IdentityProviderCertificate.added_at))
    certificates = tuple(
        TrustedCertificate(row.pem, row.fingerprint, row.subject, row.not_before, row.not_after) for row in rows
    )
    fields = {name: getattr(idp, name) for name in PARTY}
    return TrustedIdentityProvider(**fields, certificates=certificates, updated_at=idp.updated_at)


def set_identity_provider(
    session: Session,
    actor: Actor,
    *,
    space: Space,
    idp: TrustedIdentityProvider,
    action: str = "sso.set_identity_provider",
    details: Mapping[str, Any] | None = None,
) -> IdentityProvider:
    """Trust this IdP instead of the one before; certificates that stay keep their rows.

    With an address it is due at once to be read again: that sets the time of the next reading, too.
    Sign-ins that wait at another IdP are refused when they come back. Invalid without a certificate, LimitReached with
    too many.
    """
    wanted = {certificate.fingerprint: certificate for certificate in idp.certificates}
    if not wanted:
        raise Invalid("The identity provider needs at least one certificate for signing.", field="certificate")
    limits.check("idp_certificates_per_space", len(wanted), what="IdP certificates per space")
    row = session.get(IdentityProvider, space.id)
    before = row.entity_id if row else ""
    if row is None:
        row = IdentityProvider(space_id=space.id)
        session.add(row)
    for name in PARTY:
        setattr(row, name, getattr(idp, name))
    row.updated_at = clock.now()
    row.refreshed_at, row.refresh_error = None, ""
    row.refresh_at = clock.now() if idp.metadata_url else None
    session.flush()
    _replace_certificates(session, space, wanted)
    audit.record(
        session,
        actor,
        action,
        target_type="space",
        target_id=space.id,
        target_name=space.name,
        details={
            "entity_id": idp.entity_id,
            "before": before,
            "sso_url": idp.sso_url,
            "source": idp.source,
            "fingerprints": list(wanted),
            **(details or {}),
        },
    )
    return row


def _certificates(space: Space) -> Select[IdentityProviderCertificate]:
    return select(IdentityProviderCertificate).where(IdentityProviderCertificate.space_id == space.id)


def _replace_certificates(session: Session, space: Space, wanted: dict[str, TrustedCertificate]) -> None:
    known = set(session.scalars(_certificates(space).with_only_columns(IdentityProviderCertificate.fingerprint)))
    session.execute(
        delete(IdentityProviderCertificate).where(
            IdentityProviderCertificate.space_id == space.id,
            IdentityProviderCertificate.fingerprint.not_in(wanted),
        )
    )
    session.add_all(
        IdentityProviderCertificate(
            space_id=space.id,
            pem=certificate.pem,
            fingerprint=certificate.fingerprint,
            subject=certificate.subject[:1024],
            not_before=certificate.not_before,
            not_after=certificate.not_after,
        )
        for fingerprint, certificate in wanted.items()
        if fingerprint not in known
    )
    session.flush()
