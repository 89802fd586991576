"""Key pairs we make and certificates we read."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.x509.oid import NameOID

from saml.errors import MetadataError
from saml.keys import make_key_pair, read_certificate, read_certificates
from tests.support.saml_idp import key_pair

NOW = datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)
KEY, CERTIFICATE = make_key_pair("Identity Center 身份中心", now=NOW)


def certificate_of(key: CertificateIssuerPrivateKeyTypes) -> str:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "other")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).serial_number(1)
    builder = builder.public_key(key.public_key()).not_valid_before(NOW).not_valid_after(NOW + timedelta(1))
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(key, algorithm).public_bytes(serialization.Encoding.PEM).decode()


def test_a_new_certificate_belongs_to_its_key_and_is_valid_from_the_given_time() -> None:
    key = serialization.load_pem_private_key(KEY.encode(), password=None)
    parsed = x509.load_pem_x509_certificate(CERTIFICATE.encode())
    read = read_certificate(CERTIFICATE)

    assert isinstance(key, rsa.RSAPrivateKey)
    assert key.key_size == 3072
    assert parsed.public_key() == key.public_key()
    assert read.not_before < NOW < read.not_after
    assert timedelta(days=3650) < read.not_after - NOW < timedelta(days=3660)
    assert read.subject == "CN=Identity Center 身份中心"


def test_a_long_common_name_is_cut_to_what_certificates_can_hold() -> None:
    _, certificate = make_key_pair("x" * 100, now=NOW)

    assert read_certificate(certificate).subject == "CN=" + "x" * 64


def test_pem_bare_base64_and_der_are_the_same_certificate() -> None:
    parsed = x509.load_pem_x509_certificate(CERTIFICATE.encode())
    der = parsed.public_bytes(serialization.Encoding.DER)
    forms: list[str | bytes] = [
        CERTIFICATE,
        CERTIFICATE.encode(),
        CERTIFICATE.replace("\n", "\r\n"),
        "subject=CN = x\n" + CERTIFICATE,
        base64.b64encode(der).decode(),
        "\n  ".join(base64.b64encode(der).decode()[i : i + 76] for i in range(0, len(der) * 2, 76)),
        der,
    ]

    assert {read_certificate(form).pem for form in forms} == {CERTIFICATE}
    fingerprint = read_certificate(der).fingerprint
    assert fingerprint.replace(":", "").lower() == parsed.fingerprint(hashes.SHA256()).hex()
    assert fingerprint.count(":") == 31


def test_an_expired_certificate_is_read_because_trust_goes_by_the_key() -> None:
    _, certificate = make_key_pair("old", years=1, now=datetime(2001, 1, 1, tzinfo=UTC))

    assert read_certificate(certificate).not_after.year == 2002


def test_elliptic_curve_certificates_are_read() -> None:
    assert read_certificate(certificate_of(ec.generate_private_key(ec.SECP256R1()))).subject == "CN=other"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("", "cannot be read"),
        ("hello", "cannot be read"),
        ("é", "neither PEM nor base64"),
        (b"\x30\x00", "cannot be read"),
        (b"\xff\xfe", "neither PEM nor base64"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", "cannot be read"),
        ("A" * 70_000, "larger than 64 KiB"),
        (KEY, "private key"),
        (CERTIFICATE + CERTIFICATE, "several certificates"),
    ],
)
def test_what_is_no_certificate_is_refused_in_words(given: str | bytes, words: str) -> None:
    with pytest.raises(MetadataError, match=words):
        read_certificate(given)


def test_weak_and_unsuitable_keys_are_refused() -> None:
    with pytest.raises(MetadataError, match="1024 bits; at least 2048"):
        read_certificate(certificate_of(rsa.generate_private_key(public_exponent=65537, key_size=1024)))
    with pytest.raises(MetadataError, match="neither RSA nor"):
        read_certificate(certificate_of(ed25519.Ed25519PrivateKey.generate()))
    with pytest.raises(MetadataError, match="neither RSA nor"):
        read_certificate(certificate_of(ec.generate_private_key(ec.SECP256K1())))


def test_several_certificates_are_read_as_they_are_pasted_during_a_roll_over() -> None:
    first, second = key_pair("first")[1], key_pair("second")[1]
    pasted = f"Current:\n{first}\nNext:\r\n{second}{first}"

    for given in (pasted, pasted.encode()):
        assert [found.pem for found in read_certificates(given)] == [first, second]
    assert [found.pem for found in read_certificates(first)] == [first]
    assert [found.pem for found in read_certificates("".join(first.splitlines()[1:-1]))] == [first]


def test_one_unreadable_certificate_among_several_refuses_all() -> None:
    first = key_pair("first")[1]
    for bad in (first + first.replace("MII", "AAA", 1), first * 100, first + "-----BEGIN CERTIFICATE-----"):
        with pytest.raises(MetadataError):
            read_certificates(bad)
