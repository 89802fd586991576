"""Tasks, the progress of a batch, and the numbers of the overview."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from sqlalchemy import and_, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from portal.core import clock
from portal.core.access.models import (
    CANCELABLE,
    Authorization,
    BatchUser,
    Configuration,
    Deployment,
    SyncedUser,
    Task,
    TaskStatus,
    UserSync,
)
from portal.core.access.queries.shared import OUTDATED, count, find_tasks, in_a_member, sum_if
from portal.core.access.rows import (
    Batch,
    Counts,
)
from portal.core.paging import Page, Search, paginate
from portal.core.space.models import Space

_STATUSES = (TaskStatus.QUEUED, TaskStatus.RUNNING, TaskStatus.SUCCESS, TaskStatus.FAILED, TaskStatus.CANCELED)
_RECENTLY = timedelta(minutes=1)
_TASK_FILTERS: dict[str, InstrumentedAttribute[Any]] = {
    "status": Task.status,
    "type": Task.type,
    "batch": Task.batch_id,
    "sync": Task.sync_id,
    "configuration": Task.configuration_id,
}


def tasks_page(session: Session, space: Space, search: Search) -> Page[Task]:
    """IC-15, newest first. Sorts: created, ended, number.

    Filters: `status`, `type`, `batch`, `account`, `sync`, `configuration`, `principal`.
    """
    statement = select(Task).where(Task.space_id == space.id)
    for name, column in _TASK_FILTERS.items():
        if search.filter(name):
            statement = statement.where(column == search.filter(name))
    if search.filter("principal"):
        about = select(BatchUser.batch_id).where(BatchUser.user_id == search.filter("principal"))
        statement = statement.where(or_(Task.principal_id == search.filter("principal"), Task.batch_id.in_(about)))
    if search.filter("account").isdecimal():
        statement = statement.where(Task.account_uin == int(search.filter("account")))
    statement = find_tasks(statement, search)
    newest = Search(search.text, search.sort or "-created", search.page, search.size, search.filters)
    sorts = {"created": Task.created_at, "ended": Task.ended_at, "number": Task.number}
    page = paginate(session, statement, newest, sorts=sorts, key=Task.number, scalars=True)
    return Page(page.rows, page.total, page.search)


def batch(session: Session, space: Space, batch_id: str) -> Batch:
    """Progress, in one statement. A batch that does not exist has a total of 0."""
    now = clock.now()
    numbers: list[Any] = [sum_if(Task.status == status) for status in _STATUSES]
    unbegun = and_(Task.status == TaskStatus.QUEUED, Task.attempts == 0, Task.type.in_(CANCELABLE))
    numbers += [
        sum_if(unbegun),
        sum_if(and_(Task.status == TaskStatus.FAILED, Task.attempts > 0)),
        sum_if(and_(Task.ended_at > now - _RECENTLY, Task.attempts > 0)),
    ]
    moments: list[Any] = [func.min(Task.created_at), func.min(Task.started_at), func.max(Task.ended_at)]
    row: Any = session.execute(
        select(func.count(), *numbers, func.coalesce(func.min(Task.actor_name), ""), *moments).where(
            Task.space_id == space.id, Task.batch_id == batch_id
        )
    ).one()
    values: list[Any] = [batch_id, *row, now]
    return Batch(*values)


def by_status(session: Session) -> Iterator[tuple[TaskStatus, int]]:
    """Of the whole installation, for monitoring."""
    found: dict[str, int] = dict(session.execute(select(Task.status, func.count()).group_by(Task.status)).all())
    return ((status, found.get(status, 0)) for status in TaskStatus)


def longest_wait(session: Session) -> timedelta:
    """How long the oldest task waits that may run now."""
    now = clock.now()
    oldest = select(func.min(Task.not_before)).where(Task.status == TaskStatus.QUEUED, Task.not_before <= now)
    return now - (session.scalar(oldest) or now)


def counts(session: Session, space: Space) -> Counts:
    """For the overview, in one statement."""
    open_tasks = Task.status.in_([TaskStatus.QUEUED, TaskStatus.RUNNING])
    row = session.execute(
        select(
            count(Configuration, Configuration.space_id == space.id),
            count(Deployment, Deployment.space_id == space.id),
            select(func.count())
            .select_from(Deployment)
            .join(Configuration, Configuration.id == Deployment.configuration_id)
            .where(Deployment.space_id == space.id, OUTDATED)
            .scalar_subquery(),
            count(Authorization, Authorization.space_id == space.id),
            count(UserSync, UserSync.space_id == space.id),
            count(SyncedUser, SyncedUser.space_id == space.id),
            count(Task, and_(Task.space_id == space.id, open_tasks)),
            count(
                Task,
                and_(Task.space_id == space.id, Task.status == TaskStatus.FAILED, Task.attempts > 0, in_a_member()),
            ),
        )
    ).one()
    return Counts(*row)
