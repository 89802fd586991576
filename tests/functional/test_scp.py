"""Service control policies in the console: on and off, the list, details, deletion, bindings (SCP-1..3)."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from portal.core.actor import SYSTEM
from portal.core.audit import AuditEvent
from portal.core.database import Database
from portal.core.guardrails import bindings, policies
from portal.core.guardrails.models import ServiceControlPolicy
from portal.core.organization import queries
from portal.core.organization.departments import create_department
from portal.core.organization.members import create_member
from portal.core.organization.models import Department, Organization
from tests.support import admin
from tests.support.browser import Browser
from tests.support.make import Make
from tests.support.statements import statements

DENY_CVM = '{"version": "2.0", "statement": [{"effect": "deny", "action": "cvm:*", "resource": "*"}]}'
URL = "/console/organization/policies"


class Scene:
    """Research below Root, the account shop in it; `switched_on` and `policy` by the product's own verbs."""

    def __init__(self, make: Make, organization: Organization) -> None:
        self.make, self.organization = make, organization
        with make.transaction() as session:
            root = queries.root(session, organization)
            self.root_id = root.id
            research = create_department(session, SYSTEM, organization=organization, parent=root, name="Research")
            self.research: Department = research
        self.shop = self.member("shop")

    def member(self, name: str) -> int:
        with self.make.transaction() as session:
            department = queries.department(session, self.organization, self.research.id)
            made = create_member(session, SYSTEM, organization=self.organization, department=department, name=name)
            return made.uin

    def switch_on(self) -> None:
        with self.make.transaction() as session:
            policies.enable(session, SYSTEM, organization=session.get_one(Organization, self.organization.id))

    def policy(self, name: str = "no-cvm", *, accounts: tuple[int, ...] = ()) -> ServiceControlPolicy:
        with self.make.transaction() as session:
            organization = session.get_one(Organization, self.organization.id)
            made = policies.create_policy(
                session, SYSTEM, organization=organization, name=name, document=DENY_CVM, description=f"About {name}"
            )
            if accounts:
                bindings.bind(session, SYSTEM, organization=organization, policy=made, accounts=accounts)
        return made


@pytest.fixture
def signed_in(browser: Browser, make: Make) -> admin.Admin:
    return admin.sign_in(browser, make)


@pytest.fixture
def scene(make: Make, signed_in: admin.Admin) -> Scene:
    return Scene(make, signed_in.organization)


@pytest.fixture
def on(scene: Scene) -> Scene:
    scene.switch_on()
    return scene


def test_scp_1_it_is_off_at_first_and_each_switch_says_what_it_does(browser: Browser, scene: Scene) -> None:
    browser.open("/console/organization").click("Service control policies")
    assert "Switched off" in browser.text
    assert "to 2 departments and 2 member accounts" in browser.text
    assert "No service control policies yet" in browser.text
    browser.click("Switch on")
    assert "Binds FullQcloudAccess to 2 departments and 2 member accounts." in browser.text
    browser.submit("Switch on")
    assert "FullQcloudAccess is bound to 4 nodes." in browser.text
    assert "4 bindings on 2 departments and 2 member accounts." in browser.text
    scene.policy(accounts=(scene.shop,))
    browser.open(URL).click("Switch off")
    assert "Removes 5 bindings from departments and member accounts, 1 of them of custom policies" in browser.text
    browser.submit("Switch off")
    assert "Service control policies are off: 5 bindings removed." in browser.text
    assert "no-cvm" in browser.text
    assert "0 nodes" in browser.text


def test_scp_1_switching_twice_is_refused(browser: Browser, on: Scene) -> None:
    browser.open(f"{URL}/enable").submit("Switch on", status=400)
    assert "switched on already" in browser.text


def test_the_list_is_searched_sorted_filtered_and_paged(browser: Browser, on: Scene, database: Database) -> None:
    on.policy("beta", accounts=(on.shop,))
    with statements(database) as few:
        browser.open(URL)
    for number in range(22):
        on.policy(f"policy-{number:02}")
    with statements(database) as many:
        browser.open(URL)
    assert len(many) == len(few)
    assert "1–20 of 24" in browser.text
    browser.click("Next page")
    assert "policy-21" in browser.text
    browser.open(f"{URL}?sort=-bound")
    rows = [row.get_text(" ", strip=True) for row in browser.page.find("tbody").find_all("tr")]
    assert rows[0].startswith("FullQcloudAccess System policy")
    assert rows[1].startswith("beta Custom policy About beta 1 node")
    browser.open(URL).submit("Search", q="cy-07")
    assert "1–1 of 1" in browser.text
    browser.open(URL).submit("Search", type="System")
    assert "FullQcloudAccess" in browser.text
    assert "beta" not in browser.text
    browser.open(URL).submit("Search", q="nothing")
    assert "No policy matches" in browser.text


