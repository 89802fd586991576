"""Provisioning against a model: whatever is asked for and whatever breaks off, accounts come to what is wanted."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from datetime import timedelta
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
from sqlalchemy import update

from portal.clouds import connector_for
from portal.clouds.connector import RoleSpec
from portal.core import clock
from portal.core.access import canceling, configurations, tasks
from portal.core.access.models import (
    Authorization,
    AuthorizationStatus,
    DeletionStrategy,
    DeploymentStatus,
    DuplicationStrategy,
    SyncStatus,
    Task,
    TaskStatus,
    TaskType,
    UserSync,
)
from portal.core.actor import SYSTEM
from portal.core.cam.users import create_cam_user
from portal.core.database import Database
from portal.core.directory import groups, users
from portal.core.directory.models import Source
from portal.core.errors import Conflict, Error
from portal.core.ids import new_id
from portal.core.organization.models import Account
from portal.settings import load
from tests.support.faults import DEATHS, REFUSALS, Faults, Killed, faulty
from tests.support.invariants import violations
from tests.support.make import SCIM, Make
from tests.support.provisioning import Provisioning
from tests.support.saml_idp import TestIdp

POLICIES = ("ReadOnlyAccess", "QcloudCamFullAccess", "QcloudCVMFullAccess")
DURATIONS = (3600, 7200, 900)
EXAMPLES = int(os.environ.get("PORTAL_TEST_EXAMPLES", "12"))
SECRET = "a secret key of the tests, long enough"
LATER = timedelta(minutes=2)
"""Longer than any lease and any wait before the next attempt."""

one = st.integers(0, 5)
some = st.sets(st.integers(0, 5), min_size=1, max_size=3)
faults_of_calls = st.lists(st.sampled_from(["", "", *REFUSALS, *DEATHS]), max_size=8)
death_at_commit = st.tuples(st.integers(0, 12), st.sampled_from(DEATHS))


class ProvisioningMachine(RuleBasedStateMachine):
    """`wanted` are the triples that were granted and not taken away again, `synced` the synchronizations, `had` what
    each configuration ever said."""

    database: Database
    faults: Faults

    @initialize()
    def begin(self) -> None:
        self.faults.heal()
        self.time = ExitStack()
        with self.database.transaction() as session:  # of an example that failed
            session.execute(update(Task).values(status=TaskStatus.CANCELED))
        own = {"database_url": self.database.url, "secret_key": SECRET, "base_url": "http://localhost"}
        own |= {"account_calls_per_second": 0}
        make = Make(self.database, SECRET)
        self.house = Provisioning(make, load(environment="test", embedded_worker=False, **own), new_id("s-"))
        self.people = [self.house.user(source=Source.SCIM) for _ in range(3)]
        self.teams = [self.house.group(source=Source.SCIM) for _ in range(2)]
        self.accounts = [self.house.account() for _ in range(2)]
        self.configurations = [self.house.configuration(name, POLICIES[:1]) for name in ("reader", "writer")]
        self.had = {one.id: {(POLICIES[:1], 3600)} for one in self.configurations}
        self.wanted: set[tuple[str, int, str]] = set()
        self.synced: set[tuple[str, int]] = set()
        self.strangers = {account.uin: self.settle_strangers(make, account) for account in self.accounts}

    def settle_strangers(self, make: Make, account: Account) -> tuple[str, Any]:
        """What another space has in the account, and a user of the account's own who is called like one of ours."""
        other, idp = new_id("z-"), TestIdp()
        connector = connector_for(self.database, account, base_url="http://localhost")
        provider = {"name": f"of-{other}", "entity_id": idp.entity_id, "metadata_xml": idp.metadata()}
        connector.ensure_identity_provider(**provider, description="", managed_by=other)
        connector.ensure_role(RoleSpec("TencentCloudSSO-other", "", f"of-{other}", 3600, POLICIES[1:], other))
        stays = DuplicationStrategy.KEEP_BOTH
        connector.ensure_user(name="stranger", remark="", duplication_strategy=stays, managed_by=other)
        with make.transaction() as session:
            create_cam_user(session, SYSTEM, account_uin=account.uin, name=self.people[0].user_name, policies=())
        return other, connector.describe(managed_by=other)

    def teardown(self) -> None:
        if not hasattr(self, "wanted"):
            return
        try:
            self.come_to_rest()
            self.check_accounts()
            found = violations(self.database, self.house.space.id, "http://localhost", excused=False)
            assert not found, "\n".join(found)
            assert {self.triple(row) for row in self.held()} == self.wanted
            assert {self.pair(row) for row in self.syncs()} == self.synced
        finally:
            self.time.close()

    def come_to_rest(self) -> None:
        """The accounts answer again; what failed is run again as long as that changes anything, as people would."""
        self.faults.heal()
        for _ in range(3):
            self.run_all()
            for task in self.tasks(TaskStatus.FAILED):
                triple = (task.principal_id, task.account_uin, task.configuration_id)
                if task.type != TaskType.GRANT or triple in self.wanted:
                    with suppress(Error):
                        self.house.retry(task)
        self.run_all()
        for row in self.syncs():  # canceled before it was begun again: nothing is left but to delete it
            if row.status == SyncStatus.FAILED and not self.has_failed(row):
                self.house.end_sync(row)
                self.synced.discard(self.pair(row))
        broken = [row for row in self.deployments() if row.status == DeploymentStatus.FAILED]
        if broken:
            self.house.redeploy(*broken)
        self.run_all()

    def has_failed(self, sync: UserSync) -> bool:
        return any(task.sync_id == sync.id for task in self.tasks(TaskStatus.FAILED))

    def run_all(self) -> None:
        for _ in range(20):
            self.house.work()
            if not self.tasks(TaskStatus.QUEUED, TaskStatus.RUNNING):
                return
            self.time.enter_context(clock.shifted(LATER))
        raise AssertionError([f"{task.type} {task.status} {task.reason}" for task in self.tasks(TaskStatus.QUEUED)])

    def tasks(self, *status: TaskStatus) -> list[Task]:
        return [task for task in self.house.tasks() if task.space_id == self.house.space.id and task.status in status]

    def mine(self, rows: list[Any]) -> list[Any]:
        return [row for row in rows if row.space_id == self.house.space.id]

    def held(self) -> list[Authorization]:
        return self.mine(self.house.authorizations())

    def deployments(self) -> list[Any]:
        return self.mine(self.house.deployments())

    def syncs(self) -> list[Any]:
        return self.mine(self.house.syncs())

    def triple(self, row: Authorization) -> tuple[str, int, str]:
        return (row.user_id or row.group_id or "", row.account_uin, row.configuration_id)

    def pair(self, row: UserSync) -> tuple[str, int]:
        return (row.user_id or row.group_id or "", row.account_uin)

    def principals(self, numbers: set[int]) -> list[Any]:
        everybody = [*self.people, *self.teams]
        return [everybody[number] for number in sorted({number % len(everybody) for number in numbers})]

    def pick(self, rows: list[Any], number: int) -> Any:
        return rows[number % len(rows)]

    @rule(who=some, where=one, what=one)
    def grant(self, who: set[int], where: int, what: int) -> None:
        account, configuration = self.pick(self.accounts, where), self.pick(self.configurations, what)
        batch = self.house.grant([account], self.principals(who), [configuration])
        for task in self.house.tasks(batch):
            if task.status == TaskStatus.QUEUED:
                self.wanted.add((task.principal_id, account.uin, configuration.id))
            else:
                assert "exist" in task.reason or "being removed" in task.reason

    @precondition(lambda self: self.held())
    @rule(number=one, undeploys=st.booleans())
    def revoke(self, number: int, undeploys: bool) -> None:
        row = self.pick(self.held(), number)
        self.house.revoke(row, undeploy_last=undeploys)
        self.wanted.discard(self.triple(row))

    @rule(number=one, name=st.sampled_from(POLICIES))
    def change_policies(self, number: int, name: str) -> None:
        with self.database.transaction() as session:
            space = self.house.space
            found = configurations.get_configuration(session, space, self.pick(self.configurations, number).id)
            has = configurations.policy_names(session, found.id)
            if name in has:
                configurations.remove_policy(session, SYSTEM, configuration=found, name=name)
            else:
                configurations.add_policies(session, SYSTEM, configuration=found, names=[name])
            self.note(session, found)

    @rule(number=one, seconds=st.sampled_from(DURATIONS))
    def change_duration(self, number: int, seconds: int) -> None:
        with self.database.transaction() as session:
            space = self.house.space
            found = configurations.get_configuration(session, space, self.pick(self.configurations, number).id)
            configurations.update_configuration(session, SYSTEM, configuration=found, session_duration=seconds)
            self.note(session, found)

    def note(self, session: Any, configuration: Any) -> None:
        policies = tuple(configurations.policy_names(session, configuration.id))
        self.had[configuration.id].add((policies, configuration.session_duration))

    @precondition(lambda self: self.deployments())
    @rule(number=one)
    def redeploy(self, number: int) -> None:
        self.house.redeploy(self.pick(self.deployments(), number))

    @precondition(lambda self: self.deployments())
    @rule(number=one)
    def undeploy(self, number: int) -> None:
        row = self.pick(self.deployments(), number)
        with suppress(Conflict):
            self.house.undeploy(row)
            self.wanted = {each for each in self.wanted if each[1:] != (row.account_uin, row.configuration_id)}

    @rule(who=some, where=one, replaces=st.booleans(), deletes=st.booleans())
    def synchronize(self, who: set[int], where: int, replaces: bool, deletes: bool) -> None:
        account = self.pick(self.accounts, where)
        duplication = DuplicationStrategy.TAKE_OVER if replaces else DuplicationStrategy.KEEP_BOTH
        deletion = DeletionStrategy.DELETE if deletes else DeletionStrategy.KEEP
        batch = self.house.synchronize([account], self.principals(who), duplication=duplication, deletion=deletion)
        for task in self.house.tasks(batch):
            if task.status == TaskStatus.QUEUED:
                self.synced.add((task.principal_id, account.uin))

    @precondition(lambda self: [row for row in self.syncs() if row.status != SyncStatus.DELETING])
    @rule(number=one)
    def end_sync(self, number: int) -> None:
        row = self.pick([row for row in self.syncs() if row.status != SyncStatus.DELETING], number)
        self.house.end_sync(row)
        self.synced.discard(self.pair(row))

    @rule(number=one, who=some, joins=st.booleans())
    def move(self, number: int, who: set[int], joins: bool) -> None:
        verb = groups.add_members if joins else groups.remove_members
        chosen = {self.pick(self.people, each).id for each in who}
        with self.database.transaction() as session:
            group = groups.get_group(session, self.house.space, self.pick(self.teams, number).id)
            verb(session, SCIM, group=group, user_ids=sorted(chosen))

    @rule(number=one)
    def disable_or_enable(self, number: int) -> None:
        with self.database.transaction() as session:
            user = users.get_user(session, self.house.space, self.pick(self.people, number).id)
            users.set_enabled(session, SCIM, user=user, enabled=not user.enabled)

    @rule(number=one)
    def rename(self, number: int) -> None:
        with self.database.transaction() as session:
            user = users.get_user(session, self.house.space, self.pick(self.people, number).id)
            users.update_user(session, SCIM, user=user, user_name=new_id("renamed-"))

    @precondition(lambda self: len(self.people) > 1)
    @rule(number=one)
    def delete_user(self, number: int) -> None:
        gone = self.people.pop(number % len(self.people))
        with self.database.transaction() as session:
            users.delete_user(session, SCIM, user=users.get_user(session, self.house.space, gone.id))
        self.wanted = {each for each in self.wanted if each[0] != gone.id}
        self.synced = {each for each in self.synced if each[0] != gone.id}

    @rule(calls=faults_of_calls, later=st.booleans())
    def work_in_accounts_that_fail(self, calls: list[str], later: bool) -> None:
        self.work(calls, None, later)

    @rule(commit=death_at_commit, later=st.booleans())
    def work_until_death(self, commit: tuple[int, str], later: bool) -> None:
        self.work([], commit, later)

    @rule(later=st.booleans())
    def work_well(self, later: bool) -> None:
        self.work([], None, later)

    def work(self, calls: list[str], commit: tuple[int, str] | None, later: bool) -> None:
        """A worker until nothing is to do, or until it dies. Only here anything changes in accounts."""
        if later:
            self.time.enter_context(clock.shifted(LATER))
        self.faults.calls, self.faults.commit = list(calls), commit
        with suppress(Killed):
            self.house.work()
        self.faults.heal()
        self.check_accounts()

    @precondition(lambda self: self.tasks(TaskStatus.FAILED))
    @rule(number=one)
    def retry(self, number: int) -> None:
        task = self.pick(self.tasks(TaskStatus.FAILED), number)
        with suppress(Error):
            self.house.retry(task)
            triple = (task.principal_id or "", task.account_uin, task.configuration_id or "")
            if task.type == TaskType.GRANT:
                self.wanted.add(triple)

    def check_accounts(self) -> None:
        """There stands only what a configuration said at some time, and nothing of others is touched."""
        names = {configuration.role_name: configuration.id for configuration in self.configurations}
        for account in self.accounts:
            for role in self.house.inside(account).roles:
                assert (role.policies, role.session_duration) in self.had[names[role.name]]
            other, before = self.strangers[account.uin]
            connector = connector_for(self.database, account, base_url="http://localhost")
            assert connector.describe(managed_by=other) == before

    @precondition(lambda self: self.tasks(TaskStatus.QUEUED))
    @rule(number=one)
    def cancel(self, number: int) -> None:
        """Taken back is what it wanted: what is wanted now is what the rows say of the same holder."""
        task = self.pick(self.tasks(TaskStatus.QUEUED), number)
        try:
            with self.database.transaction() as session:
                found = tasks.get_task(session, self.house.space, task.id)
                canceling.cancel(session, SYSTEM, space=self.house.space, task=found)
        except Error:
            return
        triple = (task.principal_id or "", task.account_uin, task.configuration_id or "")
        opened = {self.triple(row) for row in self.held() if row.status != AuthorizationStatus.REMOVING}
        self.wanted = self.wanted - {triple} | {triple} & opened
        pair = triple[:2]
        covered = {self.pair(row) for row in self.syncs() if row.status != SyncStatus.DELETING}
        self.synced = self.synced - {pair} | {pair} & covered

    @invariant()
    def who_was_revoked_is_not_let_in(self) -> None:
        if not hasattr(self, "wanted"):
            return
        for row in self.held():
            if row.status == AuthorizationStatus.ACTIVE:
                assert self.triple(row) in self.wanted


@pytest.fixture(scope="module")
def shared_database(request: pytest.FixtureRequest) -> Iterator[Database]:
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


@pytest.mark.parametrize(
    ("shared_database", "examples"),
    [("sqlite", EXAMPLES), ("postgresql", EXAMPLES // 3)],
    indirect=["shared_database"],
)
def test_whatever_breaks_off_accounts_come_to_what_is_wanted(shared_database: Database, examples: int) -> None:
    with faulty(shared_database) as faults:
        machine = type("ProvisioningOf", (ProvisioningMachine,), {"database": shared_database, "faults": faults})
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=examples,
                stateful_step_count=30,
                print_blob=True,
                deadline=None,
                suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
            ),
        )
