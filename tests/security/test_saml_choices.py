"""What a space may choose: an attribute as the username, to authenticate anew, nothing in clear."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from saml.errors import SamlError
from saml.judging import Judgement, judge_response
from saml.parties import KeyPair
from saml.service_provider import accept_response
from tests.support.saml_attack import NOW, REQUEST, SP, TRUSTED, accept, adding, refusal, removing, respond, setting
from tests.support.saml_encryption import encrypting
from tests.support.saml_idp import key_pair

TRANSIENT = "urn:oasis:names:tc:SAML:2.0:nameid-format:transient"
MAIL = "urn:oid:0.9.2342.19200300.100.1.3"
ALICE = {MAIL: ["alice@example.test"], "groups": ["staff", "admins"], "none": []}
SECOND = timedelta(seconds=1)
SKEW = timedelta(seconds=90)


def judge(response: str, **choices: Any) -> Judgement:
    """Told as the sign-in would have decided."""
    judgement = judge_response(SP, TRUSTED, response, request_id=REQUEST, now=NOW, **choices)
    if judgement.refusal:
        assert refusal(response, **choices) == judgement.refusal.reason
    else:
        assert accept(response, **choices) == judgement.assertion
    return judgement


def told(judgement: Judgement, code: str) -> tuple[str, str]:
    return next((check.verdict, check.detail) for check in judgement.checks if check.code == code)


def test_the_name_id_is_the_username_where_no_attribute_is_chosen() -> None:
    judgement = judge(respond(attributes=ALICE))

    assert judgement.assertion is not None
    assert judgement.assertion.username == judgement.assertion.name_id == "alice"
    assert told(judgement, "username") == ("passed", "the NameID")


def test_a_chosen_attribute_is_the_username_and_the_name_id_stays_for_logout() -> None:
    judgement = judge(respond(attributes=ALICE), username_attribute=MAIL)

    assert judgement.assertion is not None
    assert (judgement.assertion.username, judgement.assertion.name_id) == ("alice@example.test", "alice")
    assert told(judgement, "username") == ("passed", "alice@example.test")


@pytest.mark.parametrize(
    ("tweak", "name_id"),
    [({"name_id_format": TRANSIENT}, "alice"), ({"edit": removing("NameID")}, "")],
)
def test_a_name_that_does_not_last_or_none_is_enough_only_beside_a_chosen_attribute(
    tweak: dict[str, Any], name_id: str
) -> None:
    response = respond(attributes=ALICE, **tweak)
    by_attribute, by_name = judge(response, username_attribute=MAIL), judge(response)

    assert by_attribute.assertion is not None
    assert (by_attribute.assertion.username, by_attribute.assertion.name_id) == ("alice@example.test", name_id)
    assert by_name.refusal is not None
    assert by_name.refusal.reason == "name-id"


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ({}, f"no attribute '{MAIL}', only none"),
        ({"groups": ["staff"], "mail": ["alice@example.test"]}, f"no attribute '{MAIL}', only groups, mail"),
        ({MAIL.upper(): ["alice"]}, "no attribute"),
        ({MAIL: []}, "0 values instead of one"),
        ({MAIL: ["alice", "root"]}, "2 values instead of one"),
        ({MAIL: ["alice", "alice"]}, "2 values instead of one"),
        ({MAIL: [""]}, "0 characters"),
        ({MAIL: [" alice"]}, "blanks at its ends"),
        ({MAIL: ["ali\u200bce"]}, "characters that cannot be seen"),
        ({MAIL: ["x" * 257]}, "257 characters"),
    ],
)
def test_the_chosen_attribute_has_one_value_that_can_be_a_username(
    attributes: dict[str, list[str]], words: str
) -> None:
    judgement = judge(respond(attributes=attributes), username_attribute=MAIL)

    assert judgement.refusal is not None
    assert judgement.refusal.reason == "username"
    verdict, detail = told(judgement, "username")
    assert verdict == "failed"
    assert words in detail


def test_a_second_attribute_of_the_same_name_does_not_pass_for_the_first() -> None:
    again = f'<saml:Attribute Name="{MAIL}"><saml:AttributeValue>root</saml:AttributeValue></saml:Attribute>'

    assert refusal(respond(attributes=ALICE, edit=adding("AttributeStatement", again)), username_attribute=MAIL) == (
        "username"
    )


@pytest.mark.parametrize(
    "tweak",
    [
        {"name_id": " alice"},
        {"name_id": ""},
        {"edit": setting("NameID", "SPNameQualifier", "https://other.example.test")},
    ],
)
def test_a_name_id_beside_a_chosen_attribute_is_still_one_for_us_that_can_be_read(tweak: dict[str, Any]) -> None:
    response = respond(tweak.pop("name_id", "alice"), attributes=ALICE, name_id_format=TRANSIENT, **tweak)

    assert refusal(response, username_attribute=MAIL) == "name-id"


@pytest.mark.parametrize(
    ("instant", "accepted"),
    [
        (NOW, True),
        (NOW - SKEW, True),
        (NOW - SKEW - SECOND, False),
        (NOW - timedelta(hours=8), False),
        (NOW + SKEW, True),
        (NOW + SKEW + SECOND, False),
    ],
)
def test_who_asked_to_authenticate_anew_takes_no_earlier_sign_in(instant: Any, accepted: bool) -> None:
    response = respond(edit=setting("AuthnStatement", "AuthnInstant", f"{instant:%Y-%m-%dT%H:%M:%SZ}"))
    judgement = judge(response, authenticated_after=NOW)

    assert (judgement.refusal is None) == accepted
    assert told(judgement, "authentication")[0] == ("passed" if accepted else "failed")
    if judgement.refusal:
        assert judgement.refusal.reason == "authentication"
    assert accept(response).name_id == "alice"


def test_a_time_of_authentication_that_cannot_be_read_is_no_proof() -> None:
    response = respond(edit=setting("AuthnStatement", "AuthnInstant", "just now"))

    assert refusal(response, authenticated_after=NOW) == "time"


def test_an_assertion_in_clear_is_refused_where_only_encrypted_ones_are_taken() -> None:
    sp = replace(SP, keys=(KeyPair(*key_pair("ours")),))
    sealed = respond(edit_signed=encrypting(sp.keys[0].certificate))

    assertion = accept_response(sp, TRUSTED, sealed, request_id=REQUEST, now=NOW, encrypted_only=True)
    assert assertion.name_id == "alice"
    with pytest.raises(SamlError, match="not-encrypted"):
        accept_response(sp, TRUSTED, respond(), request_id=REQUEST, now=NOW, encrypted_only=True)
    assert accept_response(sp, TRUSTED, respond(), request_id=REQUEST, now=NOW).name_id == "alice"


def test_that_nothing_is_encrypted_hides_no_other_fault() -> None:
    judgement = judge(respond(audience="https://other.example.test"), encrypted_only=True)

    failed = [check.code for check in judgement.checks if check.verdict == "failed"]
    assert failed == ["decryption", "audience"]
    assert told(judgement, "decryption")[1] == "the assertion is in clear, only encrypted ones are taken"
