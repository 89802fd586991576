"""The certificates whose signatures count, one by one: for the roll-over of an identity provider (IC-6)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.core import audit, clock, limits
from portal.core.actor import Actor
from portal.core.errors import Conflict, Invalid, NotFound
from portal.core.federation.identity_provider import TrustedCertificate
from portal.core.federation.models import IdentityProvider, IdentityProviderCertificate
from portal.core.space.models import Space

EXPIRY_WARNING = timedelta(days=30)


def of_space(session: Session, space: Space) -> list[IdentityProviderCertificate]:
    """Oldest first."""
    return list(
        session.scalars(
            select(IdentityProviderCertificate)
            .where(IdentityProviderCertificate.space_id == space.id)
            .order_by(IdentityProviderCertificate.added_at, IdentityProviderCertificate.id)
        )
    )


def add(session: Session, actor: Actor, *, space: Space, certificates: Sequence[TrustedCertificate]) -> None:
    """Trust these as well, from now on.

    Conflict without an identity provider or for one that is trusted already, Invalid for one that has expired,
    LimitReached.
    """
    row = _locked(session, space)
    known = {certificate.fingerprint for certificate in of_space(session, space)}
    for certificate in certificates:
        if certificate.fingerprint in known:
            raise Conflict(f"The certificate {certificate.fingerprint} is trusted already.", field="certificate")
        if certificate.not_after <= clock.now():
            words = f"The certificate expired on {certificate.not_after:%Y-%m-%d}. Expired ones are not added."
            raise Invalid(words, field="certificate")
    limits.check("idp_certificates_per_space", len(known) + len(certificates), what="IdP certificates per space")
    for certificate in certificates:
        session.add(
            IdentityProviderCertificate(
                space_id=space.id,
                pem=certificate.pem,
                fingerprint=certificate.fingerprint,
                subject=certificate.subject[:1024],
                not_before=certificate.not_before,
                not_after=certificate.not_after,
            )
        )
        _record(session, actor, "sso.add_certificate", space, certificate)
    row.updated_at = clock.now()
    session.flush()


def get_certificate(session: Session, space: Space, certificate_id: str) -> IdentityProviderCertificate:
    found = session.get(IdentityProviderCertificate, certificate_id)
    if found is None or found.space_id != space.id:
        raise NotFound("There is no such certificate.")
    return found


def remove(session: Session, actor: Actor, *, space: Space, certificate: IdentityProviderCertificate) -> None:
    """What it signs is refused from now on, and the test that passed says nothing any more: it may have been this one.

    Conflict for the last one: nobody could sign in any more.
    """
    row = _locked(session, space)
    if not others(session, space, certificate):
        raise Conflict("This is the last certificate; add the new one first.")
    session.delete(certificate)
    row.updated_at, row.tested_at = clock.now(), None
    session.flush()
    _record(session, actor, "sso.remove_certificate", space, certificate)


def others(
    session: Session, space: Space, certificate: IdentityProviderCertificate
) -> list[IdentityProviderCertificate]:
    return [one for one in of_space(session, space) if one.id != certificate.id]


def is_valid(certificate: IdentityProviderCertificate | TrustedCertificate, now: datetime) -> bool:
    return certificate.not_before <= now < certificate.not_after


def _locked(session: Session, space: Space) -> IdentityProvider:
    """The row that everybody takes who changes the certificates, so that two do not remove the last two."""
    row = session.get(IdentityProvider, space.id, with_for_update=True, populate_existing=True)
    if row is None:
        raise Conflict("No identity provider is configured yet.")
    return row


def _record(
    session: Session,
    actor: Actor,
    action: str,
    space: Space,
    certificate: IdentityProviderCertificate | TrustedCertificate,
) -> None:
    details = {
        "fingerprint": certificate.fingerprint,
        "subject": certificate.subject,
        "not_after": certificate.not_after.isoformat(),
    }
    audit.record(
        session, actor, action, target_type="space", target_id=space.id, target_name=space.name, details=details
    )
