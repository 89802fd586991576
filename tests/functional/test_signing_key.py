"""The signing key in the console, and people who log in to accounts before, during and after each step (IC-17)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import update

from portal.core import clock
from portal.core.access.models import DeployedProvider
from portal.core.audit import AuditEvent
from portal.core.cam.models import CamIdentityProvider
from portal.core.database import Database
from portal.core.federation.models import SamlKey
from portal.core.organization.models import Account, Organization
from portal.settings import Settings
from portal.worker.engine import run_until_idle
from saml.keys import make_key_pair, read_certificate
from saml.metadata import parse_identity_provider
from tests.support import admin
from tests.support.browser import Browser
from tests.support.granting import grant, make_configuration
from tests.support.make import Make
from tests.support.sso import Sso
from tests.support.statements import statements

ON_SQLITE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
PAGE = "/console/sso/signing-key"


@dataclass
class House:
    """alice may enter shop and bank with one role; `console` is the administrator's browser, `alice` hers."""

    app: Flask
    make: Make
    settings: Settings
    console: Browser = field(init=False)
    alice: Browser = field(init=False)

    def __post_init__(self) -> None:
        self.sso = Sso(self.make)
        user = self.make.user(self.sso.space, "alice")
        self.shop, self.bank = (self.make.account(self.sso.space, name) for name in ("shop", "bank"))
        reader = make_configuration(self.make, self.sso.space, "Reader", "ReadOnlyAccess")
        grant(
            self.make,
            self.sso.space,
            accounts=[self.shop, self.bank],
            principals=[user],
            configurations=[reader],
        )
        self.reader = reader
        self.work()
        self.alice, self.console = Browser(self.app), Browser(self.app)
        self.sso.sign_in(self.alice, "alice")
        self.administrator(self.console, "admin")

    def administrator(self, browser: Browser, name: str, policy: str = admin.FULL_ACCESS) -> None:
        with self.make.transaction() as session:
            organization = session.get_one(Organization, self.sso.space.organization_id)
        admin.make_administrator(self.make, organization, name, [policy])
        admin.enter(browser, "acme", name)

    def work(self) -> None:
        run_until_idle(self.make.database, self.settings)

    def signed(self, account: Account) -> dict[str, str]:
        """What the portal hands alice for the account, not posted yet."""
        path = f"/home/accounts/{account.uin}/roles/{self.reader.id}/login"
        form = self.alice.open("/home").page.find("form", attrs={"action": path})
        self.alice.post(path, {"csrf_token": form.find("input", attrs={"name": "csrf_token"})["value"]})
        posted = self.alice.page.find("form", attrs={"data-auto-submit": True})
        return {str(field["name"]): str(field["value"]) for field in posted.find_all("input")}

    def post(self, account: Account, form: dict[str, str], *, status: int = 200) -> None:
        Browser(self.app).post(f"/accounts/{account.uin}/saml/acs", form, status=status)

    def everybody_gets_in(self, but: Account | None = None) -> None:
        for account in (self.shop, self.bank):
            self.post(account, self.signed(account), status=403 if account is but else 200)

    def foreign(self, account: Account, manager: str) -> None:
        """Somebody else's hands are on the identity provider in the account (or ours again)."""
        ours = update(CamIdentityProvider).where(CamIdentityProvider.account_uin == account.uin)
        with self.make.transaction() as session:
            session.execute(ours.values(managed_by=manager))

    def certificates(self) -> list[str]:
        document = self.console.client.get("/saml/acme/idp-metadata").get_data()
        return [read_certificate(pem).fingerprint for pem in parse_identity_provider(document).certificates]


@pytest.fixture
def house(app: Flask, make: Make, settings: Settings) -> House:
    return House(app, make, settings)


