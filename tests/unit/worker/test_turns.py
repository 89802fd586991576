"""Many tasks in one visit, and everybody's turn."""

from __future__ import annotations

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event, select, update

from portal.clouds.local import LocalConnector
from portal.core import clock
from portal.core.access.models import (
    AccountClaim,
    Authorization,
    AuthorizationStatus,
    Deployment,
    Task,
    TaskStatus,
    TaskType,
)
from portal.core.database import Database
from portal.worker import claims, roles, visits
from portal.worker.engine import Turns
from tests.support.make import Make
from tests.support.meeting import on_postgresql
from tests.support.provisioning import Provisioning
from tests.support.statements import statements


@contextmanager
def commits(database: Database) -> Iterator[list[Any]]:
    seen: list[Any] = []
    note = seen.append
    event.listen(database.engine, "commit", note)
    try:
        yield seen
    finally:
        event.remove(database.engine, "commit", note)


def due(house: Provisioning, per_second: float = 0) -> list[int]:
    with house.database.transaction(write=False) as session:
        return [one.account_uin for one in claims.due(session, per_second=per_second)]


def test_what_needs_no_calls_is_run_many_at_a_time(house: Provisioning) -> None:
    account, reader = house.account(), house.configuration()
    house.done(house.grant([account], [house.user()], [reader]))
    batch = house.grant([account], [house.user() for _ in range(30)], [reader])
    with commits(house.database) as seen:
        assert house.work() == 30
    assert len(seen) < 15
    assert set(house.results(batch)) == {"Success"}
    revoked = house.revoke(*house.authorizations())
    with commits(house.database) as seen:
        house.work()
    assert len(seen) < 15
    assert set(house.results(revoked)) == {"Success"}
    assert house.authorizations() == []


def test_one_that_fails_among_them_fails_alone(house: Provisioning, monkeypatch: pytest.MonkeyPatch) -> None:
    account, reader = house.account(), house.configuration()
    house.done(house.grant([account], [house.user()], [reader]))
    people = [house.user(f"person{number}") for number in range(5)]
    batch = house.grant([account], people, [reader])
    original = roles.Grant.record

    def record(self: roles.Grant, session: Any, task: Task) -> str:
        answer = original(self, session, task)
        if task.principal_name == "person2":
            raise RuntimeError("broken off in the middle")
        return answer

    with monkeypatch.context() as patched:
        patched.setattr(roles.Grant, "record", record)
        results = house.done(batch)
    assert [result == "Success" for result in results] == [True, True, False, True, True]
    held = {one.user_id: one.status for one in house.authorizations()}
    assert held[people[2].id] == AuthorizationStatus.GRANTING
    with clock.shifted(timedelta(seconds=10)):
        assert set(house.done(batch)) == {"Success"}


def test_an_undeployment_keeps_its_place_within_one_visit(house: Provisioning) -> None:
    account, reader = house.account(), house.configuration()
    house.done(house.grant([account], [house.user(), house.user()], [reader]))
    undeployed = house.undeploy(house.deployments()[0])
    assert visits.visit(account.uin, house.database, house.settings) == 3
    tasks = {task.type: task for task in house.tasks(undeployed)}
    ended = [tasks[type].ended_at for type in ("DeleteRoleAssignment", "DeprovisionRoleConfiguration")]
    assert ended == sorted(ended)
    assert house.results(undeployed) == ["Success"] * 3
    assert house.inside(account).roles == ()


def test_the_identity_provider_is_brought_once_for_many_roles(
    house: Provisioning, monkeypatch: pytest.MonkeyPatch
) -> None:
    brought: list[int] = []
    original = LocalConnector.ensure_identity_provider

    def ensure(self: LocalConnector, **what: Any) -> None:
        brought.append(self.account_uin)
        original(self, **what)

    monkeypatch.setattr(LocalConnector, "ensure_identity_provider", ensure)
    account = house.account()
    house.done(house.grant([account], [house.user()], [house.configuration(f"role{n}") for n in range(6)]))
    assert brought == [account.uin]
    assert len(house.inside(account).roles) == 6


