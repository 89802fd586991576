"""Drift in the console: what people see, and what their buttons do (IC-9, CAM-4)."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from flask import Flask
from sqlalchemy import select

from portal.core.audit import AuditEvent
from portal.core.drift.models import AccountCheck, Difference
from portal.core.errors import Forbidden, Unavailable
from portal.core.organization.models import Organization
from portal.core.space.models import Space
from portal.settings import Settings
from portal.worker.checking import Checking
from tests.support import admin
from tests.support.browser import Browser
from tests.support.drift import Drift, refusing
from tests.support.make import Make
from tests.support.statements import statements

ON_SQLITE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
PAGE = "/console/drift"
ROLE = "TencentCloudSSO-reader"


@dataclass
class House:
    """Something is deployed in shop and bank; `console` is the administrator's browser."""

    app: Flask
    make: Make
    settings: Settings
    console: Browser = field(init=False)

    def __post_init__(self) -> None:
        self.work = Drift(self.make, self.settings)
        self.shop, self.bank = self.work.shop, self.work.bank
        self.console = self.administrator("admin")

    def administrator(self, name: str, policy: str = admin.FULL_ACCESS) -> Browser:
        with self.make.transaction() as session:
            organization = session.get_one(Organization, self.work.space.organization_id)
        browser = Browser(self.app)
        admin.make_administrator(self.make, organization, name, [policy])
        return admin.enter(browser, "acme", name)

    def wreck(self) -> None:
        self.work.detach(self.shop, "ReadOnlyAccess")
        self.work.stray_user(self.shop, "mallory")
        self.work.drop_role(self.bank)
        self.work.look()

    def row(self, name: str) -> str:
        [row] = [row for row in self.console.page.find_all("tr") if row.find("a") and name in row.find("a").get_text()]
        return " ".join(row.get_text(" ").split())

    def names(self) -> list[str]:
        body = self.console.page.find("tbody")
        return [row.find("a").get_text() for row in body.find_all("tr")] if body else []


@pytest.fixture
def house(app: Flask, make: Make, settings: Settings) -> House:
    return House(app, make, settings)


def test_from_a_notice_to_a_repaired_account(house: House) -> None:
    console = house.console
    console.open(PAGE)
    assert "No account has been checked yet. The first check begins within minutes." in console.text
    assert "Not checked yet" in house.row("shop")
    house.work.look()
    console.open(PAGE)
    assert "Nothing differs. Last check: just now" in console.text
    assert "Repair all" not in console.text
    console.open("/console/")
    assert "Look at drift" not in console.text

    house.wreck()
    console.open(PAGE).click("Check all now")
    assert "3 accounts are checked now." in console.text
    assert "Being checked" in house.row("shop")
    house.work.look()
    console.open("/console/")
    assert "2 accounts differ from what was deployed." in console.text
    console.click("Look at drift")
    assert "2 accounts are not as they should be." in console.text
    assert house.names()[:2] == ["bank", "shop"], "those that differ first"
    assert "2 differences Policy detached, CAM user left over" in house.row("shop")
    assert "1 difference Role gone" in house.row("bank")

    console.click("shop")
    text = console.text
    assert f"Policy detached A repair gives it back to the role. {ROLE} ReadOnlyAccess – just now" in text
    assert "CAM user left over A repair removes it. mallory – CAM user that stands for nobody here" in text
    console.click("Repair")
    assert "0 of 1 tasks done." in console.text
    assert "Repair account" in console.text
    house.work.work()
    console.open(console.url)
    assert "Finished: the task succeeded." in console.text
    console.click("Completed")
    assert console.url == f"{PAGE}/{house.shop.uin}"
    assert "Nothing differs" in console.text
    assert "As it should be" in console.text
    assert "Succeeded" in console.text
    console.click("Drift")
    assert house.names()[0] == "bank"


def test_chosen_accounts_and_all_are_repaired(house: House) -> None:
    house.wreck()
    console = house.console.open(PAGE)
    console.submit("Repair selected")
    assert "Select at least one account." in console.text
    console.submit("Check selected now")
    assert "Select at least one account." in console.text
    console.submit("Repair selected", account=[house.bank.uin])
    assert "of 1 tasks" in console.text
    house.work.work()
    assert house.work.differences(house.bank) == []
    console.open(PAGE).click("Repair all")
    house.work.work()
    assert house.work.differences(house.shop) == []
    console.post(f"{PAGE}/repair", {"all": "yes", "csrf_token": _token(console)})
    assert "Nothing differs any more." in console.text
    assert console.url == PAGE
    console.submit("Check selected now", account=[house.bank.uin, house.shop.uin])
    assert "2 accounts are checked now." in console.text
    assert "Being checked" in house.row("bank")


