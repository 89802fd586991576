"""User synchronizations (IC-14) and the door they open (IC-16, IC-17)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from portal.core.access import queries, syncs
from portal.core.access.models import SyncStatus, TaskStatus
from portal.core.actor import SYSTEM, Actor
from portal.core.cam.models import CamUser
from portal.core.cam.users import create_cam_user, find_cam_user
from portal.core.directory import groups, users
from portal.core.directory.models import Source, User
from portal.core.errors import Conflict, Forbidden, Invalid, NotFound
from portal.core.organization.models import Account
from portal.core.paging import Search
from tests.support.make import Make
from tests.support.provisioning import Provisioning

SCIM = Actor("scim", "scimcred-1", "IdP")


def may_enter(house: Provisioning, user: User, account: Account) -> str:
    """The CAM user's name, "" when the door is shut."""
    with house.make.transaction() as session:
        try:
            return syncs.user_entry(session, user, account_uin=account.uin).synced_user.cam_user_name
        except Forbidden:
            return ""


def cam_user(house: Provisioning, account: Account, name: str) -> CamUser | None:
    with house.make.transaction() as session:
        return find_cam_user(session, account.uin, name)


def own_cam_user(house: Provisioning, account: Account, name: str) -> None:
    """One that the account had before."""
    with house.make.transaction() as session:
        create_cam_user(session, SYSTEM, account_uin=account.uin, name=name)


def join(house: Provisioning, group_id: str, *people: User) -> None:
    with house.make.transaction() as session:
        group = groups.get_group(session, house.space, group_id)
        groups.add_members(session, SYSTEM, group=group, user_ids=[user.id for user in people])


def leave(house: Provisioning, group_id: str, *people: User) -> None:
    with house.make.transaction() as session:
        group = groups.get_group(session, house.space, group_id)
        groups.remove_members(session, SYSTEM, group=group, user_ids=[user.id for user in people])


def test_ic_14_one_task_per_identity_and_account_makes_cam_users_of_the_same_names(house: Provisioning) -> None:
    accounts = [house.account(), house.account()]
    alice, bob = house.user("alice"), house.user("bob")
    team = house.group("team", [bob])
    batch = house.synchronize(accounts, [alice, team])
    assert len(house.tasks(batch)) == 4
    assert house.done(batch) == ["Success"] * 4
    for account in accounts:
        assert house.synced(account) == ["alice", "bob"]
        assert house.inside(account).users == ("alice", "bob")
        assert len(house.inside(account).identity_providers) == 1
        assert may_enter(house, alice, account) == "alice"
    assert {sync.status for sync in house.syncs()} == {SyncStatus.ENABLED}


def test_ic_14_an_existing_synchronization_fails_with_that_reason_and_all_others_succeed(
    house: Provisioning,
) -> None:
    account, alice, bob = house.account("production"), house.user("alice"), house.user("bob")
    house.done(house.synchronize([account], [alice]))
    assert house.done(house.synchronize([account], [alice, bob])) == [
        "Failed: The synchronization already exists: alice in production.",
        "Success",
    ]


def test_ic_14_save_both_renames_ours_and_replace_takes_the_existing_one(house: Provisioning) -> None:
    account, alice, bob = house.account(), house.user("alice"), house.user("bob")
    own_cam_user(house, account, "alice")
    own_cam_user(house, account, "bob")
    house.synchronize([account], [alice], duplication="KeepBoth")
    house.synchronize([account], [bob], duplication="TakeOver")
    house.work()
    assert house.synced(account) == ["alice_cic", "bob"]
    assert may_enter(house, alice, account) == "alice_cic"


def test_ic_14_every_current_and_later_member_of_a_group_is_synchronized(house: Provisioning) -> None:
    accounts = [house.account(), house.account()]
    alice, bob = house.user("alice"), house.user("bob")
    team = house.group("team", [alice])
    house.done(house.synchronize(accounts, [team]))
    join(house, team.id, bob)
    assert len(house.tasks(status=TaskStatus.QUEUED)) == 2
    house.work()
    assert [house.synced(account) for account in accounts] == [["alice", "bob"]] * 2
    leave(house, team.id, alice)
    assert may_enter(house, alice, accounts[0]) == "", "before the task ran"
    house.work()
    assert [house.synced(account) for account in accounts] == [["bob"]] * 2
    assert cam_user(house, accounts[0], "alice") is None


