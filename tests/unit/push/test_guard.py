from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.core import clock
from portal.core.actor import SYSTEM
from portal.core.audit import AuditEvent
from portal.core.directory.models import Source, User
from portal.core.errors import Conflict, Invalid
from portal.core.push import guard
from portal.core.push.models import ScimGuard
from portal.core.space.models import Space
from tests.support.make import SCIM, Make

LONG_AGO = -2 * guard.TRIAL


@pytest.fixture
def space(make: Make) -> Space:
    return make.space(scim_enabled=True)


def people(make: Make, space: Space, count: int, **fields: object) -> list[User]:
    with clock.shifted(LONG_AGO):
        return [make.user(space, source=Source.SCIM, **fields) for _number in range(count)]


def used_up(make: Make, space: Space) -> User:
    """All that may go has gone; who would be the next."""
    *gone, last = people(make, space, guard.LEAST + 1)
    with make.transaction() as session:
        for user in gone:
            guard.take(session, space=space, user=user)
            session.get_one(User, user.number).enabled = False
        with pytest.raises(guard.HeldBack, match="5 of 6 went within 24 hours"):
            guard.take(session, space=space, user=last)
    return last


def hold(session: Session, user: User) -> None:
    guard.hold(session, SCIM, space_id=user.space_id, user_id=user.id, user_name=user.user_name, reason="paused")


def test_only_enabled_users_of_scim_who_have_been_there_are_counted(make: Make, space: Space) -> None:
    uncounted = [
        *people(make, space, 6, enabled=False),
        *(make.user(space, source=Source.SCIM) for _number in range(6)),
        *(make.user(space) for _number in range(6)),
    ]
    with make.transaction() as session:
        for user in uncounted:
            guard.take(session, space=space, user=user)
        assert session.get(ScimGuard, space.id) is None


def test_the_first_attempt_pauses_and_all_are_counted_and_named(make: Make, space: Space) -> None:
    last = used_up(make, space)
    with make.transaction() as session:
        assert guard.pause_of(session, space) is None
    for _again in range(2):
        with make.transaction() as session:
            hold(session, last)
    with make.transaction() as session:
        found = guard.pause_of(session, space)
        assert found is not None
        assert (found.allowed, found.users, found.held_back) == (5, 6, 2)
        assert session.scalars(select(AuditEvent.action).where(AuditEvent.action == "guard.pause")).all() != []


def opened(session: Session, space: Space) -> None:
    found = session.get_one(ScimGuard, space.id)
    found.open_until = clock.now() + timedelta(hours=1)


def switched_off(session: Session, space: Space) -> None:
    guard.update_guard(session, SYSTEM, space=space, percent=0)


def raised(session: Session, space: Space) -> None:
    session.get_one(ScimGuard, space.id).taken = 0


@pytest.mark.parametrize("decide", [opened, switched_off, raised])
def test_who_decides_in_the_moment_of_the_refusal_is_not_overruled(
    make: Make, space: Space, decide: Callable[[Session, Space], None]
) -> None:
    last = used_up(make, space)
    with make.transaction() as session:
        decide(session, space)
    with make.transaction() as session:
        hold(session, last)
        guard.take(session, space=space, user=last)
    with make.transaction() as session:
        assert guard.pause_of(session, space) is None
        assert session.scalars(select(AuditEvent.target_id).where(AuditEvent.action == "guard.hold")).all() == [last.id]


@pytest.mark.parametrize("percent", [-1, 101])
def test_the_share_is_a_percentage(make: Make, space: Space, percent: int) -> None:
    with make.transaction() as session, pytest.raises(Invalid) as refused:
        guard.update_guard(session, SYSTEM, space=space, percent=percent)
    assert refused.value.field == "percent"


def test_what_is_not_paused_is_neither_let_through_nor_kept(make: Make, space: Space) -> None:
    for verb in (guard.open_guard, guard.reset_guard):
        with make.transaction() as session, pytest.raises(Conflict):
            verb(session, SYSTEM, space=space)


def test_a_hundred_percent_is_no_pause_for_those_who_were_there(make: Make, space: Space) -> None:
    everybody = people(make, space, 8)
    with make.transaction() as session:
        guard.update_guard(session, SYSTEM, space=space, percent=100)
        for user in everybody:
            guard.take(session, space=space, user=user)


def test_spaces_are_watched_apart(make: Make, space: Space) -> None:
    used_up(make, space)
    other = make.space(scim_enabled=True)
    (user,) = people(make, other, 1)
    with make.transaction() as session:
        guard.take(session, space=other, user=user)
        assert session.get_one(ScimGuard, other.id).taken == 1
