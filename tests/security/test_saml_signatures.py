"""Forged, foreign, weak and malicious signatures; each stands beside an honest one that is accepted."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
import xmlsec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from lxml import etree

from saml.parties import IdentityProvider
from tests.support.saml_attack import (
    IDP,
    NOW,
    accept,
    adding,
    refusal,
    removing,
    respond,
    setting,
    the,
    writing,
)
from tests.support.saml_idp import decoded, encoded, key_pair


def test_the_honest_answer_is_accepted() -> None:
    assert accept(respond()).name_id == "alice"
    assert accept(respond(sign=["response"])).name_id == "alice"
    assert accept(respond(sign=["assertion", "response"])).name_id == "alice"


def test_an_unsigned_answer_is_refused() -> None:
    assert refusal(respond(sign=[])) == "unsigned"


def test_an_answer_whose_signature_was_stripped_is_refused() -> None:
    assert refusal(respond(edit_signed=removing("Signature"))) == "unsigned"


def test_an_answer_signed_with_a_foreign_key_is_refused_even_with_its_certificate_inside() -> None:
    assert refusal(respond(key=key_pair("foreign"))) == "signature"
    assert refusal(respond(key=key_pair("foreign"), sign=["response"])) == "signature"


def test_both_signatures_must_hold() -> None:
    def sign_again_with_foreign_key(response: etree._Element) -> None:
        outer = decoded(respond(key=key_pair("foreign"), sign=["response"]))
        response.insert(1, the(outer, "Signature"))

    assert refusal(respond(edit_signed=sign_again_with_foreign_key)) == "signature"


@pytest.mark.parametrize(
    "tamper",
    [
        writing("NameID", "root"),
        writing("DigestValue", base64.b64encode(b"\0" * 32).decode()),
        writing("SignatureValue", base64.b64encode(b"\0" * 384).decode()),
        setting("AuthnStatement", "SessionIndex", "_other"),
        setting("NameID", "Format", "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress"),
    ],
)
def test_a_tampered_assertion_is_refused(tamper: Callable[[etree._Element], None]) -> None:
    assert refusal(respond(edit_signed=tamper)) == "signature"


def test_without_a_trusted_certificate_nothing_is_accepted() -> None:
    nobody = IdentityProvider(IDP.entity_id, IDP.sso_url, "HTTP-POST", ())

    assert refusal(respond(), trusted=nobody) == "signature"


def test_only_sha_2_signatures_are_accepted() -> None:
    constants = xmlsec.constants
    good = [constants.TransformRsaSha384, constants.TransformRsaSha512]
    for algorithm in good:
        assert accept(respond(algorithms=(algorithm, constants.TransformSha512))).name_id == "alice"

    assert refusal(respond(algorithms=(constants.TransformRsaSha1, constants.TransformSha256))) == "algorithm"
    assert refusal(respond(algorithms=(constants.TransformRsaSha256, constants.TransformSha1))) == "algorithm"


def test_elliptic_curve_signatures_are_accepted() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "curve")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(minutes=1))
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
        .decode()
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    trusted = IdentityProvider(IDP.entity_id, IDP.sso_url, "HTTP-POST", (certificate,))
    algorithms = (xmlsec.constants.TransformEcdsaSha256, xmlsec.constants.TransformSha256)

    response = respond(key=(private, certificate), algorithms=algorithms)

    assert accept(response, trusted=trusted).name_id == "alice"
    assert refusal(response) == "signature"


WEAK = [
    ("SignatureMethod", "http://www.w3.org/2001/04/xmldsig-more#rsa-md5"),
    ("SignatureMethod", "http://www.w3.org/2000/09/xmldsig#hmac-sha1"),
    ("SignatureMethod", "http://www.w3.org/2001/04/xmldsig-more#hmac-sha256"),
    ("SignatureMethod", ""),
    ("DigestMethod", "http://www.w3.org/2001/04/xmldsig-more#md5"),
    ("CanonicalizationMethod", "http://www.w3.org/TR/2001/REC-xml-c14n-20010315#WithComments"),
    ("Transform", "http://www.w3.org/2000/09/xmldsig#base64"),
    ("Transform", "http://www.w3.org/TR/1999/REC-xslt-19991116"),
    ("Transform", "http://www.w3.org/TR/1999/REC-xpath-19991116"),
]


@pytest.mark.parametrize(("name", "algorithm"), WEAK)
def test_algorithms_outside_the_list_are_refused(name: str, algorithm: str) -> None:
    assert refusal(respond(edit_signed=setting(name, "Algorithm", algorithm))) == "algorithm"


STYLESHEET = '<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform"/>'


MALICIOUS = [
    adding("Transform", STYLESHEET),
    adding("Transforms", '<ds:Transform Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#"/>'),
    removing("Transforms"),
    setting("Reference", "URI", "file:///dev/zero"),
    setting("Reference", "URI", ""),
    setting("Reference", "URI", "#_other"),
    adding("SignedInfo", '<ds:Reference URI="file:///dev/zero"/>'),
    adding("Signature", "<ds:Object/>"),
    adding("KeyInfo", '<ds:RetrievalMethod URI="file:///dev/zero"/>'),
    adding("SignatureMethod", "<ds:HMACOutputLength>8</ds:HMACOutputLength>"),
    setting("Signature", "Id", "_a20310304050607000000"),
    setting("NameID", "{http://www.w3.org/XML/1998/namespace}id", "_x"),
]


@pytest.mark.parametrize("edit", MALICIOUS)
def test_transforms_references_and_parts_outside_the_shape_are_refused_at_once(
    edit: Callable[[etree._Element], None],
) -> None:
    started = datetime.now(UTC)

    assert refusal(respond(edit_signed=edit)) == "shape"
    assert datetime.now(UTC) - started < timedelta(seconds=2)


def test_inclusive_namespaces_as_opensaml_writes_them_are_accepted() -> None:
    constants = xmlsec.constants
    response = respond(algorithms=(constants.TransformRsaSha256, constants.TransformSha256, ["saml", "samlp"]))

    assert b"InclusiveNamespaces" in base64.b64decode(response)
    assert accept(response).name_id == "alice"

    odd = decoded(response)
    the(odd, "InclusiveNamespaces").set("PrefixList", "a,b")
    assert refusal(encoded(odd)) == "shape"
