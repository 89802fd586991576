"""What hangs on users, groups, configurations or accounts: what goes when everything is to be removed first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, case, false, func, or_, select
from sqlalchemy.orm import Session

from portal.core.access.models import (
    Authorization,
    Configuration,
    ConfigurationPolicy,
    DeletionStrategy,
    DepartmentAuthorization,
    Deployment,
    SyncedUser,
    Task,
    TaskStatus,
    TaskType,
    UserSync,
)
from portal.core.access.queries.departments import departments_of
from portal.core.access.queries.shared import principal
from portal.core.access.rows import MOST, First
from portal.core.directory.models import Group, Membership, User
from portal.core.organization.models import Department, Member
from portal.core.space.models import Space

_OPEN = Task.status.in_([TaskStatus.QUEUED, TaskStatus.RUNNING])
_FAILED_DELETION = (
    select(Task.id)
    .where(Task.sync_id == UserSync.id, Task.type == TaskType.SYNC_DELETE, Task.status == TaskStatus.FAILED)
    .correlate(UserSync)
)
_FAILED_BEFORE = (case((_FAILED_DELETION.exists(), 0), else_=1), UserSync.id)


@dataclass(frozen=True)
class Scope:
    """Whatever hangs on one of these."""

    space: Space
    users: Sequence[str] = ()
    groups: Sequence[str] = ()
    configurations: Sequence[str] = ()
    accounts: Sequence[int] = ()

    @property
    def empty(self) -> bool:
        return not (self.users or self.groups or self.configurations or self.accounts)

    def authorizations(self, model: Any = Authorization) -> ColumnElement[bool]:
        """Also of `DepartmentAuthorization`, which has no account."""
        conditions = [model.user_id.in_(self.users), model.group_id.in_(self.groups)]
        conditions.append(model.configuration_id.in_(self.configurations))
        if model is Authorization:
            conditions.append(model.account_uin.in_(self.accounts))
        return and_(model.space_id == self.space.id, or_(*conditions))

    def syncs(self) -> ColumnElement[bool]:
        mine = [UserSync.user_id.in_(self.users), UserSync.group_id.in_(self.groups)]
        return and_(UserSync.space_id == self.space.id, or_(*mine, UserSync.account_uin.in_(self.accounts)))

    def deployments(self) -> ColumnElement[bool]:
        return and_(Deployment.space_id == self.space.id, self._deployed_by(Deployment))

    def first_deployments(self) -> Any:
        """(account, its name, configuration, its name) of tasks that may still make the first deployment there."""
        there = select(Deployment.id).where(
            Deployment.account_uin == Task.account_uin, Deployment.configuration_id == Task.configuration_id
        )
        return (
            select(Task.account_uin, Task.account_name, Task.configuration_id, Task.configuration_name)
            .where(
                Task.space_id == self.space.id,
                Task.type.in_([TaskType.GRANT, TaskType.DEPLOY]),
                _OPEN,
                self._deployed_by(Task),
                ~there.exists(),
            )
            .distinct()
        )

    def strays(self) -> ColumnElement[bool]:
        """CAM users in the accounts that no synchronization asks for: their removal failed."""
        members = select(Membership.user_id).where(Membership.group_id == UserSync.group_id)
        covered = select(UserSync.id).where(
            UserSync.account_uin == SyncedUser.account_uin,
            or_(UserSync.user_id == SyncedUser.user_id, SyncedUser.user_id.in_(members.correlate(UserSync))),
        )
        mine = (SyncedUser.space_id == self.space.id, SyncedUser.account_uin.in_(self.accounts))
        return and_(*mine, ~covered.correlate(SyncedUser).exists())

    def memberships(self) -> ColumnElement[bool]:
        """Of a Membership joined with its Group; what comes by a group inside goes by itself."""
        mine = or_(Membership.user_id.in_(self.users), Membership.group_id.in_(self.groups))
        return and_(Group.space_id == self.space.id, Membership.direct, mine)

    def tasks(self) -> ColumnElement[bool]:
        """Open ones about the same things."""
        about = [Task.principal_id.in_([*self.users, *self.groups]), self._deployed_by(Task)]
        return and_(Task.space_id == self.space.id, Task.type != TaskType.END_SESSIONS, _OPEN, or_(*about))

    def _deployed_by(self, model: Any) -> ColumnElement[bool]:
        if not self.configurations and not self.accounts:
            return false()
        return or_(model.configuration_id.in_(self.configurations), model.account_uin.in_(self.accounts))


@dataclass(frozen=True)
class GoingAuthorization:
    """`departments` are the names of those that grant it, too: it comes back as long as they do."""

    principal: str
    configuration: str
    account: str
    departments: tuple[str, ...]


@dataclass(frozen=True)
class GoingSync:
    """`task_id` is the last deletion when that failed, for `reason`; "" otherwise."""

    principal: str
    account: str
    deletion_strategy: DeletionStrategy
    task_id: str
    reason: str


@dataclass(frozen=True)
class Removal:
    """`deployments` are (configuration, account), `strays` (CAM user, account), `memberships` (user, group),
    `departments` (who, configuration, department). `syncs` begin with those whose deletion failed before.

    `open_tasks` are about the same things and come first.
    """

    authorizations: First[GoingAuthorization]
    syncs: First[GoingSync]
    deployments: First[tuple[str, str]]
    strays: First[tuple[str, str]]
    memberships: First[tuple[str, str]]
    departments: First[tuple[str, str, str]]
    policies: First[tuple[str]]
    open_tasks: int

    @property
    def tasks(self) -> int:
        return self.authorizations.total + self.syncs.total + self.deployments.total

    @property
    def nothing(self) -> bool:
        lists = (self.strays, self.memberships, self.departments, self.policies)
        return not self.tasks and not any(one.total for one in lists)


def removal(session: Session, scope: Scope) -> Removal:
    """In 17 statements, however much it is."""
    who = principal(Authorization.group_id, Authorization.user_id)[2]
    authorizations = (
        select(Authorization.id, who, Configuration.name, Member.name)
        .select_from(Authorization)
        .outerjoin(User, User.id == Authorization.user_id)
        .outerjoin(Group, Group.id == Authorization.group_id)
        .join(Configuration, Configuration.id == Authorization.configuration_id)
        .join(Member, Member.account_uin == Authorization.account_uin)
        .where(scope.authorizations())
    )
    departments = (
        select(who, Configuration.name, Department.name)
        .select_from(DepartmentAuthorization)
        .outerjoin(User, User.id == DepartmentAuthorization.user_id)
        .outerjoin(Group, Group.id == DepartmentAuthorization.group_id)
        .join(Configuration, Configuration.id == DepartmentAuthorization.configuration_id)
        .join(Department, Department.id == DepartmentAuthorization.department_id)
        .where(scope.authorizations(DepartmentAuthorization))
    )
    syncs = (
        select(UserSync.id, who, Member.name, UserSync.deletion_strategy)
        .select_from(UserSync)
        .outerjoin(User, User.id == UserSync.user_id)
        .outerjoin(Group, Group.id == UserSync.group_id)
        .join(Member, Member.account_uin == UserSync.account_uin)
        .where(scope.syncs())
    )
    deployments = (
        select(Configuration.name, Member.name)
        .select_from(Deployment)
        .join(Configuration, Configuration.id == Deployment.configuration_id)
        .join(Member, Member.account_uin == Deployment.account_uin)
        .where(scope.deployments())
    )
    strays = (
        select(SyncedUser.cam_user_name, Member.name)
        .join(Member, Member.account_uin == SyncedUser.account_uin)
        .where(scope.strays())
    )
    memberships = (
        select(User.user_name, Group.name)
        .select_from(Membership)
        .join(User, User.id == Membership.user_id)
        .join(Group, Group.id == Membership.group_id)
        .where(scope.memberships())
    )
    policies = (
        select(ConfigurationPolicy.policy_name)
        .join(Configuration, Configuration.id == ConfigurationPolicy.configuration_id)
        .where(Configuration.space_id == scope.space.id, Configuration.id.in_(scope.configurations))
    )
    return Removal(
        authorizations=_going_authorizations(session, _first(session, authorizations, Authorization.id)),
        syncs=_going_syncs(session, _first(session, syncs, *_FAILED_BEFORE)),
        deployments=_first(session, deployments, Deployment.id),
        strays=_first(session, strays, SyncedUser.cam_user_name),
        memberships=_first(session, memberships, Group.name_key, User.user_name_key),
        departments=_first(session, departments, DepartmentAuthorization.id),
        policies=_first(session, policies, ConfigurationPolicy.policy_name),
        open_tasks=session.scalar(select(func.count()).select_from(Task).where(scope.tasks())) or 0,
    )


def undeployable(scope: Scope) -> Any:
    """(id, account, its name, configuration, its name) of the deployments, those under way included."""
    return (
        select(Deployment.id, Deployment.account_uin, Member.name, Deployment.configuration_id, Configuration.name)
        .join(Configuration, Configuration.id == Deployment.configuration_id)
        .join(Member, Member.account_uin == Deployment.account_uin)
        .where(scope.deployments())
        .order_by(Deployment.id)
    )


def _going_authorizations(session: Session, found: First[Any]) -> First[GoingAuthorization]:
    granting = departments_of(session, [key for key, *_names in found.rows]) if found.rows else {}
    rows = []
    for key, principal_name, configuration, account in found.rows:
        places = tuple(place.name for place in granting.get(key, ()))
        rows.append(GoingAuthorization(principal_name, configuration, account, places))
    return First(rows, found.total)


def _going_syncs(session: Session, found: First[Any]) -> First[GoingSync]:
    ids = [key for key, *_rest in found.rows]
    deletions = select(Task).where(Task.sync_id.in_(ids), Task.type == TaskType.SYNC_DELETE)
    last = {task.sync_id: task for task in session.scalars(deletions.order_by(Task.created_at, Task.number))}
    failed = {key: (task.id, task.reason) for key, task in last.items() if task.status == TaskStatus.FAILED}
    rows = []
    for key, principal_name, account, strategy in found.rows:
        task_id, reason = failed.get(key, ("", ""))
        rows.append(GoingSync(principal_name, account, strategy, task_id, reason))
    return First(rows, found.total)


def _first(session: Session, statement: Any, *order: Any) -> First[Any]:
    counted = select(func.count()).select_from(statement.order_by(None).subquery())
    total = session.scalar(counted) or 0
    rows = session.execute(statement.order_by(*order).limit(MOST)).all() if total else []
    return First([tuple(row) for row in rows], total)
