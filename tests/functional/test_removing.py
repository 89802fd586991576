"""Remove everything first: from the dialog that refuses, through one batch, back to it (IC-3, IC-4, IC-8, MEM-2)."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from portal.core.access import departments, syncs
from portal.core.access.models import Authorization, Deployment, Task, UserSync
from portal.core.actor import SYSTEM
from portal.core.cam import access_keys
from portal.core.cam.models import CamPolicy
from portal.core.cam.users import create_cam_user, find_cam_user
from portal.core.database import Database
from portal.core.organization import queries
from portal.core.organization.models import Account
from portal.settings import Settings
from portal.worker.engine import run_until_idle
from tests.support.admin import PASSWORD, Admin, enter, sign_in
from tests.support.browser import Browser
from tests.support.granting import grant, make_configuration
from tests.support.make import Make


@pytest.fixture
def admin(browser: Browser, make: Make) -> Admin:
    return sign_in(browser, make, policies=["AdministratorAccess"])


@pytest.fixture
def work(database: Database, settings: Settings) -> Callable[[], None]:
    return lambda: run_until_idle(database, settings) and None


@pytest.fixture
def estate(make: Make, admin: Admin, work: Callable[[], None]) -> dict[str, str]:
    """A user, its group, a configuration and an account in which all of them stand; URLs of the dialogs."""
    shop, alice = make.account(admin.space, "shop"), make.user(admin.space, "alice")
    team = make.group(admin.space, "team", [alice])
    reader = make_configuration(make, admin.space, "Reader", "ReadOnlyAccess")
    grant(make, admin.space, accounts=[shop], principals=[alice, team], configurations=[reader])
    with make.transaction() as session:
        wanted = {"accounts": [shop.uin], "users": [alice.id], "groups": [team.id]}
        syncs.synchronize(session, SYSTEM, space=admin.space, **wanted)
    work()
    return {
        "user": f"/console/users/{alice.id}/delete",
        "group": f"/console/groups/{team.id}/delete",
        "configuration": f"/console/configurations/{reader.id}/delete",
        "account": f"/console/organization/members/remove?member={shop.uin}",
    }


@pytest.mark.parametrize(
    ("kind", "shown", "button", "done"),
    [
        (
            "user",
            ("alice in shop as Reader", "alice in team", "Users in groups 1"),
            "Delete user",
            "User alice deleted.",
        ),
        ("group", ("team in shop as Reader", "alice in team"), "Delete user group", "User group team deleted."),
        (
            "configuration",
            ("Authorizations 2", "Reader in shop", "ReadOnlyAccess"),
            "Delete permission configuration",
            "Permission configuration Reader deleted.",
        ),
        (
            "account",
            ("Authorizations 2", "User synchronizations 2", "Deployments 1"),
            "Remove from the organization",
            "1 member removed.",
        ),
    ],
)
def test_the_dialog_leads_to_the_removal_and_back(
    browser: Browser, estate: dict[str, str], work: Callable[[], None], kind: str, shown: str, button: str, done: str
) -> None:
    browser.open(estate[kind]).click("Remove everything first")
    for words in shown:
        assert words in browser.text
    browser.submit("Remove everything")
    assert "tasks done." in browser.text
    work()
    browser.click("Refresh").click("Completed")
    assert browser.url == estate[kind]
    assert "Remove everything first" not in browser.text
    browser.submit(button)
    assert done in browser.text


def test_what_stands_in_no_account_goes_at_once(browser: Browser, admin: Admin, make: Make) -> None:
    alice = make.user(admin.space, "alice")
    make.group(admin.space, "team", [alice])
    browser.open(f"/console/users/{alice.id}/delete").click("Remove everything first").submit("Remove everything")
    assert "Removed. Nothing stood in accounts." in browser.text
    browser.submit("Delete user")
    assert "User alice deleted." in browser.text


def test_who_may_not_do_the_single_actions_removes_nothing(
    browser: Browser, admin: Admin, make: Make, estate: dict[str, str], database: Database
) -> None:
    only = {"effect": "allow", "action": ["organization:DeleteRoleAssignment"], "resource": ["*"]}
    document = json.dumps({"version": "2.0", "statement": [only]})
    uin = admin.organization.admin_uin
    with make.transaction() as session:
        session.add(CamPolicy(account_uin=uin, name="OnlyRevokes", document=document))
        held = ["QcloudOrganizationReadOnlyAccess", "OnlyRevokes"]
        create_cam_user(session, SYSTEM, account_uin=uin, name="half", password=PASSWORD, policies=held)
    browser.submit("Sign out")
    enter(browser, "acme", "half")
    browser.open(f"/console/remove-everything?account={estate['account'].rpartition('=')[2]}")
    assert "organization:DeleteUserSyncProvisioning, organization:DismantleRoleConfiguration" in browser.text
    browser.submit("Remove everything", status=400)
    with database.transaction(write=False) as session:
        assert [session.query(model).count() for model in (Authorization, Deployment, UserSync)] == [2, 1, 2]
        assert session.query(Task).filter_by(status="Queued").count() == 0


def test_the_review_says_what_will_fail_and_where_to_change_it(
    browser: Browser, admin: Admin, make: Make, work: Callable[[], None]
) -> None:
    shop, alice, bob = make.account(admin.space, "shop"), make.user(admin.space, "alice"), make.user(admin.space, "bob")
    with make.transaction() as session:
        wanted = {"accounts": [shop.uin], "deletion_strategy": "Delete"}
        syncs.synchronize(session, SYSTEM, space=admin.space, users=[bob.id], **wanted)
        syncs.synchronize(session, SYSTEM, space=admin.space, users=[alice.id], **wanted)
    work()
    with make.transaction() as session:
        found = find_cam_user(session, shop.uin, "alice")
        assert found
        access_keys.create_access_key(session, SYSTEM, cam_user=found)
    review = f"/console/remove-everything?user={alice.id}&account={shop.uin}&back=/console/users"
    browser.open(review)
    assert "alice in shop: CAM users are deleted" in browser.text
    assert "last deletion failed" not in browser.text
    browser.submit("Remove everything")
    work()
    browser.open(review)
    assert "The CAM user alice has an access key and is not deleted." in browser.text
    browser.click("Retry with another policy alice shop").submit("Retry", policy="Keep")
    work()
    browser.open(review)
    assert browser.url == "/console/users"


def test_the_review_of_an_account_says_what_a_department_grants(
    browser: Browser, admin: Admin, make: Make, work: Callable[[], None]
) -> None:
    shop, alice = make.account(admin.space, "shop"), make.user(admin.space, "alice")
    reader = make_configuration(make, admin.space, "Reader", "ReadOnlyAccess")
    with make.transaction() as session:
        root = queries.root(session, admin.organization)
        wanted = {"departments": [root.id], "users": [alice.id], "configurations": [reader.id]}
        departments.grant_departments(session, SYSTEM, space=admin.space, **wanted)
    work()
    browser.open(f"/console/remove-everything?account={shop.uin}")
    assert "alice in shop as Reader granted by department Root" in browser.text
    assert "comes back with “Grant what is missing” as long as the account is a member there" in browser.text
    browser.open(f"/console/remove-everything?user={alice.id}")
    assert "comes back" not in browser.text


def test_nothing_named_nothing_removed(browser: Browser, admin: Admin) -> None:
    browser.open("/console/remove-everything?user=nobody&account=1&back=/console/users")
    assert "Nothing is left to be removed." in browser.text
    assert browser.url == "/console/users"


def test_mem_2_the_admin_account_keeps_everything_when_it_is_chosen_with_others(
    browser: Browser, make: Make, admin: Admin, estate: dict[str, str], work: Callable[[], None]
) -> None:
    with make.transaction() as session:
        root = session.get_one(Account, admin.organization.admin_uin)
    grant(
        make,
        admin.space,
        accounts=[root],
        principals=[make.user(admin.space, "root")],
        configurations=[make_configuration(make, admin.space, "Auditor")],
    )
    work()
    browser.open(f"/console/organization/members/remove?member={root.uin}")
    assert "Remove everything first" not in browser.text
    assert "No member chosen" in browser.text
    browser.open(f"{estate['account']}&member={root.uin}").click("Remove everything first")
    assert "root in" not in browser.text
    shop = estate["account"].split("=")[1]
    browser.open(f"/console/remove-everything?account={shop}&account={root.uin}")
    browser.submit("Remove everything", status=400)
    assert f"{root.uin} is the admin account of the organization" in browser.text
    with make.transaction() as session:
        assert session.query(Authorization).count() == 3
    browser.open(estate["account"]).click("Remove everything first").submit("Remove everything")
    work()
    with make.transaction() as session:
        assert [one.account_uin for one in session.query(Authorization)] == [root.uin]
