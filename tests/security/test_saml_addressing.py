"""Answers that are stale, not asked for, or meant for somebody else."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from saml.errors import SamlError
from saml.judging import accept_response, judge_response
from tests.support.saml_attack import (
    NOW,
    REQUEST,
    SP,
    TRUSTED,
    accept,
    adding,
    refusal,
    removing,
    respond,
    setting,
    writing,
)

MINUTE = timedelta(minutes=1)


RULES: list[tuple[dict[str, Any], str]] = [
    ({"audience": "https://other.example.test"}, "audience"),
    ({"audience": SP.entity_id + "/"}, "audience"),
    ({"recipient": "https://evil.example.test/?" + SP.acs_url}, "recipient"),
    ({"destination": SP.acs_url + ".evil.example.test"}, "destination"),
    ({"destination": SP.acs_url.upper()}, "destination"),
    ({"issuer": "https://evil.example.test"}, "issuer"),
    ({"issuer": ""}, "issuer"),
    ({"in_response_to": "_other"}, "in-response-to"),
    ({"in_response_to": None}, "in-response-to"),
    ({"edit": setting("Response", "Destination", None)}, "destination"),
    ({"edit": setting("SubjectConfirmationData", "InResponseTo", None)}, "in-response-to"),
    ({"edit": setting("SubjectConfirmationData", "InResponseTo", "_other")}, "in-response-to"),
    ({"edit_signed": setting("Response", "InResponseTo", None)}, "in-response-to"),
    ({"edit_signed": writing("Issuer", "https://evil.example.test")}, "issuer"),
    ({"edit": setting("SubjectConfirmationData", "Recipient", None)}, "shape"),
    ({"edit": removing("AudienceRestriction")}, "shape"),
    ({"edit": removing("Audience")}, "shape"),
    ({"edit": removing("Conditions")}, "shape"),
    ({"edit": removing("SubjectConfirmation")}, "shape"),
    ({"edit": removing("AuthnStatement")}, "shape"),
    ({"edit": removing("Issuer")}, "shape"),
    (
        {"edit": setting("SubjectConfirmation", "Method", "urn:oasis:names:tc:SAML:2.0:cm:holder-of-key")},
        "shape",
    ),
    ({"edit": setting("Assertion", "Version", "1.1")}, "shape"),
    ({"status": "urn:oasis:names:tc:SAML:2.0:status:AuthnFailed"}, "status"),
    ({"edit": removing("Status")}, "shape"),
]


@pytest.mark.parametrize(("tweak", "reason"), RULES)
def test_an_answer_for_another_or_from_another_is_refused(tweak: dict[str, Any], reason: str) -> None:
    assert refusal(respond(**tweak)) == reason


def test_every_audience_restriction_must_name_us() -> None:
    another = "<saml:Audience>https://other.example.test</saml:Audience>"
    several = adding("AudienceRestriction", another)
    separate = adding("Conditions", f"<saml:AudienceRestriction>{another}</saml:AudienceRestriction>")

    assert accept(respond(edit=several)).name_id == "alice"
    assert refusal(respond(edit=separate)) == "audience"


def test_an_answer_nobody_asked_for_is_accepted_only_where_it_is_expected() -> None:
    unasked, asked = respond(in_response_to=None), respond()

    assert accept(unasked, request_id=None).in_response_to is None
    assert refusal(unasked) == "in-response-to"
    assert refusal(asked, request_id=None) == "in-response-to"
    assert refusal(asked, request_id="_another") == "in-response-to"


@pytest.mark.parametrize("name", ["Response", "SubjectConfirmationData"])
@pytest.mark.parametrize("value", ["_request", "_other", ""])
def test_an_answer_nobody_asked_for_answers_nothing_anywhere(name: str, value: str) -> None:
    """A stolen answer to somebody's request does not become one that the identity provider began."""
    stolen = respond(in_response_to=None, edit=setting(name, "InResponseTo", value))

    assert refusal(stolen, request_id=None) == "in-response-to"
    assert refusal(respond(edit_signed=setting("Response", "InResponseTo", None)), request_id=None) == "in-response-to"