def test_a_roll_over_that_nobody_notices(house: House) -> None:
    console = house.console
    [old] = house.certificates()
    console.click("SSO").click("Signing key")
    assert old in console.text
    assert "2 of 2 accounts have exactly the published certificates" in console.text
    house.everybody_gets_in()

    console.click("Begin a roll-over")
    assert "tasks put its certificate beside the old one into 2 accounts" in console.text
    console.click("Begin a roll-over")
    assert console.url == PAGE
    assert "0 of 2 accounts have exactly the published certificates, 2 get them" in console.text
    assert house.certificates()[0] == old
    new = house.certificates()[1]
    assert old in console.text
    assert new in console.text
    house.everybody_gets_in()
    console.open(f"{PAGE}/switch")
    assert "still on its way" in console.text
    assert console.page.find("main").find("form") is None

    house.foreign(house.bank, "z-somebody-else")
    house.work()
    console.open(PAGE)
    assert "1 of 2 accounts have exactly the published certificates, 0 get them, 1 failed" in console.text
    assert "managed by" in console.text
    house.everybody_gets_in()

    house.foreign(house.bank, house.sso.space.id)
    console.submit("Retry", within="bank")
    assert "1 task runs again." in console.text
    house.work()
    console.open(PAGE)
    assert "Every account knows the new certificate" in console.text
    house.everybody_gets_in()

    late, too_late = house.signed(house.shop), house.signed(house.shop)
    console.click("Switch to the new key")
    assert "All 2 accounts know its certificate." in console.text
    console.click("Switch to the new key")
    assert house.certificates() == [new, old]
    house.everybody_gets_in()
    house.post(house.shop, late)

    console.click("Take the old certificate out")
    assert "a log-in that is on its way" in console.text
    asked = console.page, console.url
    console.submit("Take the old certificate out", status=409)
    assert house.certificates() == [new, old]
    console.page, console.url = asked
    console.submit("Take the old certificate out", at_once="yes")
    assert house.certificates() == [new]
    house.everybody_gets_in()
    house.work()
    house.everybody_gets_in()
    house.post(house.shop, too_late, status=403)
    console.open(PAGE)
    assert "2 of 2 accounts have exactly the published certificates" in console.text
    assert "Begin a roll-over" in console.text
    assert old not in console.text


def test_an_account_is_left_behind_with_a_yes_to_its_name(house: House) -> None:
    console = house.console
    console.open(f"{PAGE}/introduce").click("Begin a roll-over")
    house.foreign(house.bank, "z-somebody-else")
    house.work()
    console.open(PAGE).click("Switch to the new key")
    assert "Nobody can log in to them from the portal" in console.text
    assert "bank" in console.page.find("main").get_text()
    assert "shop" not in console.page.find("main").get_text()
    console.submit("Switch to the new key", status=409)
    assert "did not get into 1 accounts (bank)" in console.text
    house.everybody_gets_in()

    console.open(f"{PAGE}/switch").submit("Switch to the new key", agreed="yes")
    house.everybody_gets_in(but=house.bank)
    with house.make.transaction() as session:
        [event] = session.query(AuditEvent).filter_by(action="saml_key.leave_behind").all()
        assert event.details == {"accounts": [house.bank.uin]}

    house.foreign(house.bank, house.sso.space.id)
    console.open(PAGE).click("Retry all that failed")
    house.work()
    house.everybody_gets_in()


@ON_SQLITE
def test_a_roll_over_is_given_up(house: House) -> None:
    before = house.certificates()
    house.console.open(f"{PAGE}/introduce").click("Begin a roll-over")
    house.work()
    house.console.open(PAGE).click("Give the roll-over up").click("Give the roll-over up")
    house.work()
    assert house.certificates() == before
    house.everybody_gets_in()
    assert "2 of 2 accounts" in house.console.open(PAGE).text


@ON_SQLITE
def test_a_step_is_taken_once_however_often_it_is_asked_for(house: House) -> None:
    first, second = house.console, Browser(house.app)
    house.administrator(second, "other")
    first.open(f"{PAGE}/introduce")
    second.open(f"{PAGE}/introduce").click("Begin a roll-over")
    first.submit("Begin a roll-over", status=412)
    assert "gone on since this page was loaded" in first.text
    assert len(house.certificates()) == 2
    for step in ("introduce", "retire"):
        first.open(f"{PAGE}/{step}")
        assert "not the next step" in first.text


