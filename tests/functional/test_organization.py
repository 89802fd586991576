"""The tree of departments and its member accounts in the console."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from portal.core.actor import SYSTEM
from portal.core.audit import AuditEvent, Result
from portal.core.organization import queries
from portal.core.organization.departments import create_department
from portal.core.organization.members import create_member
from portal.core.organization.models import Department, Organization
from portal.core.paging import Search
from tests.support import admin
from tests.support.make import Make


@pytest.fixture
def signed_in(browser, make):
    return admin.sign_in(browser, make)


@pytest.fixture
def sales(make, signed_in) -> Department:
    return department(make, signed_in.organization, "Sales")


def department(make: Make, organization: Organization, name: str) -> Department:
    with make.transaction() as session:
        root = queries.root(session, organization)
        return create_department(session, SYSTEM, organization=organization, parent=root, name=name)


def member(make: Make, organization: Organization, name: str, into: Department | None = None) -> int:
    with make.transaction() as session:
        place = into or queries.root(session, organization)
        return create_member(session, SYSTEM, organization=organization, department=place, name=name).uin


def names(make: Make, organization: Organization, **options) -> list[str]:
    with make.transaction() as session:
        return [row.name for row in queries.members_page(session, organization, Search(), **options).rows]


def test_org_2_the_page_shows_the_tree_with_counts_and_the_members(browser, make, signed_in, sales):
    uin = member(make, signed_in.organization, "shop", sales)
    browser.click("Organization")
    tree = browser.page.find("nav", attrs={"aria-label": "Departments"}).get_text(" ", strip=True)
    assert tree == "Root 2 Sales 1"
    assert "shop" in browser.text
    assert str(uin) in browser.text
    browser.open(f"/console/organization?department={sales.id}")
    assert "Root / Sales" in browser.text
    assert "Acme-admin" not in browser.text
    assert "Creation" in browser.text
    assert "Pay-on-behalf" in browser.text


def test_dep_1_a_department_is_created_edited_and_deleted(browser, make, signed_in):
    browser.open("/console/organization").click("Create department")
    browser.submit("Create", name="研发", description="Builds <b>it</b>")
    assert "Department 研发 created." in browser.text
    assert "Builds <b>it</b>" in browser.text
    browser.click("Edit").submit("Save", name="Research", description="")
    assert "Root / Research" in browser.text
    browser.click("Delete").click("Delete department")
    assert "Department Research deleted." in browser.text
    with make.transaction() as session:
        assert queries.tree(session, signed_in.organization).children == []


def test_dep_1_a_department_is_created_below_the_one_on_the_page(browser, make, signed_in, sales):
    browser.open(f"/console/organization?department={sales.id}").click("Create department")
    browser.submit("Create", name="North")
    assert "Root / Sales / North" in browser.text


@pytest.mark.parametrize("name", ["", "Human Resources", "x" * 41, "<script>", "SALES"])
def test_dep_1_a_bad_department_name_is_told_at_the_field(browser, make, signed_in, sales, name):
    browser.open("/console/organization/departments/create")
    browser.submit("Create", name=name, status=400)
    assert browser.page.find(id="name-error") is not None
    assert browser.page.find(id="name")["value"] == name
    browser.open(f"/console/organization/departments/{sales.id}/edit")
    if name != "SALES":
        browser.submit("Save", name=name, status=400)
        assert browser.page.find(id="name-error") is not None


def test_dep_1_a_department_in_use_and_root_are_not_deleted(browser, make, signed_in, sales):
    member(make, signed_in.organization, "shop", sales)
    browser.open(f"/console/organization/departments/{sales.id}/delete")
    browser.submit("Delete department", status=409)
    assert "Sales still has 1 member" in browser.text
    with make.transaction() as session:
        root = queries.root(session, signed_in.organization)
    browser.open(f"/console/organization?department={root.id}")
    assert browser.page.find("a", string="Delete") is None
    browser.open(f"/console/organization/departments/{root.id}/delete")
    browser.submit("Delete department", status=400)
    assert "Root" in browser.text


def test_dep_3_a_sixth_level_is_refused_naming_the_limit(browser, make, signed_in):
    browser.open("/console/organization")
    for level in range(1, 6):
        browser.click("Create department").submit("Create", name=f"level{level}")
    browser.click("Create department").submit("Create", name="level6", status=400)
    assert "department_levels" in browser.text


def test_mem_4_a_member_is_created_in_a_department(browser, make, signed_in, sales):
    browser.open(f"/console/organization?department={sales.id}").click("Create member")
    browser.submit("Create", name="生产")
    assert "Member account 生产 created" in browser.text
    assert names(make, signed_in.organization, department_id=sales.id) == ["生产"]
    with make.transaction() as session:
        event = session.scalars(select(AuditEvent).where(AuditEvent.action == "member.create")).one()
        assert (event.actor_name, event.organization_id) == ("admin", signed_in.organization.id)


@pytest.mark.parametrize("name", ["", "two words", "x" * 26, "<i>", "acme-ADMIN"])
def test_mem_4_a_bad_member_name_is_told_at_the_field(browser, make, signed_in, name):
    browser.open("/console/organization/members/create")
    browser.submit("Create", name=name, status=400)
    assert browser.page.find(id="name-error") is not None
    assert names(make, signed_in.organization) == ["Acme-admin"]


def test_mem_1_a_member_is_renamed(browser, make, signed_in):
    uin = member(make, signed_in.organization, "shop")
    browser.open(f"/console/organization/members/{uin}/edit").submit("Save", name="store")
    assert "store" in names(make, signed_in.organization)
    browser.open(f"/console/organization/members/{uin}/edit").submit("Save", name="Acme-admin", status=400)
    assert "already" in browser.page.find(id="name-error").get_text()


def test_mem_1_members_are_searched_sorted_filtered_and_paged(browser, make, signed_in):
    for number in range(25):
        make.account(signed_in.space, f"account-{number:02}")
    browser.open("/console/organization")
    assert "1–20 of 26" in browser.text
    browser.click("Next page")
    assert "21–26 of 26" in browser.text
    browser.open("/console/organization?sort=-name")
    rows = browser.page.find("table").find("tbody").find_all("tr")
    assert "account-24" in rows[1].get_text()
    browser.submit("Search", q="unt-13")
    assert "1–1 of 1" in browser.text
    browser.submit("Search", q="", joined_by="Admin")
    assert "1–1 of 1" in browser.text
    browser.submit("Search", q="nowhere", joined_by="")
    assert "No member matches" in browser.text


def test_dep_2_chosen_members_move_together(browser, make, signed_in, sales):
    organization = signed_in.organization
    chosen = [member(make, organization, name) for name in ("shop", "lab")]
    browser.open("/console/organization").submit("Move", member=chosen)
    assert browser.title.startswith("Move members")
    browser.submit("Move", department=sales.id)
    assert "2 members moved." in browser.text
    assert names(make, organization, department_id=sales.id) == ["lab", "shop"]


def test_mem_2_chosen_members_are_removed_after_a_word_of_what_happens(browser, make, signed_in):
    organization = signed_in.organization
    chosen = [member(make, organization, name) for name in ("shop", "lab")]
    browser.open("/console/organization").submit("Remove", member=chosen)
    assert "Removes 2 accounts from the organization" in browser.text
    browser.click("Remove from the organization")
    assert "2 members removed." in browser.text
    assert names(make, organization) == ["Acme-admin"]


def test_mem_2_the_admin_account_is_not_removed_nor_who_is_chosen_with_it(browser, make, signed_in):
    organization = signed_in.organization
    chosen = [member(make, organization, "shop"), organization.admin_uin]
    browser.open("/console/organization").submit("Remove", member=chosen)
    assert "Acme-admin is the admin account of the organization. It stays" in browser.text
    assert "Removes 1 account from" in browser.text
    token = browser.page.find(attrs={"name": "csrf_token"})["value"]
    browser.post("/console/organization/members/remove", {"csrf_token": token, "member": chosen}, status=400)
    assert "is the admin account of the organization and cannot be removed" in browser.text
    assert names(make, organization) == ["Acme-admin", "shop"]
    with make.transaction() as session:
        refusal = session.scalars(select(AuditEvent).where(AuditEvent.result == Result.REFUSED)).one()
        assert refusal.action == "console.remove_members"


def test_nothing_chosen_is_told(browser, signed_in):
    for button in ("Move", "Remove"):
        browser.open("/console/organization").submit(button)
        assert "No member chosen" in browser.text


def test_a_strangers_departments_and_members_are_not_found(browser, make, signed_in):
    stranger = admin.make_organization(make, "Other")
    theirs = department(make, stranger, "Secret")
    uin = member(make, stranger, "vault")
    for path in (
        f"?department={theirs.id}",
        "?department=abc",
        "?department=" + "9" * 40,
        "?department=999999999999999999",
        "/departments/9999999999/edit",
        "/departments/9999999999/delete",
        f"/members/{10**18}/edit",
        f"/members/move?member={10**18}",
        f"/departments/{theirs.id}/edit",
        f"/departments/{theirs.id}/delete",
        f"/members/{uin}/edit",
        f"/members/{'9' * 40}/edit",
        f"/members/move?member={uin}",
        f"/members/remove?member={uin}",
        f"/members/remove?member={stranger.admin_uin}",
    ):
        browser.open(f"/console/organization{path}", status=404)
        assert "Secret" not in browser.text
        assert "vault" not in browser.text
    own = member(make, signed_in.organization, "shop")
    browser.open(f"/console/organization/members/move?member={own}")
    browser.submit("Move", department=theirs.id, status=404)
    browser.open(f"/console/organization/members/move?member={own}")
    browser.submit("Move", department=9999999999, status=404)
    browser.open("/console/organization/departments/create")
    browser.submit("Create", name="Mine", parent=theirs.id, status=400)
    browser.open("/console/organization/members/create")
    browser.submit("Create", name="mine", department=theirs.id, status=404)
    with make.transaction() as session:
        assert queries.tree(session, stranger).total == 2


def test_a_read_only_administrator_sees_the_organization_and_changes_nothing(browser, make):
    organization = admin.sign_in(browser, make, policies=[admin.READ_ONLY]).organization
    sales = department(make, organization, "Sales")
    browser.open(f"/console/organization?department={sales.id}&below=1")
    links = {link.get_text(" ", strip=True) for link in browser.page.find("main").find_all(["a", "button"])}
    links.discard(f"Copy {sales.id}")
    tabs = {"Members of this department 0", "With the departments below 0", "Permissions", "Service control policies"}
    assert links == {"Root", "Sales", "Search", *tabs}
    for path in (
        "departments/create",
        f"departments/{sales.id}/edit",
        f"departments/{sales.id}/delete",
        "members/create",
        f"members/{organization.admin_uin}/edit",
        "members/move",
        "members/remove",
    ):
        browser.open(f"/console/organization/{path}", status=403)


def test_mem_2_moving_who_is_there_already_says_so_and_closing_is_offered_at_root(browser, make, signed_in):
    organization = signed_in.organization
    sales, shop = department(make, organization, "Sales"), member(make, organization, "shop")
    browser.open("/console/organization")
    assert "Close the organization" in browser.text
    for words in ("1 member moved.", "Nothing to move: all of them are in Sales already."):
        browser.open(f"/console/organization/members/move?member={shop}").submit("Move", department=sales.id)
        assert words in browser.text
    assert browser.url == f"/console/organization?department={sales.id}"
    assert "Close the organization" not in browser.text
