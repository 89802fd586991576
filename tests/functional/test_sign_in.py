"""Employees sign in by the enterprise IdP (IC-16)."""

from __future__ import annotations

import pytest
from flask import Flask

from portal.core.directory.models import User
from portal.core.federation.models import PendingSignIn
from tests.support.browser import Browser
from tests.support.make import Make
from tests.support.sign_ins import count, is_signed_in, last_event
from tests.support.sso import Sso


@pytest.fixture
def sso(make: Make) -> Sso:
    return Sso(make)


@pytest.fixture
def alice(make: Make, sso: Sso) -> User:
    return make.user(sso.space, "alice")


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
    assert "form-action 'self' https://idp.example.test https:;" in browser.response.headers["Content-Security-Policy"]


def test_two_tabs_can_sign_in_at_the_same_time(browser: Browser, sso: Sso, alice: User) -> None:
    first, second = sso.begin(browser), sso.begin(browser)
    assert sso.post(browser, sso.answer(first, "alice")).status_code == 303
    assert sso.post(browser, sso.answer(second, "alice")).status_code == 303


@pytest.mark.parametrize("kind", ["image", "script", "iframe", "empty"])
def test_what_another_page_loads_begins_no_sign_in(browser: Browser, make: Make, sso: Sso, kind: str) -> None:
    response = browser.client.get("/saml/acme/login", headers={"Sec-Fetch-Dest": kind, "Sec-Fetch-Site": "cross-site"})
    assert response.status_code == 400
    assert "portal_sign_in" not in str(response.headers)
    assert count(make, PendingSignIn) == 0
    assert browser.client.get("/saml/acme/login", headers={"Sec-Fetch-Dest": "document"}).status_code == 302
    assert count(make, PendingSignIn) == 1


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
