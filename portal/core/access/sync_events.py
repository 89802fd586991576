"""Retrying a failed event of a user synchronization with another policy (IC-14)."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.core import audit, clock
from portal.core.access import tasks
from portal.core.access.models import DeletionStrategy, DuplicationStrategy, Task, TaskType, UserSync
from portal.core.access.queries.sync_events import MAKING, TYPES, is_failed_event
from portal.core.actor import Actor
from portal.core.errors import Conflict, Invalid, NotFound
from portal.core.space.models import Space


def get_event(session: Session, space: Space, task_id: str) -> Task:
    """A failed task of a synchronization. Raises NotFound."""
    task = session.scalar(select(Task).where(Task.space_id == space.id, Task.id == task_id, is_failed_event()))
    if task is None:
        raise NotFound("There is no such failed event (any more).")
    return task


def policy_of(session: Session, task: Task) -> str:
    """The conflict policy where the event makes CAM users, else the delete policy, as a retry would find it now."""
    sync = session.get(UserSync, task.sync_id) if task.sync_id else None
    if task.type in MAKING:
        return sync.duplication_strategy if sync else DuplicationStrategy.KEEP_BOTH
    if task.type == TaskType.SYNC_USER_REMOVED or sync is None:
        return task.deletion_strategy or DeletionStrategy.KEEP
    return sync.deletion_strategy


def retry_event(session: Session, actor: Actor, *, space: Space, task: Task, policy: str) -> Task:
    """Run it again with this conflict policy (an event that makes CAM users) or delete policy (one that removes them).

    The policy becomes the synchronization's own where that still exists. Raises Invalid (unknown policy), Conflict.
    """
    if task.space_id != space.id or task.type not in TYPES:
        raise NotFound("There is no such failed event in this space.")
    kind = DuplicationStrategy if task.type in MAKING else DeletionStrategy
    if policy not in list(kind):
        raise Invalid(f"Choose one of {', '.join(kind)}.", field="policy")
    locked = select(UserSync).where(UserSync.id == task.sync_id, UserSync.space_id == space.id).with_for_update()
    sync = session.scalar(locked.execution_options(populate_existing=True)) if task.sync_id else None
    before = policy_of(session, task)
    if sync is None and task.type in MAKING:
        raise Conflict("This user synchronization does not exist (any more). Configure it anew.")
    if sync is not None and task.type in MAKING:
        sync.duplication_strategy = DuplicationStrategy(policy)
    elif sync is not None:
        sync.deletion_strategy = DeletionStrategy(policy)
    if sync is not None:
        sync.updated_at = clock.now()
    session.flush()
    tasks.retry(session, actor, space=space, task=task)
    if task.type == TaskType.SYNC_USER_REMOVED:
        task.deletion_strategy = DeletionStrategy(policy)
    session.flush()
    audit.record(
        session,
        actor,
        "user_sync.retry",
        target_type="task",
        target_id=task.id,
        target_name=task.principal_name,
        account_uin=task.account_uin,
        details={"user_sync": sync.id if sync else None, "policy": policy, "before": before},
    )
    return task
