"""CAM users that a worker made before it died, and whom nobody wants any more when another one comes (IC-14)."""

from __future__ import annotations

from datetime import timedelta

import pytest

from portal.core import clock
from portal.core.access.models import DeletionStrategy
from portal.core.cam.users import find_cam_user
from portal.core.directory import groups, users
from portal.core.directory.models import Group, Source, User
from portal.core.organization.models import Account
from tests.support.faults import Killed, faulty
from tests.support.make import SCIM
from tests.support.provisioning import Provisioning

LATER = timedelta(minutes=2)


@pytest.fixture
def amy(house: Provisioning) -> User:
    return house.user("amy", source=Source.SCIM)


@pytest.fixture
def team(house: Provisioning, amy: User) -> Group:
    return house.group("team", [amy], source=Source.SCIM)


def made_and_died(house: Provisioning, team: Group, **policies: str) -> Account:
    """The CAM user stands in the account and nobody has written it down."""
    account = house.account()
    house.synchronize([account], [team], **policies)
    with faulty(house.database) as faults:
        faults.calls = ["", "after"]
        with pytest.raises(Killed):
            house.work()
    assert house.inside(account).users == ("amy",)
    assert house.synced(account) == []
    return account


def leave(house: Provisioning, team: Group, amy: User) -> None:
    with house.make.transaction() as session:
        groups.remove_members(session, SCIM, group=groups.get_group(session, house.space, team.id), user_ids=[amy.id])


def rename(house: Provisioning, amy: User) -> None:
    with house.make.transaction() as session:
        users.update_user(session, SCIM, user=users.get_user(session, house.space, amy.id), user_name="amelia")


def test_who_left_meanwhile_does_not_stay_in_the_account(house: Provisioning, team: Group, amy: User) -> None:
    account = made_and_died(house, team)
    leave(house, team, amy)
    with clock.shifted(LATER):
        house.work()
    assert house.inside(account).users == ()


def test_who_was_renamed_meanwhile_stands_there_once(house: Provisioning, team: Group, amy: User) -> None:
    account = made_and_died(house, team)
    rename(house, amy)
    with clock.shifted(LATER):
        house.work()
    assert list(house.inside(account).users) == house.synced(account) == ["amelia"]


def test_with_the_policy_save_it_stays_as_the_accounts_own(house: Provisioning, team: Group, amy: User) -> None:
    account = made_and_died(house, team, deletion=DeletionStrategy.KEEP)
    leave(house, team, amy)
    with clock.shifted(LATER):
        house.work()
    assert house.inside(account).users == ()
    with house.make.transaction() as session:
        found = find_cam_user(session, account.uin, "amy")
        assert found is not None
        assert found.managed_by is None


def test_a_synchronization_that_is_deleted_before_it_ran_again_leaves_nothing(house: Provisioning, team: Group) -> None:
    account = made_and_died(house, team)
    house.end_sync(house.syncs()[0])
    with clock.shifted(LATER):
        house.work()
    state = house.inside(account)
    assert (state.users, state.identity_providers) == ((), {})


def test_where_nothing_broke_off_nobody_looks(house: Provisioning, team: Group) -> None:
    account = house.account()
    house.synchronize([account], [team])
    house.work()
    with faulty(house.database) as faults:
        faults.calls = ["", "", "", "forbidden"]
        house.end_sync(house.syncs()[0])
        house.work()
    assert faults.calls == ["", "forbidden"]
    assert house.inside(account).users == ()


def test_whom_a_synchronization_still_waits_for_is_not_made_the_accounts_own_by_another(house: Provisioning) -> None:
    account, both = house.account(), house.group("both", [house.user("first"), house.user("second")])
    with faulty(house.database) as faults:
        faults.calls = ["invalid"]
        house.synchronize([account], [house.user("never")])
        house.work()
        faults.calls = ["", "", "unavailable"]
        waiting = house.synchronize([account], [both], deletion=DeletionStrategy.KEEP)
        other = house.synchronize([account], [house.user("third")], deletion=DeletionStrategy.KEEP)
        house.work()
    assert house.results(other) == ["Success"]
    assert house.results(waiting) == ["Queued: The account does not answer."]
    with clock.shifted(LATER):
        house.work()
    assert list(house.inside(account).users) == house.synced(account) == ["first", "second", "third"]
