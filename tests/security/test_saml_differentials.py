"""Documents that one parser reads so and another otherwise, and signatures that hold over nothing.

The forms published in 2024 and 2025: DOCTYPE and entity differentials, namespaces and attributes that one reader knows
and another does not (CVE-2025-25291, CVE-2025-25292), digests from elsewhere (CVE-2024-45409), several SignedInfo and
comments in a digest (CVE-2025-29774, CVE-2025-29775), canonicalisation that fails and gives nothing.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from lxml import etree

from saml.errors import SamlError
from saml.parties import KeyPair
from saml.service_provider import accept_response
from tests.support.saml_attack import IDP, NOW, REQUEST, SP, TRUSTED, accept, adding, refusal, respond, setting, the
from tests.support.saml_encryption import encrypting
from tests.support.saml_idp import DS, SAML, decoded, encoded, key_pair

OURS = KeyPair(*key_pair("current"))
HONEST = base64.b64decode(respond())


def form(document: bytes) -> str:
    return base64.b64encode(document).decode()


def changed(old: bytes, new: bytes, times: int = 1) -> str:
    assert old in HONEST
    return form(HONEST.replace(old, new, times))


EMPTY = base64.b64encode(hashlib.sha256(b"").digest()).decode()
DOCTYPES = [
    b"<!DOCTYPE samlp:Response [<!ENTITY n 'root'>]>",
    b'<!DOCTYPE samlp:Response SYSTEM "https://evil.example.test/x.dtd">',
    b'<!DOCTYPE samlp:Response [<!ENTITY % p SYSTEM "file:///etc/passwd"> %p;]>',
    b"<!DOCTYPE samlp:Response [<!ATTLIST saml:Assertion ID CDATA '_forged'>]>",
    b"<!DOCTYPE samlp:Response [<!ATTLIST samlp:Response xmlns CDATA 'urn:evil'>]>",
    b"<!DOCTYPE samlp:Response [<!NOTATION x SYSTEM 'x'><?x ><y?>]>",
    b"<!doctype x>",
]


@pytest.mark.parametrize("doctype", DOCTYPES)
def test_no_document_type_is_read(doctype: bytes) -> None:
    assert refusal(form(doctype + HONEST)) == "xml"
    assert refusal(form(HONEST + doctype)) == "xml"
    assert refusal(form(b'<?xml version="1.0"?>' + doctype + HONEST)) == "xml"


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (b"<saml:Assertion ", b'<saml:Assertion saml:ID="_forged" ', "shape"),
        (b"<saml:Assertion ", b'<saml:Assertion samlp:ID="_forged" ', "shape"),
        (b"<saml:Assertion ", b'<saml:Assertion id="_forged" ', "shape"),
        (b"<saml:Assertion ", b'<saml:Assertion Id="_forged" ', "shape"),
        (b"<saml:Assertion ", b'<saml:Assertion xml:id="_forged" ', "shape"),
        (b"<saml:Assertion ", b'<saml:Assertion ID="_forged" ', "xml"),
        (b"<saml:Assertion ", b'<saml:Assertion xmlns:saml="urn:evil" ', "assertions"),
        (b"<saml:Assertion ", b'<saml:Assertion xmlns:xml="urn:evil" ', "xml"),
        (b"<saml:Assertion ", b'<saml:Assertion xmlns:xmlns="urn:evil" ', "xml"),
        (b"<samlp:Response ", b'<samlp:Response samlp:Destination="x" ', "shape"),
        (b"<samlp:Response ", b'<samlp:Response xsi:schemaLocation="a file:///b" xmlns:xsi="urn:x" ', "shape"),
        (b"<samlp:Response ", b'<samlp:Response xml:base="https://evil.example.test" ', "shape"),
        (b"<saml:NameID ", b'<saml:NameID xml:space="preserve" ', "shape"),
        (b"<ds:Signature ", b'<ds:Signature ds:Id="_x" ', "shape"),
        (b"<ds:Reference ", b'<ds:Reference Id="_x" ', "shape"),
        (b"<ds:Reference ", b'<ds:Reference Type="http://www.w3.org/2000/09/xmldsig#Manifest" ', "shape"),
        (b'http://www.w3.org/2000/09/xmldsig#"', b'http://www.w3.org/2000/09/xmldsig"', "shape"),
        (b"<ds:DigestValue>", b"<ds:DigestValue><!-- -->", "xml"),
        (b"<ds:DigestValue>", b"<ds:DigestValue>" + EMPTY.encode() + b"<!---->", "xml"),
        (b"<ds:DigestValue>", b"<ds:DigestValue><![CDATA[]]>", "xml"),
        (b"<ds:DigestValue>", b"<ds:DigestValue><?x?>", "xml"),
        (b"<ds:SignatureValue>", b"<ds:SignatureValue><x/>", "shape"),
        (b"alice<", b"alice&#0;<", "xml"),
        (b"alice<", b"alice\x00<", "xml"),
        (b"alice<", b"alice&#xD800;<", "xml"),
        (b"alice<", b"alice\xc0\x80<", "encoding"),
    ],
)
def test_what_readers_disagree_about_is_refused(old: bytes, new: bytes, reason: str) -> None:
    assert refusal(changed(old, new)) == reason


def test_writing_the_same_text_otherwise_changes_nothing() -> None:
    """The positive side: what canonicalises to what was signed is read as what was signed."""
    assert accept(form(HONEST)).name_id == "alice"
    assert accept(changed(b">alice<", b">&#97;l&#x69;ce<")).name_id == "alice"
    assert accept(changed(b"<saml:Assertion ", b'<saml:Assertion\n\t xmlns:unused="urn:x" ')).name_id == "alice"
    assert accept(form(b"\xef\xbb\xbf" + HONEST)).name_id == "alice"


@pytest.mark.parametrize(
    ("parent", "fragment"),
    [
        ("Status", "<samlp:StatusDetail><ds:DigestValue>x</ds:DigestValue></samlp:StatusDetail>"),
        ("Response", "<samlp:Extensions><ds:DigestValue>x</ds:DigestValue></samlp:Extensions>"),
        ("Signature", "<ds:SignedInfo/>"),
        ("SignedInfo", "<ds:Reference/>"),
        ("Reference", "<ds:DigestValue>x</ds:DigestValue>"),
        ("Signature", "<ds:SignatureValue>x</ds:SignatureValue>"),
        ("KeyInfo", "<ds:KeyInfo/>"),
        ("NameID", '<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="file:///etc/passwd" parse="text"/>'),
        ("Assertion", "<saml:Advice/>"),
        ("Conditions", '<saml:Condition xmlns:x="urn:x"/>'),
        ("Subject", "<saml:NameID>root</saml:NameID>"),
        ("Subject", "<saml:SubjectConfirmation/>"),
        ("Response", "<saml:Issuer>x</saml:Issuer>"),
    ],
)
def test_parts_that_only_one_reader_would_look_at_are_refused(parent: str, fragment: str) -> None:
    """Beside the honest ones and unsigned, and signed as well: there is no place for them."""
    assert refusal(respond(edit_signed=adding(parent, fragment))) == "shape"
    if parent not in ("Signature", "SignedInfo", "Reference", "KeyInfo"):
        assert refusal(respond(edit=adding(parent, fragment))) == "shape"


def sign_again(response: etree._Element, owner: str, digest: str | None = None) -> etree._Element:
    """The SignedInfo of `owner` with another digest, and the identity provider's key over it.

    An identity provider can be led to sign nothing (an error, a message of which canonicalisation made nothing): what
    it signed so must not stand for an assertion.
    """
    found = response if owner == "Response" else the(response, owner)
    signature = found.find(f"{DS}Signature")
    assert signature is not None
    info = signature.find(f"{DS}SignedInfo")
    assert info is not None
    if digest is not None:
        the(info, "DigestValue").text = digest
    key = serialization.load_pem_private_key(IDP.private_key.encode(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    canonical = etree.tostring(info, method="c14n", exclusive=True)
    the(signature, "SignatureValue").text = base64.b64encode(
        key.sign(canonical, padding.PKCS1v15(), hashes.SHA256())
    ).decode()
    return response


@pytest.mark.parametrize("owner", ["Assertion", "Response"])
def test_a_signature_over_nothing_stands_for_nothing(owner: str) -> None:
    honest = decoded(respond(sign=[owner.lower()]))
    assert accept(encoded(sign_again(deepcopy(honest), owner))).name_id == "alice"

    for digest in (EMPTY, "", base64.b64encode(hashlib.sha256(b"\n").digest()).decode()):
        assert refusal(encoded(sign_again(deepcopy(honest), owner, digest))) in ("signature", "library")


@pytest.mark.parametrize("uri", ["1", "x", "../evil", "#", "urn:x y", "\\"])
def test_namespaces_on_which_canonicalisation_fails_do_not_make_a_signature_hold(uri: str) -> None:
    """Relative namespace names: a library that takes the failure for an empty text finds its digest right."""
    document = etree.tostring(sign_again(decoded(respond()), "Assertion", EMPTY))
    for element in (b"<saml:Assertion ", b"<samlp:Response ", b"<ds:SignedInfo"):
        named = document.replace(element, element.rstrip() + f' xmlns:ns="{uri}" '.encode(), 1)
        assert refusal(form(named)) in ("signature", "library", "shape", "xml")


def swapped(response: etree._Element) -> None:
    outer, inner = response.find(f"{DS}Signature"), the(response, "Assertion").find(f"{DS}Signature")
    assert outer is not None
    assert inner is not None
    response.insert(1, deepcopy(inner))
    response.remove(outer)
    assertion = the(response, "Assertion")
    assertion.insert(1, outer)
    assertion.remove(inner)


def test_swapped_signatures_are_refused() -> None:
    both = respond(sign=["assertion", "response"])
    assert accept(both).name_id == "alice"

    response = decoded(both)
    swapped(response)
    assert refusal(encoded(response)) == "shape"


def test_a_signature_of_another_answer_does_not_hold() -> None:
    response, other = decoded(respond("root", sign=["assertion"])), decoded(respond("alice"))
    the(response, "Assertion").replace(the(response, "Signature"), the(other, "Signature"))

    assert refusal(encoded(response)) == "signature"


def test_a_key_inside_the_message_is_never_used() -> None:
    private, certificate = key_pair("foreign")
    key = serialization.load_pem_private_key(private.encode(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    numbers = key.public_key().public_numbers()

    def integer(number: int) -> str:
        return base64.b64encode(number.to_bytes((number.bit_length() + 7) // 8, "big")).decode()

    value = (
        f"<ds:KeyValue><ds:RSAKeyValue><ds:Modulus>{integer(numbers.n)}</ds:Modulus>"
        f"<ds:Exponent>{integer(numbers.e)}</ds:Exponent></ds:RSAKeyValue></ds:KeyValue>"
    )
    name = "<ds:KeyName>foreign</ds:KeyName>"

    for fragment in (value, name):
        assert refusal(respond(key=(private, certificate), edit_signed=adding("KeyInfo", fragment))) == "signature"
        assert accept(respond(edit_signed=adding("KeyInfo", fragment))).name_id == "alice"


def test_an_hmac_with_the_public_certificate_as_its_key_is_refused() -> None:
    for algorithm in ("hmac-sha256", "hmac-sha512"):
        confused = setting("SignatureMethod", "Algorithm", f"http://www.w3.org/2001/04/xmldsig-more#{algorithm}")
        assert refusal(respond(edit_signed=confused)) == "algorithm"


def clear(document: bytes) -> bytes:
    return etree.tostring(the(etree.fromstring(document), "Assertion"))


@pytest.mark.parametrize(
    "edit",
    [
        lambda response: sign_again(response, "Assertion", EMPTY),
        lambda response: the(response, "NameID").set(f"{SAML}Format", "x"),
        lambda response: the(response, "Assertion").set("id", "_forged"),
        lambda response: the(response, "Assertion").set("{http://www.w3.org/XML/1998/namespace}id", "_forged"),
        lambda response: the(response, "Signature").append(etree.Element(f"{DS}SignedInfo")),
        lambda response: the(response, "Assertion").append(etree.Element(f"{SAML}Advice")),
    ],
)
def test_all_of_it_again_inside_the_encryption(edit: Callable[[etree._Element], None]) -> None:
    sp = replace(SP, keys=(OURS,))
    honest = decoded(respond())
    evil = deepcopy(honest)
    edit(evil)
    for response in (honest, evil):
        encrypting(OURS.certificate)(response)

    assert accept_response(sp, TRUSTED, encoded(honest), request_id=REQUEST, now=NOW).name_id == "alice"
    with pytest.raises(SamlError) as refused:
        accept_response(sp, TRUSTED, encoded(evil), request_id=REQUEST, now=NOW)
    assert refused.value.reason in ("shape", "signature", "library")
