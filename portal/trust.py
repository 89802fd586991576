"""Whom a space shall trust, read from metadata or typed by hand: what the console and the command line share (IC-6)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from portal.core import clock
from portal.core.errors import Invalid
from portal.core.federation.identity_provider import PARTY, TrustedCertificate, TrustedIdentityProvider
from portal.core.federation.models import IdentityProviderOffer, TrustSource
from saml import metadata
from saml.errors import MetadataError
from saml.keys import read_certificate, read_certificates
from saml.parties import IdentityProvider


def from_metadata(document: bytes | str) -> TrustedIdentityProvider:
    """Raises Invalid (field `metadata`) with what is wrong, in words for an administrator."""
    return _offer(
        lambda: metadata.parse_identity_provider(document, now=clock.now()), field="metadata", source=TrustSource.FILE
    )


def by_hand(*, entity_id: str, sso_url: str, certificate: str | bytes) -> TrustedIdentityProvider:
    """`certificate` is PEM, bare base64 or DER. Raises Invalid that names the field."""

    def read() -> IdentityProvider:
        text = certificate if isinstance(certificate, str) else read_certificate(certificate).pem
        return metadata.identity_provider_by_hand(entity_id=entity_id, sso_url=sso_url, certificate=text)

    return _offer(read, field="certificate", source=TrustSource.HAND)


def as_offered(row: IdentityProviderOffer) -> TrustedIdentityProvider:
    """What waits, as it would be trusted."""
    certificates = trusted_certificates(row.certificates)
    fields = {name: getattr(row, name) for name in PARTY}
    return TrustedIdentityProvider(**fields, certificates=certificates, updated_at=row.offered_at)


def from_address(document: bytes | str, *, url: str, signed_by: str = "") -> TrustedIdentityProvider:
    """What was read at `url`. `signed_by`: PEM, one after the other; the metadata must be signed with one of them.

    Raises Invalid (field `metadata_url`).
    """

    def read() -> IdentityProvider:
        pems = [one.pem for one in read_certificates(signed_by)] if signed_by else []
        return metadata.parse_identity_provider(document, now=clock.now(), signed_by=pems)

    offered = _offer(read, field="metadata_url", source=TrustSource.URL)
    return replace(offered, metadata_url=url, metadata_certificates=signed_by)


def trusted_certificates(given: str | bytes, *, field: str = "certificate") -> tuple[TrustedCertificate, ...]:
    """From PEM (one or several), bare base64 or DER. Raises Invalid."""
    try:
        return tuple(_certificate(one.pem) for one in read_certificates(given))
    except MetadataError as error:
        raise Invalid(error.message, field=field) from error


def _offer(read: Callable[[], IdentityProvider], *, field: str, source: TrustSource) -> TrustedIdentityProvider:
    try:
        found = read()
        certificates = tuple(_certificate(pem) for pem in found.certificates)
    except MetadataError as error:
        raise Invalid(error.message, field=error.field or field) from error
    if all(certificate.not_after <= clock.now() for certificate in certificates):
        raise Invalid(
            f"The certificate expired on {max(one.not_after for one in certificates):%Y-%m-%d}. Nothing new is trusted "
            "with expired certificates only: let the identity provider make another one.",
            field=field,
        )
    return TrustedIdentityProvider(
        entity_id=found.entity_id,
        sso_url=found.sso_url,
        sso_binding=found.sso_binding,
        slo_url=found.slo_url,
        slo_binding=found.slo_binding,
        slo_response_url=found.slo_response_url,
        certificates=certificates,
        updated_at=clock.now(),
        source=source,
    )


def _certificate(pem: str) -> TrustedCertificate:
    read = read_certificate(pem)
    return TrustedCertificate(read.pem, read.fingerprint, read.subject, read.not_before, read.not_after)
