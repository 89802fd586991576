"""Granting, revoking, deploying and undeploying permission configurations (IC-9..IC-12)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import and_, delete, func, select, update
from sqlalchemy.orm import Session

from portal.clouds import Connector, RoleSpec
from portal.core import clock
from portal.core.access import undoing
from portal.core.access.configurations import policy_names, role_description
from portal.core.access.models import (
    Authorization,
    AuthorizationStatus,
    Configuration,
    Deployment,
    DeploymentStatus,
    Task,
    TaskStatus,
    TaskType,
)
from portal.core.access.queries.departments import granting_departments
from portal.core.access.tasks import deployment_of
from portal.core.access.undoing import authorization_of
from portal.core.actor import SYSTEM
from portal.core.directory.models import Group, User
from portal.core.errors import Conflict, NotFound
from portal.core.organization.organizations import lock_organization
from portal.core.space.models import Space
from portal.worker.kinds import (
    Keep,
    Kind,
    Provider,
    Work,
    check_member,
    expect_provider,
    forget_provider,
    is_last,
    provider_of,
    record,
)


@dataclass(frozen=True)
class Deploy:
    """Identity provider, then the role exactly as the configuration said in the claiming transaction."""

    provider: Provider
    role: RoleSpec
    revision: int
    calls = True

    def perform(self, connector: Connector, keep: Keep) -> None:
        keep()
        self.provider.ensure(connector)
        keep()
        connector.ensure_role(self.role)

    def record(self, session: Session, task: Task) -> str:
        self.provider.record(session, task)
        deployment = deployment_of(session, task, lock=True)
        if deployment is not None:  # nobody removes it while we hold the account
            deployment.deployed_revision = self.revision
            deployment.session_duration = self.role.session_duration
            deployment.policies = list(self.role.policies)
            deployment.role_name, deployment.provider_name = self.role.name, self.provider.name
            deployment.updated_at = clock.now()
            if deployment.status != DeploymentStatus.UNDEPLOYING:
                deployment.status = DeploymentStatus.DEPLOYED
        details = {"role": self.role.name, "policies": list(self.role.policies), "revision": self.revision}
        _record(session, task, "deployment.deployed", details=details)
        return ""


@dataclass(frozen=True)
class Grant:
    """`deploy` is None where the configuration is deployed: an outdated role is not silently renewed (IC-10)."""

    deploy: Deploy | None

    @property
    def calls(self) -> bool:
        return self.deploy is not None

    def perform(self, connector: Connector, keep: Keep) -> None:
        if self.deploy:
            self.deploy.perform(connector, keep)

    def record(self, session: Session, task: Task) -> str:
        # everywhere authorizations before deployments, so that two transactions never wait for each other
        session.execute(
            update(Authorization)
            .where(*authorization_of(task), Authorization.status == AuthorizationStatus.GRANTING)
            .values(status=AuthorizationStatus.ACTIVE)
        )
        if self.deploy:
            self.deploy.record(session, task)
        _record(session, task, "authorization.granted", details=_holder(task))
        return ""


@dataclass(frozen=True)
class Revoke:
    calls = False

    def perform(self, connector: Connector, keep: Keep) -> None:
        """Access stopped when the removal was asked for; a task of its own ends sessions."""

    def record(self, session: Session, task: Task) -> str:
        """Nothing goes that a department granted again meanwhile."""
        removing = Authorization.status == AuthorizationStatus.REMOVING
        gone = delete(Authorization).where(*authorization_of(task), removing).returning(Authorization.id)
        if session.scalars(gone).all():
            _record(session, task, "authorization.revoked", details=_holder(task))
        return ""


@dataclass(frozen=True)
class Undeploy:
    """`provider_name` is given where nothing else needs the identity provider."""

    role_name: str | None
    provider_name: str | None
    space_id: str

    @property
    def calls(self) -> bool:
        return bool(self.role_name or self.provider_name)

    def perform(self, connector: Connector, keep: Keep) -> None:
        if self.role_name:
            keep()
            connector.remove_role(self.role_name, managed_by=self.space_id)
        if self.provider_name:
            keep()
            connector.remove_identity_provider(self.provider_name, managed_by=self.space_id)

    def record(self, session: Session, task: Task) -> str:
        deployment = deployment_of(session, task, lock=True)
        if deployment is not None:
            session.delete(deployment)
        if self.provider_name:
            forget_provider(session, task)
        details = {"role": self.role_name, "identity_provider": self.provider_name}
        _record(session, task, "deployment.undeployed", details=details)
        return ""


def plan_deploy(session: Session, task: Task, *, base_url: str) -> Deploy:
    check_member(session, task)
    # the revision is read before the policies: a change in between is then deployed, but still asks to be redeployed
    configuration = session.get(Configuration, task.configuration_id, populate_existing=True)
    if configuration is None:
        raise NotFound("The permission configuration was deleted.")
    space = session.get_one(Space, task.space_id)
    deployment = deployment_of(session, task, lock=True)
    if deployment is None:
        session.add(
            Deployment(
                space_id=space.id,
                account_uin=task.account_uin,
                configuration_id=configuration.id,
                role_name=configuration.role_name,
                provider_name=space.provider_name,
            )
        )
    elif deployment.status != DeploymentStatus.UNDEPLOYING:
        deployment.status, deployment.updated_at = DeploymentStatus.DEPLOYING, clock.now()
    session.flush()
    expect_provider(session, task)
    role = RoleSpec(
        name=configuration.role_name,
        description=role_description(configuration.name, space.name),
        provider_name=space.provider_name,
        session_duration=configuration.session_duration,
        policies=tuple(policy_names(session, configuration.id)),
        managed_by=space.id,
    )
    return Deploy(provider_of(session, space, base_url=base_url), role, configuration.revision)


def plan_grant(session: Session, task: Task, *, base_url: str) -> Work:
    check_member(session, task)
    same = and_(
        Deployment.account_uin == Authorization.account_uin,
        Deployment.configuration_id == Authorization.configuration_id,
    )
    statement = select(Authorization.status, Deployment.status, Deployment.deployed_revision)
    found = session.execute(statement.outerjoin(Deployment, same).where(*authorization_of(task))).first()
    if found is None or found[0] == AuthorizationStatus.REMOVING:
        raise Conflict("The authorization was removed before it was granted.")
    missing = not found[2] or found[1] == DeploymentStatus.FAILED
    return Grant(plan_deploy(session, task, base_url=base_url) if missing else None)


def plan_revoke(session: Session, task: Task, *, base_url: str) -> Work:
    return Revoke()


def plan_undeploy(session: Session, task: Task, *, base_url: str) -> Work:
    deployment = deployment_of(session, task)
    if deployment is None:
        return Undeploy(None, None, task.space_id)
    _check_unused(session, task)
    provider = deployment.provider_name if is_last(session, task, deployment=deployment) else None
    return Undeploy(deployment.role_name, provider, task.space_id)


def give_up_deploy(session: Session, task: Task, *, touched: bool) -> None:
    undoing.fail_deployment(session, task)


def give_up_grant(session: Session, task: Task, *, touched: bool) -> None:
    """What was not granted is not there, unless a department grants it; running the task again makes it anew."""
    if task.direct and granting_departments(
        session, task.account_uin, configuration_id=task.configuration_id, principal_id=task.principal_id
    ):
        lock_organization(session, session.get_one(Space, task.space_id).organization_id)
    undoing.drop_grants(session, replace(SYSTEM, name=task.actor_name), [task])
    undoing.fail_deployment(session, task)


def give_up_revoke(session: Session, task: Task, *, touched: bool) -> None:
    """The authorization stays in removal, without access, until the task is run again."""


def give_up_undeploy(session: Session, task: Task, *, touched: bool) -> None:
    undoing.end_undeployment(session, task, touched=touched)


def _check_unused(session: Session, task: Task) -> None:
    """IC-11: authorizations first. They were removed earlier in the batch, unless that failed or new ones came."""
    failed = session.scalar(
        select(Task)
        .where(
            Task.batch_id == task.batch_id,
            Task.account_uin == task.account_uin,
            Task.configuration_id == task.configuration_id,
            Task.number < task.number,
            Task.type == TaskType.REVOKE,
            Task.status == TaskStatus.FAILED,
        )
        .order_by(Task.number)
        .limit(1)
    )
    if failed is not None:
        raise Conflict(f"The authorization of {failed.principal_name} could not be removed: {failed.reason}")
    names = session.scalars(
        select(func.coalesce(User.user_name, Group.name))
        .select_from(Authorization)
        .outerjoin(User, User.id == Authorization.user_id)
        .outerjoin(Group, Group.id == Authorization.group_id)
        .where(Authorization.account_uin == task.account_uin, Authorization.configuration_id == task.configuration_id)
        .order_by(Authorization.id)
        .limit(4)
    ).all()
    if names:
        more = ", ..." if len(names) > 3 else ""
        raise Conflict(f"The permission configuration is still used in this account by {', '.join(names[:3])}{more}.")


def _holder(task: Task) -> dict[str, str]:
    return {"principal": task.principal_name, "principal_id": task.principal_id or ""}


def _record(session: Session, task: Task, action: str, *, details: dict[str, Any]) -> None:
    target = ("configuration", task.configuration_id, task.configuration_name)
    record(session, task, action, target=target, details=details)


KINDS = {
    TaskType.GRANT: Kind(plan_grant, give_up_grant),
    TaskType.REVOKE: Kind(plan_revoke, give_up_revoke),
    TaskType.DEPLOY: Kind(plan_deploy, give_up_deploy),
    TaskType.UNDEPLOY: Kind(plan_undeploy, give_up_undeploy),
}
