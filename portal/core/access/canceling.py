"""Canceling what has not begun (IC-15): as if it had not been asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.core import audit, clock
from portal.core.access import undoing
from portal.core.access.models import Task, TaskStatus, TaskType
from portal.core.access.tasks import check_batch
from portal.core.actor import Actor
from portal.core.errors import Conflict, NotFound
from portal.core.organization.organizations import lock_organization
from portal.core.space.models import Space

_UNDO: Mapping[TaskType, Any] = {
    TaskType.REVOKE: undoing.cancel_revoke,
    TaskType.DEPLOY: undoing.cancel_deploy,
    TaskType.UNDEPLOY: undoing.cancel_undeploy,
    TaskType.SYNC_START: undoing.cancel_sync_start,
    TaskType.SYNC_DELETE: undoing.cancel_sync_delete,
    TaskType.REPAIR: undoing.cancel_nothing,
}
_OF_DEPARTMENTS = (TaskType.GRANT, TaskType.REVOKE)
_WHY_NOT = {
    TaskType.END_SESSIONS: "It ends what people may not use any more, and cannot be canceled.",
    TaskType.SYNC_USER_ADDED: "It follows the members of the group, and cannot be canceled.",
    TaskType.SYNC_USER_REMOVED: "It takes access from people who left, and cannot be canceled.",
    TaskType.UPDATE_PROVIDER: "It brings the certificate that sign-on to the account needs, and cannot be canceled.",
}


@dataclass(frozen=True)
class Outcome:
    """How many tasks of a batch it was done to, and why not to the others: (number, reason)."""

    done: int
    refused: tuple[tuple[int, str], ...]


def cancel(session: Session, actor: Actor, *, space: Space, task: Task) -> Task:
    """Raises Conflict when it has begun, cannot be canceled, or what it wanted cannot be taken back."""
    if task.space_id != space.id:
        raise NotFound("There is no such task in this space.")
    session.refresh(task, with_for_update=True)
    if task.status != TaskStatus.QUEUED or task.attempts:
        raise Conflict("Only a task that has not begun can be canceled.")
    refused = _cancel(session, actor, space, [task])
    if refused:
        raise Conflict(refused[0][1])
    session.flush()
    audit.record(
        session,
        actor,
        "task.cancel",
        target_type="task",
        target_id=task.id,
        target_name=task.type,
        account_uin=task.account_uin,
    )
    return task


def cancel_batch(session: Session, actor: Actor, *, space: Space, batch_id: str) -> Outcome:
    """All tasks of the batch that have not begun, the last one first. Raises Conflict when there are none."""
    check_batch(session, space, batch_id)
    waiting = session.scalars(
        select(Task)
        .where(
            Task.space_id == space.id,
            Task.batch_id == batch_id,
            Task.status == TaskStatus.QUEUED,
            Task.attempts == 0,
        )
        .order_by(Task.created_at, Task.number, Task.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).all()
    if not waiting:
        raise Conflict("Everything in this batch has begun already.")
    refused = _cancel(session, actor, space, waiting[::-1])
    session.flush()
    outcome = Outcome(len(waiting) - len(refused), tuple(sorted(refused)))
    details = {"canceled": outcome.done, "refused": len(refused)}
    audit.record(session, actor, "task.cancel_batch", target_type="batch", target_id=batch_id, details=details)
    return outcome


def _cancel(session: Session, actor: Actor, space: Space, tasks: Sequence[Task]) -> list[tuple[int, str]]:
    """Locked tasks; returns number and reason of those that stay."""
    refused = []
    if any(task.type in _OF_DEPARTMENTS for task in tasks):
        lock_organization(session, space.organization_id)
    for task in tasks:
        kind = TaskType(task.type)
        try:
            if kind in _WHY_NOT:
                raise Conflict(_WHY_NOT[kind])
            if kind in _UNDO:
                _UNDO[kind](session, actor, task)
        except Conflict as conflict:
            refused.append((task.number, conflict.message))
            continue
        task.status, task.ended_at = TaskStatus.CANCELED, clock.now()
        task.reason = f"Canceled by {actor.name} before it began."
    session.flush()
    undoing.drop_grants(session, actor, [task for task in tasks if task.type == TaskType.GRANT], revoked=True)
    return refused
