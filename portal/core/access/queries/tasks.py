"""Tasks, the progress of a batch, and the numbers of the overview."""

from __future__ import annotations

from typing import Any

from sqlalchemy import and_, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from portal.core.access.models import (
    Authorization,
    BatchUser,
    Configuration,
    Deployment,
    SyncedUser,
    Task,
    TaskStatus,
    UserSync,
)
from portal.core.access.queries.shared import OUTDATED, count, find, sum_if
from portal.core.access.rows import (
    Batch,
    Counts,
)
from portal.core.paging import Page, Search, paginate
from portal.core.space.models import Space

_STATUSES = (TaskStatus.QUEUED, TaskStatus.RUNNING, TaskStatus.SUCCESS, TaskStatus.FAILED)
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
    statement = find(statement, search, [Task.search_key], Task.id)
    newest = Search(search.text, search.sort or "-created", search.page, search.size, search.filters)
    sorts = {"created": Task.created_at, "ended": Task.ended_at, "number": Task.number}
    page = paginate(session, statement, newest, sorts=sorts, key=Task.number, scalars=True)
    return Page(page.rows, page.total, page.search)


def batch(session: Session, space: Space, batch_id: str) -> Batch:
    """Progress, in one statement. A batch that does not exist has a total of 0."""
    numbers = [sum_if(Task.status == status) for status in _STATUSES]
    row: Any = session.execute(
        select(func.count(), *numbers).where(Task.space_id == space.id, Task.batch_id == batch_id)
    ).one()
    return Batch(batch_id, *row)


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
            count(Task, and_(Task.space_id == space.id, Task.status == TaskStatus.FAILED)),
        )
    ).one()
    return Counts(*row)
