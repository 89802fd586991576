"""Signature wrapping: a signed part is moved away and a forged one put where it would be read.

The attacks stand in tests/support/saml_wrapping.py.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy

import pytest
from lxml import etree

from tests.support import saml_attack
from tests.support.saml_attack import accept, respond, the
from tests.support.saml_idp import decoded, encoded
from tests.support.saml_wrapping import WRAPPINGS


def honest(sign: str = "assertion") -> etree._Element:
    return decoded(respond(sign=[sign]))


def refusal(response: etree._Element) -> str:
    return saml_attack.refusal(encoded(response))


@pytest.mark.parametrize(("wrap", "sign"), WRAPPINGS)
def test_a_wrapped_assertion_is_refused_as_one_too_many(
    wrap: Callable[[etree._Element], etree._Element], sign: str
) -> None:
    response = honest(sign)
    assert accept(encoded(response)).name_id == "alice"

    assert refusal(wrap(response)) == "assertions"


def test_two_assertions_that_are_both_signed_are_refused() -> None:
    response, other = honest(), honest()
    response.append(the(other, "Assertion"))

    assert refusal(response) == "assertions"


def test_two_signatures_over_one_assertion_are_refused() -> None:
    response = honest()
    signature = the(response, "Signature")
    signature.addnext(deepcopy(signature))

    assert refusal(response) == "shape"


def test_a_signature_of_the_assertion_that_stands_under_the_response_is_refused() -> None:
    response = honest()
    response.insert(1, the(response, "Signature"))

    assert refusal(response) == "shape"


def test_one_id_for_response_and_assertion_is_refused() -> None:
    response = honest()
    response.set("ID", the(response, "Assertion").get("ID", ""))

    assert refusal(response) == "shape"
