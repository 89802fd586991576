"""Deploying without assigning anyone, and redeploying all that require it (IC-9, IC-10)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from portal.core import limits
from portal.core.access import configurations
from portal.core.access.models import Authorization, Configuration, ConfigurationPolicy, Task
from portal.core.actor import SYSTEM
from portal.core.database import Database
from portal.settings import Settings
from portal.worker.engine import run_until_idle
from tests.support.admin import READ_ONLY, Admin, sign_in
from tests.support.browser import Browser
from tests.support.granting import grant, make_configuration
from tests.support.make import Make


@pytest.fixture(autouse=True)
def usual_limits() -> Iterator[None]:
    yield
    limits.set_limits(limits.Limits())


@pytest.fixture
def admin(browser: Browser, make: Make) -> Admin:
    return sign_in(browser, make)


def number(database: Database, model: type) -> int:
    with database.transaction(write=False) as session:
        return session.query(model).count()


def outdate(make: Make, admin: Admin, *found: Configuration) -> None:
    with make.transaction() as session:
        for one in found:
            held = configurations.get_configuration(session, admin.space, one.id)
            configurations.add_policies(session, SYSTEM, configuration=held, names=["QcloudCamFullAccess"])


def test_ic_9_a_configuration_is_deployed_to_chosen_accounts(
    browser: Browser, admin: Admin, make: Make, database: Database, settings: Settings
) -> None:
    accounts = [make.account(admin.space, f"shop{at:02}") for at in range(22)]
    reader = make_configuration(make, admin.space, "Reader", "ReadOnlyAccess")
    browser.open(f"/console/configurations/{reader.id}?tab=deployments").click("Deploy to accounts")
    assert "Permission configurations (1): Reader" in browser.text
    browser.submit("Next page", account=[accounts[3].uin])
    assert "1 more selected, not in this view" in browser.text
    browser.submit("Search", account_q="shop21", account=[accounts[3].uin, accounts[21].uin])
    browser.submit("Next")
    assert "shop03, shop21" in browser.text
    assert "2 CAM roles are made with their policies" in browser.text
    browser.submit("Change accounts").submit("Next")
    browser.submit("Submit")
    run_until_idle(database, settings)
    browser.click("Refresh")
    assert "Finished: all 2 tasks succeeded." in browser.text
    browser.click("Completed")
    assert browser.url.startswith(f"/console/configurations/{reader.id}")
    assert "shop03" in browser.text
    assert number(database, Authorization) == 0
    browser.click("Deploy to accounts").submit("Select all 23")
    assert "2 deployments exist already and will fail" in browser.text
    assert "The deployment already exists: Reader in shop03." in browser.text
    browser.submit("Submit")
    assert "2 of 23 tasks done." in browser.text


def test_ic_9_from_the_page_of_an_account(
    browser: Browser, admin: Admin, make: Make, database: Database, settings: Settings
) -> None:
    shop = make.account(admin.space, "shop")
    make_configuration(make, admin.space, "Reader", "ReadOnlyAccess")
    writer = make_configuration(make, admin.space, "Writer", "AdministratorAccess")
    browser.open(f"/console/accounts/{shop.uin}?tab=deployments").click("Deploy configuration")
    assert "For 1 account: shop" in browser.text
    browser.submit("Next", status=400)
    assert "Select at least one permission configuration." in browser.text
    browser.submit("Next", configuration=[writer.id]).submit("Submit")
    run_until_idle(database, settings)
    browser.click("Refresh").click("Completed")
    assert "Writer" in browser.text
    assert "Reader" not in browser.text


def test_ic_9_a_failed_deployment_says_why_on_both_pages(
    browser: Browser, admin: Admin, make: Make, database: Database, settings: Settings
) -> None:
    shop, reader = make.account(admin.space, "shop"), make_configuration(make, admin.space, "Reader")
    with make.transaction() as session:
        session.add(ConfigurationPolicy(configuration_id=reader.id, policy_name="QcloudGoneFullAccess"))
    grant(make, admin.space, accounts=[shop], principals=[make.user(admin.space)], configurations=[reader])
    pages = (f"/console/accounts/{shop.uin}", f"/console/configurations/{reader.id}")
    run_until_idle(database, settings)
    for page in pages:
        browser.open(f"{page}?tab=deployments")
        assert "Deployment failed" in browser.text
        assert "QcloudGoneFullAccess" in browser.page.find("tbody").get_text()
        browser.click(f"See the task {'Reader' if 'accounts' in page else 'shop'}")
        assert "QcloudGoneFullAccess" in browser.text
        browser.click("Completed")
        assert browser.url == f"{page}?tab=deployments"


def test_ic_9_no_account_no_review(browser: Browser, admin: Admin, make: Make, database: Database) -> None:
    reader = make_configuration(make, admin.space, "Reader", "ReadOnlyAccess")
    browser.open(f"/console/deploy/accounts?configuration={reader.id}").submit("Next", status=400)
    assert "Select at least one account." in browser.text
    assert number(database, Task) == 0


def test_ic_10_all_that_require_it_are_redeployed_by_configuration_by_account_and_everywhere(
    browser: Browser, admin: Admin, make: Make, database: Database, settings: Settings
) -> None:
    shop, lab = make.account(admin.space, "shop"), make.account(admin.space, "lab")
    reader = make_configuration(make, admin.space, "Reader", "ReadOnlyAccess")
    writer = make_configuration(make, admin.space, "Writer", "ReadOnlyAccess")
    alice = make.user(admin.space, "alice")
    grant(make, admin.space, accounts=[shop, lab], principals=[alice], configurations=[reader, writer])
    run_until_idle(database, settings)
    browser.open("/console/")
    assert "Redeployment required" not in browser.text
    outdate(make, admin, reader, writer)
    browser.open(f"/console/configurations/{reader.id}?tab=deployments").click("Redeploy all that require it (2)")
    assert "Writer" not in browser.page.find("tbody").get_text()
    browser.submit("Redeploy all")
    run_until_idle(database, settings)
    browser.click("Refresh")
    assert "Finished: all 2 tasks succeeded." in browser.text
    browser.open(f"/console/accounts/{lab.uin}?tab=deployments").click("Redeploy all that require it (1)")
    browser.submit("Redeploy all")
    run_until_idle(database, settings)
    browser.open("/console/").click("1 Redeployment required")
    assert browser.page.find("tbody").get_text(" ").split()[0] == "shop"
    browser.submit("Redeploy all")
    run_until_idle(database, settings)
    browser.open("/console/deployments/redeploy-outdated")
    assert "Nothing requires redeployment (any more)." in browser.text


def test_ic_10_more_than_a_batch_takes_are_not_redeployed_at_once(
    browser: Browser, admin: Admin, make: Make, database: Database, settings: Settings
) -> None:
    accounts = [make.account(admin.space, f"shop{at:02}") for at in range(21)]
    reader = make_configuration(make, admin.space, "Reader", "ReadOnlyAccess")
    grant(make, admin.space, accounts=accounts, principals=[make.user(admin.space)], configurations=[reader])
    run_until_idle(database, settings)
    outdate(make, admin, reader)
    limits.set_limits(limits.Limits(triples_per_batch=20))
    browser.open("/console/deployments/redeploy-outdated").click("Next page")
    assert "shop20" in browser.text
    assert "The limit of 20 deployments in one batch is reached (triples_per_batch)." in browser.text
    tasks = number(database, Task)
    browser.submit("Redeploy all", status=400)
    assert number(database, Task) == tasks


def test_who_may_only_read_deploys_nothing(
    browser: Browser, make: Make, database: Database, settings: Settings
) -> None:
    admin = sign_in(browser, make, policies=(READ_ONLY,))
    reader = make_configuration(make, admin.space, "Reader")
    browser.open(f"/console/configurations/{reader.id}?tab=deployments")
    assert "Deploy to accounts" not in browser.text
    shop = make.account(admin.space, "shop")
    grant(make, admin.space, accounts=[shop], principals=[make.user(admin.space)], configurations=[reader])
    run_until_idle(database, settings)
    browser.open(f"/console/accounts/{shop.uin}?tab=deployments")
    assert "Deployed" in browser.page.find("tbody").get_text()
    assert not browser.page.find_all("input", type="checkbox")
    browser.open(f"/console/deploy/accounts?configuration={reader.id}", status=403)
    browser.open("/console/deployments/redeploy-outdated", status=403)
