"""Canceling what has not begun: as if it had not been asked for (IC-15)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import delete, select, update

from portal.clouds.local import LocalConnector
from portal.core import clock
from portal.core.access import canceling, tasks
from portal.core.access.models import (
    Authorization,
    AuthorizationStatus,
    BatchUser,
    DeployedProvider,
    Deployment,
    DeploymentStatus,
    SyncStatus,
    Task,
    TaskType,
)
from portal.core.access.syncs import members_left
from portal.core.actor import Actor
from portal.core.audit import AuditEvent
from portal.core.directory import groups
from portal.core.errors import Conflict, Forbidden, NotFound, Unavailable
from portal.core.organization import members
from portal.core.organization.models import Account, Member, Organization
from portal.settings import Settings
from portal.worker import visits
from tests.support.departments import Company
from tests.support.faults import faulty
from tests.support.make import Make
from tests.support.meeting import on_postgresql
from tests.support.provisioning import Provisioning
from tests.support.statements import statements

ADMIN = Actor("user", "u-1", "Ada")


def cancel(house: Provisioning, task: Task) -> None:
    with house.make.transaction() as session:
        found = tasks.get_task(session, house.space, task.id)
        canceling.cancel(session, ADMIN, space=house.space, task=found)


def cancel_batch(house: Provisioning, batch: str) -> canceling.Outcome:
    with house.make.transaction() as session:
        return canceling.cancel_batch(session, ADMIN, space=house.space, batch_id=batch)


def remove(house: Provisioning, account: Account) -> None:
    with house.make.transaction() as session:
        organization = session.get_one(Organization, house.space.organization_id)
        members.remove_members(session, ADMIN, organization=organization, uins=[account.uin])


def retry_batch(house: Provisioning, batch: str) -> tuple[int, list[tuple[int, str]]]:
    with house.make.transaction() as session:
        return tasks.retry_batch(session, ADMIN, space=house.space, batch_id=batch)


CANCELED = "Canceled: Canceled by Ada before it began."


def test_a_canceled_grant_leaves_nothing(house: Provisioning) -> None:
    batch = house.grant([house.account()], [house.user(), house.user()], [house.configuration()])
    first, _second = house.tasks(batch)
    cancel(house, first)
    assert len(house.authorizations()) == 1
    assert house.done(batch) == [CANCELED, "Success"]
    assert house.tasks(batch)[0].ended_at is not None
    assert house.rows(select(AuditEvent.target_id).where(AuditEvent.action == "task.cancel")) == [first.id]
    with pytest.raises(Conflict, match="not begun"):
        cancel(house, first)
    with pytest.raises(Conflict, match="Only a failed task"):
        house.retry(first)


def test_a_whole_batch_of_grants(house: Provisioning) -> None:
    people = [house.user() for _ in range(3)]
    batch = house.grant([house.account(), house.account()], people, [house.configuration()])
    assert cancel_batch(house, batch) == canceling.Outcome(6, ())
    assert house.authorizations() == []
    assert house.work() == 0
    with pytest.raises(Conflict, match="has begun already"):
        cancel_batch(house, batch)


def test_what_has_begun_is_not_canceled(house: Provisioning, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = house.grant([house.account()], [house.user()], [house.configuration()])

    def unavailable(*_args: object) -> None:
        raise Unavailable("It does not answer.")

    with monkeypatch.context() as patched:
        patched.setattr(LocalConnector, "ensure_role", unavailable)
        house.work()
    [task] = house.tasks(batch)
    with pytest.raises(Conflict, match="not begun"):
        cancel(house, task)


def test_a_canceled_revocation_opens_the_door_again(house: Provisioning) -> None:
    house.done(house.grant([house.account()], [house.user()], [house.configuration()]))
    [task] = house.tasks(house.revoke(*house.authorizations()))
    assert [one.status for one in house.authorizations()] == [AuthorizationStatus.REMOVING]
    cancel(house, task)
    assert [one.status for one in house.authorizations()] == [AuthorizationStatus.ACTIVE]
    house.work()
    assert [one.status for one in house.authorizations()] == [AuthorizationStatus.ACTIVE]


def test_a_revocation_asked_for_twice_is_still_wanted(house: Provisioning) -> None:
    house.done(house.grant([house.account()], [house.user()], [house.configuration()]))
    [first] = house.tasks(house.revoke(*house.authorizations()))
    house.revoke(*house.authorizations())
    cancel(house, first)
    house.work()
    assert house.authorizations() == []


def test_a_grant_and_its_revocation_canceled_one_after_the_other_leave_nothing(house: Provisioning) -> None:
    account, reader = house.account(), house.configuration()
    house.done(house.grant([account], [house.user()], [reader]))
    [granted] = house.tasks(house.grant([account], [house.user()], [reader]))
    [revoked] = house.tasks(house.revoke(house.authorizations()[1]))
    cancel(house, granted)
    assert len(house.authorizations()) == 1
    with pytest.raises(Conflict, match="not there any more"):
        cancel(house, revoked)


def test_a_canceled_revocation_of_a_grant_under_way_lets_it_go_on(house: Provisioning) -> None:
    batch = house.grant([house.account()], [house.user()], [house.configuration()])
    [revoked] = house.tasks(house.revoke(*house.authorizations()))
    cancel(house, revoked)
    assert house.done(batch) == ["Success"]
    assert [one.status for one in house.authorizations()] == [AuthorizationStatus.ACTIVE]


def test_an_undeployment_is_canceled_as_a_whole_or_from_its_end(house: Provisioning) -> None:
    house.done(house.grant([house.account()], [house.user(), house.user()], [house.configuration()]))
    batch = house.undeploy(house.deployments()[0])
    revoke, _second, undeploy = house.tasks(batch)
    with pytest.raises(Conflict, match="being undeployed from this account"):
        cancel(house, revoke)
    cancel(house, undeploy)
    assert [one.status for one in house.deployments()] == [DeploymentStatus.DEPLOYED]
    assert cancel_batch(house, batch).done == 2
    assert [one.status for one in house.authorizations()] == [AuthorizationStatus.ACTIVE] * 2
    again = house.undeploy(house.deployments()[0])
    assert cancel_batch(house, again) == canceling.Outcome(3, ())
    assert [one.status for one in house.authorizations()] == [AuthorizationStatus.ACTIVE] * 2
    assert house.done(house.undeploy(house.deployments()[0])) == ["Success"] * 3


def test_a_canceled_redeployment_still_asks_for_it(house: Provisioning) -> None:
    reader = house.configuration("reader")
    house.done(house.grant([house.account()], [house.user()], [reader]))
    house.add_policy(reader, "QcloudCamFullAccess")
    batch = house.redeploy(*house.deployments())
    cancel_batch(house, batch)
    [deployment] = house.deployments()
    assert (deployment.status, deployment.deployed_revision) == (DeploymentStatus.DEPLOYED, 1)


def test_a_canceled_retry_of_a_deployment_that_failed_leaves_it_failed(
    house: Provisioning, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.done(house.grant([house.account()], [house.user()], [house.configuration("reader")]))

    def refuse(*_args: object) -> None:
        raise Forbidden("Not today.")

    batch = house.redeploy(*house.deployments())
    with monkeypatch.context() as patched:
        patched.setattr(LocalConnector, "ensure_role", refuse)
        house.work()
    assert retry_batch(house, batch) == (1, [])
    cancel_batch(house, batch)
    assert [one.status for one in house.deployments()] == [DeploymentStatus.FAILED]


def test_synchronizations(house: Provisioning) -> None:
    account, alice, bob = house.account(), house.user("alice"), house.user("bob")
    started = house.synchronize([account], [alice])
    cancel_batch(house, started)
    assert house.syncs() == []
    staff = house.group("staff", [alice])
    house.done(house.synchronize([account], [staff]))
    ended = house.end_sync(house.syncs()[0])
    cancel_batch(house, ended)
    assert [one.status for one in house.syncs()] == [SyncStatus.ENABLED]
    assert house.synced(account) == ["alice"]
    ended = house.end_sync(house.syncs()[0])
    with house.make.transaction() as session:
        groups.add_members(session, ADMIN, group=groups.get_group(session, house.space, staff.id), user_ids=[bob.id])
    cancel_batch(house, ended)
    assert [one.status for one in house.syncs()] == [SyncStatus.SYNCHRONIZING]
    house.work()
    assert [one.status for one in house.syncs()] == [SyncStatus.ENABLED]
    assert house.synced(account) == ["alice", "bob"]


def test_a_synchronization_that_broke_off_is_not_forgotten_by_canceling_its_retry(
    house: Provisioning, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A CAM user may stand in the account whom no row knows: the deletion takes it out."""
    shop = house.account("shop")
    batch = house.synchronize([shop], [house.group("staff", [house.user("alice"), house.user("bob")])])
    monkeypatch.setattr(visits, "MAX_ATTEMPTS", 1)
    with faulty(house.database) as faults:
        faults.calls = ["", "", "unavailable"]
        house.work()
    house.retry(house.tasks(batch)[0])
    assert cancel_batch(house, batch) == canceling.Outcome(1, ())
    assert [one.status for one in house.syncs()] == [SyncStatus.FAILED]
    assert house.synced(shop) == []
    assert house.inside(shop).users
    with pytest.raises(Conflict, match="still has 1 user synchronization there"):
        remove(house, shop)
    assert house.done(house.end_sync(house.syncs()[0])) == ["Success"]
    assert not house.inside(shop).users
    assert not house.inside(shop).providers
    remove(house, shop)


