"""Encryption is no proof: everybody has our certificate. What comes out is judged like what was never encrypted, and
nobody can use us to decrypt what is not theirs."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from lxml import etree

from saml.errors import SamlError
from saml.parties import KeyPair, ServiceProvider
from saml.service_provider import Assertion, accept_response
from tests.security import test_saml_addressing, test_saml_signatures
from tests.support.saml_attack import IDP, NOW, REQUEST, SP, TRUSTED, respond, setting, the
from tests.support.saml_encryption import MGF1P, OAEP, RSA_1_5, XENC, XENC11, cbc, encrypted, encrypting
from tests.support.saml_idp import DS, SAML, decoded, encoded, key_pair, sign_element
from tests.support.saml_wrapping import WRAPPINGS

OURS = KeyPair(*key_pair("current"))
OURS_SP = replace(SP, keys=(OURS,))


def accept(response: str, sp: ServiceProvider = OURS_SP) -> Assertion:
    return accept_response(sp, TRUSTED, response, request_id=REQUEST, now=NOW)


def refusal(response: str | etree._Element, sp: ServiceProvider = OURS_SP) -> str:
    with pytest.raises(SamlError) as refused:
        accept(response if isinstance(response, str) else encoded(response), sp)
    return refused.value.reason


def sealed(response: etree._Element | None = None, *, around: bool = False, **choices: Any) -> etree._Element:
    response = decoded(respond()) if response is None else decoded(encoded(response))
    encrypting(OURS.certificate, **choices)(response)
    if around:
        sign_element(response, IDP.private_key, IDP.certificate)
    return decoded(encoded(response))


def replaced(content: bytes) -> etree._Element:
    """An honest answer whose assertion is whatever `content` decrypts to."""
    response = decoded(respond())
    response.replace(the(response, "Assertion"), encrypted(content, OURS.certificate))
    return response


def test_the_honest_answers_are_accepted() -> None:
    assert accept(encoded(sealed())).name_id == "alice"
    assert accept(encoded(sealed(around=True))).name_id == "alice"
    assert accept(encoded(sealed(around=True, method=cbc(128)))).name_id == "alice"


def test_encrypted_does_not_mean_signed() -> None:
    assert refusal(sealed(decoded(respond(sign=[])))) == "unsigned"
    assert refusal(sealed(decoded(respond(key=key_pair("foreign"))))) == "signature"


def test_a_signature_around_that_does_not_hold_ends_it_before_anything_is_opened() -> None:
    response = sealed(around=True)
    response.set("Consent", "urn:changed")
    assert refusal(response) == "signature"
    assert refusal(response, replace(SP, keys=())) == "signature"

    foreign = sealed()
    sign_element(foreign, *key_pair("foreign"))
    assert refusal(foreign) == "signature"


def test_another_ciphertext_under_the_signature_around_is_refused() -> None:
    response, other = sealed(around=True), sealed(decoded(respond("root")))
    response.replace(the(response, "EncryptedAssertion"), the(other, "EncryptedAssertion"))

    assert refusal(response) == "signature"


def test_cbc_is_opened_for_the_identity_provider_only() -> None:
    """With the assertion inside signed, a decrypter of unsigned CBC would be a padding oracle."""
    assert refusal(sealed(method=cbc(128))) == "encrypted"
    assert refusal(sealed(method=cbc(256), spoil=True)) == "encrypted"
    assert refusal(sealed(method=cbc(128), around=True, spoil=True)) == "decryption"


def decryption_faults() -> dict[str, etree._Element]:
    def cipher(element: str, text: str) -> etree._Element:
        response = sealed()
        the(the(response, element), "CipherValue").text = text
        return response

    nobody = decoded(respond())
    encrypting(key_pair("nobody")[1])(nobody)
    key = sealed()
    the(key, "EncryptedKey").find(f"{{{XENC}}}CipherData")[0].text = base64.b64encode(b"\1" * 384).decode()  # type: ignore[index]
    return {
        "spoiled": sealed(spoil=True),
        "for another": nobody,
        "spoiled key": key,
        "empty": cipher("EncryptedData", ""),
        "no base64": cipher("EncryptedData", "!"),
        "short": cipher("EncryptedData", "AAAA"),
        "no xml": replaced(b"hello"),
        "nothing": replaced(b""),
        "not utf-8": replaced(b"\xff\xfe"),
        "document type": replaced(b"<!DOCTYPE a><a/>"),
        "entity": replaced(b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'),
        "another element": replaced(b"<saml:Issuer>x</saml:Issuer>"),
        "another namespace": replaced(b"<Assertion/>"),
        "two": replaced(b'<saml:Assertion ID="_1"/><saml:Assertion ID="_2"/>'),
        "text beside": replaced(b"x<saml:Assertion/>"),
        "out of the place": replaced(b"</fragment><fragment>"),
        "encrypted twice": replaced(etree.tostring(encrypted(b"<a/>", OURS.certificate))),
        "compressed": replaced(b"\x78\x9c" + b"\0" * 40),
    }


@pytest.mark.parametrize("fault", decryption_faults().keys())
def test_every_fault_of_decryption_looks_the_same(fault: str) -> None:
    with pytest.raises(SamlError) as refused:
        accept(encoded(decryption_faults()[fault]))
    assert (refused.value.reason, refused.value.detail) == (
        "decryption",
        "none of our keys opens the encrypted assertion",
    )


@pytest.mark.parametrize(
    ("choices", "reason"),
    [
        ({"transport": RSA_1_5}, "algorithm"),
        ({"method": f"{XENC}tripledes-cbc"}, "algorithm"),
        ({"method": f"{XENC}kw-aes128"}, "algorithm"),
        ({"transport": MGF1P, "mask": f"{XENC11}mgf1sha256"}, "algorithm"),
    ],
)
def test_algorithms_outside_the_list_are_refused_even_when_signed(choices: dict[str, str], reason: str) -> None:
    assert refusal(sealed(**choices)) == reason
    assert refusal(sealed(**choices, around=True)) == reason


@pytest.mark.parametrize("digest", ["", "http://www.w3.org/2001/04/xmldsig-more#md5", "urn:x"])
def test_digests_of_oaep_outside_the_list_are_refused(digest: str) -> None:
    response = sealed(transport=OAEP, digest="http://www.w3.org/2000/09/xmldsig#sha1")
    assert accept(encoded(response)).name_id == "alice"

    the(response, "DigestMethod").set("Algorithm", digest)
    assert refusal(response) == "algorithm"


def adding(name: str, fragment: str, at: int | None = None) -> Callable[[etree._Element], None]:
    def edit(response: etree._Element) -> None:
        wrapped = f'<x xmlns:e="{XENC}" xmlns:ds="{DS[1:-1]}" xmlns:saml="{SAML[1:-1]}">{fragment}</x>'
        parent = the(response, name)
        parent.insert(len(parent) if at is None else at, etree.fromstring(wrapped)[0])

    return edit


CIPHER_REFERENCE = '<e:CipherReference URI="file:///etc/passwd"/>'
RETRIEVAL = '<ds:RetrievalMethod URI="file:///dev/zero"/>'
KEY = "<e:EncryptedKey/>"


@pytest.mark.parametrize(
    "edit",
    [
        adding("CipherData", CIPHER_REFERENCE),
        adding("CipherData", CIPHER_REFERENCE, at=0),
        adding("KeyInfo", RETRIEVAL),
        adding("KeyInfo", KEY),
        adding("EncryptedAssertion", KEY),
        adding("EncryptedAssertion", "<e:EncryptedData/>"),
        adding("EncryptedData", "<e:EncryptionProperties/>"),
        adding("EncryptionMethod", "<e:KeySize>8</e:KeySize>"),
        adding("EncryptionMethod", "<e:OAEPparams>AAAA</e:OAEPparams>"),
        adding("KeyInfo", "<ds:KeyValue/>"),
        setting("EncryptedData", "Type", f"{XENC}Content"),
        setting("EncryptedData", "Type", "http://www.w3.org/2009/xmlenc11#EXI"),
        setting("EncryptedData", "Id", "_key"),
    ],
)
def test_parts_outside_the_shape_of_encryption_are_refused(edit: Callable[[etree._Element], None]) -> None:
    response = sealed()
    edit(response)

    assert refusal(response) == "shape"


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ("URI", "file:///dev/zero"),
        ("URI", "#_data"),
        ("URI", ""),
        ("URI", "https://e.test/k"),
        ("Type", f"{DS[1:-1]}rawX509"),
    ],
)
def test_the_key_is_never_retrieved_from_elsewhere(attribute: str, value: str) -> None:
    response = sealed(placement="beside")
    assert accept(encoded(response)).name_id == "alice"

    the(response, "RetrievalMethod").set(attribute, value)
    assert refusal(response) == "shape"


def test_without_a_key_of_ours_nothing_is_opened() -> None:
    assert refusal(sealed(), SP) == "encrypted"
    assert refusal(sealed(), replace(SP, keys=(KeyPair("no key", OURS.certificate),))) == "decryption"


def test_one_assertion_in_clear_and_one_encrypted_are_two() -> None:
    both, twice = decoded(respond()), sealed()
    both.append(the(sealed(), "EncryptedAssertion"))
    twice.append(the(sealed(), "EncryptedAssertion"))

    assert refusal(both) == "assertions"
    assert refusal(twice) == "assertions"


@pytest.mark.parametrize(("wrap", "sign"), WRAPPINGS)
def test_wrapping_inside_the_encryption_is_refused(wrap: Callable[[etree._Element], etree._Element], sign: str) -> None:
    """All that stands where the assertion stood is encrypted, one by one."""
    response = wrap(decoded(respond(sign=[sign])))
    for assertion in response.findall(f"{SAML}Assertion"):
        assertion.tail = None
        response.replace(assertion, encrypted(etree.tostring(assertion), OURS.certificate))

    assert refusal(response) in ("assertions", "shape", "signature")


@pytest.mark.parametrize(("tweak", "reason"), test_saml_addressing.RULES)
def test_every_rule_holds_inside_the_encryption(tweak: dict[str, Any], reason: str) -> None:
    assert refusal(sealed(decoded(respond(**tweak)))) == reason


@pytest.mark.parametrize("edit", test_saml_signatures.MALICIOUS)
def test_malicious_signatures_inside_the_encryption_are_refused(edit: Callable[[etree._Element], None]) -> None:
    assert refusal(sealed(decoded(respond(edit_signed=edit)))) == "shape"


@pytest.mark.parametrize(("name", "algorithm"), test_saml_signatures.WEAK)
def test_weak_algorithms_inside_the_encryption_are_refused(name: str, algorithm: str) -> None:
    assert refusal(sealed(decoded(respond(edit_signed=setting(name, "Algorithm", algorithm))))) == "algorithm"


@pytest.mark.parametrize("inserted", [b"<!-- -->", b"<?x y?>", b"<![CDATA[x]]>", b"&unknown;"])
def test_a_name_split_inside_the_encryption_is_refused(inserted: bytes) -> None:
    assertion = etree.tostring(the(decoded(respond("alice@example.test.evil")), "Assertion"))
    split = assertion.replace(b"alice@example.test", b"alice@example.test" + inserted)

    assert refusal(replaced(split)) == "decryption"
