"""Signature wrapping again, on logout requests: the signed one moved away, a forged one where it would be read."""

from __future__ import annotations

import base64
from collections.abc import Callable
from copy import deepcopy

import pytest
from lxml import etree

from saml.logout import Posted
from tests.security.test_saml_logout import accept, form, refusal
from tests.support.saml_attack import the
from tests.support.saml_idp import DS, SAMLP


def _forged(message: etree._Element) -> tuple[etree._Element, etree._Element, etree._Element]:
    """A forged copy without signature, the original without it, and the signature."""
    original = deepcopy(message)
    signature = the(original, "Signature")
    original.remove(signature)
    evil = deepcopy(original)
    the(evil, "NameID").text = "root"
    evil.set("ID", "_forged")
    return evil, original, signature


def inside_the_signature(message: etree._Element) -> etree._Element:
    evil, original, signature = _forged(message)
    signature.append(original)
    evil.insert(1, signature)
    return evil


def in_an_object(message: etree._Element) -> etree._Element:
    evil, original, signature = _forged(message)
    etree.SubElement(signature, f"{DS}Object").append(original)
    evil.insert(1, signature)
    return evil


def beside_the_signature(message: etree._Element) -> etree._Element:
    evil, original, signature = _forged(message)
    evil.insert(1, signature)
    evil.append(original)
    return evil


def in_extensions(message: etree._Element) -> etree._Element:
    evil, original, signature = _forged(message)
    evil.insert(1, signature)
    extensions = etree.Element(f"{SAMLP}Extensions")
    extensions.append(original)
    evil.insert(2, extensions)
    return evil


def signature_alone(message: etree._Element) -> etree._Element:
    evil, _, signature = _forged(message)
    evil.insert(1, signature)
    return evil


def signature_with_the_id_of_the_forged(message: etree._Element) -> etree._Element:
    evil, original, signature = _forged(message)
    evil.set("ID", original.get("ID", ""))
    evil.insert(1, signature)
    return evil


@pytest.mark.parametrize(
    "attack",
    [
        inside_the_signature,
        in_an_object,
        beside_the_signature,
        in_extensions,
        signature_alone,
        signature_with_the_id_of_the_forged,
    ],
)
def test_a_wrapped_request_is_refused(attack: Callable[[etree._Element], etree._Element]) -> None:
    honest = form()
    assert accept(Posted(honest)).name.name_id == "alice"
    evil = attack(etree.fromstring(base64.b64decode(honest)))

    assert refusal(Posted(base64.b64encode(etree.tostring(evil)).decode())) in ("shape", "signature")
