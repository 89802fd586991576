"""Multi-account authorization, the page of an account, redeployment and undeployment (IC-10, IC-11, IC-13)."""

from __future__ import annotations

import json

import pytest
from sqlalchemy import select

from portal.core.access import configurations
from portal.core.access.models import Authorization, Configuration, Deployment
from portal.core.actor import SYSTEM
from portal.core.cam.models import CamPolicy
from portal.core.database import Database
from portal.core.directory.models import User
from portal.core.organization import departments, members, queries
from portal.core.organization.models import Account
from portal.settings import Settings
from portal.worker.engine import run_until_idle
from tests.support.admin import READ_ONLY, Admin, enter, make_administrator, sign_in
from tests.support.browser import Browser
from tests.support.granting import grant, make_configuration
from tests.support.make import Make


@pytest.fixture
def admin(browser: Browser, make: Make) -> Admin:
    return sign_in(browser, make)


@pytest.fixture
def granted(admin: Admin, make: Make, database: Database, settings: Settings) -> tuple[Account, User, Configuration]:
    """alice may enter the account shop as Reader."""
    shop, alice = make.account(admin.space, "shop"), make.user(admin.space, "alice")
    reader = make_configuration(make, admin.space, "Reader", "ReadOnlyAccess")
    grant(make, admin.space, accounts=[shop], principals=[alice], configurations=[reader])
    run_until_idle(database, settings)
    return shop, alice, reader


Granted = tuple[Account, User, Configuration]


def test_ic_12_the_tree_narrows_the_accounts(browser: Browser, admin: Admin, make: Make) -> None:
    shop = make.account(admin.space, "shop")
    make.account(admin.space, "lab")
    with make.transaction() as session:
        root = queries.root(session, admin.organization)
        sales = departments.create_department(
            session, SYSTEM, organization=admin.organization, parent=root, name="Sales"
        )
        members.move_members(session, SYSTEM, organization=admin.organization, department=sales, uins=[shop.uin])
    browser.open("/console/accounts")
    assert "lab" in browser.text
    browser.click("Sales")
    assert "shop" in browser.text
    assert "lab" not in browser.text
    browser.open("/console/accounts?q=nothing")
    assert "No account matches" in browser.text


def test_ic_13_an_account_without_anything_says_what_to_do(browser: Browser, admin: Admin, make: Make) -> None:
    shop = make.account(admin.space, "shop")
    browser.open(f"/console/accounts/{shop.uin}")
    assert "Nobody has an authorization here yet" in browser.text
    browser.click("Deployed configurations")
    assert "No permission configuration is deployed here" in browser.text
    browser.open(f"/console/accounts/{shop.uin}?tab=syncs")
    assert "No user synchronizations" in browser.text


def test_ic_13_add_permission_begins_with_the_principal_selected(
    browser: Browser, admin: Admin, granted: Granted, make: Make
) -> None:
    writer = make_configuration(make, admin.space, "Writer")
    browser.open(f"/console/accounts/{granted[0].uin}")
    browser.click("Add permission alice").submit("Next", configuration=[writer.id])
    assert "Users (1) alice" in browser.text
    assert "Starts 1 task:" in browser.text


def test_ic_13_remove_permissions_says_what_is_lost(
    browser: Browser, admin: Admin, granted: Granted, database: Database, settings: Settings
) -> None:
    shop = granted[0]
    browser.open(f"/console/accounts/{shop.uin}").click("Remove permissions alice")
    assert "alice loses in shop: Reader" in browser.text
    assert "refused at once, and who is inside is put out." in browser.text
    assert "session duration" not in browser.text
    browser.submit("Remove permissions", authorization=[], status=400)
    assert "Select at least one permission configuration." in browser.text
    browser.open(f"/console/accounts/{shop.uin}").click("Remove permissions alice")
    browser.submit("Remove permissions", undeploy_last="yes")
    run_until_idle(database, settings)
    browser.click("Refresh").click("Completed")
    assert "Nobody has an authorization here yet" in browser.text
    browser.click("Deployed configurations")
    assert "No permission configuration is deployed here" in browser.text


def test_ic_13_who_may_not_undeploy_may_not_ask_for_it_with_a_removal(
    browser: Browser, admin: Admin, granted: Granted, make: Make, database: Database
) -> None:
    shop, alice, _reader = granted
    allowed = {"effect": "allow", "action": ["organization:DeleteRoleAssignment"], "resource": ["*"]}
    with make.transaction() as session:
        document = json.dumps({"version": "2.0", "statement": [allowed]})
        session.add(CamPolicy(account_uin=admin.organization.admin_uin, name="Revoke", document=document))
    make_administrator(make, admin.organization, "revoker", [READ_ONLY, "Revoke"])
    browser.click("Sign out")
    enter(browser, admin.space.name, "revoker")
    browser.open(f"/console/accounts/{shop.uin}/permissions/{alice.id}/remove")
    assert "Undeploy a configuration" not in browser.text
    token = browser.page.find("input", attrs={"name": "csrf_token"})["value"]
    chosen = browser.page.find("input", attrs={"name": "authorization"})["value"]
    crafted = {"csrf_token": token, "authorization": chosen, "undeploy_last": "yes"}
    browser.post(browser.url, crafted, status=403)
    assert "organization:DismantleRoleConfiguration" in browser.text
    with database.transaction(write=False) as session:
        assert session.scalars(select(Authorization.status)).one() == "Active"
        assert session.scalars(select(Deployment.status)).one() == "Deployed"
    browser.open(f"/console/accounts/{shop.uin}/permissions/{alice.id}/remove").submit("Remove permissions")


