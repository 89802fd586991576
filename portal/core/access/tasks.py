"""Tasks: the record of provisioning work, written in the transaction that wants it (IC-15)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select
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
from portal.core.access.picking import pick_accounts, principal_exists
from portal.core.access.queries.departments import granting_departments
from portal.core.actor import Actor
from portal.core.database import flush_or
from portal.core.errors import Conflict, Error, NotFound
from portal.core.ids import new_id
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
    pick_accounts(session, space, [task.account_uin])
    restore = _RESTORE.get(TaskType(task.type))
    if restore:
        restore(session, task)
    requeue(session, actor, task)
    audit.record(
        session,
        actor,
        "task.retry",
        target_type="task",
        target_id=task.id,
        target_name=task.type,
        account_uin=task.account_uin,
    )
    flush_or(session, Conflict("This exists by now; there is nothing to run again."))
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
    ).all()
    if not failed:
        raise Conflict("Nothing in this batch failed that could be run again.")
    refused = []
    for task in failed:
        try:
            retry(session, actor, space=space, task=task)
        except Error as error:
            refused.append((task.number, error.message))
    return len(failed) - len(refused), refused


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
    _check_stays(session, task)
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


def _restore_deployment(session: Session, task: Task) -> None:
    if session.get(Configuration, task.configuration_id) is None:
        raise Conflict("The permission configuration is not there any more.")
    deployment = _check_stays(session, task)
    if deployment is not None:
        deployment.status = DeploymentStatus.DEPLOYING


def _check_stays(session: Session, task: Task) -> Deployment | None:
    deployment = deployment_of(session, task)
    if deployment is not None and deployment.status == DeploymentStatus.UNDEPLOYING:
        raise Conflict("The permission configuration is being undeployed from this account.")
    return deployment


def _restore_undeployment(session: Session, task: Task) -> None:
    deployment = deployment_of(session, task)
    if deployment is None:
        raise Conflict("The permission configuration is not deployed in this account any more.")
    deployment.status = DeploymentStatus.UNDEPLOYING


def _restore_sync(session: Session, task: Task) -> None:
    sync = session.get(UserSync, task.sync_id) if task.sync_id else None
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
    TaskType.GRANT: _restore_grant,
    TaskType.DEPLOY: _restore_deployment,
    TaskType.UNDEPLOY: _restore_undeployment,
    TaskType.SYNC_START: _restore_sync,
}