@pytest.mark.parametrize(
    ("late", "reason"),
    [
        (timedelta(0), None),
        (5 * MINUTE + timedelta(seconds=89), None),
        (5 * MINUTE + timedelta(seconds=90), "expired"),
        (timedelta(days=3650), "expired"),
        (timedelta(seconds=-89), None),
        (timedelta(seconds=-91), "not-yet-valid"),
    ],
)
def test_an_answer_counts_in_its_time_with_ninety_seconds_of_skew(late: timedelta, reason: str | None) -> None:
    response = respond()

    if reason is None:
        assert accept(response, now=NOW + late).name_id == "alice"
    else:
        assert refusal(response, now=NOW + late) == reason


@pytest.mark.parametrize(
    ("tweak", "reason"),
    [
        ({"lifetime": -2 * MINUTE}, "expired"),
        ({"not_before": 2 * MINUTE}, "not-yet-valid"),
        ({"lifetime": timedelta(days=1), "now": NOW - 12 * MINUTE}, "expired"),
        ({"edit": setting("Response", "IssueInstant", "2031-03-04T04:00:00Z")}, "expired"),
        ({"edit": setting("Assertion", "IssueInstant", "2031-03-04T06:00:00Z")}, "not-yet-valid"),
        ({"edit": setting("Conditions", "NotOnOrAfter", "2031-03-04T05:00:00Z")}, "expired"),
        ({"edit": setting("AuthnStatement", "SessionNotOnOrAfter", "2031-03-04T05:00:00Z")}, "session-over"),
        ({"edit": setting("AuthnStatement", "SessionNotOnOrAfter", "2031-03-04T05:06:07Z")}, "session-over"),
        ({"edit": setting("SubjectConfirmationData", "NotOnOrAfter", None)}, "shape"),
        ({"edit": setting("SubjectConfirmationData", "NotOnOrAfter", "soon")}, "time"),
        ({"edit": setting("SubjectConfirmationData", "NotOnOrAfter", "2031-03-04T05:10:00+00:00")}, "time"),
        ({"edit": setting("Conditions", "NotBefore", "2031-02-30T05:00:00Z")}, "time"),
        ({"edit": setting("Response", "IssueInstant", "")}, "time"),
        ({"edit": setting("Response", "IssueInstant", "9999-12-31T23:59:59Z")}, "time"),
        ({"edit": setting("Assertion", "IssueInstant", "9999-12-31T23:59:59.999Z")}, "time"),
        ({"edit": setting("Assertion", "IssueInstant", "0001-01-01T00:00:00Z")}, "time"),
        ({"edit": setting("Conditions", "NotOnOrAfter", "0001-01-01T00:00:00Z")}, "time"),
        ({"edit": setting("SubjectConfirmationData", "NotOnOrAfter", "9999-12-31T23:59:59Z")}, "time"),
        ({"edit": setting("AuthnStatement", "SessionNotOnOrAfter", "0001-01-01T00:00:00Z")}, "session-over"),
        ({"edit_signed": setting("Response", "IssueInstant", "9999-12-31T23:59:59Z")}, "time"),
    ],
)
def test_times_are_all_looked_at(tweak: dict[str, Any], reason: str) -> None:
    assert refusal(respond(**tweak)) == reason


def test_a_session_ends_later_than_now_and_at_most_with_all_times() -> None:
    forever = accept(respond(edit=setting("AuthnStatement", "SessionNotOnOrAfter", "9999-12-31T23:59:59Z")))
    assert forever.session_not_on_or_after is not None
    assert forever.session_not_on_or_after.year == 9999
    assert accept(respond(edit=setting("AuthnStatement", "SessionNotOnOrAfter", "2031-03-04T05:06:08Z")))


def test_what_no_rule_foresaw_is_a_refusal_too() -> None:
    with pytest.raises(SamlError, match="cannot be judged: OverflowError"):
        accept_response(SP, TRUSTED, respond(), request_id=REQUEST, now=NOW, skew=timedelta.max)
    assert judge_response(SP, TRUSTED, respond(), request_id=REQUEST, now=NOW, skew=timedelta.max).assertion is None
