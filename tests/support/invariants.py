"""What must hold when nothing runs any more, whatever was killed: by the rows, and by what stands in the accounts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from portal.clouds import AccountState, connector_for
from portal.core.access.configurations import policy_names
from portal.core.access.models import (
    Authorization,
    AuthorizationStatus,
    Configuration,
    ConfigurationPolicy,
    Deployment,
    DeploymentStatus,
    SyncedUser,
    SyncStatus,
    Task,
    TaskStatus,
    TaskType,
    UserSync,
)
from portal.core.audit import AuditEvent
from portal.core.cam.models import CamIdentityProvider, CamRole, CamUser
from portal.core.database import Database
from portal.core.directory.models import Group, Membership, User
from portal.core.organization.models import Account, Member
from portal.core.space.models import Space

_SYNCS = (TaskType.SYNC_START, TaskType.SYNC_DELETE, TaskType.SYNC_USER_ADDED, TaskType.SYNC_USER_REMOVED)
_RUNNING = (TaskStatus.QUEUED, TaskStatus.RUNNING)
Triple = tuple[str | None, int, str | None]


def unsettled(database: Database) -> list[str]:
    with database.transaction(write=False) as session:
        return [
            f"{task.type} {task.id} in {task.account_uin}: {task.status}, attempt {task.attempts}, {task.reason}"
            for task in session.scalars(select(Task).where(Task.status.in_(_RUNNING)))
        ]


def violations(database: Database, space_id: str, base_url: str, *, excused: bool = True) -> list[str]:
    """Sentences; empty when all is well. To be asked when no task waits or runs.

    `excused`: a task that failed with a reason excuses what it left undone. Without, everything must be as wanted.
    """
    with database.transaction(write=False) as session:
        members = select(Account).join(Member, Member.account_uin == Account.uin)
        mine = members.join(Space, Space.organization_id == Member.organization_id).where(Space.id == space_id)
        accounts = list(session.scalars(mine))
    inside = {
        account.uin: connector_for(database, account, base_url=base_url).describe(managed_by=space_id)
        for account in accounts
    }
    with database.transaction(write=False) as session:
        tasks = list(session.scalars(select(Task).where(Task.space_id == space_id)))
        failed = [task for task in tasks if excused and task.status == TaskStatus.FAILED]
        found = [*_tasks(tasks), *_doubled(session)]
        found += _authorizations(session, space_id, tasks)
        for uin, state in inside.items():
            mine = [task for task in failed if task.account_uin == uin]
            found += [f"{uin}: {problem}" for problem in _roles(session, mine, uin, state)]
            found += [f"{uin}: {problem}" for problem in _users(session, uin, state, {task.type for task in mine})]
            found += [f"{uin}: {problem}" for problem in _provider(session, uin, state)]
        found += _audited(session, tasks)
    return found


def lost(database: Database, batches: dict[str, int], switched: dict[tuple[str, str], bool | None]) -> Iterator[str]:
    """What was answered and is not there: batches with all their tasks, memberships, policies."""
    with database.transaction(write=False) as session:
        made = dict(session.execute(select(Task.batch_id, func.count()).group_by(Task.batch_id)).all())
        on: set[tuple[Any, Any]] = {(row[0], row[1]) for row in session.execute(_switches(Membership))}
        on |= {(row[0], row[1]) for row in session.execute(_switches(ConfigurationPolicy))}
    for batch, count in batches.items():
        if not made.get(batch) or (count and made[batch] != count):
            yield f"batch {batch} was answered with {count or 'some'} tasks and has {made.get(batch, 0)}"
    for pair, known in switched.items():
        if known is not None and known != (pair in on):
            yield f"{pair} was answered as {'on' if known else 'off'} and is not"


def _switches(model: Any) -> Any:
    if model is Membership:
        return select(Membership.group_id, Membership.user_id)
    return select(ConfigurationPolicy.configuration_id, ConfigurationPolicy.policy_name)


def _tasks(tasks: list[Task]) -> Iterator[str]:
    for task in tasks:
        if task.status in _RUNNING:
            yield f"task {task.id} ({task.type}) is {task.status}"
        if task.status == TaskStatus.FAILED and not task.reason.strip():
            yield f"task {task.id} ({task.type}) failed without a reason"
        if task.ended_at is None or task.claim is not None:
            yield f"task {task.id} ({task.type}) has not been closed"


def _doubled(session: Session) -> Iterator[str]:
    for table, columns in (
        (Authorization, (Authorization.user_id, Authorization.group_id)),
        (Deployment, ()),
    ):
        keys: Any = (*columns, table.account_uin, table.configuration_id)
        twice = select(*keys).group_by(*keys).having(func.count() > 1)
        yield from (f"{table.__tablename__} holds {row} twice" for row in session.execute(twice))
    for cam in (CamRole, CamIdentityProvider, CamUser):
        twice = select(cam.account_uin, func.lower(cam.name)).group_by(cam.account_uin, func.lower(cam.name))
        yield from (f"{cam.__tablename__} holds {row} twice" for row in session.execute(twice.having(func.count() > 1)))


def _authorizations(session: Session, space_id: str, tasks: list[Task]) -> Iterator[str]:
    deployed = {
        (one.account_uin, one.configuration_id)
        for one in session.scalars(select(Deployment).where(Deployment.space_id == space_id))
    }
    status = {
        (one.user_id or one.group_id, one.account_uin, one.configuration_id): one.status
        for one in session.scalars(select(Authorization).where(Authorization.space_id == space_id))
    }
    granted = _triples(tasks, TaskType.GRANT, TaskStatus.SUCCESS)
    revoked = _triples(tasks, TaskType.REVOKE, TaskStatus.SUCCESS)
    stuck = _triples(tasks, TaskType.REVOKE, TaskStatus.FAILED)
    for triple, held in status.items():
        if held == AuthorizationStatus.GRANTING or (held == AuthorizationStatus.REMOVING and triple not in stuck):
            yield f"authorization {triple} is {held} and no task works on it"
        if held == AuthorizationStatus.ACTIVE and triple not in granted:
            yield f"authorization {triple} is Active and no task granted it"
        if held == AuthorizationStatus.ACTIVE and triple[1:] not in deployed:
            yield f"authorization {triple} is Active and nothing is deployed"
    there = {*session.scalars(select(User.id)), *session.scalars(select(Group.id))}  # SCIM takes all from who is gone
    for triple in {triple for triple in granted - revoked - set(status) if triple[0] in there}:
        yield f"authorization {triple} was granted, never revoked, and is not there"


def _triples(tasks: list[Task], type: TaskType, status: TaskStatus) -> set[Triple]:
    return {
        (task.principal_id, task.account_uin, task.configuration_id)
        for task in tasks
        if task.type == type and task.status == status
    }


def _roles(session: Session, failed: list[Task], uin: int, state: AccountState) -> Iterator[str]:
    roles = {role.name: role for role in state.roles}
    rows = {row.role_name: row for row in session.scalars(select(Deployment).where(Deployment.account_uin == uin))}
    yield from (f"the role {name} is there and no deployment wants it" for name in roles if name not in rows)
    for name, row in rows.items():
        excuses = [task for task in failed if task.configuration_id == row.configuration_id]
        if row.status == DeploymentStatus.FAILED and not excuses:
            yield f"{name} is {row.status} and no task failed"
        if row.status in (DeploymentStatus.DEPLOYING, DeploymentStatus.UNDEPLOYING):
            yield f"{name} is {row.status} and no task works on it"
        if row.status != DeploymentStatus.DEPLOYED:
            continue
        if name not in roles:
            yield f"{name} is {row.status} and no such role is there"
            continue
        role, wanted = roles[name], session.get_one(Configuration, row.configuration_id)
        last = _last_deployed(session, uin, row.configuration_id)
        there = (row.deployed_revision, list(role.policies), role.session_duration)
        if there != (last["revision"], last["policies"], row.session_duration):
            yield f"{name} is {there} and was deployed as {last}"
        if row.deployed_revision == wanted.revision and list(role.policies) != policy_names(session, wanted.id):
            yield f"{name} is deployed in revision {wanted.revision} and has the policies {role.policies}"
        if row.deployed_revision == wanted.revision and role.session_duration != wanted.session_duration:
            yield f"{name} is deployed in revision {wanted.revision} and its sessions last {role.session_duration} s"


def _last_deployed(session: Session, uin: int, configuration_id: str) -> dict[str, Any]:
    return session.scalars(
        select(AuditEvent.details)
        .where(
            AuditEvent.action == "deployment.deployed",
            AuditEvent.account_uin == uin,
            AuditEvent.target_id == configuration_id,
        )
        .order_by(AuditEvent.id.desc())
        .limit(1)
    ).one()


def _users(session: Session, uin: int, state: AccountState, failed: set[str]) -> Iterator[str]:
    rows = {
        row.user_id: row.cam_user_name
        for row in session.scalars(select(SyncedUser).where(SyncedUser.account_uin == uin))
    }
    wanted: set[str] = set()
    for sync in session.scalars(
        select(UserSync).where(UserSync.account_uin == uin, UserSync.status != SyncStatus.DELETING)
    ):
        inside = select(Membership.user_id).where(Membership.group_id == sync.group_id)
        wanted |= {sync.user_id} if sync.user_id else set(session.scalars(inside))
        if sync.status == SyncStatus.SYNCHRONIZING:
            yield f"the synchronization {sync.id} is {sync.status} and no task works on it"
    if sorted(rows.values()) != sorted(state.users):
        yield f"CAM users {sorted(state.users)} are there and {sorted(rows.values())} are known"
    if set(rows) - wanted and not failed & {TaskType.SYNC_DELETE, TaskType.SYNC_USER_REMOVED}:
        yield f"{sorted(set(rows) - wanted)} stand there and no synchronization wants them"
    if wanted - set(rows) and not failed & set(_SYNCS):
        yield f"{sorted(wanted - set(rows))} are to be synchronized and do not stand there"


def _provider(session: Session, uin: int, state: AccountState) -> Iterator[str]:
    deployments = session.scalars(select(Deployment.status).where(Deployment.account_uin == uin)).all()
    synced = session.scalars(select(SyncedUser.user_id).where(SyncedUser.account_uin == uin)).all()
    syncs = session.scalars(select(UserSync.id).where(UserSync.account_uin == uin)).all()
    count = len(state.identity_providers)
    if count > 1:
        yield f"{count} identity providers are there"
    if not count and (DeploymentStatus.DEPLOYED in deployments or synced):
        yield "the identity provider is missing"
    if count and not (deployments or synced or syncs):
        yield "the identity provider is there and nothing needs it"


def _audited(session: Session, tasks: list[Task]) -> Iterator[str]:
    """Once per grant that came to success, however often it was tried."""
    told = Counter(
        details["task"]
        for details in session.scalars(select(AuditEvent.details).where(AuditEvent.action == "authorization.granted"))
    )
    for task in tasks:
        if task.type == TaskType.GRANT and told[task.id] != (task.status == TaskStatus.SUCCESS):
            yield f"grant {task.id} is {task.status} and was audited {told[task.id]} times"
