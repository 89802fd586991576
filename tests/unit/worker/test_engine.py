"""The engine: exactly once in the result, whatever breaks off (IC-12, IC-15)."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from portal.clouds.connector import RoleSpec
from portal.clouds.local import LocalConnector
from portal.core import clock
from portal.core.access.models import AuthorizationStatus, DeploymentStatus
from portal.core.audit import AuditEvent
from portal.core.cam.models import CamIdentityProvider, CamRole
from portal.core.database import Database
from portal.core.errors import Conflict, Forbidden, Unavailable
from portal.worker import embedded, engine, visits
from portal.worker.claims import Lost
from tests.support.provisioning import Provisioning

LATER = timedelta(seconds=61)


@contextmanager
def account_answers(monkeypatch: pytest.MonkeyPatch, *problems: Exception | None) -> Iterator[list[int]]:
    """What the cloud of every account says to the next calls for a role: these errors in turn, then it works."""
    left, calls = list(problems), []
    original = LocalConnector.ensure_role

    def ensure_role(self: LocalConnector, role: Any) -> None:
        calls.append(self.account_uin)
        problem = left.pop(0) if left else None
        if problem:
            raise problem
        original(self, role)

    with monkeypatch.context() as patched:
        patched.setattr(LocalConnector, "ensure_role", ensure_role)
        yield calls


def granted(house: Provisioning) -> str:
    return house.grant([house.account("production")], [house.user("alice")], [house.configuration("reader")])


def test_a_worker_killed_after_the_claim_is_followed_by_another_when_the_lease_runs_out(house: Provisioning) -> None:
    batch = granted(house)
    [task] = house.tasks(batch)
    assert house.enter(task)
    assert house.work() == 0, "the claim is held"
    assert house.results(batch) == ["InProgress"]
    with clock.shifted(LATER):
        assert house.work() == 1
        assert house.results(batch) == ["Success"]
        assert house.tasks(batch)[0].attempts == 2
        assert house.work() == 0


def test_a_worker_killed_before_the_result_leaves_nothing_twice(house: Provisioning) -> None:
    batch = granted(house)
    [task] = house.tasks(batch)
    run = house.enter(task)
    visits.perform(run, house.database, house.settings)
    with clock.shifted(LATER):
        assert house.done(batch) == ["Success"]
        with pytest.raises(Lost):
            visits.go_on(run, house.database, house.settings)
    assert house.rows(select(func.count()).select_from(CamRole).where(CamRole.name == "TencentCloudSSO-reader")) == [1]
    assert house.rows(select(func.count()).select_from(CamIdentityProvider)) == [1]
    assert house.rows(
        select(func.count()).select_from(AuditEvent).where(AuditEvent.action == "authorization.granted")
    ) == [1]
    assert [one.status for one in house.authorizations()] == [AuthorizationStatus.ACTIVE]


def test_a_task_that_kills_every_worker_is_given_up(house: Provisioning) -> None:
    batch = granted(house)
    [task] = house.tasks(batch)
    shift = timedelta(0)
    for _attempt in range(visits.MAX_ATTEMPTS):
        with clock.shifted(shift):
            assert house.enter(task)
        shift += LATER
    with clock.shifted(shift):
        assert house.done(batch) == ["Failed: Given up after 5 attempts that broke off."]
    assert house.authorizations() == []
    assert [one.status for one in house.deployments()] == [DeploymentStatus.FAILED]


def test_a_worker_that_is_slow_keeps_its_claim(house: Provisioning) -> None:
    [task] = house.tasks(granted(house))
    run = house.enter(task)
    with clock.shifted(timedelta(seconds=40)):
        visits.perform(run, house.database, house.settings)
    with clock.shifted(timedelta(seconds=80)):
        assert house.work() == 0
        visits.go_on(run, house.database, house.settings)
    assert house.results(task.batch_id) == ["Success"]


def test_a_worker_that_was_too_slow_stops_in_the_middle(house: Provisioning) -> None:
    [task] = house.tasks(granted(house))
    run = house.enter(task)
    with clock.shifted(LATER):
        assert house.work() == 1
        with pytest.raises(Lost):
            visits.perform(run, house.database, house.settings)


def test_ic_15_an_account_that_does_not_answer_is_tried_again_later(
    house: Provisioning, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = granted(house)
    with account_answers(monkeypatch, Unavailable("The account does not answer.")) as calls:
        assert house.done(batch) == ["Queued: The account does not answer."]
        assert len(calls) == 1
        with clock.shifted(timedelta(seconds=10)):
            assert house.done(batch) == ["Success"]


def test_ic_15_after_the_last_attempt_it_fails_and_a_retry_makes_the_authorization_again(
    house: Provisioning, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = granted(house)
    with account_answers(monkeypatch, *[Unavailable("The account does not answer.")] * 5):
        for attempt in range(5):
            with clock.shifted(timedelta(minutes=attempt)):
                house.work()
        assert house.results(batch) == ["Failed: The account does not answer."]
        assert house.tasks(batch)[0].attempts == 5
        assert house.authorizations() == []
        assert [one.status for one in house.deployments()] == [DeploymentStatus.FAILED]
        house.retry(house.tasks(batch)[0])
        assert [one.status for one in house.authorizations()] == [AuthorizationStatus.GRANTING]
        with clock.shifted(timedelta(minutes=10)):
            assert house.done(batch) == ["Success"]
    assert [one.status for one in house.authorizations()] == [AuthorizationStatus.ACTIVE]
    assert [one.status for one in house.deployments()] == [DeploymentStatus.DEPLOYED]
    with pytest.raises(Conflict, match="Only a failed task"):
        house.retry(house.tasks(batch)[0])


def test_ic_15_what_the_account_forbids_is_not_tried_again(
    house: Provisioning, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = granted(house)
    with account_answers(monkeypatch, Forbidden("The role is the account's own.")) as calls:
        assert house.done(batch) == ["Failed: The role is the account's own."]
        assert len(calls) == 1
    assert house.authorizations() == []


def test_an_unexpected_error_is_tried_again_and_shows_a_reference_only(
    house: Provisioning, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    batch = granted(house)
    with account_answers(monkeypatch, RuntimeError("secret detail")):
        [result] = house.done(batch)
        assert result.startswith("Queued: An unexpected error; see the log, reference ")
        assert "secret" not in result
        assert result.removesuffix(".").split()[-1] in caplog.text
        assert "secret detail" in caplog.text
        with clock.shifted(timedelta(seconds=10)):
            assert house.done(batch) == ["Success"]


def test_ic_10_a_change_during_the_deployment_still_asks_for_redeployment(house: Provisioning) -> None:
    reader = house.configuration("reader")
    batch = house.grant([house.account()], [house.user()], [reader])
    [task] = house.tasks(batch)
    run = house.enter(task)
    house.add_policy(reader, "QcloudCamFullAccess")
    visits.perform(run, house.database, house.settings)
    visits.go_on(run, house.database, house.settings)
    [deployment] = house.deployments()
    assert (deployment.status, deployment.deployed_revision) == (DeploymentStatus.DEPLOYED, 1)
    with house.make.transaction() as session:
        assert session.get_one(type(reader), reader.id).revision == 2


def test_a_failed_undeployment_leaves_the_door_shut_and_can_be_run_again(
    house: Provisioning, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.done(granted(house))
    original = LocalConnector.remove_role

    def refuse(*_args: Any, **_more: Any) -> None:
        raise Forbidden("Not today.")

    monkeypatch.setattr(LocalConnector, "remove_role", refuse)
    batch = house.undeploy(house.deployments()[0])
    assert house.done(batch) == ["Success", "Failed: Not today."]
    [deployment] = house.deployments()
    assert (deployment.status, deployment.deployed_revision) == (DeploymentStatus.FAILED, 0)
    monkeypatch.setattr(LocalConnector, "remove_role", original)
    house.retry(house.tasks(batch)[1])
    assert house.done(batch) == ["Success", "Success"]
    assert house.deployments() == []


def test_two_workers_run_each_task_once_and_are_never_both_in_one_account(
    house: Provisioning, monkeypatch: pytest.MonkeyPatch
) -> None:
    accounts = [house.account() for _ in range(5)]
    configurations = [house.configuration(f"role{number}") for number in range(4)]
    batch = house.grant(accounts, [house.user(), house.user()], configurations)
    inside: set[int] = set()
    guard, both, made = threading.Lock(), [], []
    original = LocalConnector.ensure_role

    def watched(self: LocalConnector, role: RoleSpec) -> None:
        with guard:
            both.extend([self.account_uin] if self.account_uin in inside else [])
            inside.add(self.account_uin)
            made.append((self.account_uin, role.name))
        time.sleep(0.01)
        original(self, role)
        with guard:
            inside.discard(self.account_uin)

    monkeypatch.setattr(LocalConnector, "ensure_role", watched)
    databases = [Database(house.database.url) for _ in range(2)]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda database: engine.run_until_idle(database, house.settings), databases))
    house.work()
    for database in databases:
        database.dispose()
    assert not both
    assert sorted(made) == sorted(
        (account.uin, configuration.role_name) for account in accounts for configuration in configurations
    )
    assert set(house.results(batch)) == {"Success"}
    assert {task.attempts for task in house.tasks(batch)} == {1}


def test_results_are_audited_with_who_asked(house: Provisioning) -> None:
    house.done(granted(house))
    found = house.rows(
        select(AuditEvent)
        .where(AuditEvent.action.in_(["deployment.deployed", "authorization.granted"]))
        .order_by(AuditEvent.id)
    )
    assert sorted(one.action for one in found) == ["authorization.granted", "deployment.deployed"]
    assert {one.organization_id for one in found} == {house.space.organization_id}
    assert {one.actor_kind for one in found} == {"system"}
    assert {one.details["requested_by"] for one in found} == {"Identity Center"}


def test_the_embedded_thread_runs_what_a_commit_queued_and_stops(house: Provisioning) -> None:
    handle = embedded.start(house.database, house.settings)
    try:
        batch = granted(house)
        for _ in range(200):
            if house.results(batch) == ["Success"]:
                break
            time.sleep(0.05)
        assert house.results(batch) == ["Success"]
    finally:
        handle.stop()
    assert not any(thread.is_alive() for thread in handle.threads)
    house.database.dispatch = None
