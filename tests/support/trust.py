"""Identity providers as a space trusts them, without a sign-in."""

from __future__ import annotations

from datetime import timedelta
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from portal.core import clock
from portal.core.actor import SYSTEM
from portal.core.federation.identity_provider import (
    TrustedCertificate,
    TrustedIdentityProvider,
    current,
    set_identity_provider,
)
from portal.core.space.models import Space
from portal.trust import trusted_certificates
from tests.support.make import Make

ENTITY_ID = "https://idp.example/metadata"
SSO_URL = "https://idp.example/sso"


def pem(name: str, days: float = 365) -> str:
    """A certificate that ends so many days from now, or ended so many days ago; the same for the same words."""
    return _made(name, days)


@cache
def _made(name: str, days: float) -> str:
    """Of P-256, because that is made at once."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = clock.now()
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
    builder = builder.not_valid_before(now - timedelta(days=100)).not_valid_after(now + timedelta(days=days))
    signed = builder.serial_number(x509.random_serial_number()).sign(key, hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.PEM).decode()


def certificate(name: str, days: float = 365) -> TrustedCertificate:
    return trusted_certificates(pem(name, days))[0]


def provider(*certificates: TrustedCertificate, **fields: Any) -> TrustedIdentityProvider:
    given = {"entity_id": ENTITY_ID, "sso_url": SSO_URL, "sso_binding": "HTTP-Redirect", **fields}
    return TrustedIdentityProvider(**given, certificates=certificates, updated_at=clock.now())


def trust(make: Make, space: Space, *certificates: TrustedCertificate, **fields: Any) -> None:
    with make.transaction() as session:
        set_identity_provider(session, SYSTEM, space=space, idp=provider(*certificates, **fields))


def trusted(make: Make, space: Space) -> TrustedIdentityProvider:
    with make.transaction() as session:
        found = current(session, space)
    assert found is not None
    return found


def fingerprints(make: Make, space: Space) -> set[str]:
    return {one.fingerprint for one in trusted(make, space).certificates}