def test_bindings_and_levels_cost_the_same_however_many(
    browser: Browser, on: Scene, make: Make, signed_in: admin.Admin, database: Database
) -> None:
    made = on.policy(accounts=(on.shop,))
    pages = (f"{URL}/{made.id}/bindings", f"{URL}/{made.id}/bind", f"/console/organization/members/{on.shop}/policies")
    few = cost(browser, database, pages)
    for number in range(15):
        on.policy(f"policy-{number}", accounts=(on.shop,) if number < 8 else ())
    uins = [make.account(signed_in.space).uin for _number in range(15)]
    with make.transaction() as session:
        organization = session.get_one(Organization, on.organization.id)
        policy = session.get_one(ServiceControlPolicy, made.id)
        bindings.bind(session, SYSTEM, organization=organization, policy=policy, accounts=uins)
    assert cost(browser, database, pages) == few


def cost(browser: Browser, database: Database, pages: tuple[str, ...]) -> list[int]:
    found = []
    for page in pages:
        with statements(database) as seen:
            browser.open(page)
        found.append(len(seen))
    return found


def test_scp_2_details_show_basic_information_syntax_and_bindings(browser: Browser, on: Scene) -> None:
    on.policy(accounts=(on.shop,))
    browser.open(URL).click("no-cvm")
    for text in ("Policy name no-cvm", "Type Custom policy", "Description About no-cvm", "Bound to 1 node"):
        assert text in browser.text
    browser.click("Policy syntax")
    assert '"action": "cvm:*"' in browser.page.find("pre").get_text()
    browser.click("Bindings 1")
    assert f"shop {on.shop}" in browser.text
    assert "Member account Research" in browser.text


def test_scp_2_the_system_policy_is_read_only(browser: Browser, on: Scene) -> None:
    browser.open(URL).click("FullQcloudAccess")
    assert "neither changed nor deleted" in browser.text
    buttons = [link.get_text() for link in browser.page.find_all("a", class_="btn")]
    assert "Edit policy" not in buttons
    assert "Delete" not in buttons
    here = browser.url
    browser.open(f"{here}/edit", status=403)
    assert "FullQcloudAccess is a system policy and cannot be changed." in browser.text
    browser.open(f"{here}/delete")
    assert "cannot be deleted" in browser.text


def test_scp_2_only_an_unbound_policy_is_deleted(browser: Browser, on: Scene) -> None:
    made = on.policy(accounts=(on.shop,))
    browser.open(f"{URL}/{made.id}").click("Delete")
    assert "no-cvm is bound to 1 node and cannot be deleted yet." in browser.text
    token = browser.page.find("input", attrs={"name": "csrf_token"})["value"]
    browser.post(f"{URL}/{made.id}/delete", {"csrf_token": token}, status=409)
    browser.open(f"{URL}/{made.id}/bindings").click("Unbind shop").submit("Unbind")
    browser.click("Delete").submit("Delete policy")
    assert "Service control policy no-cvm deleted." in browser.text


def test_scp_3_bind_from_the_tree_and_the_searched_member_list(
    browser: Browser, on: Scene, make: Make, signed_in: admin.Admin
) -> None:
    made = on.policy()
    uins = [make.account(signed_in.space, f"member-{number:02}").uin for number in range(22)]
    browser.open(f"{URL}/{made.id}/bindings")
    assert "Not bound to any node" in browser.text
    browser.click("Bind").click("See first whose access would change")
    assert browser.page.find("option", value=made.id, selected=True)
    browser.open(f"{URL}/{made.id}/bind").submit("Bind", status=400)
    assert "Choose at least one department or member account." in browser.text
    browser.submit("Search", account_q="shop", department=[on.research.id], account=[uins[3]])
    assert "1 more selected, not in this view" in browser.text
    browser.submit("Bind", department=[on.research.id], account=[uins[3], on.shop])
    assert "Bound to 3 more nodes." in browser.text
    assert "1–3 of 3" in browser.text
    browser.submit("Search", q=str(on.shop))
    assert "1–1 of 1" in browser.text
    browser.open(f"{URL}/{made.id}/bindings").submit("Search", kind="department")
    assert "Research" in browser.text
    assert "member-03" not in browser.text
    browser.open(f"{URL}/{made.id}/bind")
    assert "Research (bound already)" in browser.text


def test_scp_3_unbinding_is_confirmed_and_the_last_policy_stays(browser: Browser, on: Scene, make: Make) -> None:
    made = on.policy(accounts=(on.shop,))
    browser.open(f"{URL}/{made.id}/bindings").submit("Unbind the chosen ones")
    assert "Nothing chosen" in browser.text
    browser.open(f"{URL}/{made.id}/bindings").submit("Unbind the chosen ones", account=[on.shop])
    assert "Takes no-cvm away from 1 node, at once: Member account shop" in browser.text
    browser.submit("Unbind")
    assert "no-cvm unbound from 1 node." in browser.text
    assert "Not bound to any node" in browser.text
    browser.open(URL).click("FullQcloudAccess").click("Bindings 4").click("Unbind shop")
    browser.submit("Unbind", status=400)
    assert "FullQcloudAccess is the last service control policy of shop, and every node keeps one." in browser.text
    with make.transaction() as session:
        event = session.scalars(select(AuditEvent).where(AuditEvent.action == "scp.unbind")).one()
        assert event.details == {"targets": ["shop"], "count": 1}


