"""Failed events of user synchronizations: tasks that could not follow what was wanted (IC-14)."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from portal.core.access.models import Task, TaskStatus, TaskType, UserSync
from portal.core.access.queries.shared import find_tasks, in_a_member
from portal.core.access.rows import SyncEventRow
from portal.core.paging import Page, Search, paginate
from portal.core.space.models import Space

MAKING = (TaskType.SYNC_START, TaskType.SYNC_USER_ADDED)
"""Events in which the conflict policy counts; in the others it is the delete policy."""

TYPES = (*MAKING, TaskType.SYNC_DELETE, TaskType.SYNC_USER_REMOVED)


def failed_events(session: Session, space: Space, search: Search, sync_id: str = "") -> Page[SyncEventRow]:
    """Of all synchronizations, or of one. Sorts: ended (newest first), account, type."""
    statement: Any = (
        select(
            Task.id,
            Task.batch_id,
            Task.type,
            Task.reason,
            Task.attempts,
            Task.ended_at,
            Task.account_uin,
            Task.account_name,
            Task.principal_type,
            Task.principal_id,
            Task.principal_name,
            UserSync.id,
        )
        .outerjoin(UserSync, UserSync.id == Task.sync_id)
        .where(Task.space_id == space.id, is_failed_event())
    )
    if sync_id:
        statement = statement.where(Task.sync_id == sync_id)
    statement = find_tasks(statement, search)
    newest = Search(search.text, search.sort or "-ended", search.page, search.size, search.filters)
    sorts = {"ended": Task.ended_at, "account": Task.account_name, "type": Task.type}
    page = paginate(session, statement, newest, sorts=sorts, key=Task.id)
    return Page([SyncEventRow(*row) for row in page.rows], page.total, page.search)


def count_failed_events(session: Session, space: Space) -> int:
    mine = (Task.space_id == space.id, is_failed_event())
    return session.scalar(select(func.count()).select_from(Task).where(*mine)) or 0


def is_failed_event() -> ColumnElement[bool]:
    """What was refused when it was asked for (it exists already) has never run and is none.

    Nor is what nobody can run again: its account left the organization, or its synchronization is gone. Only the CAM
    users of former group members may still stand then.
    """
    there = select(UserSync.id).where(UserSync.id == Task.sync_id).correlate(Task).exists()
    ran = (Task.status == TaskStatus.FAILED) & Task.type.in_(TYPES) & (Task.attempts > 0)
    return ran & in_a_member() & ((Task.type == TaskType.SYNC_USER_REMOVED) | there)