def test_ic_14_many_who_come_or_go_at_once_are_one_task_in_each_account(make: Make, house: Provisioning) -> None:
    accounts = [house.account(), house.account(), house.account()]
    people = [house.user(f"user{number}", source=Source.SCIM) for number in range(10, 20)]
    team = house.group("team", source=Source.SCIM)
    house.done(house.synchronize(accounts, [team]))

    def change(verb: Callable[..., object], **options: object) -> list[tuple[str, str]]:
        before = {task.id for task in house.tasks()}
        with make.transaction() as session:
            verb(session, SCIM, group=groups.get_group(session, house.space, team.id), **options)
        made = [task for task in house.tasks() if task.id not in before]
        assert {task.account_uin for task in made} == {account.uin for account in accounts}
        house.work()
        assert {task.status for task in house.tasks()} == {TaskStatus.SUCCESS}
        return [(task.type, task.principal_name) for task in made]

    everybody = [user.id for user in people]
    assert change(groups.add_members, user_ids=everybody) == [("AddUserToGroup", "team")] * 3
    assert [house.synced(account) for account in accounts] == [[user.user_name for user in people]] * 3
    assert change(groups.remove_members, user_ids=everybody[:8]) == [("RemoveUserFromGroup", "team")] * 3
    assert change(groups.remove_members, user_ids=everybody[8:9]) == [("RemoveUserFromGroup", "user18")] * 3
    assert [house.synced(account) for account in accounts] == [["user19"]] * 3
    assert change(groups.add_members, user_ids=everybody[:3]) == [("AddUserToGroup", "team")] * 3
    assert change(groups.delete_group) == [("RemoveUserFromGroup", "team")] * 3
    assert [house.inside(account).users for account in accounts] == [()] * 3


def test_ic_14_who_comes_is_not_held_up_by_who_could_not_be_synchronized_before(house: Provisioning) -> None:
    account, alice, bob = house.account(), house.user("alice"), house.user("bob")
    for name in ("alice", "alice_cic"):
        own_cam_user(house, account, name)
    team = house.group("team", [alice])
    house.done(house.synchronize([account], [team]))
    join(house, team.id, bob)
    house.work()
    assert {task.type: task.status for task in house.tasks()} == {
        "StartProvisioning": TaskStatus.FAILED,
        "AddUserToGroup": TaskStatus.SUCCESS,
    }
    assert house.synced(account) == ["bob"]


def test_ic_14_who_joins_and_leaves_before_a_task_ran_is_not_synchronized(house: Provisioning) -> None:
    account, alice = house.account(), house.user("alice")
    team = house.group("team")
    house.done(house.synchronize([account], [team]))
    join(house, team.id, alice)
    leave(house, team.id, alice)
    house.work()
    assert house.synced(account) == []
    assert {task.status for task in house.tasks()} == {"Success"}


def test_ic_14_a_user_stays_as_long_as_one_synchronization_asks_for_it(house: Provisioning) -> None:
    account, alice = house.account(), house.user("alice")
    team = house.group("team", [alice])
    house.done(house.synchronize([account], [alice, team]))
    assert house.inside(account).users == ("alice",)
    direct, by_group = sorted(house.syncs(), key=lambda sync: sync.user_id is None)
    house.done(house.end_sync(direct))
    assert may_enter(house, alice, account) == "alice"
    house.done(house.end_sync(by_group))
    assert (house.synced(account), house.inside(account).users) == ([], ())
    assert house.syncs() == []
    assert house.inside(account).identity_providers == {}


def test_ic_14_deletion_policy_keep_leaves_the_cam_user_to_the_account(house: Provisioning) -> None:
    account, alice = house.account(), house.user("alice")
    house.done(house.synchronize([account], [alice], deletion="Keep"))
    assert house.done(house.end_sync(house.syncs()[0])) == ["Success"]
    left = cam_user(house, account, "alice")
    assert left is not None
    assert (left.managed_by, left.type) == (None, "SubUser")
    assert may_enter(house, alice, account) == ""
    assert house.synced(account) == []


def test_ic_14_the_deletion_policy_can_be_changed_until_the_end(make: Make, house: Provisioning) -> None:
    account, alice = house.account(), house.user("alice")
    house.done(house.synchronize([account], [alice], deletion="Keep"))
    with make.transaction() as session:
        sync = syncs.get_sync(session, house.space, house.syncs()[0].id)
        syncs.update_sync(session, SYSTEM, sync=sync, description=" for the audit ", deletion_strategy="Delete")
        with pytest.raises(Invalid):
            syncs.update_sync(session, SYSTEM, sync=sync, deletion_strategy="Perhaps")
        row = queries.sync_row(session, house.space, sync.id)
        assert row is not None
        assert (row.description, row.deletion_strategy, row.principal_name, row.users) == (
            "for the audit",
            "Delete",
            "alice",
            1,
        )
        assert [one.cam_user_name for one in queries.users_of_sync(session, house.space, sync, Search()).rows] == [
            "alice"
        ]
    house.done(house.end_sync(house.syncs()[0]))
    assert cam_user(house, account, "alice") is None


