"""Failed events of user synchronizations, and their retry with another policy (IC-14)."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import delete, select

from portal.core.access import queries, sync_events, syncs
from portal.core.access.models import DeletionStrategy, DuplicationStrategy, UserSync
from portal.core.access.rows import SyncEventRow
from portal.core.actor import SYSTEM
from portal.core.audit import AuditEvent
from portal.core.cam import access_keys
from portal.core.cam.users import create_cam_user, find_cam_user
from portal.core.directory import groups
from portal.core.errors import Invalid, NotFound
from portal.core.organization.models import Account
from portal.core.paging import Page, Search
from tests.support.make import Make
from tests.support.provisioning import Provisioning
from tests.support.statements import statements

KEEP_BOTH, TAKE_OVER = DuplicationStrategy.KEEP_BOTH, DuplicationStrategy.TAKE_OVER
KEEP, DELETE = DeletionStrategy.KEEP, DeletionStrategy.DELETE


def own(house: Provisioning, account: Account, *names: str) -> None:
    """CAM users of the account itself."""
    with house.make.transaction() as session:
        for name in names:
            create_cam_user(session, SYSTEM, account_uin=account.uin, name=name)


def give_key(house: Provisioning, account: Account, name: str) -> None:
    with house.make.transaction() as session:
        found = find_cam_user(session, account.uin, name)
        assert found
        access_keys.create_access_key(session, SYSTEM, cam_user=found)


def events(house: Provisioning, sync_id: str = "", **search: Any) -> Page[SyncEventRow]:
    with house.make.transaction() as session:
        return queries.failed_events(session, house.space, Search(**search), sync_id)


def retry(house: Provisioning, event: SyncEventRow, policy: str) -> list[str]:
    with house.make.transaction() as session:
        task = sync_events.get_event(session, house.space, event.id)
        sync_events.retry_event(session, SYSTEM, space=house.space, task=task, policy=policy)
    return house.done(event.batch_id)


def test_names_that_are_taken_are_a_failed_event_that_replace_mends(house: Provisioning) -> None:
    shop, team = house.account("shop"), house.group("team", [house.user("alice"), house.user("bob")])
    own(house, shop, "alice", "alice_cic")
    house.synchronize([shop], [team], duplication=KEEP_BOTH)
    house.work()
    [sync] = house.syncs()
    [event] = events(house, sync.id).rows
    assert event.reason == "alice: The account has CAM users named alice and alice_cic already."
    assert (event.principal_name, event.account_name, event.attempts, event.sync_id) == ("team", "shop", 1, sync.id)
    assert retry(house, event, TAKE_OVER) == ["Success"]
    assert house.synced(shop) == ["alice", "bob"]
    [sync] = house.syncs()
    assert (sync.status, sync.duplication_strategy) == ("Enabled", TAKE_OVER)
    assert events(house).total == 0
    with house.make.transaction() as session:
        event_row = session.scalars(select(AuditEvent).where(AuditEvent.action == "user_sync.retry")).one()
        assert (event_row.details["policy"], event_row.details["before"]) == (TAKE_OVER, KEEP_BOTH)


def test_a_cam_user_with_access_keys_is_not_deleted_and_save_lets_it_go(house: Provisioning) -> None:
    shop, alice = house.account("shop"), house.user("alice")
    house.synchronize([shop], [alice], deletion=DELETE)
    house.work()
    give_key(house, shop, "alice")
    house.end_sync(house.syncs()[0])
    house.work()
    [event] = events(house).rows
    assert event.reason.startswith("alice: The CAM user alice has an access key and is not deleted.")
    assert retry(house, event, DELETE)[0].startswith("Failed: alice: The CAM user alice has an access key")
    assert house.synced(shop) == ["alice"]
    assert retry(house, event, KEEP) == ["Success"]
    assert house.syncs() == house.synced(shop) == []
    assert house.inside(shop).users == ()
    with house.make.transaction() as session:
        assert find_cam_user(session, shop.uin, "alice") is not None


def test_who_left_a_group_and_has_access_keys_is_let_go_by_save(house: Provisioning) -> None:
    shop, alice, bob = house.account("shop"), house.user("alice"), house.user("bob")
    team = house.group("team", [alice, bob])
    house.synchronize([shop], [team], deletion=DELETE)
    house.work()
    give_key(house, shop, "alice")
    with house.make.transaction() as session:
        groups.remove_members(
            session, SYSTEM, group=groups.get_group(session, house.space, team.id), user_ids=[alice.id]
        )
    house.work()
    [event] = events(house).rows
    assert event.type == "RemoveUserFromGroup"
    assert retry(house, event, KEEP) == ["Success"]
    assert house.synced(shop) == ["bob"]
    assert house.syncs()[0].deletion_strategy == KEEP


def test_without_the_synchronization_a_removal_is_retried_and_a_start_is_not(house: Provisioning) -> None:
    shop, lab, alice = house.account("shop"), house.account("lab"), house.user("alice")
    own(house, lab, "alice", "alice_cic")
    house.synchronize([shop, lab], [house.group("team", [alice])], deletion=DELETE)
    house.work()
    give_key(house, shop, "alice")
    with house.make.transaction() as session:
        [team] = session.scalars(select(groups.Group)).all()
        groups.remove_members(session, SYSTEM, group=team, user_ids=[alice.id])
    house.work()
    by_type = {event.type: event for event in events(house).rows}
    with house.make.transaction() as session:
        session.execute(delete(UserSync))
    assert [(event.type, event.sync_id) for event in events(house).rows] == [("RemoveUserFromGroup", None)]
    with pytest.raises(NotFound, match=r"\(any more\)"):
        retry(house, by_type["StartProvisioning"], TAKE_OVER)
    assert "Success" in retry(house, by_type["RemoveUserFromGroup"], KEEP)
    assert house.synced(shop) == []


def test_refusals(make: Make, house: Provisioning) -> None:
    other = Provisioning(make, house.settings, "other")
    shop, alice = house.account("shop"), house.user("alice")
    own(house, shop, "alice", "alice_cic")
    batch = house.synchronize([shop], [alice])
    house.synchronize([shop], [alice])  # exists already: no event
    house.work()
    [event] = events(house).rows
    for policy in ("", "Keep", "nonsense"):
        with pytest.raises(Invalid, match="Choose one of TakeOver, KeepBoth"):
            retry(house, event, policy)
    with pytest.raises(NotFound):
        retry(other, event, TAKE_OVER)
    assert events(other).total == 0
    house.done(batch)
    retry(house, event, TAKE_OVER)
    with pytest.raises(NotFound):
        retry(house, event, TAKE_OVER)
    with house.make.transaction() as session:
        syncs.update_sync(session, SYSTEM, sync=syncs.get_sync(session, house.space, house.syncs()[0].id))


def test_the_lists_find_what_failed_in_a_fixed_number_of_statements(house: Provisioning) -> None:
    accounts = [house.account(f"shop{at:02}") for at in range(23)]
    alice, bob = house.user("alice"), house.user("bob")
    for account in accounts[:22]:
        own(house, account, "alice", "alice_cic")
    house.synchronize(accounts, [alice, bob])
    house.work()
    with house.make.transaction() as session:
        failed = queries.syncs_page(session, house.space, Search(filters={"events": "failed"}))
        assert (failed.total, {row.events for row in failed.rows}) == (22, {1})
        assert queries.syncs_page(session, house.space, Search()).total == 46
        assert queries.count_failed_events(session, house.space) == 22
    with house.make.transaction() as session, statements(house.database) as seen:
        page = queries.failed_events(session, house.space, Search(page=2))
        queries.syncs_page(session, house.space, Search())
    assert (len(page.rows), page.total, len(seen)) == (2, 22, 4)
    assert events(house, text="shop07").total == 1
