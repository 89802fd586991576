"""An organization whose tasks really run: a space with its key, people, accounts, and the worker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import func, select

from portal.clouds import AccountState, connector_for
from portal.core.access import authorizations, configurations, deployments, syncs, tasks
from portal.core.access.models import (
    Authorization,
    Configuration,
    DeletionStrategy,
    Deployment,
    DuplicationStrategy,
    SyncedUser,
    Task,
    TaskStatus,
    UserSync,
)
from portal.core.actor import SYSTEM
from portal.core.directory.models import Group, User
from portal.core.federation import saml_keys
from portal.core.organization.models import Account
from portal.core.space.models import Space
from portal.settings import Settings
from portal.worker.engine import run_until_idle
from portal.worker.visits import Visit, enter
from tests.support.make import Make
from tests.support.saml_idp import key_pair


class Provisioning:
    """Verbs in committed transactions, the worker, and what came of it."""

    def __init__(self, make: Make, settings: Settings, name: str = "acme") -> None:
        self.make, self.settings, self.database = make, settings, make.database
        self.space: Space = make.space(name)
        private_key, certificate = key_pair("provisioning")
        with make.transaction() as session:
            saml_keys.create_key(
                session,
                space=self.space,
                private_key=private_key,
                certificate=certificate,
                secret_key=settings.secret_key,
            )

    def configuration(
        self, name: str = "reader", policies: Sequence[str] = ("ReadOnlyAccess",), **fields: Any
    ) -> Configuration:
        with self.make.transaction() as session:
            return configurations.create_configuration(
                session, SYSTEM, space=self.space, name=name, policies=policies, **fields
            )

    def account(self, name: str = "") -> Account:
        return self.make.account(self.space, name)

    def user(self, name: str = "", **fields: Any) -> User:
        return self.make.user(self.space, name, **fields)

    def group(self, name: str = "", members: list[User] | None = None, **fields: Any) -> Group:
        return self.make.group(self.space, name, members, **fields)

    def grant(self, accounts: Sequence[Account], people: Sequence[User | Group], what: Sequence[Configuration]) -> str:
        with self.make.transaction() as session:
            return authorizations.grant(
                session,
                SYSTEM,
                space=self.space,
                accounts=[account.uin for account in accounts],
                users=[one.id for one in people if isinstance(one, User)],
                groups=[one.id for one in people if isinstance(one, Group)],
                configurations=[one.id for one in what],
            )

    def revoke(self, *held: Authorization, undeploy_last: bool = False) -> str:
        with self.make.transaction() as session:
            return authorizations.revoke(
                session,
                SYSTEM,
                space=self.space,
                authorizations=[one.id for one in held],
                undeploy_last=undeploy_last,
            )

    def redeploy(self, *found: Deployment) -> str:
        with self.make.transaction() as session:
            return deployments.redeploy(session, SYSTEM, space=self.space, deployments=[one.id for one in found])

    def undeploy(self, deployment: Deployment) -> str:
        with self.make.transaction() as session:
            found = deployments.get_deployment(session, self.space, deployment.id)
            return deployments.undeploy(session, SYSTEM, space=self.space, deployment=found)

    def synchronize(
        self,
        accounts: Sequence[Account],
        people: Sequence[User | Group],
        *,
        duplication: str = DuplicationStrategy.KEEP_BOTH,
        deletion: str = DeletionStrategy.DELETE,
    ) -> str:
        with self.make.transaction() as session:
            return syncs.synchronize(
                session,
                SYSTEM,
                space=self.space,
                accounts=[account.uin for account in accounts],
                users=[one.id for one in people if isinstance(one, User)],
                groups=[one.id for one in people if isinstance(one, Group)],
                duplication_strategy=duplication,
                deletion_strategy=deletion,
            )

    def end_sync(self, sync: UserSync) -> str:
        with self.make.transaction() as session:
            return syncs.delete_sync(session, SYSTEM, sync=syncs.get_sync(session, self.space, sync.id))

    def add_policy(self, configuration: Configuration, name: str) -> None:
        with self.make.transaction() as session:
            found = configurations.get_configuration(session, self.space, configuration.id)
            configurations.add_policies(session, SYSTEM, configuration=found, names=[name])

    def retry(self, task: Task) -> None:
        with self.make.transaction() as session:
            tasks.retry(session, SYSTEM, space=self.space, task=tasks.get_task(session, self.space, task.id))

    def enter(self, task: Task | str) -> Visit:
        """A worker takes the account of the task, which is the first there, and stops before its calls."""
        with self.make.transaction() as session:
            uin = session.get_one(Task, task if isinstance(task, str) else task.id).account_uin
        visit = enter(uin, self.database, self.settings)
        assert visit is not None, "somebody else has the account"
        return visit

    def work(self) -> int:
        return run_until_idle(self.database, self.settings)

    def done(self, batch_id: str) -> list[str]:
        """Run everything; the batch's results as people see them: "Success", or "Failed: reason"."""
        self.work()
        return self.results(batch_id)

    def results(self, batch_id: str) -> list[str]:
        return [f"{task.status}: {task.reason}".rstrip(": ") for task in self.tasks(batch_id)]

    def tasks(self, batch_id: str = "", status: TaskStatus | None = None) -> list[Task]:
        statement = select(Task).order_by(Task.created_at, Task.number)
        statement = statement.where(Task.batch_id == batch_id) if batch_id else statement
        statement = statement.where(Task.status == status) if status else statement
        return self.rows(statement)

    def authorizations(self) -> list[Authorization]:
        return self.rows(select(Authorization).order_by(Authorization.id))

    def deployments(self) -> list[Deployment]:
        return self.rows(select(Deployment).order_by(Deployment.id))

    def syncs(self) -> list[UserSync]:
        return self.rows(select(UserSync).order_by(UserSync.created_at))

    def synced(self, account: Account) -> list[str]:
        return self.rows(
            select(SyncedUser.cam_user_name)
            .where(SyncedUser.account_uin == account.uin)
            .order_by(func.lower(SyncedUser.cam_user_name))
        )

    def rows(self, statement: Any) -> list[Any]:
        with self.database.transaction(write=False) as session:
            return list(session.scalars(statement))

    def inside(self, account: Account) -> AccountState:
        """What stands in the account."""
        connector = connector_for(self.database, account, base_url=self.settings.base_url)
        return connector.describe(managed_by=self.space.id)
