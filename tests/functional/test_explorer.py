"""The explorer's pages: who can do what, and why."""

from __future__ import annotations

import pytest

from portal.core.actor import SYSTEM
from portal.core.guardrails import bindings, policies
from portal.core.organization import queries
from portal.core.organization.models import Account, Organization
from portal.settings import Settings
from tests.support import admin
from tests.support.browser import Browser
from tests.support.make import Make
from tests.support.provisioning import Provisioning

NO_CVM = '{"version": "2.0", "statement": [{"effect": "deny", "action": "cvm:*", "resource": "*"}]}'


@pytest.fixture
def house(browser: Browser, make: Make, settings: Settings) -> Provisioning:
    """alice and bob enter shop as readers by the group ops, carol as operator; an administrator is signed in."""
    house = Provisioning(make, settings)
    with make.transaction() as session:
        organization = session.get_one(Organization, house.space.organization_id)
    admin.make_administrator(make, organization)
    admin.enter(browser, "acme", "admin")
    shop = house.account("shop")
    ops = house.group("ops", [house.user("alice"), house.user("bob")])
    house.grant([shop], [ops], [house.configuration("reader", ["QcloudCVMReadOnlyAccess"])])
    house.grant([shop], [house.user("carol")], [house.configuration("operator", ["QcloudCVMFullAccess"])])
    house.work()
    return house


def shop_of(house: Provisioning) -> Account:
    with house.database.transaction(write=False) as session:
        return session.query(Account).filter_by(name="shop").one()


def rows(browser: Browser) -> list[str]:
    table = browser.page.find("tbody")
    return [" ".join(row.get_text(" ").split()) for row in table.find_all("tr")] if table else []


def test_a_person_is_found_and_what_it_may_enter_is_shown_with_the_reason(
    browser: Browser, house: Provisioning
) -> None:
    browser.open("/console/").click("Explorer")
    browser.submit("Search", q="alic").click("alice")
    assert browser.title.startswith("Access of alice")
    (row,) = rows(browser)
    assert "shop" in row
    assert "reader Can log in Group ops" in row
    browser.submit("Search", door="closed")
    assert "Nothing matches" in browser.text


def test_a_person_without_access_is_said_to_have_none(browser: Browser, house: Provisioning) -> None:
    dave = house.user("dave")
    browser.open(f"/console/explorer?user={dave.id}")
    assert "dave may enter no account" in browser.text


def test_an_account_shows_who_gets_in(browser: Browser, house: Provisioning) -> None:
    browser.open("/console/explorer/accounts").click("shop")
    assert [row.split()[0] for row in rows(browser)] == ["alice", "bob", "carol"]
    browser.submit("Search", q="operator")
    assert [row.split()[0] for row in rows(browser)] == ["carol"]


def test_who_can_do_an_action_and_what_stops_the_others(browser: Browser, house: Provisioning) -> None:
    browser.open("/console/explorer/actions").click("shop")
    browser.submit("Who can?", action="cvm:RunInstances")
    assert "operator Allowed Allowed by statement 1 of QcloudCVMFullAccess." in browser.text
    assert "reader Denied by default No policy allows cvm:RunInstances on *." in browser.text
    assert rows(browser)[-1].startswith("carol") or "carol" in browser.text.split("People who can")[1]
    browser.click("Show those who cannot")
    assert "alice" in browser.text.split("that cannot")[1]


def test_a_bad_question_names_field_and_rule(browser: Browser, house: Provisioning) -> None:
    browser.open(f"/console/explorer/actions?account={shop_of(house).uin}")
    browser.submit("Who can?", action="reboot", status=400)
    assert "Action: " in browser.text
    assert "must be written service:name" in browser.text.lower()


def test_exports_hold_every_row_and_no_formulas(browser: Browser, house: Provisioning) -> None:
    house.grant([shop_of(house)], [house.user("=evil")], [house.configuration("third")])
    house.work()
    answer = browser.client.get("/console/explorer/everything.csv")
    lines = answer.text.splitlines()
    assert answer.mimetype == "text/csv"
    assert lines[0] == "user,display_name,account_id,account,permission_configuration,log_in,by"
    assert sorted(line.split(",")[0] for line in lines[1:]) == ["'=evil", "alice", "bob", "carol"]
    assert any(line.endswith("shop,reader,open,group ops") for line in lines)


def guard(house: Provisioning, *, bound: bool) -> str:
    with house.make.transaction() as session:
        organization = session.get_one(Organization, house.space.organization_id)
        policies.enable(session, SYSTEM, organization=organization)
        policy = policies.create_policy(session, SYSTEM, organization=organization, name="no-cvm", document=NO_CVM)
        root = queries.root(session, organization)
        if bound:
            bindings.bind(session, SYSTEM, organization=organization, policy=policy, departments=[root.id])
    return str(root.id)


def test_what_if_a_policy_were_bound_says_who_loses_what(browser: Browser, house: Provisioning) -> None:
    root = guard(house, bound=False)
    browser.open("/console/explorer").click("What if")
    browser.submit("Show what would change", document=NO_CVM, department=root)
    assert "The access of 3 persons would change." in browser.text
    operator, reader = sorted(rows(browser), reverse=False)
    assert operator.startswith("operator 1 shop 1 carol")
    assert reader.startswith("reader 1 shop 2 alice, bob")
    with house.database.transaction(write=False) as session:
        assert len(policies.policies_of(session, session.query(Organization).one())) == 2


def test_what_if_a_bound_policy_were_taken_away_or_changed(browser: Browser, house: Provisioning) -> None:
    root = guard(house, bound=True)
    with house.database.transaction(write=False) as session:
        chosen = policies.policies_of(session, session.query(Organization).one())[1]
    assert chosen.name == "no-cvm"
    browser.open("/console/explorer/what-if")
    fields = {"policy": chosen.id, "how": "unbind", "department": root, "action": "cvm:RunInstances"}
    browser.submit("Show what would change", **fields)
    assert "The access of 1 person would change." in browser.text
    milder = NO_CVM.replace("cvm:*", "cvm:Describe*")
    browser.submit("Show what would change", **(fields | {"how": "change", "document": milder}))
    assert "The access of 1 person would change." in browser.text


@pytest.mark.parametrize(
    ("fields", "label", "words"),
    [
        ({}, "Department", "Choose a department or an account."),
        ({"account": "12x"}, "Account ID", "is a number"),
        ({"how": "unbind"}, "Department", "Choose a department"),
        ({"how": "change"}, "Service control policy", "Choose the policy"),
        ({"document": '{"version": "2.0"}', "how": "bind"}, "Department", "Choose a department"),
        ({"action": "cvm"}, "Department", "Choose a department"),
    ],
)
def test_what_if_asks_for_what_is_missing(
    browser: Browser, house: Provisioning, fields: dict[str, str], label: str, words: str
) -> None:
    browser.open("/console/explorer/what-if")
    browser.submit("Show what would change", status=400, **fields)
    alert = browser.page.find(role="alert")
    assert alert
    assert label in alert.get_text()
    assert words in alert.get_text()


def test_a_faulty_document_and_a_bad_action_are_told_at_their_fields(browser: Browser, house: Provisioning) -> None:
    root = guard(house, bound=False)
    browser.open("/console/explorer/what-if")
    browser.submit("Show what would change", department=root, document="{", status=400)
    assert "Content: " in browser.text
    browser.submit("Show what would change", department=root, document=NO_CVM, action="cvm", status=400)
    assert "Action: " in browser.text
