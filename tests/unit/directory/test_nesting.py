"""What follows when a group comes into a group or goes out of it: tasks, sessions, audit, and what is refused."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select

from portal.core.access import sessions
from portal.core.access.models import BatchUser, Task, TaskStatus, TaskType
from portal.core.audit import AuditEvent
from portal.core.directory import groups, nesting
from portal.core.directory.models import Group, Source, User
from portal.core.errors import Conflict, Forbidden, Invalid, LimitReached, NotFound
from portal.core.limits import Limits, set_limits
from portal.settings import Settings
from tests.support.make import SCIM, Make
from tests.support.provisioning import Provisioning


@pytest.fixture
def house(make: Make, settings: Settings) -> Provisioning:
    return Provisioning(make, settings)


def change(house: Provisioning, outer: Group, *, add: tuple[Group, ...] = (), remove: tuple[Group, ...] = ()) -> None:
    with house.make.transaction() as session:
        group = groups.get_group(session, house.space, outer.id)
        ids = [[each.id for each in some] for some in (add, remove)]
        nesting.change_groups(session, SCIM, group=group, add=ids[0], remove=ids[1])


def pushed(house: Provisioning) -> tuple[User, Group, Group, Group]:
    """A user in Inner, which is not in Middle yet, which is in Outer."""
    ann = house.user("ann", source=Source.SCIM)
    inner, middle, outer = (
        house.group(name, members, source=Source.SCIM)
        for name, members in (("Inner", [ann]), ("Middle", []), ("Outer", []))
    )
    change(house, outer, add=(middle,))
    return ann, inner, middle, outer


def test_who_comes_into_a_group_above_gets_what_it_gives_and_loses_it_again(house: Provisioning) -> None:
    ann, inner, middle, outer = pushed(house)
    account = house.account("production")
    house.done(house.synchronize([account], [outer]))
    assert house.synced(account) == []
    change(house, middle, add=(inner,))
    house.work()
    assert house.synced(account) == ["ann"]
    with house.make.transaction() as session:
        found = groups.get_group(session, house.space, inner.id)
        groups.remove_members(session, SCIM, group=found, user_ids=[ann.id])
    house.work()
    assert house.synced(account) == []


def test_who_goes_out_of_a_group_above_is_put_out_of_its_accounts(house: Provisioning) -> None:
    ann, inner, middle, outer = pushed(house)
    account, reader = house.account("production"), house.configuration()
    change(house, middle, add=(inner,))
    house.done(house.grant([account], [outer], [reader]))
    with house.make.transaction() as session:
        sessions.remember(
            session, user=ann, account_uin=account.uin, configuration_id=reader.id, lasting=timedelta(hours=1)
        )
    change(house, middle, remove=(inner,))
    (task,) = house.tasks(status=TaskStatus.QUEUED)
    assert (task.type, task.account_uin) == (TaskType.END_SESSIONS, account.uin)
    assert house.rows(select(BatchUser.user_id).where(BatchUser.batch_id == task.batch_id)) == [ann.id]


def test_deleting_a_group_takes_its_users_out_of_what_was_above(house: Provisioning) -> None:
    _ann, inner, middle, outer = pushed(house)
    account = house.account("production")
    change(house, middle, add=(inner,))
    house.done(house.synchronize([account], [outer]))
    assert house.synced(account) == ["ann"]
    with house.make.transaction() as session:
        groups.delete_group(session, SCIM, group=groups.get_group(session, house.space, middle.id))
    house.work()
    assert house.synced(account) == []


def test_the_audit_says_what_was_nested_and_who_came_into_what_was_above(house: Provisioning) -> None:
    ann, inner, middle, _outer = pushed(house)
    change(house, middle, add=(inner,))
    change(house, middle, remove=(inner,))
    events = house.rows(select(AuditEvent).where(AuditEvent.action.startswith("group.")).order_by(AuditEvent.id))
    told = [(event.action, event.target_name, event.details) for event in events[-4:]]
    nested = {"groups": [inner.id], "users_count": 1}
    above = {"users": [ann.id], "count": 1, "through": middle.id}
    assert told == [
        ("group.add_groups", "Middle", nested),
        ("group.gain_users", "Outer", above),
        ("group.remove_groups", "Middle", nested),
        ("group.lose_users", "Outer", above),
    ]


def test_moving_from_one_way_in_to_another_is_no_leaving(house: Provisioning) -> None:
    _ann, inner, middle, outer = pushed(house)
    change(house, middle, add=(inner,))
    house.done(house.synchronize([house.account()], [outer]))
    change(house, outer, add=(inner,), remove=(middle,))
    assert house.rows(select(Task).where(Task.status == TaskStatus.QUEUED)) == []


def test_what_may_not_be_nested_is_refused_with_the_reason(house: Provisioning) -> None:
    _ann, inner, middle, outer = pushed(house)
    manual, stranger = house.group("by-hand"), house.make.group(house.make.space(), source=Source.SCIM)
    with pytest.raises(Invalid, match="from SCIM only"):
        change(house, outer, add=(manual,))
    with pytest.raises(Forbidden, match="by hand"):
        change(house, manual, add=(inner,))
    with pytest.raises(NotFound, match=stranger.id):
        change(house, outer, add=(stranger,))
    set_limits(Limits(groups_per_group=1))
    try:
        with pytest.raises(LimitReached, match="groups_per_group"):
            change(house, outer, add=(inner,))
        change(house, outer, add=(inner,), remove=(middle,))
    finally:
        set_limits(Limits())


def test_who_is_in_it_through_another_group_is_not_removed_by_hand_and_hears_why(house: Provisioning) -> None:
    ann, inner, middle, outer = pushed(house)
    change(house, middle, add=(inner,))
    with house.make.transaction() as session:
        with pytest.raises(Conflict, match="ann is in Outer through Inner"):
            nesting.refuse_indirect(session, groups.get_group(session, house.space, outer.id), [ann.id])
        nesting.refuse_indirect(session, groups.get_group(session, house.space, inner.id), [ann.id, "u-nobody"])
