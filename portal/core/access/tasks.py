"""Tasks: the record of provisioning work, written in the transaction that wants it (IC-15)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import func, insert, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from portal.core import audit, clock
from portal.core.access.models import (
    Authorization,
    Configuration,
    Deployment,
    DeploymentStatus,
    PrincipalType,
    SyncStatus,
    Task,
    TaskStatus,
    TaskType,
    UserSync,
)
from portal.core.access.picking import chunks, principal_exists
from portal.core.access.queries.departments import granting_departments, missing
from portal.core.actor import Actor
from portal.core.database import flush_or
from portal.core.directory.models import Group, User
from portal.core.errors import Conflict, Error, NotFound
from portal.core.ids import new_id
from portal.core.organization.models import Member
from portal.core.organization.organizations import lock_organization
from portal.core.space.models import Space
from portal.core.text import fold


def new_batch() -> str:
    return new_id("b-")


def enqueue(session: Session, **columns: Any) -> Task:
    """Add a task; a queued one is dispatched after the commit. Tasks of a batch run in the order of `number`."""
    now = columns.get("created_at") or clock.now()
    begin = {"id": new_id("t-"), "status": TaskStatus.QUEUED, "reason": "", "created_at": now, "not_before": now}
    task = Task(**{**begin, **columns})
    names = (task.account_name, task.account_uin, task.principal_name, task.configuration_name)
    task.search_key = fold(" ".join(str(name) for name in names if name))
    if task.status == TaskStatus.QUEUED:
        session.info.setdefault("queued", []).append(task.id)
    else:
        task.ended_at = clock.now()
    session.add(task)
    return task


def get_task(session: Session, space: Space, task_id: str) -> Task:
    task = session.scalar(select(Task).where(Task.space_id == space.id, Task.id == task_id))
    if task is None:
        raise NotFound("There is no such task in this space.")
    return task


def retry(session: Session, actor: Actor, *, space: Space, task: Task) -> Task:
    """Run a failed task again. What its failure took back (an authorization) is made again.

    Raises Conflict when it did not fail, never ran, or when what it worked on is gone or exists by now.
    """
    if task.space_id != space.id:
        raise NotFound("There is no such task in this space.")
    session.refresh(task, with_for_update=True)
    if task.status != TaskStatus.FAILED:
        raise Conflict("Only a failed task can be run again.")
    if not task.attempts:
        raise Conflict("This was refused when it was asked for and never ran. Ask for it anew.")
    for error in _retry(session, actor, space, [task]).values():
        raise error
    return task


def ran_before(task: Task) -> bool:
    """An attempt broke off, or somebody ran it again after it failed: nobody knows what stands in the account."""
    return task.attempts > 0 or task.not_before > task.created_at


def check_batch(session: Session, space: Space, batch_id: str) -> None:
    """Raises NotFound."""
    mine = select(Task.id).where(Task.space_id == space.id, Task.batch_id == batch_id)
    if session.scalar(mine.limit(1)) is None:
        raise NotFound("There is no such batch in this space.")


def retry_batch(session: Session, actor: Actor, *, space: Space, batch_id: str) -> tuple[int, list[tuple[int, str]]]:
    """All tasks of the batch that ran and failed; returns how many run again, and number and reason of the others.

    Raises Conflict when none failed.
    """
    check_batch(session, space, batch_id)
    failed = session.scalars(
        select(Task)
        .where(
            Task.space_id == space.id,
            Task.batch_id == batch_id,
            Task.status == TaskStatus.FAILED,
            Task.attempts > 0,
        )
        .order_by(Task.created_at, Task.number, Task.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).all()
    if not failed:
        raise Conflict("Nothing in this batch failed that could be run again.")
    refused: dict[str, Error] = {}
    for chunk in chunks(failed):
        refused |= _retry(session, actor, space, chunk)
    return len(failed) - len(refused), [
        (task.number, refused[task.id].message) for task in failed if task.id in refused
    ]


def _retry(session: Session, actor: Actor, space: Space, tasks: Sequence[Task]) -> dict[str, Error]:
    """Failed tasks, locked, 500 at most; returns by id why one cannot be run again. So many statements for them all."""
    refused = _away(session, space, tasks)
    tasks = [task for task in tasks if task.id not in refused]
    refused |= _restore_grants(session, space, [task for task in tasks if task.type == TaskType.GRANT])
    found = _Found(session, tasks)
    for task in tasks:
        restore = _RESTORE.get(TaskType(task.type))
        try:
            if restore:
                restore(found, task)
        except Conflict as conflict:
            refused[task.id] = conflict
    again = [task for task in tasks if task.id not in refused]
    for task in again:
        requeue(session, actor, task)
    session.flush()
    targets = [
        {"target_type": "task", "target_id": one.id, "target_name": one.type, "account_uin": one.account_uin}
        for one in again
    ]
    audit.record_each(session, actor, "task.retry", [{**target, "details": None} for target in targets])
    return refused


def _away(session: Session, space: Space, tasks: Sequence[Task]) -> dict[str, Error]:
    """Those whose account is no member any more; the others stay members until the transaction ends."""
    uins = sorted({task.account_uin for task in tasks})
    here = select(Member.account_uin).where(
        Member.organization_id == space.organization_id, Member.account_uin.in_(uins)
    )
    locked = here.order_by(Member.account_uin).with_for_update(read=True, key_share=True)
    members = set(session.scalars(locked))
    return {
        task.id: NotFound(f"There is no account {task.account_uin} here.", field="accounts")
        for task in tasks
        if task.account_uin not in members
    }


def _restore_grants(session: Session, space: Space, tasks: Sequence[Task]) -> dict[str, Error]:
    """Authorizations that nothing stands in the way of are made together, the others are looked at one by one."""
    refused: dict[str, Error] = {}
    plain = _plain(session, space, tasks)
    rows = [
        {
            "space_id": space.id,
            "account_uin": task.account_uin,
            "configuration_id": task.configuration_id,
            "user_id": task.principal_id if task.principal_type == PrincipalType.USER else None,
            "group_id": task.principal_id if task.principal_type == PrincipalType.GROUP else None,
            "direct": task.direct,
        }
        for task in plain.values()
    ]
    try:
        with session.begin_nested():
            if rows:
                session.execute(insert(Authorization), rows)
    except IntegrityError:  # somebody else was quicker with one of them
        plain = {}
    for task in tasks:
        if task.id in plain:
            continue
        try:
            _restore_grant(session, task)
            flush_or(session, Conflict("This exists by now; there is nothing to run again."))
        except Error as error:
            refused[task.id] = error
    return refused


def _plain(session: Session, space: Space, tasks: Sequence[Task]) -> dict[str, Task]:
    """By id, one for each (holder, account, configuration) that is not there while all three are and stay.

    Of those that a department asked for, where one still does.
    """
    about = {(task.principal_id, task.account_uin, task.configuration_id): task for task in tasks[::-1]}
    if not about:
        return {}
    holders, uins, ids = {key[0] for key in about}, {key[1] for key in about}, {key[2] for key in about}
    configurations = set(session.scalars(select(Configuration.id).where(Configuration.id.in_(ids))))
    principals = set(session.scalars(select(User.id).where(User.space_id == space.id, User.id.in_(holders))))
    principals |= set(session.scalars(select(Group.id).where(Group.space_id == space.id, Group.id.in_(holders))))
    holder = func.coalesce(Authorization.user_id, Authorization.group_id)
    there = select(holder, Authorization.account_uin, Authorization.configuration_id).where(
        Authorization.account_uin.in_(uins),
        Authorization.configuration_id.in_(ids),
        or_(Authorization.user_id.in_(holders), Authorization.group_id.in_(holders)),
    )
    held = {tuple(row) for row in session.execute(there)}
    leaving = select(Deployment.account_uin, Deployment.configuration_id).where(
        Deployment.account_uin.in_(uins),
        Deployment.configuration_id.in_(ids),
        Deployment.status == DeploymentStatus.UNDEPLOYING,
    )
    undeploying = {tuple(row) for row in session.execute(leaving)}
    granted: set[Any] = set()
    if any(not task.direct for task in tasks):
        lock_organization(session, space.organization_id)
        granted = {one.triple for one in missing(session, uins)}
    return {
        task.id: task
        for key, task in about.items()
        if key[0] in principals
        and key[2] in configurations
        and key not in held
        and key[1:] not in undeploying
        and (task.direct or key in granted)
    }


def requeue(session: Session, actor: Actor, task: Task) -> None:
    """A failed task begins anew."""
    task.status, task.reason, task.attempts = TaskStatus.QUEUED, "", 0
    task.not_before, task.started_at, task.ended_at = clock.now(), None, None
    task.claim = task.claim_until = None
    task.actor_name = actor.name
    session.info.setdefault("queued", []).append(task.id)


def _restore_grant(session: Session, task: Task) -> None:
    user_id = task.principal_id if task.principal_type == PrincipalType.USER else None
    group_id = task.principal_id if task.principal_type == PrincipalType.GROUP else None
    if session.get(Configuration, task.configuration_id) is None:
        raise Conflict("The permission configuration is not there any more.")
    if not principal_exists(session, task.space_id, user_id=user_id, group_id=group_id):
        raise Conflict(f"{task.principal_name} is not there any more.")
    columns = {"account_uin": task.account_uin, "configuration_id": task.configuration_id}
    columns |= {"user_id": user_id, "group_id": group_id}
    if session.scalar(select(Authorization.id).filter_by(**columns)) is not None:
        raise Conflict("This authorization exists by now.")
    _check_stays(deployment_of(session, task))
    if not task.direct:
        check_department(session, task)
    session.add(Authorization(space_id=task.space_id, direct=task.direct, **columns))


def check_department(session: Session, task: Task) -> None:
    """What a department asked for is granted again as long as one does: until the end of this transaction.

    Raises Conflict.
    """
    space = session.get_one(Space, task.space_id)
    lock_organization(session, space.organization_id)
    granting = granting_departments(
        session, task.account_uin, configuration_id=task.configuration_id, principal_id=task.principal_id
    )
    if not granting:
        raise Conflict("No department of this account grants this any more.")


class _Found:
    """What tasks to be run again are about, as it is now."""

    def __init__(self, session: Session, tasks: Sequence[Task]) -> None:
        deploying = [task for task in tasks if task.type in (TaskType.DEPLOY, TaskType.UNDEPLOY)]
        uins, ids = {task.account_uin for task in deploying}, {task.configuration_id for task in deploying}
        fresh = {"populate_existing": True}
        deployments = select(Deployment).where(Deployment.account_uin.in_(uins), Deployment.configuration_id.in_(ids))
        syncs = select(UserSync).where(UserSync.id.in_({task.sync_id for task in tasks if task.sync_id}))
        self.deployments: dict[tuple[int, str | None], Deployment] = {
            (one.account_uin, one.configuration_id): one
            for one in (session.scalars(deployments, execution_options=fresh) if deploying else ())
        }
        self.configurations = set(session.scalars(select(Configuration.id).where(Configuration.id.in_(ids))))
        self.syncs = {one.id: one for one in session.scalars(syncs, execution_options=fresh)}


def _restore_deployment(found: _Found, task: Task) -> None:
    if task.configuration_id not in found.configurations:
        raise Conflict("The permission configuration is not there any more.")
    deployment = _check_stays(found.deployments.get((task.account_uin, task.configuration_id)))
    if deployment is not None:
        deployment.status = DeploymentStatus.DEPLOYING


def _check_stays(deployment: Deployment | None) -> Deployment | None:
    if deployment is not None and deployment.status == DeploymentStatus.UNDEPLOYING:
        raise Conflict("The permission configuration is being undeployed from this account.")
    return deployment


def _restore_undeployment(found: _Found, task: Task) -> None:
    deployment = found.deployments.get((task.account_uin, task.configuration_id))
    if deployment is None:
        raise Conflict("The permission configuration is not deployed in this account any more.")
    deployment.status = DeploymentStatus.UNDEPLOYING


def _restore_sync(found: _Found, task: Task) -> None:
    sync = found.syncs.get(task.sync_id or "")
    if sync is None:
        raise Conflict("This user synchronization does not exist (any more). Configure it anew.")
    if sync.status == SyncStatus.DELETING:
        raise Conflict("This user synchronization is being deleted.")
    sync.status = SyncStatus.SYNCHRONIZING


def deployment_of(session: Session, task: Task, *, lock: bool = False) -> Deployment | None:
    """The deployment that the task is about, read anew; `lock` keeps others from changing it in this transaction."""
    statement = select(Deployment).where(
        Deployment.account_uin == task.account_uin, Deployment.configuration_id == task.configuration_id
    )
    statement = statement.with_for_update() if lock else statement
    return session.scalar(statement.execution_options(populate_existing=True))


_RESTORE: Mapping[TaskType, Any] = {
    TaskType.DEPLOY: _restore_deployment,
    TaskType.UNDEPLOY: _restore_undeployment,
    TaskType.SYNC_START: _restore_sync,
}
