"""Every check told one by one, by the same code that accepts and refuses."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from saml.errors import SamlError
from saml.judging import CHECKS, Judgement, accept_response, judge_response
from saml.parties import KeyPair, ServiceProvider
from tests.security.test_saml_addressing import RULES
from tests.security.test_saml_mutations import mutated
from tests.support.saml_attack import NOW, REQUEST, SP, TRUSTED, removing, respond, setting, writing
from tests.support.saml_encryption import cbc, encrypting
from tests.support.saml_idp import decoded, encoded, key_pair
from tests.support.saml_wrapping import WRAPPINGS

OURS = replace(SP, keys=(KeyPair(*key_pair("current")),))


def judge(response: str, sp: ServiceProvider = SP, request_id: str | None = REQUEST) -> Judgement:
    """Judged, and compared with what a sign-in would have said."""
    judgement = judge_response(sp, TRUSTED, response, request_id=request_id, now=NOW)
    if judgement.refusal is None:
        assert judgement.assertion == accept_response(sp, TRUSTED, response, request_id=request_id, now=NOW)
        assert {check.verdict for check in judgement.checks} == {"passed"}
    else:
        with pytest.raises(SamlError) as refused:
            accept_response(sp, TRUSTED, response, request_id=request_id, now=NOW)
        assert (refused.value.reason, refused.value.detail) == (judgement.refusal.reason, judgement.refusal.detail)
        assert judgement.assertion is None
        assert any(check.verdict == "failed" for check in judgement.checks)
    assert tuple(check.code for check in judgement.checks) == CHECKS
    return judgement


def failed(judgement: Judgement) -> list[str]:
    return [check.code for check in judgement.checks if check.verdict == "failed"]


def details(judgement: Judgement) -> dict[str, str]:
    return {check.code: check.detail for check in judgement.checks}


def test_an_honest_answer_passes_every_check_in_words() -> None:
    told = details(judge(respond(sign=["assertion", "response"])))

    assert told["issuer"] == TRUSTED.entity_id
    assert told["destination"] == told["recipient"] == SP.acs_url
    assert told["audience"] == SP.entity_id
    assert told["name-id"] == "alice"
    assert told["signed"] == "Response and Assertion"
    assert told["decryption"] == "not encrypted"
    assert told["signature"] == "with one of 1 trusted certificates"
    assert details(judge(respond(in_response_to=None), request_id=None))["in-response-to"].startswith("started by")


def test_an_encrypted_answer_is_told_and_shown_in_clear() -> None:
    response = respond(edit_signed=encrypting(OURS.keys[0].certificate))
    judgement = judge(response, OURS)

    assert details(judgement)["decryption"] == "opened with a key of ours"
    assert ">alice<" in judgement.document
    assert ">alice<" not in judge(response).document


def test_all_faults_are_told_at_once() -> None:
    judgement = judge(
        respond(
            "alice ",
            destination="https://old.example.test/acs",
            audience="https://old.example.test",
            key=key_pair("foreign"),
        )
    )

    assert failed(judgement) == ["destination", "audience", "name-id", "signature"]
    assert "https://old.example.test/acs" in details(judgement)["destination"]
    assert judgement.refusal is not None
    assert judgement.refusal.reason == "destination"
    assert [check.code for check in judgement.checks if check.verdict == "not-reached"] == ["library"]


@pytest.mark.parametrize(
    ("response", "code", "reached"),
    [
        ("!", "document", 1),
        (base64.b64encode(b"<a/>").decode(), "document", 1),
        (respond(status="urn:oasis:names:tc:SAML:2.0:status:Responder"), "status", 2),
        (respond(edit=removing("Conditions")), "shape", 3),
        (respond(edit_signed=encrypting(key_pair("nobody")[1])), "decryption", 4),
        (respond(edit_signed=encrypting(OURS.keys[0].certificate, method=cbc(128))), "decryption", 4),
        (respond(sign=[]), "signed", 5),
        (respond(edit_signed=setting("DigestMethod", "Algorithm", "urn:x")), "signed", 5),
    ],
)
def test_what_rests_on_a_fault_is_not_reached(response: str, code: str, reached: int) -> None:
    judgement = judge(response, OURS)

    assert failed(judgement) == [code]
    assert [check.verdict for check in judgement.checks[reached:]] == ["not-reached"] * (len(CHECKS) - reached)


@pytest.mark.parametrize(("tweak", "reason"), RULES)
def test_no_rule_is_told_otherwise_than_it_is_held(tweak: dict[str, Any], reason: str) -> None:
    judgement = judge(respond(**tweak))

    assert judgement.refusal is not None
    assert judgement.refusal.reason == reason


@pytest.mark.parametrize(("wrap", "sign"), WRAPPINGS)
def test_no_attack_is_told_otherwise_than_it_is_refused(wrap: Callable[[Any], Any], sign: str) -> None:
    assert failed(judge(encoded(wrap(decoded(respond(sign=[sign])))))) == ["shape"]


def test_a_tampered_answer_fails_by_its_signature_alone() -> None:
    assert failed(judge(respond(edit_signed=writing("NameID", "root")))) == ["signature"]


@settings(max_examples=150, deadline=None)
@given(mutated(base64.b64decode(respond(attributes={"groups": ["a"]}))))
def test_whatever_comes_both_agree(document: bytes) -> None:
    judge(base64.b64encode(document).decode())


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=60))
def test_whatever_field_comes_both_agree(field: str) -> None:
    judge(field)
