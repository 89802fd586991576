"""Encrypted assertions as identity providers send them, and as nobody should. Written with cryptography, not xmlsec:
what opens them in the product shall not vouch for itself."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Callable
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from lxml import etree

from tests.support.saml_idp import SAML

XENC = "http://www.w3.org/2001/04/xmlenc#"
XENC11 = "http://www.w3.org/2009/xmlenc11#"
DSIG = "http://www.w3.org/2000/09/xmldsig#"
MGF1P = f"{XENC}rsa-oaep-mgf1p"
OAEP = f"{XENC11}rsa-oaep"
RSA_1_5 = f"{XENC}rsa-1_5"
SHA1 = f"{DSIG}sha1"
SHA256 = f"{XENC}sha256"

_HASHES: dict[str | None, hashes.HashAlgorithm] = {
    None: hashes.SHA1(),
    SHA1: hashes.SHA1(),
    SHA256: hashes.SHA256(),
    f"{XENC11}mgf1sha1": hashes.SHA1(),
    f"{XENC11}mgf1sha256": hashes.SHA256(),
}


def gcm(bits: int) -> str:
    return f"{XENC11}aes{bits}-gcm"


def cbc(bits: int) -> str:
    return f"{XENC}aes{bits}-cbc"


def encrypting(certificate: str, **choices: Any) -> Callable[[etree._Element], None]:
    """An edit that encrypts the assertion of a Response; see `encrypted`."""

    def edit(response: etree._Element) -> None:
        assertion = response.find(f"{SAML}Assertion")
        assert assertion is not None
        assertion.tail = None
        response.replace(assertion, encrypted(etree.tostring(assertion), certificate, **choices))

    return edit


def encrypted(
    plain: bytes,
    certificate: str,
    *,
    method: str = gcm(128),
    transport: str = MGF1P,
    digest: str | None = None,
    mask: str | None = None,
    placement: str = "inside",
    spoil: bool = False,
) -> etree._Element:
    """An EncryptedAssertion of `plain`.

    `placement` of the EncryptedKey: inside the KeyInfo (Keycloak, Entra, ADFS, SimpleSAMLphp), beside with a
    RetrievalMethod (Okta), or "alone", beside without one. `spoil` turns one bit of the encrypted text.
    """
    bits = int(found[1]) if (found := re.search(r"aes(\d+)", method)) else 128
    key = os.urandom(bits // 8)
    cipher = bytearray(_sealed(key, plain, gcm_mode=method.endswith("gcm")))
    if spoil:
        cipher[20] ^= 1
    sent = _key_cipher(key, certificate, transport, digest, mask)
    details = "".join(
        f'<{name} Algorithm="{value}"/>' for name, value in (("ds:DigestMethod", digest), ("e11:MGF", mask)) if value
    )
    encrypted_key = (
        f'<e:EncryptedKey Id="_key"><e:EncryptionMethod Algorithm="{transport}">{details}</e:EncryptionMethod>'
        f"<ds:KeyInfo><ds:X509Data><ds:X509Certificate>{_bare(certificate)}</ds:X509Certificate></ds:X509Data>"
        f"</ds:KeyInfo>{_value(sent)}</e:EncryptedKey>"
    )
    retrieval = f'<ds:RetrievalMethod Type="{XENC}EncryptedKey" URI="#_key"/>'
    inside = {"inside": encrypted_key, "beside": retrieval, "alone": ""}[placement]
    info = f"<ds:KeyInfo>{inside}</ds:KeyInfo>" if inside else ""
    return etree.fromstring(
        f'<saml:EncryptedAssertion xmlns:saml="{SAML[1:-1]}" xmlns:e="{XENC}" xmlns:e11="{XENC11}" xmlns:ds="{DSIG}">'
        f'<e:EncryptedData Id="_data" Type="{XENC}Element"><e:EncryptionMethod Algorithm="{method}"/>{info}'
        f"{_value(bytes(cipher))}</e:EncryptedData>{'' if placement == 'inside' else encrypted_key}"
        "</saml:EncryptedAssertion>"
    )


def _value(data: bytes) -> str:
    text = base64.encodebytes(data).decode()
    return f"<e:CipherData><e:CipherValue>\n{text}</e:CipherValue></e:CipherData>"


def _bare(certificate: str) -> str:
    return "".join(certificate.strip().splitlines()[1:-1])


def _sealed(key: bytes, plain: bytes, *, gcm_mode: bool) -> bytes:
    if gcm_mode:
        nonce = os.urandom(12)
        return nonce + AESGCM(key).encrypt(nonce, plain, None)
    vector = os.urandom(16)
    missing = 16 - len(plain) % 16
    encryptor = Cipher(algorithms.AES(key), modes.CBC(vector)).encryptor()
    return vector + encryptor.update(plain + os.urandom(missing - 1) + bytes([missing])) + encryptor.finalize()


def _key_cipher(key: bytes, certificate: str, transport: str, digest: str | None, mask: str | None) -> bytes:
    public = x509.load_pem_x509_certificate(certificate.encode()).public_key()
    assert isinstance(public, rsa.RSAPublicKey)
    if transport == RSA_1_5:
        return public.encrypt(key, padding.PKCS1v15())
    return public.encrypt(key, padding.OAEP(padding.MGF1(_HASHES[mask]), _HASHES[digest], None))
