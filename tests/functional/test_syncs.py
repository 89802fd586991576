"""User synchronizations: list, details, edit, delete (IC-14)."""

from __future__ import annotations

import pytest

from portal.core.access import syncs
from portal.core.access.models import UserSync
from portal.core.actor import SYSTEM
from portal.core.database import Database
from portal.core.organization.models import Account
from portal.core.space.models import Space
from portal.settings import Settings
from portal.worker.engine import run_until_idle
from tests.support.admin import Admin, sign_in
from tests.support.browser import Browser
from tests.support.make import Make


@pytest.fixture
def admin(browser: Browser, make: Make) -> Admin:
    return sign_in(browser, make)


def synchronize(make: Make, space: Space, account: Account, *users: str, deletion: str = "Keep") -> UserSync:
    with make.transaction() as session:
        syncs.synchronize(
            session,
            SYSTEM,
            space=space,
            accounts=[account.uin],
            users=[make.user(space, name).id for name in users],
            description="For the shop",
            deletion_strategy=deletion,
        )
        return session.query(UserSync).filter_by(account_uin=account.uin).one()


def test_ic_14_the_empty_list_leads_to_the_accounts(browser: Browser, admin: Admin) -> None:
    browser.open("/console/syncs")
    assert "No user synchronizations" in browser.text
    browser.click("Configure CAM user synchronization")
    assert browser.title.startswith("Multi-account authorization")


def test_ic_14_list_details_edit(
    browser: Browser, admin: Admin, make: Make, database: Database, settings: Settings
) -> None:
    synchronize(make, admin.space, make.account(admin.space, "shop"), "alice")
    run_until_idle(database, settings)
    browser.open("/console/syncs").submit("Search", q="shop")
    assert "alice" in browser.text
    browser.click("Details alice shop")
    assert "Enabled" in browser.text
    assert browser.page.find("tbody").get_text(" ").split()[:2] == ["alice", "alice"]
    browser.click("Edit").submit("Save", description="x" * 1025, status=400)
    browser.submit("Save", description="Other words", deletion_strategy="Delete")
    assert "Other words" in browser.text
    assert "Delete policy Delete" in browser.text


@pytest.mark.parametrize(
    ("deletion", "words"),
    [("Keep", "1 CAM user stays in the account"), ("Delete", "1 CAM user is deleted in the account")],
)
def test_ic_14_deletion_says_what_happens_to_the_cam_users(
    browser: Browser, admin: Admin, make: Make, database: Database, settings: Settings, deletion: str, words: str
) -> None:
    shop = make.account(admin.space, "shop")
    synchronize(make, admin.space, shop, "alice", deletion=deletion)
    run_until_idle(database, settings)
    browser.open(f"/console/accounts/{shop.uin}?tab=syncs").click("Delete alice shop")
    assert words in browser.text
    browser.submit("Delete synchronization")
    run_until_idle(database, settings)
    browser.click("Refresh").click("Completed")
    assert "No user synchronizations" in browser.text


def test_a_strangers_synchronization_is_not_found(browser: Browser, admin: Admin, make: Make) -> None:
    other = make.space("other")
    foreign = synchronize(make, other, make.account(other), "stranger")
    for path in ("", "/edit", "/delete"):
        browser.open(f"/console/syncs/{foreign.id}{path}", status=404)