def test_an_account_with_nothing_but_our_identity_provider_stays(house: Provisioning) -> None:
    shop = house.account("shop")
    with house.make.transaction() as session:
        session.add(DeployedProvider(account_uin=shop.uin, space_id=house.space.id, certificates=""))
    with pytest.raises(Conflict, match="still has 1 identity provider there"):
        remove(house, shop)
    house.done(house.synchronize([shop], [house.user()]))
    with pytest.raises(Conflict, match="still has 1 user synchronization, 1 synchronized user there"):
        remove(house, shop)
    house.done(house.end_sync(house.syncs()[0]))
    remove(house, shop)


def test_a_removal_after_which_nobody_would_grant_it_is_not_canceled(make: Make, settings: Settings) -> None:
    house = Company(make, settings)
    research, sales = house.department("Research"), house.department("Sales")
    shop, alice, reader = house.member("shop", research), house.user("alice"), house.configuration()
    house.grant_in([research], [alice], [reader])
    house.work()
    moved = house.move([shop], sales)
    assert cancel_batch(house, moved) == canceling.Outcome(
        0, ((1, "No department of this account grants this any more."),)
    )
    assert house.done(moved) == ["Success"]
    assert house.names() == []
    house.move([shop], research)
    house.work()
    moved = house.move([shop], sales)
    with house.make.transaction() as session:
        session.execute(update(Member).where(Member.account_uin == shop.uin).values(department_id=research.id))
    assert cancel_batch(house, moved) == canceling.Outcome(1, ())
    assert house.names() == ["(alice in shop)"]


