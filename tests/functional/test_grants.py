"""The wizards of CAM role and CAM user synchronization, as an administrator fills them in (IC-12, IC-14)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import func, select

from portal.core import limits
from portal.core.access.models import Authorization, Task, UserSync
from portal.core.actor import SYSTEM
from portal.core.cam.users import create_cam_user
from portal.core.database import Database
from portal.core.directory import users
from portal.settings import Settings
from portal.worker.engine import run_until_idle
from tests.support.admin import READ_ONLY, Admin, sign_in
from tests.support.browser import Browser
from tests.support.granting import grant, make_configuration
from tests.support.make import Make

ROLES = "Configure CAM role synchronization"
USERS = "Configure CAM user synchronization"


@pytest.fixture(autouse=True)
def usual_limits() -> Iterator[None]:
    yield
    limits.set_limits(limits.Limits())


@pytest.fixture
def admin(browser: Browser, make: Make) -> Admin:
    return sign_in(browser, make)


def count(database: Database, model: type) -> int:
    with database.transaction(write=False) as session:
        return session.scalar(select(func.count()).select_from(model)) or 0


def test_ic_12_three_steps_make_one_task_per_triple(
    browser: Browser, admin: Admin, make: Make, database: Database, settings: Settings
) -> None:
    shop, lab = make.account(admin.space, "shop"), make.account(admin.space, "lab")
    alice, team = make.user(admin.space, "alice"), make.group(admin.space, "team")
    reader = make_configuration(make, admin.space, "Reader", "ReadOnlyAccess")
    browser.open("/console/accounts").submit(ROLES, account=[shop.uin, lab.uin])
    assert "For 2 accounts: lab, shop" in browser.text
    browser.submit("Next", user=[alice.id], group=[team.id])
    browser.submit("Next", configuration=[reader.id])
    assert "Starts 4 tasks: 2 accounts × 2 users and groups × 1 configuration." in browser.text
    assert "exists already" not in browser.text
    assert count(database, Task) == 0
    browser.submit("Submit")
    assert "0 of 4 tasks done." in browser.text
    run_until_idle(database, settings)
    browser.click("Refresh")
    assert "Finished: all 4 tasks succeeded." in browser.text
    assert browser.page.find(attrs={"data-settled": True})
    assert count(database, Authorization) == 4


def test_ic_12_existing_authorizations_are_named_before_and_fail_after(
    browser: Browser, admin: Admin, make: Make, database: Database, settings: Settings
) -> None:
    shop, alice, bob = make.account(admin.space, "shop"), make.user(admin.space, "alice"), make.user(admin.space, "bob")
    reader = make_configuration(make, admin.space, "Reader", "ReadOnlyAccess")
    grant(make, admin.space, accounts=[shop], principals=[alice], configurations=[reader])
    run_until_idle(database, settings)
    browser.open(f"/console/grant-roles/configurations?account={shop.uin}&user={alice.id}&user={bob.id}")
    browser.submit("Next", configuration=[reader.id])
    assert "1 authorization exists already and will fail" in browser.text
    assert "shop: The authorization already exists: alice has Reader in this account." in browser.text
    browser.submit("Submit")
    run_until_idle(database, settings)
    browser.click("Refresh")
    assert "Finished: 1 task failed, the others succeeded." in browser.text
    assert "The authorization already exists" in browser.text


def test_who_was_deleted_between_review_and_submit_is_not_left_out_silently(
    browser: Browser, admin: Admin, make: Make, database: Database
) -> None:
    shop, alice, bob = make.account(admin.space, "shop"), make.user(admin.space, "alice"), make.user(admin.space, "bob")
    reader = make_configuration(make, admin.space, "Reader", "ReadOnlyAccess")
    browser.open(f"/console/grant-roles/configurations?account={shop.uin}&user={alice.id}&user={bob.id}")
    browser.submit("Next", configuration=[reader.id])
    with make.transaction() as session:
        users.delete_user(session, SYSTEM, user=users.get_user(session, admin.space, bob.id))
    browser.submit("Submit", status=400)
    assert "does not exist any more" in browser.text
    assert count(database, Task) == 0
    browser.submit("Submit")
    assert count(database, Task) == 1


def test_the_selection_survives_search_pages_and_going_back(browser: Browser, admin: Admin, make: Make) -> None:
    shop = make.account(admin.space, "shop")
    people = [make.user(admin.space, f"person{number:02}") for number in range(25)]
    reader = make_configuration(make, admin.space, "Reader")
    browser.open(f"/console/grant-roles?account={shop.uin}")
    browser.submit("Next page", user=[people[0].id])
    assert "1 more selected, not in this view" in browser.text
    browser.submit("Search", user_q="person07")
    browser.submit("Search", user=[people[0].id, people[7].id], user_q="nobody of that name")
    assert "2 more selected" in browser.text
    browser.submit("Next")
    browser.submit("Back", configuration=[reader.id])
    assert "Selected: users 2 , user groups 0" in browser.text
    browser.submit("Next").submit("Next")
    assert "person00, person07" in browser.text
    assert "Reader" in browser.text


def test_all_matching_accounts_travel_as_the_query(browser: Browser, admin: Admin, make: Make) -> None:
    for number in range(23):
        make.account(admin.space, f"shop{number:02}")
    alice, reader = make.user(admin.space, "alice"), make_configuration(make, admin.space, "Reader")
    browser.open("/console/accounts?q=shop").click("Select all 23")
    browser.submit(ROLES)
    assert "For 23 accounts" in browser.text
    assert not browser.page.find_all(attrs={"name": "account"})
    browser.submit("Next", user=[alice.id]).submit("Next", configuration=[reader.id])
    assert "Starts 23 tasks" in browser.text


def test_every_step_says_what_is_missing(browser: Browser, admin: Admin, make: Make, database: Database) -> None:
    shop, alice = make.account(admin.space, "shop"), make.user(admin.space, "alice")
    browser.open("/console/accounts").submit(ROLES)
    assert "Select at least one account first." in browser.text
    browser.submit(ROLES, account=[shop.uin])
    browser.submit("Next", status=400)
    assert "Select at least one user or user group." in browser.text
    browser.submit("Next", user=[alice.id])
    assert "There are no permission configurations yet." in browser.text
    browser.submit("Next", status=400)
    assert "Select at least one permission configuration." in browser.text
    assert count(database, Task) == 0


def test_ids_of_others_fall_out_of_the_selection(browser: Browser, admin: Admin, make: Make) -> None:
    other = make.space("other")
    stranger, foreign = make.user(other, "stranger"), make.account(other, "foreign")
    shop = make.account(admin.space, "shop")
    browser.open(f"/console/grant-roles?account={foreign.uin}")
    assert "Select at least one account first." in browser.text
    browser.open(f"/console/grant-roles/configurations?account={shop.uin}&user={stranger.id}", status=400)
    assert "stranger" not in browser.text


def test_ic_14_three_steps_make_one_task_per_pair(
    browser: Browser, admin: Admin, make: Make, database: Database, settings: Settings
) -> None:
    shop, alice = make.account(admin.space, "shop"), make.user(admin.space, "alice")
    team = make.group(admin.space, "team", [make.user(admin.space, "bob")])
    browser.open("/console/accounts").submit(USERS, account=[shop.uin])
    browser.submit("Next", user=[alice.id], group=[team.id])
    browser.submit("Next", description="Shop keepers", duplication_strategy="TakeOver", deletion_strategy="Delete")
    assert "Starts 2 tasks: 1 account × 2 users and groups." in browser.text
    browser.submit("Back").submit("Back")
    browser.submit("Next").submit("Next")
    for words in ("Shop keepers", "Conflict policy Replace", "Delete policy Delete"):
        assert words in browser.text
    browser.submit("Submit")
    run_until_idle(database, settings)
    browser.click("Refresh")
    assert "Finished: all 2 tasks succeeded." in browser.text
    browser.open(f"/console/grant-users?account={shop.uin}").submit("Next", user=[alice.id]).submit("Next")
    assert "1 synchronization exists already and will fail" in browser.text
    assert count(database, UserSync) == 2


def test_who_may_only_read_gets_no_wizard(browser: Browser, make: Make) -> None:
    admin = sign_in(browser, make, policies=(READ_ONLY,))
    shop = make.account(admin.space, "shop")
    browser.open("/console/accounts")
    assert ROLES not in browser.text
    assert not browser.page.find_all("input", type="checkbox")
    browser.open(f"/console/accounts/{shop.uin}")
    assert ROLES not in browser.text
    browser.open(f"/console/grant-roles?account={shop.uin}", status=403)


def test_nonsense_in_the_address_selects_nothing(browser: Browser, admin: Admin) -> None:
    huge = "9" * 30
    for query in (f"account={huge}", "account=x", "account=-1", f"all=yes&department={huge}", "all=yes&department=x"):
        browser.open(f"/console/grant-roles?{query}")
        assert "Select at least one account first." in browser.text
    browser.open(f"/console/deployments/redeploy?deployment={huge}&deployment=x")
    assert "Select at least one deployment first." in browser.text
    browser.open(f"/console/accounts/{huge}", status=404)
    browser.open(f"/console/accounts?department={huge}")


def test_ic_12_the_review_says_what_will_happen_in_each_account(
    browser: Browser, admin: Admin, make: Make, database: Database, settings: Settings
) -> None:
    shop, lab = make.account(admin.space, "shop"), make.account(admin.space, "lab")
    alice, off = make.user(admin.space, "alice"), make.user(admin.space, "off", enabled=False)
    reader = make_configuration(make, admin.space, "Reader", "ReadOnlyAccess")
    grant(make, admin.space, accounts=[shop], principals=[alice], configurations=[reader])
    run_until_idle(database, settings)
    browser.open(f"/console/grant-roles/configurations?account={shop.uin}&account={lab.uin}&user={off.id}")
    browser.submit("Next", configuration=[reader.id])
    rows = [row.get_text(" ").split() for row in browser.page.find("tbody").find_all("tr")]
    assert rows == [["lab", "1", "0", "1", "0", "0", "0", "new"], ["shop", "1", "0", "0", "1", "0", "0", "there"]]
    for words in ("2 new authorizations", "1 account gets the identity provider", "The login of 1 user is disabled"):
        assert words in browser.text


@pytest.mark.parametrize("wizard", ["grant-roles", "grant-users"])
def test_a_limit_that_is_hit_is_said_before_and_refused_after(
    browser: Browser, admin: Admin, make: Make, database: Database, wizard: str
) -> None:
    shop, alice = make.account(admin.space, "shop"), make.user(admin.space, "alice")
    reader = make_configuration(make, admin.space, "Reader", "ReadOnlyAccess")
    other = make_configuration(make, admin.space, "Other", "ReadOnlyAccess")
    limits.set_limits(limits.Limits(roles_per_account=1, cam_users_per_account=1))
    with make.transaction() as session:
        create_cam_user(session, SYSTEM, account_uin=shop.uin, name="own")
    browser.open(f"/console/{wizard}?account={shop.uin}").submit("Next", user=[alice.id])
    browser.submit("Next", **({"configuration": [reader.id, other.id]} if wizard == "grant-roles" else {}))
    assert "This cannot be submitted: shop: The limit of 1 CAM" in browser.text
    [submit] = [button for button in browser.page.find_all("button") if button.get_text() == "Submit"]
    assert submit.has_attr("disabled")
    browser.submit("Submit", status=400)
    assert browser.text.count("shop: The limit of 1 CAM") == 2
    assert count(database, Task) == 0


def test_too_many_for_one_batch_are_refused_in_the_review(browser: Browser, admin: Admin, make: Make) -> None:
    for number in range(4):
        make.account(admin.space, f"shop{number}")
    alice, reader = make.user(admin.space, "alice"), make_configuration(make, admin.space, "Reader")
    limits.set_limits(limits.Limits(triples_per_batch=3))
    browser.open(f"/console/grant-roles/configurations?all=yes&q=shop&user={alice.id}")
    browser.submit("Next", configuration=[reader.id])
    assert "The limit of 3 authorizations in one batch is reached (triples_per_batch)." in browser.text
    browser.submit("Submit", status=400)