def test_ic_10_redeploy_from_the_configurations_page(
    browser: Browser, admin: Admin, granted: Granted, make: Make, database: Database, settings: Settings
) -> None:
    reader = granted[2]
    browser.open(f"/console/configurations/{reader.id}?tab=deployments")
    assert "Redeployment required" not in rows(browser)
    browser.open(f"/console/configurations/{reader.id}").click("Add policy")
    browser.submit("Add", policy=["QcloudCVMFullAccess"])
    browser.open("/console/configurations")
    assert "1 need redeployment" in browser.text
    browser.open(f"/console/configurations/{reader.id}?tab=deployments")
    assert "Redeployment required" in rows(browser)
    browser.submit("Redeploy selected", deployment=[the_deployment(database)])
    assert "Brings 1 CAM role to what its permission configuration says now" in browser.text
    browser.submit("Redeploy")
    run_until_idle(database, settings)
    browser.click("Refresh")
    assert "Finished: the task succeeded." in browser.text
    browser.click("Completed")
    assert "Deployed" in rows(browser)
    assert "Redeployment required" not in rows(browser)


def test_ic_10_redeploy_needs_a_selection(browser: Browser, admin: Admin, granted: Granted) -> None:
    browser.open(f"/console/configurations/{granted[2].id}?tab=deployments").submit("Redeploy selected")
    assert "Select at least one deployment first." in browser.text


def test_ic_11_undeploy_from_the_accounts_page_in_three_steps(
    browser: Browser, admin: Admin, granted: Granted, make: Make, database: Database, settings: Settings
) -> None:
    shop, _alice, reader = granted
    browser.open(f"/console/accounts/{shop.uin}?tab=deployments").click("Undeploy Reader")
    assert "1 user or group loses this configuration in this account:" in browser.text
    assert "alice" in browser.text
    browser.submit("Next")
    assert "Removes 1 authorization, then the CAM role with its policies from the account." in browser.text
    browser.click("Back").submit("Next").submit("Undeploy")
    assert "Completed" in browser.text
    run_until_idle(database, settings)
    browser.click("Refresh")
    assert "Finished: all 2 tasks succeeded." in browser.text
    browser.click("Completed")
    assert "No permission configuration is deployed here" in browser.text
    with make.transaction() as session:
        found = configurations.get_configuration(session, admin.space, reader.id)
        configurations.remove_policy(session, SYSTEM, configuration=found, name="ReadOnlyAccess")
    browser.open(f"/console/configurations/{reader.id}/delete").submit("Delete permission configuration")


def test_ic_8_a_deployed_configuration_is_not_deleted(browser: Browser, admin: Admin, granted: Granted) -> None:
    browser.open(f"/console/configurations/{granted[2].id}/delete")
    assert "the deployment in 1 account" in browser.text
    browser.open(f"/console/configurations/{granted[2].id}/policies/ReadOnlyAccess/remove")
    assert "1 account has it deployed and keeps the old permissions until it is redeployed there." in browser.text


def test_strangers_accounts_and_deployments_are_not_found(
    browser: Browser, admin: Admin, make: Make, database: Database, settings: Settings
) -> None:
    other = make.space("other")
    account, user, reader = make.account(other), make.user(other), make_configuration(make, other, "Reader")
    grant(make, other, accounts=[account], principals=[user], configurations=[reader])
    run_until_idle(database, settings)
    browser.open(f"/console/accounts/{account.uin}", status=404)
    browser.open(f"/console/accounts/{account.uin}/permissions/{user.id}/remove", status=404)
    browser.open(f"/console/deployments/{the_deployment(database)}/undeploy", status=404)
    browser.open(f"/console/deployments/redeploy?deployment={the_deployment(database)}")
    assert "Select at least one deployment first." in browser.text


def test_the_page_to_return_to_is_ours(browser: Browser, admin: Admin, granted: Granted, database: Database) -> None:
    for back in ("https://evil.example", "//evil.example", "/console/../evil", "/logout", "/\\evil.example"):
        browser.open(f"/console/deployments/redeploy?deployment={the_deployment(database)}&back={back}")
        cancel = next(link for link in browser.page.find_all("a") if link.get_text() == "Cancel")
        assert cancel["href"] == "/console/configurations"


def the_deployment(database: Database) -> int:
    with database.transaction(write=False) as session:
        return session.query(Deployment.id).scalar()


def rows(browser: Browser) -> str:
    table = browser.page.find("tbody")
    return " ".join(table.get_text(" ").split()) if table else ""