def test_a_grant_is_not_run_again_while_its_role_is_taken_out(house: Provisioning) -> None:
    shop, reader = house.account(), house.configuration()
    with faulty(house.database) as faults:
        faults.calls = ["invalid"]
        failed = house.grant([shop], [house.user()], [reader])
        house.work()
    house.done(house.grant([shop], [house.user()], [reader]))
    house.undeploy(*house.deployments())
    with pytest.raises(Conflict, match="is being undeployed"):
        house.retry(house.tasks(failed)[0])
    house.work()
    house.retry(house.tasks(failed)[0])
    assert house.done(failed) == ["Success"]


def test_what_was_refused_when_it_was_asked_for_never_runs(house: Provisioning) -> None:
    about = [house.account()], [house.user()], [house.configuration()]
    house.done(house.grant(*about))
    [refused] = house.tasks(house.grant(*about))
    with pytest.raises(Conflict, match="refused when it was asked for"):
        house.retry(refused)


def test_what_follows_from_the_idp_is_not_canceled(house: Provisioning) -> None:
    account, alice = house.account(), house.user("alice")
    staff = house.group("staff", [alice])
    house.done(house.synchronize([account], [staff]))
    with house.make.transaction() as session:
        members_left(session, ADMIN, group=staff, user_ids=[alice.id])
    [batch] = house.rows(select(BatchUser.batch_id))
    [task] = house.tasks(batch)
    assert task.type == TaskType.SYNC_USER_REMOVED
    with pytest.raises(Conflict, match="people who left"):
        cancel(house, task)
    outcome = cancel_batch(house, batch)
    assert (outcome.done, len(outcome.refused)) == (0, 1)
    assert house.tasks(batch)[0].status == "Queued"


