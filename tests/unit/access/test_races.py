"""Two transactions at the same moment: what one of them made before its commit, the other waits for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import delete, func, select, text
from sqlalchemy.orm import Session

from portal.core.access import authorizations, configurations, deployments, roll_over, syncs, tasks
from portal.core.access.models import Authorization, Configuration, DeployedProvider, Task, TaskStatus
from portal.core.actor import SYSTEM
from portal.core.errors import Conflict, NotFound
from portal.core.federation import saml_keys
from portal.core.organization import members, queries
from portal.core.organization.models import Account, Organization
from portal.core.paging import Search
from portal.worker import users
from tests.support import meeting
from tests.support.meeting import Step, on_postgresql
from tests.support.provisioning import Provisioning
from tests.support.saml_idp import key_pair


def meet(house: Provisioning, first: Step, second: Callable[[], Any]) -> Any:
    return meeting.meet(house.database, first, second)


def remove_account(session: Session, house: Provisioning, account: Account) -> Any:
    organization = session.get_one(Organization, house.space.organization_id)
    return members.remove_members(session, SYSTEM, organization=organization, uins=[account.uin])


def is_member(house: Provisioning, account: Account) -> bool:
    with house.make.transaction() as session:
        organization = session.get_one(Organization, house.space.organization_id)
        return account.uin in {row.uin for row in queries.members_page(session, organization, Search()).rows}


@on_postgresql
def test_mem_2_an_account_in_which_a_role_is_being_granted_is_not_removed(house: Provisioning) -> None:
    account, alice, reader = house.account("shop"), house.user(), house.configuration()

    def grant(session: Session) -> None:
        authorizations.grant(
            session, SYSTEM, space=house.space, accounts=[account.uin], users=[alice.id], configurations=[reader.id]
        )

    def remove() -> None:
        with house.make.transaction() as session:
            remove_account(session, house, account)

    refusal = meet(house, grant, remove)
    assert isinstance(refusal, Conflict)
    assert "still has 1 authorization there" in refusal.message
    assert is_member(house, account)


@on_postgresql
def test_mem_2_nothing_is_granted_in_an_account_that_is_being_removed(house: Provisioning) -> None:
    account, alice, reader = house.account(), house.user(), house.configuration()
    refusal = meet(
        house,
        lambda session: remove_account(session, house, account),
        lambda: house.grant([account], [alice], [reader]),
    )
    assert isinstance(refusal, NotFound)
    assert (house.authorizations(), house.tasks()) == ([], [])


def test_mem_2_nothing_is_deployed_in_an_account_that_left_while_the_task_waited(house: Provisioning) -> None:
    account, reader = house.account("shop"), house.configuration()
    with house.make.transaction() as session:
        batch = deployments.deploy(
            session, SYSTEM, space=house.space, configurations=[reader.id], accounts=[account.uin]
        )
    with house.make.transaction() as session:
        remove_account(session, house, account)
    assert house.done(batch) == ["Failed: shop is no member account of the organization any more."]
    assert house.deployments() == []
    assert house.inside(account).roles == ()


def _grant(house: Provisioning, account: Account, session: Session) -> None:
    [alice, reader] = _named(session, house)
    authorizations.grant(
        session, SYSTEM, space=house.space, accounts=[account.uin], users=[alice], configurations=[reader]
    )


def _synchronize(house: Provisioning, account: Account, session: Session) -> None:
    [alice, _] = _named(session, house)
    syncs.synchronize(session, SYSTEM, space=house.space, accounts=[account.uin], users=[alice])


def _create_configuration(house: Provisioning, account: Account, session: Session) -> None:
    configurations.create_configuration(session, SYSTEM, space=house.space, name="Twice")


def _add_policy(house: Provisioning, account: Account, session: Session) -> None:
    configuration = session.scalars(select(Configuration)).one()
    configurations.add_policies(session, SYSTEM, configuration=configuration, names=["QcloudCVMFullAccess"])


def _named(session: Session, house: Provisioning) -> list[str]:
    return [session.scalars(text(f"SELECT id FROM {table}")).one() for table in ("users", "configurations")]


@on_postgresql
@pytest.mark.parametrize("verb", [_grant, _synchronize, _create_configuration, _add_policy])
def test_who_comes_second_is_told_and_may_still_show_the_form(
    house: Provisioning, verb: Callable[[Provisioning, Account, Session], None]
) -> None:
    account = house.account()
    house.user()
    house.configuration()

    def second() -> int:
        with house.make.transaction() as session:
            with pytest.raises(Conflict):
                verb(house, account, session)
            return session.scalar(select(func.count()).select_from(Configuration)) or 0

    assert meet(house, lambda session: verb(house, account, session), second) in (1, 2)


@on_postgresql
def test_ic_15_a_retry_of_what_is_granted_meanwhile_is_told_and_may_still_show_the_page(house: Provisioning) -> None:
    account = house.account()
    house.grant([account], [house.user()], [house.configuration()])
    fail(house)
    with house.make.transaction() as session:
        session.execute(delete(Authorization))

    def retry() -> str:
        with house.make.transaction() as session:
            found = session.scalars(select(Task)).one()
            with pytest.raises(Conflict, match="exists by now"):
                tasks.retry(session, SYSTEM, space=house.space, task=found)
            return session.scalars(select(Task.status).where(Task.id == found.id)).one()

    with house.make.transaction() as session:
        [alice, reader] = _named(session, house)
    rival = Authorization(space_id=house.space.id, user_id=alice, account_uin=account.uin, configuration_id=reader)

    def grant(session: Session) -> None:
        session.add(rival)
        session.flush()

    assert meet(house, grant, retry) == TaskStatus.FAILED


@on_postgresql
def test_ic_15_two_retries_at_once_run_the_task_once(house: Provisioning) -> None:
    house.synchronize([house.account()], [house.user()])
    fail(house)

    def retry(session: Session, found: Task) -> None:
        tasks.retry(session, SYSTEM, space=house.space, task=found)
        found.status = TaskStatus.RUNNING  # a worker is quick
        session.flush()

    def again() -> None:
        with house.make.transaction() as session:
            tasks.retry(session, SYSTEM, space=house.space, task=tasks.get_task(session, house.space, failed.id))

    [failed] = house.tasks()
    refusal = meet(house, lambda session: retry(session, tasks.get_task(session, house.space, failed.id)), again)
    assert isinstance(refusal, Conflict)
    assert house.tasks()[0].status == TaskStatus.RUNNING


@on_postgresql
def test_ic_14_two_deletions_at_once_make_one_task(house: Provisioning) -> None:
    house.done(house.synchronize([house.account()], [house.user()]))
    [sync] = house.syncs()
    refusal = meet(
        house,
        lambda session: syncs.delete_sync(session, SYSTEM, sync=syncs.get_sync(session, house.space, sync.id)),
        lambda: house.end_sync(sync),
    )
    assert isinstance(refusal, Conflict)
    assert [task.type for task in house.tasks()].count("DeleteProvisioning") == 1


@on_postgresql
def test_what_ended_since_the_page_was_read_is_not_found(house: Provisioning) -> None:
    account, alice = house.account(), house.user()
    house.grant([account], [alice], [house.configuration()])
    house.synchronize([account], [alice])
    house.work()
    [sync], [deployment] = house.syncs(), house.deployments()
    with house.make.transaction() as session:
        read = syncs.get_sync(session, house.space, sync.id)
        deployed = deployments.get_deployment(session, house.space, deployment.id)
        house.end_sync(sync)
        house.undeploy(deployment)
        house.work()
        with pytest.raises(NotFound):
            syncs.delete_sync(session, SYSTEM, sync=read)
        with pytest.raises(NotFound):
            deployments.undeploy(session, SYSTEM, space=house.space, deployment=deployed)


def fail(house: Provisioning) -> None:
    with house.make.transaction() as session:
        task = session.scalars(select(Task)).one()
        task.status, task.attempts = TaskStatus.FAILED, 1


def introduced(house: Provisioning) -> int:
    private_key, certificate = key_pair("the next key")
    with house.make.transaction() as session:
        return roll_over.introduce(
            session,
            SYSTEM,
            space=house.space,
            private_key=private_key,
            certificate=certificate,
            secret_key=house.settings.secret_key,
        )


@on_postgresql
def test_ic_17_a_roll_over_finds_the_account_that_is_being_deployed_to(house: Provisioning) -> None:
    house.synchronize([house.account("shop")], [house.user("bob")])
    [task] = house.tasks()

    def plan(session: Session) -> None:
        users.plan_start(session, session.get_one(Task, task.id), base_url=house.settings.base_url)

    assert meet(house, plan, lambda: introduced(house)) == 1


@on_postgresql
def test_ic_17_a_deployment_waits_for_the_roll_over_and_brings_its_certificate(house: Provisioning) -> None:
    account = house.account("shop")
    batch = house.synchronize([account], [house.user("bob")])
    private_key, certificate = key_pair("the next key")

    def introduce(session: Session) -> None:
        pair = {"private_key": private_key, "certificate": certificate, "secret_key": house.settings.secret_key}
        assert roll_over.introduce(session, SYSTEM, space=house.space, **pair) == 0

    meet(house, introduce, house.work)
    assert house.results(batch) == ["Success"]
    [held] = house.rows(select(DeployedProvider.certificates))
    assert saml_keys.fingerprint(certificate) in held.split()