def test_a_repair_under_way_is_seen_and_not_doubled(house: House) -> None:
    house.wreck()
    console = house.console.open(f"{PAGE}/{house.bank.uin}")
    console.click("Repair")
    console.open(f"{PAGE}/{house.bank.uin}")
    assert "Being repaired" in console.text
    part = console.client.get(f"{PAGE}/{house.bank.uin}", headers={"X-Fragment": "1"}).get_data(as_text=True)
    assert "<html" not in part
    assert "data-settled" not in part
    assert "Refresh" in console.text
    console.open(PAGE)
    assert "Some accounts are being checked or repaired." in console.text
    console.submit("Repair selected", account=[house.bank.uin])
    assert "A repair of this account is under way already." in console.text
    house.work.work()
    part = console.client.get(f"{PAGE}/{house.bank.uin}", headers={"X-Fragment": "1"}).get_data(as_text=True)
    assert "data-settled" in part


def test_what_could_not_be_repaired_stands_there_with_its_reason(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.wreck()
    console = house.console.open(f"{PAGE}/{house.bank.uin}")
    console.click("Repair")
    with refusing(monkeypatch, house.bank, "ensure_role", Forbidden("Not yours.")):
        house.work.work()
    console.open(f"{PAGE}/{house.bank.uin}")
    assert "Failed" in console.text
    assert f"{ROLE}: Not yours." in console.text
    assert "Role gone" in console.text
    console.open("/console/tasks?type=RepairAccount").submit("Retry Repair account bank")
    house.work.work()
    assert house.work.differences(house.bank) == []


def test_an_account_that_cannot_be_reached_is_a_problem_of_its_own(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    with refusing(monkeypatch, house.bank, "describe", Unavailable("It does not answer.")):
        house.work.look()
    console = house.console.open(PAGE)
    assert "1 account could not be checked; it is tried again by itself." in console.text
    assert "Could not be checked It does not answer." in house.row("bank")
    console.click("Show only these")
    assert house.names() == ["bank"]
    console.open(f"{PAGE}/{house.bank.uin}")
    assert "Could not be checked It does not answer." in console.text


def test_the_list_is_searched_filtered_and_sorted(house: House) -> None:
    house.wreck()
    house.work.account("attic")
    console = house.console
    for query, expected in {
        "q=SHOP": ["shop"],
        f"q={house.bank.uin}": ["bank"],
        "state=Differs": ["bank", "shop"],
        "state=Never": ["attic"],
        "state=Problem": [],
        "state=nonsense&q=ba": ["bank"],
        "kind=RoleMissing": ["bank"],
        "kind=UserStray": ["shop"],
        "kind=nonsense": [],
        "sort=-name&q=a": ["bank", "attic"],
    }.items():
        console.open(f"{PAGE}?{query}")
        assert [name for name in house.names() if name in ("shop", "bank", "attic")] == expected, query
        if not expected:
            assert "No account matches" in console.text
    console.open(f"{PAGE}?state=InOrder")
    assert len(house.names()) == 1, "the admin account"


def test_many_differences_are_searched_filtered_and_paged(house: House) -> None:
    house.work.look()
    rows = [
        {"kind": "RoleStray" if n % 2 else "RoleMissing", "name": f"role-{n:02}", "wanted": f"Policies: P{n:02}"}
        for n in range(45)
    ]
    with house.make.transaction() as session:
        space = session.get_one(Space, house.work.space.id)
        session.add_all(Difference(space_id=space.id, account_uin=house.shop.uin, **row) for row in rows)
        session.get_one(AccountCheck, (house.shop.uin, space.id)).differences = 45
    console = house.console.open(f"{PAGE}/{house.shop.uin}?sort=-name")
    assert "1–20 of 45" in console.text
    assert "role-44" in console.text
    console.submit("Search", q="p07")
    assert "1–1 of 1" in console.text
    console.open(f"{PAGE}/{house.shop.uin}?kind=RoleStray&page=2")
    assert "21–22 of 22" in console.text
    console.open(f"{PAGE}/{house.shop.uin}?q=nothing")
    assert "No difference matches" in console.text


def test_automatic_repair_is_switched_in_words(house: House) -> None:
    console = house.console.open(PAGE)
    assert "Differences are shown, and stay until somebody repairs them." in console.text
    console.click("Switch on")
    assert (
        "Differences are repaired by themselves: those known now after the next check of their account." in console.text
    )
    assert "A check that finds a difference starts a repair at once" in console.text
    house.wreck()
    house.work.work()
    assert house.work.differences(house.shop) == house.work.differences(house.bank) == []
    console.open(PAGE).click("Switch off")
    assert "Differences are only shown." in console.text
    with house.make.transaction() as session:
        actions = session.scalars(select(AuditEvent.action).where(AuditEvent.actor_name == "admin"))
        assert {"drift.enable_repair", "drift.disable_repair"} <= set(actions)


def test_the_page_of_the_account_says_so(house: House) -> None:
    console = house.console.open(f"/console/accounts/{house.shop.uin}")
    assert "Not checked yet" in console.text
    assert "See what differs" not in console.text
    house.wreck()
    console.open(f"/console/accounts/{house.shop.uin}")
    assert "2 things in this account are not as they were deployed." in console.text
    console.click("See what differs")
    assert console.url == f"{PAGE}/{house.shop.uin}"


def test_who_may_only_look_sees_no_buttons_and_is_refused(house: House) -> None:
    house.wreck()
    reader = house.administrator("reader", admin.READ_ONLY)
    for page in (PAGE, f"{PAGE}/{house.shop.uin}"):
        reader.open(page)
        posting = [form for form in reader.page.find("main").find_all("form") if form.get("method") == "post"]
        assert not [button for form in posting for button in form.find_all("button")]
        assert not reader.page.find_all("input", type="checkbox")
    token = _token(house.console.open(PAGE))
    for path in ("repair", "check", "automatic"):
        reader.post(f"{PAGE}/{path}", {"all": "yes", "csrf_token": token}, status=403)
    assert house.work.repairs() == []


@ON_SQLITE
@pytest.mark.parametrize("given", ["1", "x", "99999999999999999999", "-1"])
def test_accounts_that_are_none_change_nothing(house: House, given: str) -> None:
    token = _token(house.console.open(PAGE))
    for path in ("repair", "check"):
        status = 404 if given == "1" else 200
        house.console.post(f"{PAGE}/{path}", {"account": [given], "csrf_token": token}, status=status)
    house.console.open(f"{PAGE}/1", status=404)
    assert house.work.repairs() == []


@ON_SQLITE
def test_without_a_schedule_the_page_says_so(app: Flask, make: Make, settings: Settings) -> None:
    app.extensions["settings"] = settings.model_copy(update={"drift_check_hours": 0})
    console = House(app, make, settings).console.open(PAGE)
    assert "Accounts are checked only when somebody asks for it." in console.text
    assert "The first check begins" not in console.text


def test_a_list_of_many_accounts_takes_as_many_statements_as_one_of_few(house: House) -> None:
    house.wreck()

    def counted() -> int:
        with statements(house.make.database) as seen:
            house.console.open(f"{PAGE}?size=100")
        return len(seen)

    few = counted()
    with house.make.transaction() as session:
        space = session.get_one(Space, house.work.space.id)
    accounts = [house.work.account() for _ in range(60)]
    Checking(house.make.database, house.settings).enroll_if_due()
    with house.make.transaction() as session:
        for account in accounts:
            session.add(Difference(space_id=space.id, account_uin=account.uin, kind="RoleStray", name="x"))
            session.get_one(AccountCheck, (account.uin, space.id)).differences = 1
    assert counted() == few
    assert "62 accounts are not as they should be." in house.console.text


@ON_SQLITE
def test_the_numbers_to_watch(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.wreck()
    with refusing(monkeypatch, house.bank, "describe", Unavailable("It does not answer.")):
        house.work.look_later()

    def lines() -> list[str]:
        text = house.console.client.get("/metrics").get_data(as_text=True)
        return [line for line in text.splitlines() if line.startswith("portal_drift")]

    assert lines() == [
        "portal_drift_accounts 2.0",
        "portal_drift_differences 3.0",
        "portal_drift_unreached_accounts 1.0",
    ]


def _token(browser: Browser) -> str:
    return str(browser.page.find(attrs={"name": "csrf_token"})["value"])