def test_a_stranger_cancels_nothing(house: Provisioning, make: Make) -> None:
    batch = house.grant([house.account()], [house.user()], [house.configuration()])
    other = Provisioning(make, house.settings, "other")
    with pytest.raises(NotFound):
        cancel_batch(other, batch)
    with pytest.raises(NotFound):
        retry_batch(other, batch)
    with house.make.transaction() as session, pytest.raises(NotFound):
        canceling.cancel(session, ADMIN, space=other.space, task=session.get_one(Task, house.tasks(batch)[0].id))
    assert house.results(batch) == ["Queued"]


@on_postgresql
def test_of_a_worker_and_who_cancels_one_wins(house: Provisioning) -> None:
    account, reader = house.account(), house.configuration()
    house.done(house.grant([account], [house.user()], [reader]))
    batch = house.grant([account], [house.user()], [reader])
    [task] = house.tasks(batch)

    def first(session: object) -> None:
        found = tasks.get_task(session, house.space, task.id)  # type: ignore[arg-type]
        canceling.cancel(session, ADMIN, space=house.space, task=found)  # type: ignore[arg-type]

    with house.make.transaction() as session:
        first(session)
        assert house.work() == 0, "the row is locked: nobody waits for it"
    with clock.shifted(timedelta(seconds=5)):
        house.work()
    assert house.results(batch) == [CANCELED]
    assert len(house.authorizations()) == 1


def test_all_failed_tasks_of_a_batch_run_again_and_who_cannot_is_told(
    house: Provisioning, monkeypatch: pytest.MonkeyPatch
) -> None:
    account, reader = house.account("shop"), house.configuration("reader")
    people = [house.user("alice"), house.user("bob"), house.user("carol")]

    def refuse(*_args: object) -> None:
        raise Forbidden("Not today.")

    with monkeypatch.context() as patched:
        patched.setattr(LocalConnector, "ensure_role", refuse)
        batch = house.grant([account], people, [reader])
        assert house.done(batch) == ["Failed: Not today."] * 3
    house.done(house.grant([account], [people[1]], [reader]))
    assert retry_batch(house, batch) == (2, [(2, "This authorization exists by now.")])
    assert house.done(batch) == ["Success", "Failed: Not today.", "Success"]
    with house.make.transaction() as session:
        session.query(Task).update({"status": "Success"})
    with pytest.raises(Conflict, match="Nothing in this batch failed"):
        retry_batch(house, batch)


def test_a_batch_runs_again_with_as_many_statements_however_many_failed(house: Provisioning) -> None:
    def counted(number: int) -> int:
        people = [house.user() for _ in range(number)]
        kinds = [house.configuration(f"reader-{number}-{place}") for place in range(number)]
        batch = house.grant([house.account()], people, kinds)
        with house.make.transaction() as session:
            session.execute(delete(Authorization))
            session.execute(
                update(Task).where(Task.batch_id == batch).values(status="Failed", attempts=1, reason="No.")
            )
        with statements(house.database) as seen:
            assert retry_batch(house, batch) == (number * number, [])
        assert len(house.authorizations()) == number * number
        assert house.done(batch) == ["Success"] * number * number
        ids = select(Task.id).where(Task.batch_id == batch)
        audited = select(AuditEvent.target_id).where(AuditEvent.action == "task.retry", AuditEvent.target_id.in_(ids))
        assert len(house.rows(audited)) == number * number
        return len(seen)

    assert counted(2) == counted(6)


def test_redeployments_run_again_with_as_many_statements_however_many_failed(house: Provisioning) -> None:
    reader, person = house.configuration(), house.user()

    def counted(number: int) -> int:
        house.done(house.grant([house.account() for _ in range(number)], [person], [reader]))
        batch = house.redeploy(*house.deployments())
        total = len(house.tasks(batch))
        with house.make.transaction() as session:
            session.execute(update(Deployment).values(status=DeploymentStatus.FAILED))
            session.execute(
                update(Task).where(Task.batch_id == batch).values(status="Failed", attempts=1, reason="No.")
            )
        with statements(house.database) as seen:
            assert retry_batch(house, batch) == (total, [])
        assert {one.status for one in house.deployments()} == {DeploymentStatus.DEPLOYING}
        assert house.done(batch) == ["Success"] * total
        return len(seen)

    assert counted(2) == counted(6)
