"""Signature wrapping: a signed part is moved away and a forged one put where it would be read.

The eight classic forms (Somorovsky et al., "On Breaking SAML: Be Whoever You Want to Be", 2012) and more. Each takes an
honest response, signed as `WRAPPINGS` says.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy

from lxml import etree

from tests.support.saml_idp import DS, SAML, SAMLP


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


def response_inside_the_signature(response: etree._Element) -> etree._Element:
    original, signature = signed_without_signature(response)
    evil = forged(response)
    signature.append(original)
    evil.insert(1, signature)
    return evil


def response_beside_the_signature(response: etree._Element) -> etree._Element:
    original, signature = signed_without_signature(response)
    evil = forged(response)
    evil.insert(1, original)
    evil.insert(2, signature)
    return evil


def forged_assertion_before_the_signed_one(response: etree._Element) -> etree._Element:
    assertion = only(response, f"{SAML}Assertion")
    assertion.addprevious(forged(assertion))
    return response


def forged_assertion_around_the_signed_one(response: etree._Element) -> etree._Element:
    assertion = only(response, f"{SAML}Assertion")
    evil = forged(assertion)
    response.replace(assertion, evil)
    evil.append(assertion)
    return response


def signature_moved_into_the_forged_assertion(response: etree._Element) -> etree._Element:
    assertion = only(response, f"{SAML}Assertion")
    original, signature = signed_without_signature(assertion)
    evil = forged(assertion)
    evil.insert(1, signature)
    response.replace(assertion, evil)
    response.append(original)
    return response


def signed_assertion_inside_the_moved_signature(response: etree._Element) -> etree._Element:
    assertion = only(response, f"{SAML}Assertion")
    original, signature = signed_without_signature(assertion)
    evil = forged(assertion)
    signature.append(original)
    evil.insert(1, signature)
    response.replace(assertion, evil)
    return response


def forged_assertion_in_extensions(response: etree._Element) -> etree._Element:
    assertion = only(response, f"{SAML}Assertion")
    extensions = etree.Element(f"{SAMLP}Extensions")
    extensions.append(forged(assertion))
    response.insert(1, extensions)
    return response


def signed_assertion_in_an_object(response: etree._Element) -> etree._Element:
    assertion = only(response, f"{SAML}Assertion")
    original, signature = signed_without_signature(assertion)
    evil = forged(assertion)
    etree.SubElement(signature, f"{DS}Object").append(original)
    evil.insert(1, signature)
    response.replace(assertion, evil)
    return response


def signed_assertion_as_an_attribute_value(response: etree._Element) -> etree._Element:
    assertion = only(response, f"{SAML}Assertion")
    evil = forged(assertion)
    statement = etree.SubElement(evil, f"{SAML}AttributeStatement")
    attribute = etree.SubElement(statement, f"{SAML}Attribute", {"Name": "x"})
    etree.SubElement(attribute, f"{SAML}AttributeValue").append(deepcopy(assertion))
    response.replace(assertion, evil)
    return response


WRAPPINGS: list[tuple[Callable[[etree._Element], etree._Element], str]] = [
    (response_inside_the_signature, "response"),
    (response_beside_the_signature, "response"),
    (forged_assertion_before_the_signed_one, "assertion"),
    (forged_assertion_around_the_signed_one, "assertion"),
    (signature_moved_into_the_forged_assertion, "assertion"),
    (signed_assertion_inside_the_moved_signature, "assertion"),
    (forged_assertion_in_extensions, "assertion"),
    (signed_assertion_in_an_object, "assertion"),
    (signed_assertion_as_an_attribute_value, "assertion"),
]
"""An attack, and what the identity provider signs in the response that it takes."""
