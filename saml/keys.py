"""Key pairs for what we sign, and certificates of those we trust."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from saml.errors import MetadataError

MIN_RSA_BITS = 2048
_MAX_TEXT = 64 * 1024
_BEGIN = "-----BEGIN CERTIFICATE-----"
_CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)
_COMMON_NAME_LENGTH = 64  # X.520 upper bound


@dataclass(frozen=True)
class Certificate:
    """What people compare and what expires. Times are UTC and time zone aware."""

    pem: str
    fingerprint: str
    """SHA-256 of the DER form, `AB:CD:...`."""
    subject: str
    not_before: datetime
    not_after: datetime


def make_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=3072)


def make_key_pair(
    common_name: str, *, years: int = 10, now: datetime, make: Callable[[], rsa.RSAPrivateKey] = make_key
) -> tuple[str, str]:
    """A new RSA 3072 key and its self-signed certificate, both PEM (key: PKCS #8 without password).

    A common name above 64 characters is cut there: it is a label for people, trust goes by the key.
    """
    key = make()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name[:_COMMON_NAME_LENGTH])])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=round(365.25 * years)))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private.decode(), certificate.public_bytes(serialization.Encoding.PEM).decode()


def read_certificate(text_or_bytes: str | bytes) -> Certificate:
    """One certificate from PEM, bare base64 (as metadata holds it) or DER. Raises MetadataError.

    Dates and the certificate's own signature do not decide: trust goes by the key (SAML V2.0 Metadata
    Interoperability Profile, 2.6), so an expired one is read and the caller warns.
    """
    try:
        certificate = x509.load_der_x509_certificate(_der(text_or_bytes))
        key = certificate.public_key()
        subject = certificate.subject.rfc4514_string()
    except MetadataError:
        raise
    except Exception as error:  # cryptography raises ValueError, TypeError and its own kinds on broken input
        raise MetadataError("The certificate cannot be read. Paste an X.509 certificate in PEM form.") from error
    _check_key(key)
    digest = certificate.fingerprint(hashes.SHA256()).hex(":").upper()
    pem = certificate.public_bytes(serialization.Encoding.PEM).decode()
    return Certificate(pem, digest, subject, certificate.not_valid_before_utc, certificate.not_valid_after_utc)


def read_certificates(text_or_bytes: str | bytes) -> tuple[Certificate, ...]:
    """One or several: a PEM text may hold many, as it is pasted during a roll-over. Raises MetadataError."""
    if isinstance(text_or_bytes, bytes) and not text_or_bytes.startswith(b"\x30"):
        text_or_bytes = text_or_bytes.decode("ascii", errors="replace")
    if isinstance(text_or_bytes, bytes) or text_or_bytes.count(_BEGIN) < 2:
        return (read_certificate(text_or_bytes),)
    if len(text_or_bytes) > _MAX_TEXT:
        raise MetadataError("The certificates are larger than 64 KiB.")
    found = [read_certificate(_BEGIN + part) for part in text_or_bytes.split(_BEGIN)[1:]]
    return tuple({certificate.pem: certificate for certificate in found}.values())


def _check_key(key: object) -> None:
    if isinstance(key, rsa.RSAPublicKey):
        if key.key_size < MIN_RSA_BITS:
            raise MetadataError(
                f"The certificate has an RSA key of {key.key_size} bits; at least {MIN_RSA_BITS} are needed. "
                "Let the identity provider make a new certificate."
            )
    elif not (isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, _CURVES)):
        raise MetadataError("The certificate's key is neither RSA nor one of the curves P-256, P-384 and P-521.")


def _der(given: str | bytes) -> bytes:
    if len(given) > _MAX_TEXT:
        raise MetadataError("The certificate is larger than 64 KiB.")
    if isinstance(given, bytes):
        if given.startswith(b"\x30"):
            return given
        given = given.decode("ascii", errors="replace")
    if "PRIVATE KEY-----" in given:
        raise MetadataError("This is a private key, which must stay where it is. Paste the certificate instead.")
    if given.count(_BEGIN) > 1:
        raise MetadataError("These are several certificates. Paste the one that signs.")
    _, begin, rest = given.partition(_BEGIN)
    body = rest.partition("-----END CERTIFICATE-----")[0] if begin else given
    try:
        return base64.b64decode(re.sub(r"\s", "", body), validate=True)
    except (binascii.Error, ValueError) as error:
        raise MetadataError(
            "The certificate cannot be read: it is neither PEM nor base64. Paste it whole, from "
            "BEGIN CERTIFICATE to END CERTIFICATE."
        ) from error