def test_scp_3_what_is_not_bound_is_not_found(browser: Browser, on: Scene) -> None:
    made = on.policy()
    browser.open(f"{URL}/{made.id}/unbind?account={on.shop}", status=404)
    browser.open(f"{URL}/{made.id}/unbind?department=99999", status=404)


def test_scp_1_while_it_is_off_nothing_can_be_bound(browser: Browser, scene: Scene) -> None:
    made = scene.policy()
    browser.open(f"{URL}/{made.id}/bindings")
    assert "switched off" in browser.text
    browser.open(f"{URL}/{made.id}/bind").submit("Bind", account=[scene.shop], status=400)
    assert "Switch them on before you bind one." in browser.text
    browser.open(f"/console/organization/members/{scene.shop}/policies")
    assert "switched off" in browser.text


def test_scp_4_a_member_shows_its_own_and_the_inherited_policies_level_by_level(browser: Browser, on: Scene) -> None:
    on.policy("no-cvm", accounts=(on.shop,))
    browser.open(f"/console/organization?department={on.research.id}").click("Service control policies of shop")
    headings = [heading.get_text(" ", strip=True) for heading in browser.page.find_all("h2")]
    assert headings == ["Its own 2", "Inherited from Research 1", "Inherited from Root 1"]
    browser.click("Unbind no-cvm").submit("Unbind")
    assert browser.url == f"/console/organization/members/{on.shop}/policies"
    assert "no-cvm unbound from 1 node." in browser.text
    browser.click("Bind policies").submit("Bind", status=400)
    assert "Choose at least one." in browser.text
    browser.submit("Bind", policy=[browser.page.find("input", attrs={"name": "policy"})["value"]])
    assert "1 policy bound." in browser.text
    browser.click("Bind policies")
    assert "Nothing left to bind" in browser.text


def test_scp_3_policies_are_bound_from_the_department(browser: Browser, on: Scene) -> None:
    made = on.policy()
    browser.open("/console/organization")
    tab = browser.page.find("nav", class_="tabs").find("a", string="Service control policies")
    assert tab["href"] == f"/console/organization/departments/{on.root_id}/policies"
    browser.open(f"/console/organization/departments/{on.research.id}/policies").click("Bind policies")
    browser.submit("Bind", policy=[made.id])
    headings = [heading.get_text(" ", strip=True) for heading in browser.page.find_all("h2")]
    assert headings == ["Its own 2", "Inherited from Root 1"]


def test_scp_4_the_admin_account_says_that_it_is_exempt(browser: Browser, on: Scene) -> None:
    browser.open(f"/console/organization/members/{on.organization.admin_uin}/policies")
    assert "service control policies do not limit it" in browser.text


def test_a_reader_sees_everything_and_changes_nothing(browser: Browser, make: Make) -> None:
    signed_in = admin.sign_in(browser, make, policies=[admin.READ_ONLY])
    scene = Scene(make, signed_in.organization)
    scene.switch_on()
    made = scene.policy(accounts=(scene.shop,))
    pages = (URL, f"{URL}/{made.id}", f"{URL}/{made.id}/syntax", f"{URL}/{made.id}/bindings",
             f"/console/organization/members/{scene.shop}/policies")  # fmt: skip
    for page in pages:
        browser.open(page)
        shown = {link.get_text(" ", strip=True) for link in browser.page.find_all("a", class_="btn")}
        assert shown <= {"Show the bindings"}, page
    closed = ("enable", "disable", "create", f"{made.id}/edit", f"{made.id}/delete", f"{made.id}/bind")
    for page in closed:
        browser.open(f"{URL}/{page}", status=403)
    browser.open(f"{URL}/create", status=403)
    table = browser.page.find("table").get_text(" ", strip=True)
    assert "No policy allows organization:CreatePolicy on *." in table


def test_another_organizations_policy_is_not_found(browser: Browser, on: Scene, make: Make) -> None:
    foreign = Scene(make, admin.make_organization(make, "Other")).policy()
    for path in ("", "/syntax", "/bindings", "/edit", "/delete", "/bind", "/unbind"):
        browser.open(f"{URL}/{foreign.id}{path}", status=404)
    browser.open(f"/console/organization/members/{on.shop}/policies/bind")
    token = browser.page.find("input", attrs={"name": "csrf_token"})
    if token:
        browser.post(browser.url, {"csrf_token": token["value"], "policy": foreign.id}, status=400)
        assert "There is no such service control policy." in browser.text
