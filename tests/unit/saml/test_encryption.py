"""Encrypted assertions in every form that identity providers choose, opened with any of our keys."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from lxml import etree

from saml.parties import KeyPair
from saml.service_provider import accept_response
from tests.support.saml_attack import IDP, NOW, REQUEST, SP, TRUSTED, respond, the
from tests.support.saml_encryption import MGF1P, OAEP, SHA1, SHA256, XENC11, cbc, encrypting, gcm
from tests.support.saml_encryption import encrypted as sealed
from tests.support.saml_idp import decoded, encoded, key_pair, sign_element

CURRENT, NEXT = KeyPair(*key_pair("current")), KeyPair(*key_pair("next"))
ROLLING = replace(SP, keys=(CURRENT, NEXT))


def name(response: str) -> str:
    return accept_response(ROLLING, TRUSTED, response, request_id=REQUEST, now=NOW).name_id


def encrypted(sign_around: bool = False, **choices: str) -> str:
    """The assertion signed, then encrypted, then, if wanted, the Response signed around it."""
    response = decoded(respond(edit_signed=encrypting(CURRENT.certificate, **choices), attributes={"groups": ["a"]}))
    if sign_around:
        sign_element(response, IDP.private_key, IDP.certificate)
    return encoded(response)


@pytest.mark.parametrize("sign_around", [False, True])
@pytest.mark.parametrize("placement", ["inside", "beside", "alone"])
@pytest.mark.parametrize("bits", [128, 192, 256])
def test_aes_gcm_is_opened_wherever_the_key_stands(bits: int, placement: str, sign_around: bool) -> None:
    assert name(encrypted(sign_around, method=gcm(bits), placement=placement)) == "alice"


@pytest.mark.parametrize(
    ("transport", "digest", "mask"),
    [
        (MGF1P, SHA1, None),
        (MGF1P, SHA256, None),
        (OAEP, None, None),
        (OAEP, SHA256, None),
        (OAEP, SHA256, f"{XENC11}mgf1sha256"),
        (OAEP, SHA1, f"{XENC11}mgf1sha256"),
        (OAEP, SHA256, f"{XENC11}mgf1sha1"),
    ],
)
def test_both_kinds_of_oaep_are_opened(transport: str, digest: str, mask: str) -> None:
    assert name(encrypted(transport=transport, digest=digest, mask=mask)) == "alice"


@pytest.mark.parametrize("bits", [128, 192, 256])
def test_aes_cbc_is_opened_under_a_signed_response(bits: int) -> None:
    assert name(encrypted(sign_around=True, method=cbc(bits))) == "alice"


def test_the_signature_around_is_enough() -> None:
    response = decoded(respond(sign=[], edit_signed=encrypting(CURRENT.certificate)))
    sign_element(response, IDP.private_key, IDP.certificate)

    assert name(encoded(response)) == "alice"


def test_any_of_our_keys_opens_so_that_a_roll_over_loses_no_sign_in() -> None:
    for pair in (CURRENT, NEXT):
        response = respond(edit_signed=encrypting(pair.certificate))
        for keys in ((CURRENT, NEXT), (NEXT, CURRENT), (pair,)):
            sp = replace(SP, keys=keys)
            assert accept_response(sp, TRUSTED, response, request_id=REQUEST, now=NOW).name_id == "alice"


def test_threads_decrypt_with_the_keys_they_share() -> None:
    pairs = (CURRENT, NEXT)
    responses = [respond(f"user-{n}", edit_signed=encrypting(pairs[n % 2].certificate)) for n in range(48)]

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(name, responses)) == [f"user-{n}" for n in range(48)]


def test_what_was_encrypted_is_read_like_what_was_not() -> None:
    plain = respond(attributes={"groups": ["a", "b"]})
    response = decoded(plain)
    encrypting(CURRENT.certificate)(response)

    expected = accept_response(SP, TRUSTED, plain, request_id=REQUEST, now=NOW)
    assert accept_response(ROLLING, TRUSTED, encoded(response), request_id=REQUEST, now=NOW) == expected


@pytest.mark.parametrize("declared", ['xmlns:own="urn:oasis:names:tc:SAML:2.0:assertion"', ""])
def test_the_prefixes_of_what_is_encrypted_are_kept(declared: str) -> None:
    """Its signature covers them; that the Response calls the namespace otherwise must not change them."""
    signed = decoded(respond())
    clear = etree.tostring(signed).decode().replace("saml:", "own:").replace("xmlns:saml=", "xmlns:own=")
    response = etree.fromstring(clear)
    assertion = the(response, "Assertion")
    assertion.remove(the(assertion, "Signature"))
    sign_element(assertion, IDP.private_key, IDP.certificate)
    around = decoded(respond())
    outer = the(around, "Assertion")
    own = etree.tostring(assertion, with_tail=False)
    if not declared:  # the only place that declares it is around the encrypted element
        own = own.replace(b' xmlns:own="urn:oasis:names:tc:SAML:2.0:assertion"', b"")
        around = etree.fromstring(
            etree.tostring(around).replace(
                b"xmlns:saml=", b'xmlns:own="urn:oasis:names:tc:SAML:2.0:assertion" xmlns:saml='
            )
        )
        outer = the(around, "Assertion")
    around.replace(outer, sealed(own, CURRENT.certificate))
    assert name(encoded(around)) == "alice"
