"""Set-up that locks nobody out (IC-6): new data waits, a real round trip judges it, and only then it is trusted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from lxml import etree
from sqlalchemy import func, select

from portal.core import clock
from portal.core.actor import SYSTEM
from portal.core.audit import AuditEvent, Result
from portal.core.federation import saml_settings
from portal.core.federation.identity_provider import TrustedIdentityProvider, current
from portal.core.federation.models import NameCase, SignIn, SignInKind
from portal.core.organization.models import Organization
from portal.core.space.models import Space
from saml.keys import read_certificate
from tests.support import admin
from tests.support.browser import Browser
from tests.support.make import Make
from tests.support.saml_idp import decoded, key_pair
from tests.support.sso import SsoTrial

FOREIGN = key_pair("https://somebody-else.example.test")


@dataclass
class Stage:
    """An administrator at the page of data that waits; alice and the disabled bob are users."""

    browser: Browser
    make: Make
    space: Space
    trial: SsoTrial

    def trusted(self) -> TrustedIdentityProvider | None:
        with self.make.transaction() as session:
            return current(session, self.space)

    def actions(self, result: Result = Result.ACCEPTED) -> list[str]:
        with self.make.transaction() as session:
            statement = select(AuditEvent.action).where(AuditEvent.result == result, AuditEvent.action.like("sso.%"))
            return list(session.scalars(statement.order_by(AuditEvent.id)))

    def employees_signed_in(self) -> int:
        with self.make.transaction() as session:
            return session.scalar(select(func.count()).where(SignIn.kind == SignInKind.EMPLOYEE)) or 0


@pytest.fixture
def stage(browser: Browser, make: Make) -> Stage:
    space = admin.sign_in(browser, make).space
    make.user(space, "alice")
    make.user(space, "bob", enabled=False)
    trial = SsoTrial(browser)
    trial.keep()
    return Stage(browser, make, space, trial)


def verdicts(browser: Browser) -> dict[str, str]:
    """Check -> verdict, from the table."""
    rows = browser.page.find("h2", string="Checks").parent.select("tbody tr")
    return {row.find_all("td")[0].get_text(): row.find_all("td")[1].get_text(strip=True) for row in rows}


def failed(browser: Browser) -> list[str]:
    return [check for check, verdict in verdicts(browser).items() if verdict == "Failed"]


def test_ic_6_tested_trusted_switched_on_and_an_employee_is_in(stage: Stage, app: Flask) -> None:
    browser = stage.browser
    assert browser.url == "/console/sso/offer"
    stage.trial.run("Alice")
    assert browser.title.startswith("Test sign-in passed")
    assert "alice would be signed in" in browser.text
    assert set(verdicts(browser).values()) == {"Passed"}
    assert "samlp:Response" in browser.page.find("pre").get_text()
    assert stage.trusted() is None
    assert stage.employees_signed_in() == 0

    browser.click("Trust it now")
    trusted = stage.trusted()
    assert trusted is not None
    assert trusted.tested_at is not None
    assert "Pending identity provider" not in browser.text
    browser.click("Switch on")
    assert browser.page.find("input", attrs={"name": "untested"}) is None
    browser.click("Switch on")
    assert "SSO is on." in browser.text
    assert stage.actions() == [
        "sso.offer_identity_provider",
        "sso.test",
        "sso.accept_identity_provider",
        "sso.set_identity_provider",
        "sso.enable",
    ]

    employee = Browser(app)
    asked = employee.client.get("/saml/acme/login").location
    stage.trial.answer(asked, "alice", by=employee)
    assert employee.url == "/home"
    assert stage.employees_signed_in() == 1


def without_assertion(response: etree._Element) -> None:
    """As an identity provider answers that refuses by itself."""
    response.remove(response[-1])


def certificate_of(pair: tuple[str, str]) -> str:
    return read_certificate(pair[1]).fingerprint


ACS_URL, ENTITY_ID = "http://localhost/saml/acme/acs", "http://localhost/saml/acme/metadata"
REQUESTER = "urn:oasis:names:tc:SAML:2.0:status:Requester"
TRANSIENT = "urn:oasis:names:tc:SAML:2.0:nameid-format:transient"
WRONG: dict[str, tuple[str, dict[str, Any], list[str], list[str]]] = {
    "certificate": (
        "alice",
        {"key": FOREIGN},
        ["The signature holds with a trusted certificate"],
        [certificate_of(FOREIGN), certificate_of(key_pair("https://idp.example.test/metadata"))],
    ),
    "audience": (
        "alice",
        {"audience": "https://another.example/"},
        ["The assertion is meant for this space (Audience)"],
        ["https://another.example/", ENTITY_ID, "Audience URI"],
    ),
    "two-at-once": (
        "alice",
        {"audience": "https://another.example/", "destination": "https://another.example/acs"},
        ["The response is addressed to this space (Destination)", "The assertion is meant for this space (Audience)"],
        [ACS_URL, ENTITY_ID, "the first may be the cause"],
    ),
    "clock": (
        "alice",
        {"now": clock.now() - timedelta(hours=1)},
        ["It is still valid"],
        ["Compare the time", "Time here (UTC)"],
    ),
    "transient": (
        "alice",
        {"name_id_format": TRANSIENT},
        ["The NameID can be a user name"],
        ["nameid-format:unspecified", "as it is pushed by SCIM"],
    ),
    "unsigned": ("alice", {"sign": ()}, ["What is read is signed, with SHA-256 or better"], ["Switch on signing"]),
    "status": (
        "alice",
        {"status": REQUESTER, "sign": (), "edit": without_assertion},
        ["The identity provider reports success"],
        [REQUESTER, ACS_URL, ENTITY_ID],
    ),
    "unknown-user": (
        "carol@acme.example",
        {},
        ["A user of this name may sign in"],
        ["carol@acme.example", "Create the user", "no such user"],
    ),
    "disabled-user": ("bob", {}, ["A user of this name may sign in"], ["its login is disabled", "Open the user bob"]),
}


def test_ic_6_what_is_wrong_is_told_with_what_to_change(stage: Stage) -> None:
    browser = stage.browser
    for case, (name_id, lies, checks, words) in WRONG.items():
        browser.open("/console/sso/offer")
        stage.trial.run(name_id, **lies)
        assert browser.title.startswith("Test sign-in failed"), case
        assert failed(browser) == checks, case
        assert [text for text in words if text not in browser.text] == [], case
    assert set(stage.actions(Result.REFUSED)) == {"sso.test"}
    assert len(stage.actions(Result.REFUSED)) == len(WRONG)
    assert stage.employees_signed_in() == 0
    browser.open("/console/sso/offer")
    assert "Not tested" in browser.text
    assert "Last test: Failed" in browser.text


def test_ic_6_requests_by_post_are_tested_too(stage: Stage) -> None:
    browser = stage.browser
    stage.trial.keep(stage.trial.idp.metadata().replace("bindings:HTTP-Redirect", "bindings:HTTP-POST"))
    browser.submit("Test sign-in")
    form = browser.page.find("form", action=stage.trial.idp.sso_url)
    assert "form-action 'self' https://idp.example.test https:;" in browser.response.headers["Content-Security-Policy"]
    sent = {field["name"]: field["value"] for field in form.find_all("input")}
    response = stage.trial.idp.respond(decoded(sent["SAMLRequest"]).get("ID"), ACS_URL, ENTITY_ID, "alice")
    browser.post("/saml/acme/acs", {"SAMLResponse": response, "RelayState": sent["RelayState"]})
    assert browser.title.startswith("Test sign-in passed")


def test_ic_6_after_a_change_at_the_identity_provider_the_test_is_repeated(stage: Stage) -> None:
    stage.trial.run("carol")
    stage.make.user(stage.space, "carol")
    stage.trial.run("carol", button="Test again")
    assert stage.browser.title.startswith("Test sign-in passed")


def test_ic_6_before_there_are_users_the_name_that_was_sent_is_told(browser: Browser, make: Make) -> None:
    admin.sign_in(browser, make)
    trial = SsoTrial(browser)
    trial.keep()
    trial.run("carol@acme.example")
    assert browser.title.startswith("Test sign-in passed")
    assert "carol@acme.example can sign in once a user of that name is there" in browser.text


def test_ic_6_the_settings_of_sign_in_count_in_a_test(stage: Stage, make: Make) -> None:
    choices = saml_settings.Choices(username_attribute="uid", name_case=NameCase.EXACT)
    with make.transaction() as session:
        saml_settings.choose(session, SYSTEM, space=stage.space, choices=choices)
    stage.trial.run("x7", attributes={"uid": ["alice"]})
    assert "alice would be signed in" in stage.browser.text
    for attributes, words in (({"uid": ["Alice"]}, "case counts"), ({"mail": ["alice"]}, "Add it to the attributes")):
        stage.browser.open("/console/sso/offer")
        stage.trial.run("alice", attributes=attributes)
        assert stage.browser.title.startswith("Test sign-in failed")
        assert words in stage.browser.text


def test_ic_6_untested_data_is_trusted_only_after_an_explicit_yes(stage: Stage) -> None:
    browser = stage.browser
    browser.submit("Trust it now", status=400)
    assert "No test sign-in with this data has passed" in browser.page.find(id="untested-error").get_text()
    assert stage.trusted() is None
    browser.submit("Trust it now", untested=True)
    trusted = stage.trusted()
    assert trusted is not None
    assert trusted.tested_at is None
    browser.open("/console/sso/switch").submit("Test sign-in")
    assert "On to the identity provider" in browser.text


def test_ic_6_what_is_in_force_is_tested_too(stage: Stage) -> None:
    browser = stage.browser
    browser.submit("Trust it now", untested=True)
    stage.trial.run("alice")
    assert "What is in force works." in browser.text
    trusted = stage.trusted()
    assert trusted is not None
    assert trusted.tested_at is not None
    browser.click("Switch SSO on").click("Switch on")
    assert "SSO is on." in browser.text


def test_ic_6_other_settings_want_another_test(stage: Stage) -> None:
    browser = stage.browser
    stage.trial.run("alice")
    browser.open("/console/sso/settings").submit("Save", force_authn=True)
    browser.open("/console/sso/offer")
    assert "The last test passed, but the data or the sign-in settings have changed since." in browser.text
    stage.trial.run("alice")
    browser.click("Trust it now")
    changed = "No test sign-in has passed since the identity provider, its certificates or the sign-in settings changed"
    assert changed not in browser.open("/console/sso").text
    browser.open("/console/sso/settings").submit("Save", force_authn=False)
    assert changed in browser.open("/console/sso").text
    browser.click("Switch on").submit("Switch on", status=400)
    assert changed in browser.text


def test_ic_6_a_test_counts_for_exactly_the_data_that_was_asked_with(stage: Stage) -> None:
    asked = stage.trial.begin()
    other = stage.trial.idp.metadata().replace("https://idp.example.test/sso", "https://idp.example.test/other")
    stage.trial.keep(other)
    stage.trial.answer(asked, "alice")
    assert "changed or removed while the test was under way" in stage.browser.text
    stage.browser.open("/console/sso/offer")
    assert "Not tested" in stage.browser.text
    stage.trial.run("alice")
    assert stage.browser.title.startswith("Test sign-in passed")


def test_ic_6_what_was_seen_is_trusted_and_nothing_that_came_later(stage: Stage, app: Flask, make: Make) -> None:
    stage.trial.run("alice")
    stale = Browser(app)
    admin.enter(stale, "acme", "admin")
    stale.open("/console/sso/offer")
    other = stage.trial.idp.metadata().replace("https://idp.example.test/sso", "https://idp.example.test/other")
    stage.trial.keep(other)
    stale.submit("Trust it now", status=400)
    assert "was changed in the meantime" in stale.text
    assert stage.trusted() is None
    stale.click("Discard")
    assert "Discarded" in stale.text
    stage.browser.submit("Trust it now", untested=True, status=404)


def test_ic_6_the_same_data_again_keeps_its_test_and_other_data_does_not(stage: Stage) -> None:
    stage.trial.run("alice")
    stage.trial.keep()
    assert "Test passed" in stage.browser.text
    stage.trial.keep(stage.trial.idp.metadata().replace("test/sso", "test/other"))
    assert "Not tested" in stage.browser.text


def test_ic_6_another_browser_brings_no_answer_and_learns_nothing(stage: Stage, app: Flask) -> None:
    stranger = Browser(app)
    stage.trial.answer(stage.trial.begin(), "alice", by=stranger, expected=403)
    assert "You were not signed in" in stranger.text
    stage.browser.open("/console/sso/offer")
    assert "Not tested" in stage.browser.text
    assert stage.employees_signed_in() == 0


def test_ic_6_an_answer_counts_once(stage: Stage) -> None:
    asked = stage.trial.begin()
    stage.trial.answer(asked, "alice")
    stage.trial.answer(asked, "alice", expected=403)


def test_ic_6_a_test_leaves_the_employee_of_this_browser_signed_in(stage: Stage) -> None:
    stage.trial.run("alice")
    stage.browser.click("Trust it now").open("/console/sso/switch").click("Switch on")
    asked = stage.browser.client.get("/saml/acme/login").location
    stage.browser.open("/console/sso")
    stage.trial.run("nobody-at-all")
    stage.trial.answer(asked, "alice")
    assert stage.browser.url == "/home"
    stage.browser.open("/console/sso")
    stage.trial.run("nobody-at-all")
    stage.browser.open("/home")
    assert "alice" in stage.browser.text


def test_ic_6_another_organization_finds_nothing_by_the_number_of_a_test(stage: Stage, app: Flask, make: Make) -> None:
    stage.trial.run("alice")
    number = stage.browser.url
    stranger = Browser(app)
    admin.sign_in(stranger, make, space="other")
    stranger.open(number, status=404)
    stage.browser.open(number)


def test_who_may_only_look_sees_the_data_that_waits_and_changes_nothing(stage: Stage, app: Flask, make: Make) -> None:
    stage.trial.run("alice")
    number = stage.browser.url
    with make.transaction() as session:
        organization = session.get_one(Organization, stage.space.organization_id)
    admin.make_administrator(make, organization, "reader", [admin.READ_ONLY])
    reader = Browser(app)
    admin.enter(reader, "acme", "reader")
    for path in ("/console/sso/offer", number, "/console/sso", "/console/sso/sign-ins"):
        reader.open(path)
        buttons = {button.get_text(strip=True) for button in reader.page.find("main").find_all("button")}
        assert not buttons & {"Trust it now", "Discard", "Test sign-in", "Test again"}
    token = reader.page.find(attrs={"name": "csrf_token"})["value"]
    for path in ("offer/trust", "offer/discard", "tests"):
        reader.post(f"/console/sso/{path}", {"csrf_token": token}, status=403)
