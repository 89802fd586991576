"""Departments as target of authorizations, as an administrator handles them in the console."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import delete, select, update

from portal.core import limits
from portal.core.access import departments
from portal.core.access.models import Authorization, Configuration, DepartmentAuthorization, Task, TaskStatus
from portal.core.actor import SYSTEM
from portal.core.database import Database
from portal.core.directory.models import User
from portal.core.organization import members, queries
from portal.core.organization.departments import create_department
from portal.core.organization.models import Account, Department
from portal.settings import Settings
from portal.worker.engine import run_until_idle
from tests.support.admin import READ_ONLY, Admin, sign_in
from tests.support.browser import Browser
from tests.support.granting import grant, make_configuration
from tests.support.make import Make


class World:
    """Research with the account shop, Sales beside it, alice and a configuration Reader."""

    def __init__(self, make: Make, admin: Admin, database: Database, settings: Settings) -> None:
        self.make, self.admin, self.database, self.settings = make, admin, database, settings
        self.research, self.sales = self.department("Research"), self.department("Sales")
        self.shop = self.member("shop", self.research)
        self.alice: User = make.user(admin.space, "alice")
        self.reader: Configuration = make_configuration(make, admin.space, "Reader", "ReadOnlyAccess")

    def department(self, name: str) -> Department:
        with self.make.transaction() as session:
            root = queries.root(session, self.admin.organization)
            return create_department(session, SYSTEM, organization=self.admin.organization, parent=root, name=name)

    def member(self, name: str, place: Department) -> Account:
        with self.make.transaction() as session:
            return members.create_member(
                session, SYSTEM, organization=self.admin.organization, department=place, name=name
            )

    def grant(self, place: Department) -> None:
        with self.make.transaction() as session:
            departments.grant_departments(
                session,
                SYSTEM,
                space=self.admin.space,
                departments=[place.id],
                users=[self.alice.id],
                configurations=[self.reader.id],
            )
        self.work()

    def grant_directly(self, account: Account) -> None:
        grant(self.make, self.admin.space, accounts=[account], principals=[self.alice], configurations=[self.reader])
        self.work()

    def work(self) -> None:
        run_until_idle(self.database, self.settings)

    def holds(self, account: Account) -> list[str]:
        with self.database.transaction(write=False) as session:
            return list(session.scalars(select(Authorization.status).filter_by(account_uin=account.uin)))

    def url(self, place: Department) -> str:
        return f"/console/organization/departments/{place.id}/permissions"


@pytest.fixture
def world(browser: Browser, make: Make, database: Database, settings: Settings) -> World:
    return World(make, sign_in(browser, make), database, settings)


def test_a_department_is_authorized_from_its_page(browser: Browser, world: World) -> None:
    browser.open(f"/console/organization?department={world.research.id}").click("Permissions")
    assert "Nothing is granted here" in browser.text
    browser.click("Add permissions")
    assert "For every account in the department Research and in those below it, now and later." in browser.text
    browser.submit("Next", status=400)
    assert "Select at least one user or user group." in browser.text
    browser.submit("Next", user=[world.alice.id])
    browser.submit("Next", status=400)
    assert "Select at least one permission configuration." in browser.text
    browser.submit("Next", configuration=[world.reader.id])
    assert "Accounts now, with departments below 1" in browser.text
    assert "Starts 1 task now." in browser.text
    assert "exist" not in browser.text
    assert "1 CAM role is made with its policies" in browser.text
    assert "shop 1 0 1 0 0 0 new" in browser.page.find("tbody").get_text(" ", strip=True)
    browser.submit("Back").submit("Next").submit("Submit")
    assert "0 of 1 tasks done." in browser.text
    world.work()
    browser.click("Refresh").click("Completed")
    assert browser.url == world.url(world.research)
    row = browser.page.find("tbody").get_text(" ", strip=True)
    assert "alice User Reader this department" in row
    assert "1 account" in row
    assert world.holds(world.shop) == ["Active"]


def test_a_department_is_chosen_in_the_tree_of_multi_account_authorization(browser: Browser, world: World) -> None:
    world.grant_directly(world.shop)
    browser.open(f"/console/accounts?department={world.research.id}&user={world.alice.id}")
    browser.click("Authorize this department, now and later").submit("Next").submit(
        "Next", configuration=[world.reader.id]
    )
    assert "Starts 1 task now. 1 of them is for an authorization that exists already, and ends at once." in browser.text
    browser.submit("Submit")
    assert "Held already: granted directly." in browser.text


@pytest.fixture
def usual_limits() -> Iterator[None]:
    yield
    limits.set_limits(limits.Limits())


@pytest.mark.usefixtures("usual_limits")
def test_what_stands_in_the_way_is_said_before(browser: Browser, world: World) -> None:
    world.member("lab", world.research)
    with world.make.transaction() as session:
        session.execute(update(User).values(enabled=False))
    review = (
        f"/console/grant-departments/review?target={world.research.id}"
        f"&user={world.alice.id}&configuration={world.reader.id}"
    )
    browser.open(review)
    assert "The login of 1 user is disabled" in browser.text
    limits.set_limits(limits.Limits(triples_per_batch=1))
    browser.open(review)
    assert "The limit of 1 authorizations in one batch is reached (triples_per_batch)." in browser.text
    (button,) = [one for one in browser.page.find_all("button") if one.get_text() == "Submit"]
    assert button.has_attr("disabled")
    limits.set_limits(limits.Limits(roles_per_account=1))
    browser.open(review)
    assert "Tasks will fail where there is no room" in browser.text
    assert "This cannot be submitted" not in browser.text


def test_an_empty_department_is_authorized_for_later(browser: Browser, world: World) -> None:
    query = f"target={world.sales.id}&user={world.alice.id}&configuration={world.reader.id}"
    browser.open(f"/console/grant-departments/review?{query}").submit("Submit")
    assert "There is no account in Sales yet; each that comes gets it." in browser.text
    browser.open(f"/console/organization?department={world.sales.id}").click("Create member")
    assert "In Sales the account gets 1 authorization at once: alice: Reader" in browser.text
    browser.submit("Create", name="store")
    assert "Member account store created" in browser.text
    assert "Being granted by department Sales" in browser.text


def test_a_member_is_created_elsewhere_only_after_its_page_said_what_it_gets(browser: Browser, world: World) -> None:
    world.grant(world.sales)
    browser.open("/console/organization/members/create")
    assert "at once" not in browser.text
    browser.submit("Create", name="store", department=world.sales.id)
    assert "In Sales the account gets 1 authorization at once" in browser.text
    browser.submit("Create")
    assert "Member account store created" in browser.text


def test_what_the_department_grants_already_is_said_before_and_refused(browser: Browser, world: World) -> None:
    world.grant(world.research)
    query = f"target={world.research.id}&user={world.alice.id}&configuration={world.reader.id}"
    browser.open(f"/console/grant-departments/review?{query}")
    assert "1 of these combinations is granted by the department already" in browser.text
    browser.submit("Submit", status=400)
    assert "Research grants all of this already." in browser.text


def test_permissions_are_removed_after_a_page_that_says_what_goes(browser: Browser, world: World) -> None:
    world.grant_directly(world.shop)
    lab = world.member("lab", world.research)
    world.grant(world.research)
    with world.make.transaction() as session:
        granted = session.scalars(select(DepartmentAuthorization)).one()
    browser.open(world.url(world.research)).submit("Remove permissions")
    assert "Select at least one authorization first." in browser.text
    browser.submit("Remove permissions", authorization=[granted.id])
    assert "Takes 1 authorization from 1 account of Research" in browser.text
    assert "1 authorization stays open: it is granted directly, too" in browser.text
    browser.submit("Remove permissions")
    world.work()
    browser.click("Refresh")
    assert "Stays open: granted directly, too." in browser.text
    assert (world.holds(world.shop), world.holds(lab)) == (["Active"], [])


def test_what_comes_from_above_is_listed_below_and_removed_above(browser: Browser, world: World) -> None:
    with world.make.transaction() as session:
        root = queries.root(session, world.admin.organization)
    world.grant(root)
    browser.open(world.url(world.research))
    assert "alice User Reader Root" in browser.page.find("tbody").get_text(" ", strip=True)
    assert not browser.page.find_all(attrs={"name": "authorization"})
    with world.make.transaction() as session:
        granted = session.scalars(select(DepartmentAuthorization)).one()
    browser.open(f"{world.url(world.research)}/remove?authorization={granted.id}")
    assert "Select at least one authorization first." in browser.text
    browser.open(f"{world.url(world.research)}?q=nobody")
    assert "No authorization matches" in browser.text


def test_the_pages_of_account_user_and_group_name_the_department(browser: Browser, world: World) -> None:
    world.grant(world.research)
    for page in (f"/console/accounts/{world.shop.uin}", f"/console/users/{world.alice.id}?tab=permissions"):
        browser.open(page)
        assert "by department Research" in browser.text
        assert "Remove permissions" not in browser.text
        browser.click("See department Research" + (" alice" if "accounts" in page else " shop"))
        assert browser.url.startswith(world.url(world.research))
    browser.open(f"/console/explorer?user={world.alice.id}")
    assert "By department Research" in browser.text
    assert "Directly" not in browser.text
    world.grant_directly(world.shop)
    browser.open(f"/console/accounts/{world.shop.uin}")
    assert "directly, and by department Research" in browser.text
    browser.click("Remove permissions alice")
    assert "It stays open by the department." in browser.text
    assert "alice loses" not in browser.text
    browser.submit("Remove permissions")
    assert "Stays open: department Research grants it, too." in browser.text
    browser.open(f"/console/accounts/{world.shop.uin}/permissions/{world.alice.id}/remove")
    assert "Remove it from the department, or move the account." in browser.text
    browser.submit("Remove permissions", status=400)
    assert world.holds(world.shop) == ["Active"]


def test_a_move_is_reviewed_when_departments_grant_something(browser: Browser, world: World) -> None:
    world.grant(world.research)
    browser.open(f"/console/organization?department={world.research.id}").submit("Move", member=[world.shop.uin])
    browser.submit("Move", department=world.sales.id)
    assert "By moving to Sales: the member gains 0 authorizations and loses 1 authorization" in browser.text
    assert world.holds(world.shop) == ["Active"]
    browser.submit("Move")
    assert "1 member moved." in browser.text
    world.work()
    browser.click("Refresh").click("Completed")
    assert "Root / Sales" in browser.text
    assert world.holds(world.shop) == []


def test_a_move_to_another_place_than_the_reviewed_one_is_reviewed_again(browser: Browser, world: World) -> None:
    world.grant(world.research)
    with world.make.transaction() as session:
        root = queries.root(session, world.admin.organization)
    browser.open(f"/console/organization?department={world.research.id}").submit("Move", member=[world.shop.uin])
    browser.submit("Move", department=world.sales.id).submit("Move", department=root.id)
    assert "By moving to Root" in browser.text
    assert world.holds(world.shop) == ["Active"]


def test_what_is_missing_is_shown_and_granted_from_both_pages(browser: Browser, world: World) -> None:
    for page in (f"/console/accounts/{world.shop.uin}", world.url(world.research)):
        if page.startswith("/console/accounts"):
            world.grant(world.research)
        with world.make.transaction() as session:
            session.execute(delete(Authorization))
            session.execute(update(Task).values(status=TaskStatus.FAILED))
        browser.open(page)
        assert "missing" in browser.text
        browser.submit("Grant what is missing")
        world.work()
        browser.click("Refresh")
        assert "Finished: the task succeeded." in browser.text
        assert "missing" not in browser.open(page).text
        assert world.holds(world.shop) == ["Active"]


def test_undeploying_names_the_department(browser: Browser, world: World) -> None:
    world.grant(world.research)
    browser.open(f"/console/accounts/{world.shop.uin}?tab=deployments").click("Undeploy Reader")
    assert "It is not undeployed as long as a department grants it in this account: Research" in browser.text
    assert not [button for button in browser.page.find_all("button") if button.get_text() == "Next"]


def test_deleting_a_department_that_grants_something_is_refused(browser: Browser, world: World) -> None:
    world.grant(world.sales)
    browser.open(f"/console/organization/departments/{world.sales.id}/delete").submit("Delete department", status=409)
    assert "Sales still grants 1 authorization. Remove these first." in browser.text


def test_who_may_only_read_sees_what_departments_grant(
    browser: Browser, make: Make, database: Database, settings: Settings
) -> None:
    world = World(make, sign_in(browser, make, policies=(READ_ONLY,)), database, settings)
    world.grant(world.research)
    browser.open(world.url(world.research))
    assert "alice" in browser.text
    for words in ("Add permissions", "Remove permissions"):
        assert words not in browser.text
    browser.open(f"/console/grant-departments?target={world.research.id}", status=403)
    browser.open(f"{world.url(world.research)}/remove", status=403)
    browser.open("/console/accounts")
    assert "Authorize this department" not in browser.text


def test_departments_of_others_are_not_found(browser: Browser, make: Make, world: World) -> None:
    other = make.organization("Other")
    with make.transaction() as session:
        foreign = queries.root(session, other)
    for page in (
        f"/console/grant-departments?target={foreign.id}",
        "/console/grant-departments?target=x",
        "/console/grant-departments",
        world.url(foreign),
        f"{world.url(foreign)}/remove",
    ):
        browser.open(page, status=404)
