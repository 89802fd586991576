"""Groups inside groups against a model: memberships are the closure, and what is reported is exactly the difference."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import delete, select

from portal.core.access import syncs
from portal.core.access.models import BatchUser, Task, TaskType, UserSync
from portal.core.actor import SYSTEM
from portal.core.database import Database
from portal.core.directory import groups, nesting, users
from portal.core.directory.models import Group, GroupNesting, Membership, Source, User
from portal.core.ids import new_id
from tests.support.make import SCIM, Make

GROUPS, PEOPLE = 5, 4
some_groups = st.sets(st.integers(0, GROUPS - 1), max_size=3)
some_people = st.sets(st.integers(0, PEOPLE - 1), min_size=1, max_size=3)
one_group = st.integers(0, GROUPS - 1)


class Nesting(RuleBasedStateMachine):
    """Each group is synchronized to one account, so that every joining and leaving queues a task that names who."""

    database: Database

    @initialize()
    def begin(self) -> None:
        make = Make(self.database, "a secret key of the tests, long enough")
        self.space = make.space(new_id("s-"))
        account = make.account(self.space)
        self.people = [make.user(self.space, source=Source.SCIM).id for _ in range(PEOPLE)]
        self.ids = [make.group(self.space, source=Source.SCIM).id for _ in range(GROUPS)]
        with self.database.transaction() as session:
            syncs.synchronize(session, SYSTEM, space=self.space, accounts=[account.uin], groups=self.ids)
        self.direct: dict[str, set[str]] = {group_id: set() for group_id in self.ids}
        self.inside: dict[str, set[str]] = {group_id: set() for group_id in self.ids}

    def everybody_in(self, group_id: str) -> set[str]:
        seen, found = set(), [group_id]
        while found:
            each = found.pop()
            if each not in seen:
                seen.add(each)
                found += self.inside[each]
        return {user_id for each in seen for user_id in self.direct[each]}

    def change(self, verb: Any, model: Any) -> None:
        """Run the verb and the same on the model; compare what was reported with the difference."""
        before = {group_id: self.everybody_in(group_id) for group_id in self.direct}
        with self.database.transaction() as session:
            session.execute(delete(BatchUser))
            session.execute(delete(Task))
        with self.database.transaction() as session:
            verb(session)
        model()
        after = {group_id: self.everybody_in(group_id) for group_id in self.direct}
        expected = {
            (kind, group_id, user_id)
            for group_id in after
            for kind, found in (
                (TaskType.SYNC_USER_ADDED, after[group_id] - before[group_id]),
                (TaskType.SYNC_USER_REMOVED, before[group_id] - after[group_id]),
            )
            for user_id in found
            if user_id in self.people
        }
        with self.database.transaction(write=False) as session:
            reported = session.execute(
                select(Task.type, UserSync.group_id, BatchUser.user_id)
                .join(BatchUser, BatchUser.batch_id == Task.batch_id)
                .join(UserSync, UserSync.id == Task.sync_id)
            ).all()
        assert sorted(map(tuple, reported)) == sorted(expected)

    def group(self, session: Any, group_id: str) -> Group:
        return groups.get_group(session, self.space, group_id)

    def named(self, number: int) -> str:
        return self.ids[number % len(self.ids)]

    @rule(number=one_group, who=some_people)
    def put_users_in(self, number: int, who: set[int]) -> None:
        group_id, ids = self.named(number), [self.people[each % len(self.people)] for each in who]
        self.change(
            lambda session: groups.add_members(session, SCIM, group=self.group(session, group_id), user_ids=ids),
            lambda: self.direct[group_id].update(ids),
        )

    @rule(number=one_group, who=some_people)
    def take_users_out(self, number: int, who: set[int]) -> None:
        group_id, ids = self.named(number), [self.people[each % len(self.people)] for each in who]
        self.change(
            lambda session: groups.remove_members(session, SCIM, group=self.group(session, group_id), user_ids=ids),
            lambda: self.direct[group_id].difference_update(ids),
        )

    @rule(number=one_group, come=some_groups, go=some_groups)
    def change_groups(self, number: int, come: set[int], go: set[int]) -> None:
        group_id = self.named(number)
        add, remove = [self.named(each) for each in come], [self.named(each) for each in go]

        def model() -> None:
            self.inside[group_id] -= set(remove)
            self.inside[group_id] |= set(add)

        self.change(
            lambda session: nesting.change_groups(
                session, SCIM, group=self.group(session, group_id), add=add, remove=remove
            ),
            model,
        )

    @precondition(lambda self: len(self.ids) > 2)
    @rule(number=one_group)
    def delete_group(self, number: int) -> None:
        group_id = self.named(number)

        def model() -> None:
            self.ids.remove(group_id)
            del self.direct[group_id], self.inside[group_id]
            for inside in self.inside.values():
                inside.discard(group_id)

        with self.database.transaction() as session:
            session.execute(delete(UserSync).where(UserSync.group_id == group_id))
        self.change(lambda session: groups.delete_group(session, SCIM, group=self.group(session, group_id)), model)

    @precondition(lambda self: len(self.people) > 1)
    @rule(number=st.integers(0, PEOPLE - 1))
    def delete_user(self, number: int) -> None:
        user_id = self.people[number % len(self.people)]
        with self.database.transaction() as session:
            users.delete_user(session, SCIM, user=users.get_user(session, self.space, user_id))
        self.people.remove(user_id)
        for found in self.direct.values():
            found.discard(user_id)

    @invariant()
    def memberships_are_the_closure(self) -> None:
        if not hasattr(self, "direct"):
            return
        with self.database.transaction(write=False) as session:
            rows = session.execute(
                select(Membership.group_id, Membership.user_id, Membership.direct)
                .join(Group, Group.id == Membership.group_id)
                .where(Group.space_id == self.space.id)
            )
            found = {(group_id, user_id): direct for group_id, user_id, direct in rows}
            nested = session.execute(
                select(GroupNesting.group_id, GroupNesting.member_id)
                .join(Group, Group.id == GroupNesting.group_id)
                .where(Group.space_id == self.space.id)
            ).all()
            assert session.scalar(select(User.id).where(User.space_id == self.space.id).limit(1))
        assert found == {
            (group_id, user_id): user_id in self.direct[group_id]
            for group_id in self.direct
            for user_id in self.everybody_in(group_id)
        }
        assert {tuple(row) for row in nested} == {
            (group_id, inner) for group_id, inside in self.inside.items() for inner in inside
        }


@pytest.fixture(scope="module")
def shared_database(request: pytest.FixtureRequest) -> Any:
    """Emptied by nobody between the examples: each makes a space of its own."""
    if request.param == "postgresql":
        database = Database(request.getfixturevalue("postgresql_url"))
        yield database
        database.dispose()
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "portal.db"
        shutil.copy(request.getfixturevalue("sqlite_template"), path)
        database = Database(f"sqlite:///{path}")
        yield database
        database.dispose()


@pytest.mark.parametrize("shared_database", ["sqlite", "postgresql"], indirect=True)
def test_whatever_happens_memberships_are_the_closure_and_the_difference_is_reported(shared_database: Database) -> None:
    machine = type("NestingOfDatabase", (Nesting,), {"database": shared_database})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=25,
            stateful_step_count=20,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )
