"""Whatever is wrong with an answer keeps people out, and is told to the administrator (IC-16)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask

from portal.core import clock
from portal.core.audit import AuditEvent
from portal.core.directory.models import User
from portal.core.federation import attempts
from portal.core.federation.models import PendingSignIn, SignIn, SignInAttempt
from portal.settings import Settings
from tests.support.browser import Browser
from tests.support.make import Make
from tests.support.saml_idp import TestIdp, key_pair
from tests.support.sign_ins import (
    assert_refused,
    assert_untold,
    count,
    failed_checks,
    is_signed_in,
    last_event,
    refusals_counted,
)
from tests.support.sso import Sso

FOREIGN = key_pair("https://somebody-else.example.test")


@pytest.fixture
def sso(make: Make) -> Sso:
    return Sso(make)


@pytest.fixture
def alice(make: Make, sso: Sso) -> User:
    return make.user(sso.space, "alice")


@pytest.mark.parametrize(
    ("lies", "reason"),
    [
        ({"sign": ()}, "unsigned"),
        ({"key": FOREIGN}, "signature"),
        ({"issuer": "https://somebody-else.example.test"}, "issuer"),
        ({"audience": "https://another-service.example.test"}, "audience"),
        ({"recipient": "http://localhost/saml/acme/acs.evil.test"}, "recipient"),
        ({"destination": "http://localhost/saml/beta/acs"}, "destination"),
        ({"now": datetime.now(UTC) - timedelta(hours=1)}, "expired"),
        ({"status": "urn:oasis:names:tc:SAML:2.0:status:Responder"}, "status"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_wrong_answer_is_refused_and_audited(
    browser: Browser, make: Make, sso: Sso, alice: User, lies: dict[str, Any], reason: str
) -> None:
    response = sso.post(browser, sso.answer(sso.begin(browser), "alice", **lies))
    assert_refused(response, make, sso, reason)
    assert not is_signed_in(browser)


@pytest.mark.parametrize(
    ("lies", "reason"), [({"in_response_to": None}, "unsolicited"), ({"in_response_to": "_0"}, "no-such-request")]
)
def test_a_genuine_answer_that_nobody_asked_for_is_refused_and_told_once(
    browser: Browser, make: Make, sso: Sso, alice: User, lies: dict[str, Any], reason: str
) -> None:
    before = refusals_counted(browser, reason)
    form = sso.answer(sso.begin(browser), "alice", **lies)
    attempt = assert_refused(sso.post(browser, form), make, sso, reason)
    assert (attempt.user_name, failed_checks(attempt)) == ("alice", [])
    assert sso.post(browser, form).status_code == 403
    assert refusals_counted(browser, reason) == before + 2
    assert count(make, SignInAttempt) == 1


@pytest.mark.parametrize("lies", [{"in_response_to": None}, {"in_response_to": "_0"}])
def test_what_a_stranger_posts_unasked_is_told_by_the_log_only(
    browser: Browser, make: Make, sso: Sso, alice: User, lies: dict[str, Any]
) -> None:
    before = refusals_counted(browser, "signature")
    assert_untold(sso.post(browser, sso.answer(sso.begin(browser), "alice", key=FOREIGN, **lies)), make)
    assert refusals_counted(browser, "signature") == before + 1


def test_little_is_kept_of_what_no_trusted_signature_stands_for(
    browser: Browser, make: Make, sso: Sso, alice: User
) -> None:
    lies: dict[str, Any] = {"audience": "x" * 900, "attributes": {f"a{number}": ["x" * 400] for number in range(150)}}
    genuine = assert_refused(sso.post(browser, sso.answer(sso.begin(browser), "alice", **lies)), make, sso, "audience")
    assert len(genuine.response) > 60_000
    forged = assert_refused(
        sso.post(browser, sso.answer(sso.begin(browser), "alice", key=FOREIGN, **lies)), make, sso, "audience"
    )
    assert 2_000 < len(forged.response) < 2_200
    assert "no trusted signature" in forged.response
    assert len(forged.checks) < 4_000


def test_strangers_fill_nothing_and_hide_nobody(
    browser: Browser, make: Make, sso: Sso, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts, "STRANGERS_PER_HOUR", 3)
    now = clock.now()
    later = now.replace(minute=20, second=0, microsecond=0) + timedelta(hours=1)
    beta = Sso(make, "beta")

    def send(one: Sso, **lies: Any) -> Any:
        return one.post(browser, one.answer(one.begin(browser), "alice", **lies))

    with clock.shifted(later - now):
        for _each in range(3):
            assert_refused(send(sso, key=FOREIGN), make, sso, "expired")
        notice = assert_refused(send(sso, key=FOREIGN), make, sso, "too-many")
        assert (notice.response, notice.checks) == ("", "[]")
        before, events = refusals_counted(browser, "expired"), count(make, AuditEvent)
        assert send(sso, key=FOREIGN).status_code == 403
        assert (count(make, SignInAttempt), count(make, AuditEvent)) == (4, events)
        assert refusals_counted(browser, "expired") == before + 1
        assert_refused(send(sso), make, sso, "expired")
        assert_refused(send(beta, key=FOREIGN), make, beta, "expired")
    with clock.shifted(later - now + timedelta(hours=1)):
        assert_refused(send(sso, key=FOREIGN), make, sso, "expired")


def _nothing(form: dict[str, Any]) -> dict[str, Any]:
    return {}


def _two(form: dict[str, Any]) -> dict[str, Any]:
    return {**form, "SAMLResponse": [form["SAMLResponse"]] * 2}


def _garbage(form: dict[str, Any]) -> dict[str, Any]:
    return {**form, "SAMLResponse": "<not base64>"}


def _other_relay_state(form: dict[str, Any]) -> dict[str, Any]:
    return {**form, "RelayState": "https://evil.example.test/"}


def _no_relay_state(form: dict[str, Any]) -> dict[str, Any]:
    return {"SAMLResponse": form["SAMLResponse"]}


def _large(form: dict[str, Any]) -> dict[str, Any]:
    return {**form, "SAMLResponse": "A" * 900_000}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_nothing, "form"),
        (_two, "form"),
        (_garbage, "encoding"),
        (_large, "size"),
    ],
)
def test_a_malformed_form_is_refused_and_leaves_the_audit_trail_alone(
    browser: Browser,
    make: Make,
    sso: Sso,
    alice: User,
    change: Callable[[dict[str, Any]], dict[str, Any]],
    reason: str,
) -> None:
    form = sso.answer(sso.begin(browser), "alice")
    assert_untold(sso.post(browser, change(form)), make)
    assert sso.post(browser, form).status_code == 303, "the request still waits"


@pytest.mark.parametrize(("change", "reason"), [(_other_relay_state, "relay-state"), (_no_relay_state, "form")])
def test_another_relay_state_is_refused_and_audited(
    browser: Browser,
    make: Make,
    sso: Sso,
    alice: User,
    change: Callable[[dict[str, Any]], dict[str, Any]],
    reason: str,
) -> None:
    form = sso.answer(sso.begin(browser), "alice")
    assert_refused(sso.post(browser, change(form)), make, sso, reason)


def test_an_oversized_body_is_not_read(browser: Browser, sso: Sso) -> None:
    assert sso.post(browser, {"SAMLResponse": "A" * 1_100_000}).status_code == 413


@pytest.mark.parametrize("name", ["nobody", "a\u017flice", "\uff41lice"])
def test_an_unknown_user_is_refused_and_a_look_alike_too(browser: Browser, make: Make, sso: Sso, name: str) -> None:
    make.user(sso.space, "aslice")
    make.user(sso.space, "alice")
    response = sso.post(browser, sso.answer(sso.begin(browser), name))
    assert_refused(response, make, sso, "unknown-user")


def test_ic_16_a_disabled_user_is_refused(browser: Browser, make: Make, sso: Sso) -> None:
    make.user(sso.space, "alice", enabled=False)
    response = sso.post(browser, sso.answer(sso.begin(browser), "alice"))
    assert_refused(response, make, sso, "disabled-user")


def test_an_answer_counts_once(browser: Browser, make: Make, sso: Sso, alice: User) -> None:
    form = sso.answer(sso.begin(browser), "alice")
    assert sso.post(browser, form).status_code == 303
    assert sso.post(browser, form).status_code == 403
    assert count(make, SignIn) == 1


def test_an_assertion_counts_once_even_for_two_requests(browser: Browser, make: Make, sso: Sso, alice: User) -> None:
    first, second = sso.begin(browser), sso.begin(browser)
    assert sso.post(browser, sso.answer(first, "alice", assertion_id="_same")).status_code == 303
    assert sso.post(browser, sso.answer(second, "alice", assertion_id="_same")).status_code == 403
    assert last_event(make).reason.startswith("replayed")


def test_a_wrong_answer_uses_up_the_request(browser: Browser, make: Make, sso: Sso, alice: User) -> None:
    asked = sso.begin(browser)
    assert sso.post(browser, sso.answer(asked, "alice", sign=())).status_code == 403
    assert count(make, PendingSignIn) == 0
    assert sso.post(browser, sso.answer(asked, "alice")).status_code == 403
    assert count(make, SignIn) == 0


def test_an_answer_taken_to_another_browser_is_refused(
    app: Flask, browser: Browser, make: Make, sso: Sso, alice: User
) -> None:
    form = sso.answer(sso.begin(browser), "alice")
    thief = Browser(app)
    assert_refused(sso.post(thief, form), make, sso, "other-browser")


def test_the_cookie_of_another_sign_in_does_not_help(
    app: Flask, browser: Browser, make: Make, sso: Sso, alice: User
) -> None:
    form = sso.answer(sso.begin(browser), "alice")
    thief = Browser(app)
    sso.begin(thief)
    assert_refused(sso.post(thief, form), make, sso, "other-browser")


def test_an_answer_for_one_space_is_refused_by_another(browser: Browser, make: Make, sso: Sso, alice: User) -> None:
    beta = Sso(make, "beta")
    make.user(beta.space, "alice")
    beta.begin(browser)
    form = sso.answer(sso.begin(browser), "alice")
    assert_untold(beta.post(browser, form), make)
    assert sso.post(browser, form).status_code == 303, "the request of the right space still waits"


def test_an_answer_that_comes_too_late_is_refused(
    browser: Browser, make: Make, sso: Sso, alice: User, settings: Settings
) -> None:
    asked = sso.begin(browser)
    with clock.shifted(timedelta(minutes=settings.sign_in_minutes, seconds=1)):
        form = sso.answer(asked, "alice", now=clock.now())
        assert_refused(sso.post(browser, form), make, sso, "no-such-request")


def test_nobody_signs_in_while_sso_is_off(browser: Browser, make: Make, sso: Sso, alice: User) -> None:
    form = sso.answer(sso.begin(browser), "alice")
    sso.switch(on=False)
    assert_refused(sso.post(browser, form), make, sso, "sso-off")
    browser.open("/saml/acme/login")
    assert "Sign-in is not set up yet." in browser.text
    assert browser.page.find("a", string="Redirect") is None


def test_an_answer_from_the_idp_of_before_is_refused(browser: Browser, make: Make, sso: Sso, alice: User) -> None:
    form = sso.answer(sso.begin(browser), "alice")
    sso.trust(TestIdp("https://new.example.test/metadata"))
    assert_refused(sso.post(browser, form), make, sso, "idp-changed")
