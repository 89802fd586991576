"""User synchronizations: list, details, edit, delete (IC-14)."""

from __future__ import annotations

import pytest

from portal.core.access import syncs
from portal.core.access.models import TaskStatus, TaskType, UserSync
from portal.core.access.tasks import enqueue, new_batch
from portal.core.actor import SYSTEM
from portal.core.cam import access_keys
from portal.core.cam.users import create_cam_user, find_cam_user
from portal.core.database import Database
from portal.core.organization.models import Account, Member
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


def test_ic_14_a_failed_event_is_listed_and_retried_with_another_policy(
    browser: Browser, admin: Admin, make: Make, database: Database, settings: Settings
) -> None:
    shop = make.account(admin.space, "shop")
    with make.transaction() as session:
        for name in ("alice", "alice_cic"):
            create_cam_user(session, SYSTEM, account_uin=shop.uin, name=name)
    synchronize(make, admin.space, shop, "alice")
    run_until_idle(database, settings)
    browser.open("/console/syncs").submit("Search", events="failed")
    browser.click("1 failed event")
    assert "The account has CAM users named alice and alice_cic already." in browser.text
    browser.open("/console/syncs").click("Failed events 1").submit("Retry alice shop")
    assert browser.url == "/console/syncs?tab=events"
    run_until_idle(database, settings)
    browser.open("/console/syncs?tab=events").click("Retry with another policy alice shop")
    browser.submit("Retry", policy="nonsense", status=400)
    browser.submit("Retry", policy="TakeOver")
    run_until_idle(database, settings)
    browser.click("Refresh").click("Completed")
    assert "No failed events" in browser.text
    browser.open("/console/syncs").click("Details alice shop")
    assert "Conflict policy Replace" in browser.text
    assert "Failed events" not in browser.text
    browser.open("/console/syncs").submit("Search", events="failed")
    assert "No user synchronization matches" in browser.text


def test_ic_14_a_cam_user_with_an_access_key_is_kept_until_it_is_let_go(
    browser: Browser, admin: Admin, make: Make, database: Database, settings: Settings
) -> None:
    shop = make.account(admin.space, "shop")
    sync = synchronize(make, admin.space, shop, "alice", deletion="Delete")
    run_until_idle(database, settings)
    with make.transaction() as session:
        alice = find_cam_user(session, shop.uin, "alice")
        assert alice
        access_keys.create_access_key(session, SYSTEM, cam_user=alice)
    browser.open(f"/console/syncs/{sync.id}/delete").submit("Delete synchronization")
    run_until_idle(database, settings)
    browser.open(f"/console/syncs/{sync.id}")
    assert "The CAM user alice has an access key and is not deleted." in browser.text
    browser.click("Retry with another policy alice shop").submit("Retry", policy="Keep")
    run_until_idle(database, settings)
    browser.open(f"/console/syncs/{sync.id}", status=404)
    browser.open("/console/syncs?tab=events")
    assert "No failed events" in browser.text


@pytest.mark.parametrize(
    ("strategy", "words"),
    [
        ("TakeOver", ("is taken over: it loses its policies", "keeps its access keys", "0 CAM users are made")),
        ("KeepBoth", ("stays as it is: the synchronized one gets the suffix _cic", "1 CAM user is made")),
    ],
)
def test_ic_14_the_review_says_what_becomes_of_the_accounts_own_user(
    browser: Browser, admin: Admin, make: Make, strategy: str, words: tuple[str, ...]
) -> None:
    shop, alice = make.account(admin.space, "shop"), make.user(admin.space, "alice")
    with make.transaction() as session:
        create_cam_user(session, SYSTEM, account_uin=shop.uin, name="alice", policies=["ReadOnlyAccess"])
    browser.open(f"/console/grant-users/basics?account={shop.uin}&user={alice.id}")
    assert "One that is replaced is taken over" in browser.text
    browser.submit("Next", duplication_strategy=strategy)
    for said in words:
        assert said in browser.text
    assert ("1 CAM user of an account is taken over" in browser.text) == (strategy == "TakeOver")


def failed_task(make: Make, space: Space, account: Account, type: TaskType, sync_id: str | None = None) -> str:
    with make.transaction() as session:
        about = {"space_id": space.id, "account_uin": account.uin, "account_name": account.name, "sync_id": sync_id}
        outcome = {"status": TaskStatus.FAILED, "attempts": 1, "reason": "The account does not answer."}
        return enqueue(session, batch_id=new_batch(), type=type, principal_name=str(type), **about, **outcome).id


def test_ic_14_an_event_that_nobody_can_run_again_is_none(browser: Browser, admin: Admin, make: Make) -> None:
    shop, lab = make.account(admin.space, "shop"), make.account(admin.space, "lab")
    sync = synchronize(make, admin.space, shop, "alice")
    gone = [
        failed_task(make, admin.space, shop, TaskType.SYNC_DELETE, "up-gone"),
        failed_task(make, admin.space, lab, TaskType.SYNC_USER_REMOVED),
    ]
    left = [
        failed_task(make, admin.space, shop, TaskType.SYNC_DELETE, sync.id),
        failed_task(make, admin.space, shop, TaskType.SYNC_USER_REMOVED, "up-gone"),
    ]
    browser.open("/console/syncs?tab=events")
    assert "Failed events 3" in browser.text
    with make.transaction() as session:
        session.query(Member).filter_by(account_uin=lab.uin).delete()
    browser.open("/console/syncs?tab=events")
    assert "Failed events 2" in browser.text
    for task_id in left:
        assert task_id in browser.text
        browser.open(f"/console/syncs/events/{task_id}/retry").open("/console/syncs?tab=events")
    for task_id in gone:
        assert task_id not in browser.text
        browser.open(f"/console/syncs/events/{task_id}/retry", status=404).open("/console/syncs?tab=events")


def test_ic_14_a_deletion_that_failed_says_so_and_is_run_again(
    browser: Browser, admin: Admin, make: Make, database: Database, settings: Settings
) -> None:
    sync = synchronize(make, admin.space, make.account(admin.space, "shop"), "alice", deletion="Delete")
    run_until_idle(database, settings)
    with make.transaction() as session:
        alice = find_cam_user(session, sync.account_uin, "alice")
        assert alice
        key = access_keys.create_access_key(session, SYSTEM, cam_user=alice)[0]
    browser.open(f"/console/syncs/{sync.id}/delete").submit("Delete synchronization")
    browser.open("/console/syncs")
    assert "alice User Deleting" in browser.text
    assert "Delete alice shop" not in browser.text
    run_until_idle(database, settings)
    for url in ("/console/syncs", f"/console/syncs/{sync.id}"):
        browser.open(url)
        assert "Deletion failed" in browser.text
        assert not browser.page.find("a", href=f"/console/syncs/{sync.id}/delete")
    browser.open("/console/syncs").submit("Retry alice shop")
    assert browser.url == "/console/syncs"
    assert "alice User Deleting" in browser.text
    run_until_idle(database, settings)
    with make.transaction() as session:
        session.delete(session.merge(key))
    browser.open(f"/console/syncs/{sync.id}").submit("Retry the deletion")
    run_until_idle(database, settings)
    browser.open("/console/syncs")
    assert "No user synchronizations" in browser.text
