"""Signature wrapping: a signed part is moved away and a forged one put where it would be read.

The eight classic forms (Somorovsky et al., "On Breaking SAML: Be Whoever You Want to Be", 2012) and more.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from datetime import UTC, datetime

import pytest
from lxml import etree

from saml.errors import SamlError
from saml.parties import ServiceProvider
from saml.service_provider import accept_response
from tests.support.saml_idp import DS, SAML, SAMLP, TestIdp, decoded, encoded

NOW = datetime(2031, 3, 4, 5, 6, 7, tzinfo=UTC)
SP = ServiceProvider("https://portal.example.test/metadata", "https://portal.example.test/saml/acme/acs")
IDP = TestIdp()


def honest(sign: str = "assertion") -> etree._Element:
    return decoded(IDP.respond("_q", SP.acs_url, SP.entity_id, "alice", now=NOW, sign=[sign]))


def refusal(response: etree._Element) -> str:
    with pytest.raises(SamlError) as refused:
        accept_response(SP, IDP.identity_provider(), encoded(response), request_id="_q", now=NOW)
    return refused.value.reason


def only(parent: etree._Element, path: str) -> etree._Element:
    found = parent.find(path)
    assert found is not None
    return found


def forged(element: etree._Element) -> etree._Element:
    """A copy that says another name, under another id, without its own signature."""
    copy = deepcopy(element)
    copy.tail = None
    only(copy, f".//{SAML}NameID").text = "root"
    copy.set("ID", "_forged")
    if (signature := copy.find(f"{DS}Signature")) is not None:
        copy.remove(signature)
    return copy


def signed_without_signature(element: etree._Element) -> tuple[etree._Element, etree._Element]:
    """The original as its signature covers it, and that signature."""
    copy = deepcopy(element)
    copy.tail = None
    signature = only(copy, f"{DS}Signature")
    copy.remove(signature)
    return copy, signature


def response_inside_the_signature() -> etree._Element:
    response = honest("response")
    original, signature = signed_without_signature(response)
    evil = forged(response)
    signature.append(original)
    evil.insert(1, signature)
    return evil


def response_beside_the_signature() -> etree._Element:
    response = honest("response")
    original, signature = signed_without_signature(response)
    evil = forged(response)
    evil.insert(1, original)
    evil.insert(2, signature)
    return evil


def forged_assertion_before_the_signed_one() -> etree._Element:
    response = honest()
    assertion = only(response, f"{SAML}Assertion")
    assertion.addprevious(forged(assertion))
    return response


def forged_assertion_around_the_signed_one() -> etree._Element:
    response = honest()
    assertion = only(response, f"{SAML}Assertion")
    evil = forged(assertion)
    response.replace(assertion, evil)
    evil.append(assertion)
    return response


def signature_moved_into_the_forged_assertion() -> etree._Element:
    response = honest()
    assertion = only(response, f"{SAML}Assertion")
    original, signature = signed_without_signature(assertion)
    evil = forged(assertion)
    evil.insert(1, signature)
    response.replace(assertion, evil)
    response.append(original)
    return response


def signed_assertion_inside_the_moved_signature() -> etree._Element:
    response = honest()
    assertion = only(response, f"{SAML}Assertion")
    original, signature = signed_without_signature(assertion)
    evil = forged(assertion)
    signature.append(original)
    evil.insert(1, signature)
    response.replace(assertion, evil)
    return response


def forged_assertion_in_extensions() -> etree._Element:
    response = honest()
    assertion = only(response, f"{SAML}Assertion")
    extensions = etree.Element(f"{SAMLP}Extensions")
    extensions.append(forged(assertion))
    response.insert(1, extensions)
    return response


def signed_assertion_in_an_object() -> etree._Element:
    response = honest()
    assertion = only(response, f"{SAML}Assertion")
    original, signature = signed_without_signature(assertion)
    evil = forged(assertion)
    etree.SubElement(signature, f"{DS}Object").append(original)
    evil.insert(1, signature)
    response.replace(assertion, evil)
    return response


def signed_assertion_as_an_attribute_value() -> etree._Element:
    response = honest()
    assertion = only(response, f"{SAML}Assertion")
    evil = forged(assertion)
    statement = etree.SubElement(evil, f"{SAML}AttributeStatement")
    attribute = etree.SubElement(statement, f"{SAML}Attribute", {"Name": "x"})
    etree.SubElement(attribute, f"{SAML}AttributeValue").append(deepcopy(assertion))
    response.replace(assertion, evil)
    return response


@pytest.mark.parametrize(
    "attack",
    [
        response_inside_the_signature,
        response_beside_the_signature,
        forged_assertion_before_the_signed_one,
        forged_assertion_around_the_signed_one,
        signature_moved_into_the_forged_assertion,
        signed_assertion_inside_the_moved_signature,
        forged_assertion_in_extensions,
        signed_assertion_in_an_object,
        signed_assertion_as_an_attribute_value,
    ],
)
def test_a_wrapped_assertion_is_refused_as_one_too_many(attack: Callable[[], etree._Element]) -> None:
    assert refusal(attack()) == "assertions"


def test_two_assertions_that_are_both_signed_are_refused() -> None:
    response, other = honest(), honest()
    response.append(only(other, f"{SAML}Assertion"))

    assert refusal(response) == "assertions"


def test_two_signatures_over_one_assertion_are_refused() -> None:
    response = honest()
    signature = only(response, f".//{DS}Signature")
    signature.addnext(deepcopy(signature))

    assert refusal(response) == "shape"


def test_a_signature_of_the_assertion_that_stands_under_the_response_is_refused() -> None:
    response = honest()
    response.insert(1, only(response, f".//{DS}Signature"))

    assert refusal(response) == "shape"


def test_one_id_for_response_and_assertion_is_refused() -> None:
    response = honest()
    response.set("ID", only(response, f"{SAML}Assertion").get("ID", ""))

    assert refusal(response) == "shape"


def test_the_honest_answers_that_were_wrapped_are_accepted() -> None:
    for sign in ("assertion", "response"):
        response = encoded(honest(sign))
        accepted = accept_response(SP, IDP.identity_provider(), response, request_id="_q", now=NOW)
        assert accepted.name_id == "alice"