@ON_SQLITE
def test_who_may_only_look_sees_where_it_stands_and_changes_nothing(house: House) -> None:
    looking = Browser(house.app)
    house.administrator(looking, "auditor", admin.READ_ONLY)
    looking.open(PAGE)
    assert "2 of 2 accounts" in looking.text
    assert "Begin a roll-over" not in looking.text
    for step in ("introduce", "switch", "retire", "give-up"):
        looking.open(f"{PAGE}/{step}", status=403)
    token = looking.open(PAGE).page.find(attrs={"name": "csrf_token"})["value"]
    for step in ("introduce", "switch", "retire", "give-up", "repeat"):
        looking.post(f"{PAGE}/{step}", {"csrf_token": token}, status=403)
    assert len(house.certificates()) == 1


@ON_SQLITE
def test_the_end_of_the_certificate_is_announced(house: House) -> None:
    for days, word in ((31, ""), (29, "expires soon"), (-1, "has expired")):
        started = clock.now() + timedelta(days=days) - timedelta(days=365)
        _private_key, certificate = make_key_pair("old", years=1, now=started)
        with house.make.transaction() as session:
            session.execute(update(SamlKey).values(certificate=certificate))
        text = house.console.open(PAGE).text
        assert f"The certificate {word}" in text if word else "The certificate" not in text
        assert ("Exchange the signing key" in house.console.open("/console/").text) == bool(word)
    house.console.open(f"{PAGE}/introduce").click("Begin a roll-over")
    assert "Go on with the roll-over of the signing key" in house.console.open("/console/").text


@ON_SQLITE
def test_a_stranger_account_is_not_tried_again(house: House) -> None:
    token = house.console.open(PAGE).page.find(attrs={"name": "csrf_token"})["value"]
    for account, status in (("1", 404), ("x", 400), ("9" * 40, 400)):
        house.console.post(f"{PAGE}/repeat", {"csrf_token": token, "account": account}, status=status)
    house.console.post(f"{PAGE}/repeat", {"csrf_token": token, "account": str(house.shop.uin)})
    assert "Nothing is to be done again." in house.console.text


def test_hundreds_of_accounts_are_counted_listed_in_pages_and_found(house: House, database: Database) -> None:
    def seen(query: str = "") -> list[Any]:
        with statements(database) as found:
            house.console.open(PAGE + query)
        return found

    few = len(seen())
    accounts = [house.make.account(house.sso.space, f"extra-{number:03}") for number in range(120)]
    with house.make.transaction() as session:
        session.add_all(
            DeployedProvider(account_uin=account.uin, space_id=house.sso.space.id, certificates="")
            for account in accounts
        )
    assert len(seen()) == few
    assert "2 of 122 accounts have exactly the published certificates, 0 get them, 120 failed" in house.console.text
    assert "1–20 of 122" in house.console.text
    assert "bank" not in house.console.page.find_all("tbody")[1].get_text(), "those that failed come first"
    assert len(seen("?state=Done")) == few
    assert "1–2 of 2" in house.console.text
    house.console.submit("Search", q="extra-077", state="Failed")
    assert "1–1 of 1" in house.console.text
    house.console.open(PAGE + "?q=nothing-like-it")
    assert "No account matches" in house.console.text


@ON_SQLITE
def test_scripts_ask_for_the_part_that_changes_until_it_is_settled(house: House) -> None:
    house.console.open(f"{PAGE}/introduce").click("Begin a roll-over")
    assert house.console.page.find(attrs={"data-poll": PAGE})
    fragment = house.console.client.get(PAGE, headers={"X-Fragment": "1"}).get_data(as_text=True)
    assert "2 get them" in fragment
    assert "<html" not in fragment
    assert "data-settled" not in fragment
    house.work()
    assert "data-settled" in house.console.client.get(PAGE, headers={"X-Fragment": "1"}).get_data(as_text=True)