def test_spaces_take_turns_then_accounts(house: Provisioning, make: Make) -> None:
    other = Provisioning(make, house.settings, "other")
    accounts, reader = [house.account() for _ in range(3)], house.configuration()
    house.grant(accounts, [house.user(), house.user()], [reader])
    small = other.account()
    other.grant([small], [other.user()], [other.configuration()])
    assert due(house)[1] == small.uin
    assert set(due(house)) == {small.uin, *(account.uin for account in accounts)}


def test_a_big_batch_does_not_hold_up_anothers_single_task(
    house: Provisioning, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Provisioning(make, house.settings, "other")
    visited: list[int] = []
    original = visits.visit

    def visit(uin: int, *args: Any, **named: Any) -> int:
        visited.append(uin)
        if len(visited) == 3:
            other.grant([small], [other.user()], [other.configuration()])
        return original(uin, *args, **named)

    monkeypatch.setattr("portal.worker.engine.visit", visit)
    monkeypatch.setattr("portal.worker.engine._FRESH_SECONDS", 0.0)
    small = other.account()
    house.grant([house.account() for _ in range(8)], [house.user()], [house.configuration()])
    house.work()
    assert visited.index(small.uin) == 3, "the next turn was its"
    assert len(visited) == 9


def test_a_visit_that_lasts_ends_so_that_others_get_their_turn(
    house: Provisioning, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(visits, "_VISIT_SECONDS", 0.0)
    account = house.account()
    batch = house.grant([account], [house.user()], [house.configuration("one"), house.configuration("two")])
    assert visits.visit(account.uin, house.database, house.settings) == 1
    assert sorted(house.results(batch)) == ["Queued", "Success"]
    assert visits.visit(account.uin, house.database, house.settings) == 1
    assert house.results(batch) == ["Success"] * 2


def test_a_worker_that_lost_the_account_records_nothing(house: Provisioning) -> None:
    account, reader = house.account(), house.configuration()
    batch = house.grant([account], [house.user(), house.user()], [reader])
    visit = house.enter(house.tasks(batch)[0])
    visits.perform(visit, house.database, house.settings)
    with house.make.transaction() as session:
        session.execute(update(AccountClaim).values(claim="somebody else"))
    with pytest.raises(claims.Lost):
        visits.go_on(visit, house.database, house.settings)
    assert house.results(batch) == ["InProgress", "Queued"]


def test_what_is_due_takes_one_statement_however_many(house: Provisioning) -> None:
    def counted() -> int:
        with statements(house.database) as seen:
            due(house)
        return len(seen)

    house.grant([house.account()], [house.user()], [house.configuration("one")])
    few = counted()
    accounts = [house.account() for _ in range(5)]
    house.grant(accounts, [house.user() for _ in range(6)], [house.configuration("two")])
    assert counted() == few
    assert len(due(house)) == 6


@pytest.mark.parametrize("seed", range(4))
def test_who_waits_for_an_undeployment_is_the_same_seen_from_all_accounts_and_from_one(
    house: Provisioning, seed: int
) -> None:
    """Of all accounts it is asked without a question for every task."""
    chance, account, now = random.Random(seed), house.account(), clock.now()
    with house.make.transaction() as session:
        for _ in range(60):
            session.add(
                Task(
                    space_id=house.space.id,
                    batch_id="b-1",
                    number=chance.randint(1, 3),
                    type=chance.choice([*[TaskType.REVOKE] * 5, TaskType.UNDEPLOY]),
                    status=chance.choice([TaskStatus.QUEUED, TaskStatus.QUEUED, TaskStatus.SUCCESS]),
                    account_uin=account.uin,
                    configuration_id=chance.choice([None, *"abcdefgh"]),
                    created_at=now - timedelta(seconds=chance.randint(1, 6)),
                    not_before=now - timedelta(seconds=10),
                    search_key="",
                )
            )
    with house.make.transaction() as session:
        lease = claims.take(session, account.uin, "mine", length=timedelta(minutes=1), per_second=0)
        assert lease is not None
        one = {task.id for task in claims.ready(session, lease, 100)}
        waiting = set(session.scalars(claims.waiting()))
        queued = set(session.scalars(select(Task.id).where(Task.status == TaskStatus.QUEUED)))
    assert waiting
    assert one == queued - waiting
    with statements(house.database) as seen:
        due(house)
    assert "EXISTS" not in "".join(seen)


def test_what_took_long_to_read_is_not_read_again_at_once(house: Provisioning, monkeypatch: pytest.MonkeyPatch) -> None:
    house.grant([house.account() for _ in range(4)], [house.user()], [house.configuration()])
    original, reads, now = claims.due, [], [1000.0]

    def slow(*args: Any, **named: Any) -> Any:
        reads.append(now[0])
        now[0] += 5
        return original(*args, **named)

    monkeypatch.setattr(claims, "due", slow)
    monkeypatch.setattr("portal.worker.engine.time.monotonic", lambda: now[0])
    assert Turns(house.database, house.settings).run() == 4
    assert len(reads) == 2, "once for all, and once more when nothing is left"


@on_postgresql
def test_a_worker_gives_way_to_who_has_the_rows_it_wants(house: Provisioning) -> None:
    """It holds rows of the first task already: if it waited for the second's, the other might wait for the first's."""
    account, reader = house.account(), house.configuration()
    house.done(house.grant([account], [house.user()], [reader]))
    batch = house.grant([account], [house.user(), house.user()], [reader])
    second = house.authorizations()[2]
    with house.make.transaction() as session:
        session.execute(update(type(second)).where(type(second).id == second.id).values(created_at=clock.now()))
        visit = visits.enter(account.uin, house.database, house.settings)
        assert visit is not None
        assert not visit.over
        assert house.results(batch) == ["Success", "Queued"]
    visits.go_on(visit, house.database, house.settings)
    assert house.results(batch) == ["Success", "Success"]
    assert visit.over


@on_postgresql
def test_giving_up_one_that_somebody_has_the_rows_of_does_not_undo_what_was_done(house: Provisioning) -> None:
    account, reader, writer = house.account(), house.configuration(), house.configuration("writer")
    house.done(house.grant([account], [house.user()], [reader]))
    done = house.grant([account], [house.user()], [writer])
    late = house.grant([account], [house.user()], [reader])
    with house.make.transaction() as session:
        session.execute(
            update(Authorization)
            .where(Authorization.configuration_id == reader.id)
            .values(status=AuthorizationStatus.REMOVING)
        )
    visit = house.enter(house.tasks(done)[0])
    visits.perform(visit, house.database, house.settings)
    with house.make.transaction() as session:
        session.execute(select(Deployment).where(Deployment.configuration_id == reader.id).with_for_update())
        visits.go_on(visit, house.database, house.settings)
    assert house.results(done) == ["Success"]
    assert [(task.status, task.attempts) for task in house.tasks(late)] == [("Queued", 0)]
    visits.go_on(visit, house.database, house.settings)
    assert house.results(late) == ["Failed: The authorization was removed before it was granted."]
    assert visit.over


def test_an_account_whose_visit_broke_off_is_free_at_once(house: Provisioning, monkeypatch: pytest.MonkeyPatch) -> None:
    account = house.account()
    batch = house.grant([account], [house.user()], [house.configuration()])

    def broken(*_args: Any, **_more: Any) -> None:
        raise RuntimeError("The database has had enough.")

    with monkeypatch.context() as patched:
        patched.setattr(visits, "_finish", broken)
        with pytest.raises(RuntimeError):
            visits.visit(account.uin, house.database, house.settings)
    assert visits.visit(account.uin, house.database, house.settings) == 1
    assert house.results(batch) == ["Success"]


def test_threads_share_the_turns(house: Provisioning) -> None:
    accounts = [house.account() for _ in range(6)]
    batch = house.grant(accounts, [house.user(), house.user()], [house.configuration()])
    turns = Turns(house.database, house.settings)
    with ThreadPoolExecutor(3) as pool:
        ran = sum(pool.map(lambda _: turns.run(), range(3)))
    assert ran == 12
    assert set(house.results(batch)) == {"Success"}
    assert {task.attempts for task in house.tasks(batch)} == {1}
