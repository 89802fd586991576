"""The console page of SCIM (IC-7): switch, address, credentials."""

from __future__ import annotations

from datetime import timedelta

import pytest
from flask import Flask

from portal.core import clock
from portal.core.actor import SYSTEM
from portal.core.push import credentials
from portal.core.space.models import Space
from tests.support.admin import READ_ONLY, Admin, sign_in
from tests.support.browser import Browser
from tests.support.make import Make
from tests.support.scim import OAuthClient, ScimClient


@pytest.fixture
def admin(browser: Browser, make: Make) -> Admin:
    return sign_in(browser, make)


def make_credential(make: Make, space: Space, lifetime: timedelta) -> str:
    with make.transaction() as session:
        return credentials.create_credential(session, SYSTEM, space=space, lifetime=lifetime)[0].id


def test_ic_7_switch_on_create_a_credential_and_let_the_idp_push(browser: Browser, admin: Admin, app: Flask) -> None:
    browser.open("/console/scim")
    assert "Off" in browser.text
    assert "http://localhost/scim/v2" in browser.text
    browser.click("Switch on").submit("Switch on")
    assert "SCIM is on." in browser.text

    browser.click("Create credential").submit("Create", lifetime="30", unit="days")
    assert browser.response.headers["Cache-Control"] == "no-store"
    (shown,) = browser.page.select(".secret code")
    secret = shown.get_text()
    browser.click("Done")
    assert secret not in browser.response.get_data(as_text=True)
    assert "Never" in browser.text

    ScimClient(app, secret).user("ann")
    browser.open("/console/scim")
    assert "Never" not in browser.text
    assert "ann" in browser.open("/console/users").text


def test_client_credentials_are_made_shown_once_and_exchanged_for_a_token(
    browser: Browser, admin: Admin, app: Flask
) -> None:
    browser.open("/console/scim").click("Switch on").submit("Switch on")
    assert "http://localhost/oauth/token" in browser.text
    browser.click("Create credential").submit("Create", type="ClientCredentials", token_minutes="90")
    assert browser.response.headers["Cache-Control"] == "no-store"
    (secret,) = (tag.get_text() for tag in browser.page.select(".secret code"))
    shown = [tag["data-copy"] for tag in browser.page.select("[data-copy]")]
    client_id = next(text for text in shown if text.startswith("scimcred-"))
    addresses = ["http://localhost/oauth/token", "http://localhost/scim/v2"]
    assert shown == [secret, client_id, *addresses]
    (file,) = browser.page.select("[data-download]")
    assert file["data-filename"] == f"{client_id}.csv"
    assert file["data-download"].splitlines() == [
        "scim_endpoint_url,token_endpoint_url,client_id,client_secret",
        f"{addresses[1]},{addresses[0]},{client_id},{secret}",
    ]
    browser.click("Done")
    assert secret not in browser.response.get_data(as_text=True)
    assert "Client credentials, tokens of 90 minutes" in " ".join(browser.text.split())

    client = OAuthClient(app, client_id, secret)
    assert client.ask().get_json()["expires_in"] == 5400
    scim = ScimClient(app, client.token())
    scim.user("ann")
    browser.open("/console/scim").click("Disable")
    scim.get("/Users", status=401)
    assert client.ask().status_code == 401
    browser.click("Enable")
    client.token()
    browser.open("/console/audit?action=scim_token")
    assert "scim_token.issue" in browser.text


@pytest.mark.parametrize("minutes", ["59", "361", "-60", "x", "", "9" * 12])
def test_a_token_lifetime_out_of_bounds_is_an_error_at_its_field(browser: Browser, admin: Admin, minutes: str) -> None:
    form = browser.open("/console/scim/credentials/create")
    form.submit("Create", status=400, type="ClientCredentials", token_minutes=minutes)
    assert browser.page.select_one("#token_minutes-error") is not None
    assert "No credentials yet" in browser.open("/console/scim").text


def test_a_type_that_is_none_is_refused(browser: Browser, admin: Admin) -> None:
    browser.open("/console/scim/credentials/create").submit("Create", status=400, type="Magic")
    assert "No credentials yet" in browser.open("/console/scim").text


