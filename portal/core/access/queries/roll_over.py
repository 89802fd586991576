"""Which accounts hold the certificates that are published (`wanted`: saml_keys.fingerprints), and which do not yet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, ScalarSelect, Select, and_, case, exists, func, literal, or_, select
from sqlalchemy.orm import Session

from portal.core.access.models import DeployedProvider, ProviderState, Task, TaskStatus, TaskType
from portal.core.access.queries.shared import find, sum_if
from portal.core.access.rows import ProviderRow, Spread
from portal.core.organization.models import Member
from portal.core.paging import Page, Search, paginate
from portal.core.space.models import Space

_BRINGING = (
    TaskType.UPDATE_PROVIDER,
    TaskType.DEPLOY,
    TaskType.GRANT,
    TaskType.SYNC_START,
    TaskType.SYNC_USER_ADDED,
)
"""Kinds of tasks after which an account has what is published."""


def spread(session: Session, space: Space, wanted: str) -> Spread:
    """How many accounts are in which state, in one statement."""
    states = _rows(space, _state(wanted).label("state")).subquery()
    row: Any = session.execute(select(*(sum_if(states.c.state == state) for state in ProviderState))).one()
    return Spread(*row)


def provider_rows(session: Session, space: Space, wanted: str, search: Search) -> Page[ProviderRow]:
    """Accounts with our identity provider, those that failed first. Sorts: state, name, updated. Filter: `state`."""
    statement = find(_listed(space, wanted), search, [Member.name_key], DeployedProvider.account_uin)
    if search.filter("state"):
        statement = statement.where(_state(wanted) == search.filter("state"))
    urgent = case({ProviderState.FAILED: 0, ProviderState.WAITING: 1}, value=_state(wanted), else_=2)
    sorts = {"state": urgent, "name": Member.name_key, "updated": DeployedProvider.updated_at}
    page = paginate(session, statement, search, sorts=sorts, key=Member.name_key)
    return Page([_row(*row) for row in page.rows], page.total, page.search)


def failed(session: Session, space: Space, wanted: str, *, most: int) -> list[ProviderRow]:
    listed = _listed(space, wanted).where(_state(wanted) == ProviderState.FAILED)
    return [_row(*row) for row in session.execute(listed.order_by(Member.name_key).limit(most))]


def behind(space: Space, wanted: str) -> Select[Any]:
    """Accounts that need a task after what is published has changed, and the task that failed there, to be run again.

    A task that is queued reads what is published when it runs; one that runs may have read it before.
    """
    behind = or_(DeployedProvider.certificates != wanted, _open(*_BRINGING, statuses=[TaskStatus.RUNNING]))
    queued = _open(TaskType.UPDATE_PROVIDER, statuses=[TaskStatus.QUEUED])
    return _with_failed_task(space).where(behind, ~queued)


def to_repeat(space: Space, wanted: str, *, account_uin: int | None = None) -> Select[Any]:
    """The same for accounts that did not get it, of which nothing is on its way."""
    statement = _with_failed_task(space).where(_state(wanted) == ProviderState.FAILED)
    return statement if account_uin is None else statement.where(DeployedProvider.account_uin == account_uin)


def _with_failed_task(space: Space) -> Select[Any]:
    failed_task = _newest(_tasks(Task.id).where(Task.status == TaskStatus.FAILED)).label("failed_task")
    columns = (DeployedProvider.account_uin, Member.name, failed_task)
    return _rows(space, *columns).order_by(Member.name_key, DeployedProvider.account_uin)


def _listed(space: Space, wanted: str) -> Select[Any]:
    return _rows(
        space,
        DeployedProvider.account_uin,
        Member.name,
        _state(wanted),
        func.coalesce(_newest(_tasks(Task.reason)), ""),
        DeployedProvider.updated_at,
    )


def _rows(space: Space, *columns: Any) -> Select[Any]:
    """Of member accounts: one that was taken out of the organization holds nobody up."""
    mine = and_(Member.account_uin == DeployedProvider.account_uin, Member.organization_id == space.organization_id)
    return (
        select(*columns).select_from(DeployedProvider).join(Member, mine).where(DeployedProvider.space_id == space.id)
    )


def _state(wanted: str) -> ColumnElement[str]:
    """An account that holds the right ones may still get others, from a task that read what was published before."""
    return case(
        (_open(TaskType.UPDATE_PROVIDER), literal(ProviderState.WAITING.value)),
        (DeployedProvider.certificates == wanted, literal(ProviderState.DONE.value)),
        (_open(*_BRINGING), literal(ProviderState.WAITING.value)),
        else_=literal(ProviderState.FAILED.value),
    )


def _open(
    *types: TaskType, statuses: Sequence[TaskStatus] = (TaskStatus.QUEUED, TaskStatus.RUNNING)
) -> ColumnElement[bool]:
    of_account = (Task.account_uin == DeployedProvider.account_uin, Task.space_id == DeployedProvider.space_id)
    wanted = exists().where(*of_account, Task.type.in_(types), Task.status.in_(statuses))
    return wanted.correlate(DeployedProvider)


def _tasks(*columns: Any) -> Select[Any]:
    return (
        select(*(columns or (Task.id,)))
        .where(
            Task.account_uin == DeployedProvider.account_uin,
            Task.space_id == DeployedProvider.space_id,
            Task.type == TaskType.UPDATE_PROVIDER,
        )
        .correlate(DeployedProvider)
    )


def _newest(tasks: Select[Any]) -> ScalarSelect[Any]:
    return tasks.order_by(Task.created_at.desc(), Task.id).limit(1).scalar_subquery()


def _row(uin: int, name: str, state: str, reason: str, updated_at: Any) -> ProviderRow:
    return ProviderRow(uin, name, ProviderState(state), "" if state == ProviderState.DONE else reason, updated_at)
