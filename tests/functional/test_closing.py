"""Closing the organization (ORG-3): refused with the reason, emptied from the same dialog, confirmed by its name."""

from __future__ import annotations

from flask import Flask

from portal.core.access.models import Authorization
from portal.core.database import Database
from portal.core.organization.models import Account, Organization
from portal.settings import Settings
from portal.worker.engine import run_until_idle
from tests.support.admin import PASSWORD, READ_ONLY, activate, enter, make_administrator, make_organization, sign_in
from tests.support.browser import Browser
from tests.support.granting import grant, make_configuration
from tests.support.make import Make


def test_org_3_from_the_refusal_to_the_closed_page(
    browser: Browser, make: Make, database: Database, settings: Settings
) -> None:
    admin = sign_in(browser, make)
    make.account(admin.space, "shop")
    with make.transaction() as session:
        root = session.get_one(Account, admin.organization.admin_uin)
    reader = make_configuration(make, admin.space, "Reader", "ReadOnlyAccess")
    grant(make, admin.space, accounts=[root], principals=[make.user(admin.space, "alice")], configurations=[reader])
    run_until_idle(database, settings)
    browser.open("/console/organization").click("Close the organization")
    for words in ("1 member account besides the admin account", "shop", "1 deployment in the admin account"):
        assert words in browser.text
    browser.click("Remove everything first").submit("Remove everything")
    run_until_idle(database, settings)
    browser.click("Refresh").click("Completed")
    assert "Remove everything first" not in browser.text
    browser.click("1 member account besides the admin account")
    shop = browser.page.find("a", string="shop")["href"].rpartition("/")[2]
    browser.open(f"/console/organization/members/remove?member={shop}").submit("Remove from the organization")
    browser.open("/console/organization/close").submit("Close the organization", name="Acm", status=400)
    assert "This is not the name of the organization." in browser.text
    browser.submit("Close the organization", name="Acme")
    assert browser.title.startswith("The organization is closed")
    with database.transaction(write=False) as session:
        assert session.query(Organization).count() == session.query(Authorization).count() == 0
    browser.open("/console/")
    assert browser.url.startswith("/console/login")
    browser.submit("Sign in", account="acme", user_name="admin", password=PASSWORD, status=400)
    browser.open("/login/acme", status=404)


def test_org_3_who_is_signed_in_elsewhere_is_out_and_a_new_one_is_made(
    browser: Browser, make: Make, app: Flask
) -> None:
    admin = sign_in(browser, make)
    second = Browser(app)
    make_administrator(make, admin.organization, "second")
    enter(second, "acme", "second")
    browser.open("/console/organization/close").submit("Close the organization", name="Acme")
    second.open("/console/users")
    assert second.url.startswith("/console/login")
    again = make_organization(make, "Acme")
    activate(make, again, "acme")
    make_administrator(make, again, "admin")
    enter(browser, "acme", "admin")
    browser.open("/console/audit")
    assert "organization.close" not in browser.text


def test_org_3_who_may_only_look_does_not_close(browser: Browser, make: Make) -> None:
    sign_in(browser, make, policies=(READ_ONLY,))
    browser.open("/console/organization")
    assert "Close the organization" not in browser.text
    browser.open("/console/organization/close", status=403)