def test_strict_is_chosen_at_first_and_switched_later(browser: Browser, admin: Admin, app: Flask) -> None:
    browser.open("/console/scim").click("Switch on").submit("Switch on")
    browser.click("Create credential").submit("Create", strict="y")
    assert "Strict" in browser.text
    scim = ScimClient(app, browser.page.select(".secret code")[0].get_text())
    scim.post("/Users", {"userName": "ann"}, status=400)
    browser.click("Done").click("Make tolerant")
    assert "The credential is tolerant." in browser.text
    scim.post("/Users", {"userName": "ann"})
    browser.click("Make strict")
    assert "The credential is strict." in browser.text
    scim.post("/Users", {"userName": "bob"}, status=400)


def test_disable_enable_and_delete(browser: Browser, admin: Admin, make: Make) -> None:
    make_credential(make, admin.space, timedelta(days=365))
    browser.open("/console/scim").click("Disable")
    assert "Disabled" in browser.text
    browser.click("Enable")
    assert "Enabled" in browser.text
    browser.click("Delete")
    assert "is refused from now on" in browser.text
    browser.submit("Delete")
    assert "No credentials yet" in browser.text


def test_switching_off_says_what_it_does(browser: Browser, admin: Admin, make: Make) -> None:
    browser.open("/console/scim").click("Switch on").submit("Switch on")
    browser.click("Switch off")
    assert "Every push is refused" in browser.text
    browser.submit("Switch off")
    assert "SCIM is off." in browser.text


def test_a_credential_that_ends_within_90_days_is_warned_about(browser: Browser, admin: Admin, make: Make) -> None:
    soon = make_credential(make, admin.space, timedelta(days=90))
    late = make_credential(make, admin.space, timedelta(days=92))
    browser.open("/console/scim")
    warnings = [notice.get_text() for notice in browser.page.select(".notice-warn")]
    assert len(warnings) == 1
    assert soon in warnings[0]
    assert late not in warnings[0]
    assert "Expires soon" in browser.text


def test_an_expired_credential_is_shown_as_such(browser: Browser, admin: Admin, make: Make) -> None:
    make_credential(make, admin.space, timedelta(hours=1))
    with clock.shifted(timedelta(hours=2)):
        assert "Expired" in browser.open("/console/scim").text


def test_two_are_the_most(browser: Browser, admin: Admin, make: Make) -> None:
    for _ in range(2):
        make_credential(make, admin.space, timedelta(days=365))
    browser.open("/console/scim")
    assert not [link for link in browser.page.select("a") if link.get_text(strip=True) == "Create credential"]
    browser.open("/console/scim/credentials/create").submit("Create", status=400)
    assert "limit of 2 SCIM credentials" in browser.text


@pytest.mark.parametrize(
    ("amount", "unit"),
    [("0", "hours"), ("-1", "days"), ("100", "years"), ("9" * 12, "days"), ("x", "days"), ("", "days")],
)
def test_a_lifetime_out_of_bounds_is_an_error_at_its_field(
    browser: Browser, admin: Admin, amount: str, unit: str
) -> None:
    browser.open("/console/scim/credentials/create").submit("Create", status=400, lifetime=amount, unit=unit)
    assert browser.page.select_one("#lifetime-error") is not None
    assert "No credentials yet" in browser.open("/console/scim").text


def test_a_reader_sees_the_page_without_actions(browser: Browser, make: Make) -> None:
    admin = sign_in(browser, make, policies=(READ_ONLY,))
    credential = make_credential(make, admin.space, timedelta(days=365))
    browser.open("/console/scim")
    assert not {"Switch on", "Create credential", "Disable", "Make strict", "Delete"} & {
        tag.get_text(strip=True) for tag in browser.page.select("main a, main button")
    }
    for path in ("switch", "credentials/create", f"credentials/{credential}/delete"):
        browser.open(f"/console/scim/{path}", status=403)


def test_a_strangers_credential_is_404(browser: Browser, admin: Admin, make: Make) -> None:
    foreign = make_credential(make, make.space(), timedelta(days=365))
    browser.open(f"/console/scim/credentials/{foreign}/delete", status=404)
