"""Sign-in that the identity provider starts: a setting, and nobody is displaced by it (IC-16)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from flask import Flask

from portal.core import clock
from portal.core.federation.models import SignIn, SignInAttempt
from tests.support.browser import Browser
from tests.support.make import Make
from tests.support.saml_attack import setting
from tests.support.sign_ins import assert_refused, count, is_signed_in, last_attempt, last_event, sessions_of
from tests.support.sso import Sso


@pytest.fixture
def sso(make: Make) -> Sso:
    sso = Sso(make)
    make.user(sso.space, "alice")
    make.user(sso.space, "bob")
    sso.choose(idp_initiated=True)
    return sso


def arrive(browser: Browser, sso: Sso, name: str, relay_state: str | None = None) -> Browser:
    return browser.post(f"/saml/{sso.name}/acs", sso.unasked(name, relay_state))


def who(browser: Browser) -> str:
    browser.open("/home")
    return browser.text


def test_the_idp_can_start_where_that_is_chosen(browser: Browser, make: Make, sso: Sso) -> None:
    assert arrive(browser, sso, "alice").url == "/home"
    assert "alice" in browser.text
    assert (last_event(make).result, last_event(make).actor_name) == ("accepted", "alice")
    assert (last_attempt(make).accepted, last_attempt(make).user_name) == (True, "alice")
    assert browser.client.get_cookie("portal_arrival") is None
    sso.choose()
    assert_refused(sso.post(browser, sso.unasked("alice")), make, sso, "unsolicited")


def test_it_says_where_to_go_but_only_here(browser: Browser, sso: Sso) -> None:
    assert arrive(browser, sso, "alice", "/home?tab=user").url == "/home?tab=user"
    for elsewhere in ("https://evil.example.test/", "//evil.example.test", "/\\evil.test", "token", ""):
        assert arrive(browser, sso, "alice", elsewhere).url == "/home"
    response = browser.client.get("/saml/acme/arrive?next=//evil.example.test")
    assert "evil" not in response.location


def test_the_same_person_gets_a_new_session_without_a_question(browser: Browser, make: Make, sso: Sso) -> None:
    sso.sign_in(browser, "alice")
    assert arrive(browser, sso, "alice").url == "/home"
    assert len(sessions_of(make)) == 1


def test_another_person_is_displaced_only_by_a_button_of_ours(browser: Browser, make: Make, sso: Sso) -> None:
    sso.sign_in(browser, "bob")
    arrive(browser, sso, "alice", "/home?tab=user")
    assert browser.title.startswith("Continue as alice?")
    assert "bob" in who(browser)
    browser.open("/saml/acme/arrive?next=/home?tab%3Duser").click("Continue as alice")
    assert browser.url == "/home?tab=user"
    assert "alice" in browser.text
    assert [session.name_id for session in sessions_of(make)] == ["alice"]


def test_who_stays_ends_the_session_that_came(browser: Browser, make: Make, sso: Sso) -> None:
    sso.sign_in(browser, "bob")
    arrive(browser, sso, "alice").click("Stay signed in as bob")
    assert browser.url == "/home"
    assert "bob" in browser.text
    assert [session.name_id for session in sessions_of(make)] == ["bob"]
    assert last_event(make, "user.sign_out").actor_name == "alice"


def test_signing_out_ends_the_session_that_waits_for_the_answer(browser: Browser, make: Make, sso: Sso) -> None:
    sso.sign_in(browser, "bob")
    arrive(browser, sso, "alice")
    browser.open("/home").click("Sign out")
    assert sessions_of(make) == []
    assert browser.client.get_cookie("portal_arrival") is None
    assert browser.open("/saml/acme/arrive").url.startswith("/login/acme")


@pytest.mark.parametrize("button", ["Continue as alice", "Do not sign in"])
def test_what_was_asked_once_is_asked_until_it_is_answered(browser: Browser, make: Make, sso: Sso, button: str) -> None:
    sso.sign_in(browser, "bob")
    arrive(browser, sso, "alice")
    browser.client.delete_cookie("portal_employee")
    for _each in range(2):
        browser.open("/saml/acme/arrive")
        assert browser.title.startswith("Continue as alice?")
        assert not is_signed_in(browser)
    browser.open("/saml/acme/arrive").click(button)
    assert is_signed_in(browser) is (button == "Continue as alice")
    assert browser.open("/saml/acme/arrive?next=/home").url.startswith("/login/acme") or is_signed_in(browser)


def test_who_arrives_late_is_asked(browser: Browser, sso: Sso) -> None:
    sso.post(browser, sso.unasked("alice"))
    with clock.shifted(timedelta(seconds=61)):
        assert browser.open("/saml/acme/arrive").title.startswith("Continue as alice?")
    assert not is_signed_in(browser)


def test_the_answer_to_the_question_needs_the_form_of_our_page(browser: Browser, make: Make, sso: Sso) -> None:
    sso.sign_in(browser, "bob")
    arrive(browser, sso, "alice")
    browser.post("/saml/acme/arrive", {"next": "/home"}, status=400)
    assert "bob" in who(browser)


def test_nobody_arrives_without_the_cookie_or_in_another_space(
    app: Flask, browser: Browser, make: Make, sso: Sso
) -> None:
    assert browser.open("/saml/acme/arrive").url.startswith("/login/acme")
    response = sso.post(browser, sso.unasked("alice"))
    token = browser.client.get_cookie("portal_arrival")
    assert response.location == "/saml/acme/arrive?next=/home"
    assert token is not None
    beta, other = Sso(make, "beta"), Browser(app)
    other.client.set_cookie("portal_arrival", token.value)
    assert other.open(f"/saml/{beta.name}/arrive").url.startswith("/login/beta")
    assert not is_signed_in(other)
    assert "alice" in browser.open("/saml/acme/arrive").text


def test_an_answer_to_a_request_is_never_taken_as_one_that_nobody_asked_for(
    app: Flask, browser: Browser, make: Make, sso: Sso
) -> None:
    form = sso.answer(sso.begin(browser), "alice", edit_signed=lambda tree: tree.attrib.pop("InResponseTo"))
    response = sso.post(Browser(app), {"SAMLResponse": form["SAMLResponse"]})
    assert response.status_code == 403
    assert count(make, SignIn) == 0


def test_it_counts_once_even_when_it_was_refused(browser: Browser, make: Make, sso: Sso) -> None:
    form = sso.unasked("nobody")
    assert_refused(sso.post(browser, form), make, sso, "unknown-user")
    make.user(sso.space, "nobody")
    assert sso.post(browser, form).status_code == 403
    assert count(make, SignIn) == 0
    form = sso.unasked("alice")
    assert sso.post(browser, form).status_code == 303
    assert_refused(sso.post(browser, form), make, sso, "replayed")
    assert count(make, SignIn) == 1


def test_who_is_to_authenticate_anew_has_done_so_lately(browser: Browser, make: Make, sso: Sso) -> None:
    sso.choose(idp_initiated=True, force_authn=True)
    long_ago = setting("AuthnStatement", "AuthnInstant", f"{clock.now() - timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}")
    response = sso.post(browser, sso.unasked("alice", edit=long_ago))
    assert response.status_code == 403
    assert count(make, SignInAttempt) == 0, "not genuine for this space, and nobody asked"
    assert arrive(browser, sso, "alice").url == "/home"