def test_ic_14_the_door_shuts_with_the_deletion_and_for_a_disabled_user(make: Make, house: Provisioning) -> None:
    account, alice, bob = house.account(), house.user("alice"), house.user("bob")
    house.done(house.synchronize([account], [alice, bob]))
    with make.transaction() as session:
        users.set_enabled(session, SYSTEM, user=users.get_user(session, house.space, bob.id), enabled=False)
        assert queries.user_entries_of_user(session, bob, Search()).total == 0
        assert [row.cam_user_name for row in queries.user_entries_of_user(session, alice, Search()).rows] == ["alice"]
    assert may_enter(house, bob, account) == ""
    house.end_sync(next(sync for sync in house.syncs() if sync.user_id == alice.id))
    assert may_enter(house, alice, account) == ""
    with make.transaction() as session, pytest.raises(Conflict, match="being deleted already"):
        syncs.delete_sync(session, SYSTEM, sync=syncs.get_sync(session, house.space, house.syncs()[0].id))


def test_ic_14_one_users_conflict_does_not_hold_up_the_group_and_is_named(house: Provisioning) -> None:
    account, alice, bob = house.account(), house.user("alice"), house.user("bob")
    for name in ("alice", "alice_cic"):
        own_cam_user(house, account, name)
    [result] = house.done(house.synchronize([account], [house.group("team", [alice, bob])]))
    assert result.startswith("Failed: alice: The account has CAM users named alice and alice_cic")
    assert house.synced(account) == ["bob"]
    assert house.syncs()[0].status == SyncStatus.FAILED
    with house.make.transaction() as session:
        found = find_cam_user(session, account.uin, "alice_cic")
        session.delete(found)
    house.retry(house.tasks()[0])
    house.work()
    assert house.synced(account) == ["alice_cic", "bob"]
    assert house.syncs()[0].status == SyncStatus.ENABLED


def test_ic_14_a_synchronization_deleted_before_it_ran_makes_nothing(house: Provisioning) -> None:
    account, alice = house.account(), house.user("alice")
    started = house.synchronize([account], [alice])
    house.end_sync(house.syncs()[0])
    house.work()
    assert house.results(started) == ["Failed: The user synchronization was removed before it ran."]
    assert (house.synced(account), house.syncs()) == ([], [])


def test_a_stranger_does_not_find_a_synchronization(make: Make, house: Provisioning) -> None:
    other = Provisioning(make, house.settings, "other")
    house.done(house.synchronize([house.account()], [house.user()]))
    with pytest.raises(NotFound):
        other.end_sync(house.syncs()[0])


def test_ic_5_a_manual_user_with_uses_is_not_deleted_and_the_reasons_are_plain(make: Make, house: Provisioning) -> None:
    account, alice, reader = house.account(), house.user("alice"), house.configuration()
    house.grant([account, house.account(), house.account()], [alice], [reader])
    house.synchronize([account], [alice])
    house.work()
    with make.transaction() as session, pytest.raises(Conflict) as refused:
        users.delete_user(session, SYSTEM, user=users.get_user(session, house.space, alice.id))
    assert "3 authorizations, 1 user synchronization" in refused.value.message


def test_ic_5_a_user_deleted_by_the_idp_loses_everything_in_the_accounts(make: Make, house: Provisioning) -> None:
    one, two = house.account(), house.account()
    alice = house.user("alice", source=Source.SCIM)
    team = house.group("team", source=Source.SCIM)
    with make.transaction() as session:
        groups.add_members(session, SCIM, group=groups.get_group(session, house.space, team.id), user_ids=[alice.id])
    house.grant([one], [alice], [house.configuration()])
    house.synchronize([one], [alice], deletion="Keep")
    house.synchronize([two], [team], deletion="Delete")
    house.work()
    with make.transaction() as session:
        users.delete_user(session, SCIM, user=users.get_user(session, house.space, alice.id))
    assert house.authorizations() == []
    house.work()
    assert (house.synced(one), house.synced(two)) == ([], [])
    left = cam_user(house, one, "alice")
    assert left is not None
    assert left.managed_by is None
    assert cam_user(house, two, "alice") is None


def test_ic_5_a_group_deleted_by_the_idp_takes_its_members_out_of_the_accounts(make: Make, house: Provisioning) -> None:
    account, reader = house.account(), house.configuration()
    alice, bob = house.user("alice", source=Source.SCIM), house.user("bob", source=Source.SCIM)
    team = house.group("team", source=Source.SCIM)
    with make.transaction() as session:
        group = groups.get_group(session, house.space, team.id)
        groups.add_members(session, SCIM, group=group, user_ids=[alice.id, bob.id])
    house.grant([account], [team], [reader])
    house.synchronize([account], [team, bob])
    house.work()
    with make.transaction() as session:
        groups.delete_group(session, SCIM, group=groups.get_group(session, house.space, team.id))
    house.work()
    assert house.authorizations() == []
    assert house.synced(account) == ["bob"], "bob is synchronized directly, too"
