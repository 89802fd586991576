"""Taking back, in our own rows, what a task wanted: when it is given up and when it is canceled."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, exists, or_, select
from sqlalchemy.orm import Session, aliased

from portal.core import clock
from portal.core.access import sessions
from portal.core.access.models import (
    Authorization,
    AuthorizationStatus,
    DeploymentStatus,
    PrincipalType,
    SyncedUser,
    SyncStatus,
    Task,
    TaskStatus,
    TaskType,
    UserSync,
)
from portal.core.access.picking import chunks
from portal.core.access.queries.departments import departments_of
from portal.core.access.tasks import check_department, deployment_of, enqueue, ran_before
from portal.core.actor import Actor
from portal.core.directory.models import Membership, User
from portal.core.errors import Conflict

_ACCOUNT_AND_HOLDER = ("account_uin", "account_name", "sync_id", "principal_type", "principal_id", "principal_name")
_SAME = ("space_id", "batch_id", "number", *_ACCOUNT_AND_HOLDER)
_OPEN = (TaskStatus.QUEUED, TaskStatus.RUNNING)


def authorization_of(task: Task) -> tuple[ColumnElement[bool], ...]:
    holder = Authorization.user_id if task.principal_type == PrincipalType.USER else Authorization.group_id
    return (
        holder == task.principal_id,
        Authorization.account_uin == task.account_uin,
        Authorization.configuration_id == task.configuration_id,
    )


def drop_grants(session: Session, actor: Actor, tasks: Sequence[Task], *, revoked: bool = False) -> None:
    """What these tasks asked for and was not granted is not there, unless somebody else asked for it, too; a session
    that only it would have kept open ends.

    What was to be granted directly stays the department's where one grants it, by a task of its own. With `revoked`
    those go too whose removal was asked for before they were granted. Hold the organization where a task is `direct`.
    """
    for chunk in chunks(tasks):
        rows = _asked_for(session, [task.id for task in chunk], revoked=revoked)
        others = _asked_by_others(session, [task.id for task in chunk])
        ids = [held.id for held, task in rows if task.direct]
        departments = departments_of(session, ids) if ids else {}
        dropped = []
        for held, task in rows:
            if held.status == AuthorizationStatus.REMOVING or not (task.direct or others[task.id]):
                dropped.append(held.id)
            elif not task.direct or True in others[task.id]:
                continue
            elif held.id not in departments:
                dropped.append(held.id)
            else:
                held.direct = False
                if not others[task.id]:
                    copied = {name: getattr(task, name) for name in (*_SAME, "configuration_id", "configuration_name")}
                    enqueue(session, type=TaskType.GRANT, direct=False, actor_name=actor.name, **copied)
        if dropped:
            session.flush()
            gone = Authorization.id.in_(dropped)
            sessions.end_after_revoking(session, actor, space_id=chunk[0].space_id, about=None, revoked=gone)
            session.execute(delete(Authorization).where(gone))


def _asked_for(session: Session, task_ids: Sequence[str], *, revoked: bool) -> list[tuple[Authorization, Task]]:
    """The authorizations that are not granted yet, locked."""
    states = [AuthorizationStatus.GRANTING, *([AuthorizationStatus.REMOVING] if revoked else [])]
    holder = or_(Task.principal_id == Authorization.user_id, Task.principal_id == Authorization.group_id)
    same = (
        Task.account_uin == Authorization.account_uin,
        Task.configuration_id == Authorization.configuration_id,
    )
    rows = session.execute(
        select(Authorization, Task)
        .join(Task, and_(*same, holder))
        .where(Task.id.in_(task_ids), Authorization.status.in_(states))
        .order_by(Authorization.id)
        .with_for_update(of=Authorization)
        .execution_options(populate_existing=True)
    )
    return [(held, task) for held, task in rows]


def _asked_by_others(session: Session, task_ids: Sequence[str]) -> dict[str, set[bool]]:
    """By task, of other open tasks that grant the same, whether they do so directly."""
    other = aliased(Task)
    rows = session.execute(
        select(Task.id, other.direct)
        .join(
            other,
            and_(
                other.account_uin == Task.account_uin,
                other.configuration_id == Task.configuration_id,
                other.principal_id == Task.principal_id,
                other.type == TaskType.GRANT,
                other.status.in_(_OPEN),
                other.id.not_in(task_ids),
            ),
        )
        .where(Task.id.in_(task_ids))
        .distinct()
    )
    found: dict[str, set[bool]] = defaultdict(set)
    for task_id, direct in rows:
        found[task_id].add(direct)
    return found


def fail_deployment(session: Session, task: Task) -> None:
    deployment = deployment_of(session, task, lock=True)
    if deployment is not None and deployment.status == DeploymentStatus.DEPLOYING:
        deployment.status, deployment.updated_at = DeploymentStatus.FAILED, clock.now()


def end_undeployment(session: Session, task: Task, *, touched: bool) -> None:
    """`touched`: the account may have changed already; then nobody knows whether the role is there."""
    deployment = deployment_of(session, task, lock=True)
    if deployment is not None:
        whole = deployment.deployed_revision > 0 and not touched
        deployment.status = DeploymentStatus.DEPLOYED if whole else DeploymentStatus.FAILED
        deployment.deployed_revision = deployment.deployed_revision if whole else 0
        deployment.updated_at = clock.now()


def set_sync_status(session: Session, sync_id: str, status: SyncStatus) -> None:
    sync = session.get(UserSync, sync_id, with_for_update=True, populate_existing=True)
    if sync is not None and sync.status != SyncStatus.DELETING:
        sync.status = status


def cancel_revoke(session: Session, actor: Actor, task: Task) -> None:
    """Access is open again as before it was asked for.

    Raises Conflict when it would be open to nothing, or when no department grants any more what only one granted.
    """
    held = session.scalar(select(Authorization).where(*authorization_of(task)).with_for_update())
    if held is None:
        raise Conflict("The authorization is not there any more.")
    if not held.direct:
        check_department(session, task)
    granting = _another(session, task, TaskType.GRANT)
    deployment = deployment_of(session, task)
    if deployment is None and not granting:
        raise Conflict("The permission configuration is not deployed in this account any more.")
    if deployment is not None and deployment.status == DeploymentStatus.UNDEPLOYING:
        raise Conflict("The permission configuration is being undeployed from this account. Cancel that first.")
    if held.status == AuthorizationStatus.REMOVING and not _another(session, task, TaskType.REVOKE):
        held.status = AuthorizationStatus.GRANTING if granting else AuthorizationStatus.ACTIVE


def cancel_deploy(session: Session, actor: Actor, task: Task) -> None:
    """What was deployed stays as it was, and still asks for redeployment; what never was, or failed, is as it was."""
    deployment = deployment_of(session, task, lock=True)
    if deployment is None or deployment.status != DeploymentStatus.DEPLOYING:
        return
    if not _another(session, task, TaskType.DEPLOY, TaskType.GRANT):
        done = deployment.deployed_revision > 0 and not ran_before(task)
        deployment.status = DeploymentStatus.DEPLOYED if done else DeploymentStatus.FAILED
        deployment.updated_at = clock.now()


def cancel_undeploy(session: Session, actor: Actor, task: Task) -> None:
    if not _another(session, task, TaskType.UNDEPLOY):
        end_undeployment(session, task, touched=False)


def cancel_sync_start(session: Session, actor: Actor, task: Task) -> None:
    """It goes, unless CAM users stand in the account that nobody else asks for, or a run broke off and nobody knows who
    stands there: those are left to its deletion."""
    sync = session.get(UserSync, task.sync_id, with_for_update=True, populate_existing=True) if task.sync_id else None
    if sync is None or sync.status == SyncStatus.DELETING:
        return
    others = select(UserSync.id).where(
        UserSync.account_uin == sync.account_uin,
        UserSync.id != sync.id,
        UserSync.status != SyncStatus.DELETING,
        sessions.held_by(UserSync, SyncedUser.user_id),
    )
    alone = select(SyncedUser.user_id).where(
        SyncedUser.account_uin == sync.account_uin, SyncedUser.user_id.in_(_people(sync)), ~others.exists()
    )
    if not ran_before(task) and session.scalar(alone.limit(1)) is None:
        session.delete(sync)
    else:
        sync.status = SyncStatus.FAILED


def cancel_sync_delete(session: Session, actor: Actor, task: Task) -> None:
    """It is wanted again; who joined meanwhile, or was removed by an attempt that failed, is brought by a new task."""
    sync = session.get(UserSync, task.sync_id, with_for_update=True, populate_existing=True) if task.sync_id else None
    if sync is None:
        raise Conflict("This user synchronization is not there any more.")
    stands = exists().where(SyncedUser.user_id == User.id, SyncedUser.account_uin == sync.account_uin)
    missing = session.scalar(select(User.id).where(User.id.in_(_people(sync)), ~stands).limit(1)) is not None
    sync.status = SyncStatus.SYNCHRONIZING if missing else SyncStatus.ENABLED
    starts = select(Task.id).where(Task.sync_id == sync.id, Task.type == TaskType.SYNC_START, Task.status.in_(_OPEN))
    if missing and session.scalar(starts.limit(1)) is None:
        copied = {name: getattr(task, name) for name in _SAME}
        enqueue(session, type=TaskType.SYNC_START, actor_name=actor.name, **copied)


def cancel_nothing(session: Session, actor: Actor, task: Task) -> None:
    """Nothing was written when it was asked for."""


def _another(session: Session, task: Task, *types: TaskType) -> bool:
    """Another open task about the same wants that state: of the same holder, or of anybody for a deployment."""
    mine: list[Any] = [
        Task.id != task.id,
        Task.account_uin == task.account_uin,
        Task.configuration_id == task.configuration_id,
    ]
    if task.principal_id:
        mine.append(Task.principal_id == task.principal_id)
        wanting: Any = and_(Task.type.in_(types), Task.status.in_(_OPEN))
    else:  # a grant makes a deployment its own when it runs
        running = Task.status == TaskStatus.RUNNING
        wanting = and_(
            Task.type.in_(types), or_(running, and_(Task.type != TaskType.GRANT, Task.status == TaskStatus.QUEUED))
        )
    return session.scalar(select(Task.id).where(*mine, wanting).limit(1)) is not None


def _people(sync: UserSync) -> Any:
    """Ids of the users whom the synchronization covers now."""
    if sync.user_id:
        return [sync.user_id]
    return select(Membership.user_id).where(Membership.group_id == sync.group_id)
