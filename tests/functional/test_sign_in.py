"""Employees sign in by the enterprise IdP, and whatever is wrong with the answer keeps them out (IC-16)."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select

from portal.core import clock
from portal.core.actor import SYSTEM
from portal.core.audit import AuditEvent
from portal.core.directory import users
from portal.core.directory.models import User
from portal.core.federation.models import PendingSignIn, SeenAssertion, SignIn
from portal.settings import Settings
from tests.support.browser import Browser
from tests.support.make import Make
from tests.support.saml_idp import TestIdp, key_pair
from tests.support.sso import Sso

FOREIGN = key_pair("https://somebody-else.example.test")


@pytest.fixture
def sso(make: Make) -> Sso:
    return Sso(make)


@pytest.fixture
def alice(make: Make, sso: Sso) -> User:
    return make.user(sso.space, "alice")


def last_event(make: Make, action: str = "user.sign_in") -> AuditEvent:
    with make.transaction() as session:
        found = session.scalars(
            select(AuditEvent).where(AuditEvent.action == action).order_by(AuditEvent.id.desc()).limit(1)
        ).one()
        session.expunge(found)
    return found


def count(make: Make, model: Any) -> int:
    with make.transaction() as session:
        return session.scalar(select(func.count()).select_from(model)) or 0


def is_signed_in(browser: Browser) -> bool:
    return browser.client.get("/home").status_code == 200


UNASKED = ("form", "size", "encoding", "unsolicited", "no-such-request")
"""Why an answer is refused that anybody can post at will."""


def assert_unaudited(response: Any, make: Make, reason: str) -> None:
    """The log and a counter tell of it; the audit trail does not grow."""
    assert response.status_code == 403
    assert response.headers["X-Request-Id"] in response.get_data(as_text=True)
    with make.transaction() as session:
        refusals = select(func.count()).select_from(AuditEvent).where(AuditEvent.result == "refused")
        assert session.scalar(refusals) == 0
    assert count(make, SignIn) == 0
    assert reason in UNASKED


def refusals_counted(browser: Browser, reason: str) -> float:
    """From the metrics."""
    text = browser.client.get("/metrics").get_data(as_text=True)
    sample = re.search(rf'portal_sign_ins_refused_total{{door="employee",reason="{reason}"}} (\S+)', text)
    return float(sample[1]) if sample else 0


def assert_refused(response: Any, make: Make, sso: Sso, reason: str) -> None:
    assert response.status_code == 403
    assert "portal_employee" not in str(response.headers)
    event = last_event(make)
    assert (event.result, event.organization_id) == ("refused", sso.space.organization_id)
    assert event.reason.split(":")[0] == reason, event.reason
    page = response.get_data(as_text=True)
    assert event.request_id in page, "the page shows the reference of the audit event"
    assert "alice" not in page
    assert event.reason not in page
    assert count(make, SignIn) == 0


def test_ic_16_the_login_page_leads_to_the_idp_and_back_to_the_portal(
    browser: Browser, make: Make, sso: Sso, alice: User
) -> None:
    browser.open("/login/acme")
    link = browser.page.find("a", string="Redirect")
    assert link is not None
    assert link["href"] == "/saml/acme/login"
    asked = sso.begin(browser)
    assert asked.startswith(sso.idp.sso_url + "?SAMLRequest=")
    response = sso.post(browser, sso.answer(asked, "alice"))
    assert (response.status_code, response.location) == (303, "/home")
    browser.open("/home")
    assert "alice" in browser.text
    event = last_event(make)
    assert (event.result, event.actor_kind, event.actor_name, event.target_id) == (
        "accepted",
        "employee",
        "alice",
        alice.id,
    )


def test_a_user_name_compares_without_case(browser: Browser, sso: Sso, alice: User) -> None:
    sso.sign_in(browser, "ALICE")
    assert is_signed_in(browser)


def test_the_idp_gets_no_answer_from_a_cache(browser: Browser, sso: Sso) -> None:
    response = browser.client.get("/saml/acme/login")
    assert response.headers["Cache-Control"] == "no-store"
    assert "SAMLRequest=" in response.location


def test_the_binding_cookie_is_for_this_space_only_and_crosses_sites_on_https(
    app: Flask, browser: Browser, sso: Sso
) -> None:
    cookie = browser.client.get("/saml/acme/login").headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "Path=/saml/acme" in cookie
    assert "SameSite" not in cookie
    app.config["SESSION_COOKIE_SECURE"] = True
    cookie = browser.client.get("/saml/acme/login").headers["Set-Cookie"]
    assert "SameSite=None" in cookie
    assert "Secure" in cookie


def test_an_idp_that_takes_only_posts_gets_a_form(browser: Browser, sso: Sso, alice: User) -> None:
    sso.trust(sso.idp, sso_binding="HTTP-POST")
    browser.open("/saml/acme/login")
    form = browser.page.find("form", attrs={"data-auto-submit": True})
    assert form is not None
    assert form["action"] == sso.idp.sso_url
    assert {field["name"] for field in form.find_all("input")} == {"SAMLRequest", "RelayState"}
    assert "https://idp.example.test" in browser.response.headers["Content-Security-Policy"]


def test_two_tabs_can_sign_in_at_the_same_time(browser: Browser, sso: Sso, alice: User) -> None:
    first, second = sso.begin(browser), sso.begin(browser)
    assert sso.post(browser, sso.answer(first, "alice")).status_code == 303
    assert sso.post(browser, sso.answer(second, "alice")).status_code == 303


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
def test_an_answer_that_nobody_asked_for_is_refused_and_counted(
    browser: Browser, make: Make, sso: Sso, alice: User, lies: dict[str, Any], reason: str
) -> None:
    before = refusals_counted(browser, reason)
    response = sso.post(browser, sso.answer(sso.begin(browser), "alice", **lies))
    assert_unaudited(response, make, reason)
    assert refusals_counted(browser, reason) == before + 1


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
    assert_unaudited(sso.post(browser, change(form)), make, reason)
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
    assert_unaudited(beta.post(browser, form), make, "no-such-request")
    assert sso.post(browser, form).status_code == 303, "the request of the right space still waits"


def test_an_answer_that_comes_too_late_is_refused(
    browser: Browser, make: Make, sso: Sso, alice: User, settings: Settings
) -> None:
    asked = sso.begin(browser)
    with clock.shifted(timedelta(minutes=settings.sign_in_minutes, seconds=1)):
        form = sso.answer(asked, "alice", now=clock.now())
        assert_unaudited(sso.post(browser, form), make, "no-such-request")


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


def test_an_unknown_space_is_not_found(browser: Browser, sso: Sso) -> None:
    for page in ("/login/nowhere", "/saml/nowhere/login", "/saml/nowhere/metadata"):
        browser.open(page, status=404)
    browser.open("/login/%00", status=400)
    browser.post("/saml/nowhere/acs", {"SAMLResponse": "x"}, status=404)


@pytest.mark.parametrize("target", ["https://evil.example.test/", "//evil.example.test", "/\\evil.test", "x"])
def test_a_target_elsewhere_leads_to_the_portal(browser: Browser, sso: Sso, alice: User, target: str) -> None:
    assert sso.sign_in(browser, "alice", target).location == "/home"


def test_a_target_of_ours_is_kept(browser: Browser, sso: Sso, alice: User) -> None:
    browser.open("/login/acme?next=/home%3Ftab%3Duser")
    link = browser.page.find("a", string="Redirect")
    assert link is not None
    assert link["href"] == "/saml/acme/login?next=/home?tab%3Duser"
    assert sso.sign_in(browser, "alice", "/home?tab=user").location == "/home?tab=user"


def test_the_idp_can_shorten_the_session_but_not_lengthen_it(
    browser: Browser, make: Make, sso: Sso, alice: User, settings: Settings
) -> None:
    def end_in(minutes: int) -> Callable[[Any], None]:
        end = f"{datetime.now(UTC) + timedelta(minutes=minutes):%Y-%m-%dT%H:%M:%SZ}"
        return lambda tree: next(tree.iter("{*}AuthnStatement")).set("SessionNotOnOrAfter", end)

    for minutes, least, most in ((30, 29, 31), (100_000, 60 * 8 - 1, 60 * 8 + 1)):
        form = sso.answer(sso.begin(browser), "alice", edit=end_in(minutes))
        assert sso.post(browser, form).status_code == 303
        with make.transaction() as session:
            expires = session.scalars(select(SignIn.expires_at).order_by(SignIn.id.desc()).limit(1)).one()
        left = (expires - clock.now()).total_seconds() / 60
        assert least < left < most


def test_a_session_ends_at_its_time(browser: Browser, sso: Sso, alice: User, settings: Settings) -> None:
    sso.sign_in(browser, "alice")
    with clock.shifted(timedelta(hours=settings.employee_session_hours, seconds=1)):
        assert not is_signed_in(browser)


def test_disabling_a_user_ends_its_sessions_at_once(browser: Browser, make: Make, sso: Sso, alice: User) -> None:
    sso.sign_in(browser, "alice")
    for enabled in (False, True):
        with make.transaction() as session:
            users.set_enabled(session, SYSTEM, user=session.get_one(User, alice.number), enabled=enabled)
        assert not is_signed_in(browser)


def test_signing_in_again_ends_the_session_of_before(browser: Browser, make: Make, sso: Sso, alice: User) -> None:
    sso.sign_in(browser, "alice")
    old = browser.client.get_cookie("portal_employee")
    assert old is not None
    sso.sign_in(browser, "alice")
    new = browser.client.get_cookie("portal_employee")
    assert new is not None
    assert new.value != old.value
    browser.client.set_cookie("portal_employee", old.value)
    assert not is_signed_in(browser)


def test_signing_out_ends_this_session_only(app: Flask, make: Make, sso: Sso, alice: User) -> None:
    here, elsewhere = Browser(app), Browser(app)
    sso.sign_in(here, "alice")
    sso.sign_in(elsewhere, "alice")
    here.open("/home").click("Sign out")
    assert here.title.startswith("Signed out")
    assert not is_signed_in(here)
    assert is_signed_in(elsewhere)
    assert last_event(make, "user.sign_out").actor_name == "alice"
    here.click("Sign in again")
    assert here.url == "/login/acme"


def test_signing_out_needs_the_form_of_our_page(browser: Browser, sso: Sso, alice: User) -> None:
    sso.sign_in(browser, "alice")
    browser.post("/logout", status=400)
    assert is_signed_in(browser)


def test_the_metadata_names_the_configured_addresses_whatever_the_host_header_says(browser: Browser, sso: Sso) -> None:
    for page in ("/saml/acme/metadata", "/saml/acme/idp-metadata"):
        response = browser.client.get(page, headers={"Host": "evil.example.test"})
        assert response.mimetype == "application/samlmetadata+xml"
        text = response.get_data(as_text=True)
        assert f'entityID="http://localhost{page}"' in text
        assert "evil" not in text
    assert "PRIVATE" not in text
    response = browser.client.get("/saml/acme/metadata?download=1")
    assert response.headers["Content-Disposition"] == 'attachment; filename="acme-service-provider.xml"'


def test_with_one_space_nobody_is_asked_for_its_name(browser: Browser, make: Make, sso: Sso) -> None:
    assert browser.open("/").url == "/login/acme"
    Sso(make, "beta")
    browser.open("/")
    assert browser.url == "/login"
    browser.submit("Continue", space="nowhere", status=404)
    assert "There is no space of this name." in browser.text
    browser.submit("Continue", space=" Beta ")
    assert browser.url == "/login/beta"


def test_who_is_signed_in_is_not_asked_again(browser: Browser, sso: Sso, alice: User) -> None:
    sso.sign_in(browser, "alice")
    for page in ("/", "/login", "/login/acme"):
        assert browser.open(page).url == "/home"


def test_what_nobody_answered_is_forgotten(browser: Browser, make: Make, sso: Sso, alice: User) -> None:
    sso.sign_in(browser, "alice")
    sso.begin(browser)
    assert (count(make, PendingSignIn), count(make, SeenAssertion)) == (1, 1)
    with clock.shifted(timedelta(hours=1)):
        sso.begin(browser)
    assert (count(make, PendingSignIn), count(make, SeenAssertion)) == (1, 0)


def test_no_secret_of_a_sign_in_is_stored_in_clear(browser: Browser, make: Make, sso: Sso, alice: User) -> None:
    sso.sign_in(browser, "alice")
    sso.begin(browser)
    cookies = [browser.client.get_cookie("portal_employee")]
    cookies.append(browser.client.get_cookie("portal_sign_in", path="/saml/acme"))
    with make.transaction() as session:
        stored = " ".join(
            str(value)
            for table in (SignIn.__table__, PendingSignIn.__table__, AuditEvent.__table__)
            for row in session.execute(select(table))
            for value in row
        )
    for cookie in cookies:
        assert cookie is not None
        assert not re.search(re.escape(cookie.value), stored)
