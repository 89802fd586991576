"""Who works on what: accounts are taken by compare-and-set with a lease that runs out by itself.

One writer per account at a time. About one permission configuration in one account an undeployment keeps its place:
it waits for everything asked for before it, and what was asked for after it waits.

Rows are locked in this order: the account, its tasks, then what they are about. Nobody here waits for a task that
somebody else has locked (who cancels it), and who holds rows of one task already does not wait long for those of
another: so a worker never is part of a deadlock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    and_,
    bindparam,
    case,
    exists,
    func,
    insert,
    literal_column,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.orm import Session, aliased

from portal.core import clock
from portal.core.access.models import AccountClaim, Task, TaskStatus, TaskType
from portal.core.database import UtcDateTime
from portal.worker.pacing import Pace

_PER_SPACE = 100
_AT_ONCE = 1_000
_SOON = timedelta(seconds=1)
_NOT_NOW = "55P03"  # lock_not_available of PostgreSQL
# written out, so that the database knows that its index of open tasks fits
_QUEUED: ColumnElement[str] = literal_column(f"'{TaskStatus.QUEUED}'")
_RUNNING: ColumnElement[str] = literal_column(f"'{TaskStatus.RUNNING}'")


def _open(table: Any) -> ColumnElement[bool]:
    condition: ColumnElement[bool] = table.status.in_([_QUEUED, _RUNNING])
    return condition


def _startable() -> tuple[ColumnElement[bool], ...]:
    now = bindparam("now", type_=UtcDateTime())
    queued = and_(Task.status == _QUEUED, Task.not_before <= now)
    abandoned = and_(Task.status == _RUNNING, Task.claim_until <= now)
    return _open(Task), or_(queued, abandoned)


def _in_place() -> tuple[ColumnElement[bool], ...]:
    """It need not wait for an undeployment, nor an undeployment for it: asked of a few tasks, which it is quick for."""
    earlier = aliased(Task)
    before = and_(
        earlier.account_uin == Task.account_uin,
        earlier.configuration_id == Task.configuration_id,
        _open(earlier),
        earlier.id != Task.id,
        or_(
            earlier.created_at < Task.created_at,
            and_(earlier.created_at == Task.created_at, earlier.number < Task.number),
        ),
    )
    undeploys_first = exists().where(earlier.type == TaskType.UNDEPLOY, before)
    unsettled = and_(Task.type == TaskType.UNDEPLOY, exists().where(before))
    return ~undeploys_first, ~unsettled


def waiting() -> Select[str]:
    """Ids of the tasks that are not `_in_place`, all at once."""
    undeploys = select(Task.account_uin, Task.configuration_id).where(_open(Task), Task.type == TaskType.UNDEPLOY)
    about = undeploys.distinct().cte()
    pair = (Task.account_uin, Task.configuration_id)
    place = func.rank().over(partition_by=pair, order_by=(Task.created_at, Task.number)).label("place")
    same = and_(about.c.account_uin == Task.account_uin, about.c.configuration_id == Task.configuration_id)
    placed = select(Task.id, Task.type, *pair, place).join(about, same).where(_open(Task)).subquery()
    places = func.min(case((placed.c.type == TaskType.UNDEPLOY, placed.c.place)))
    first = places.over(partition_by=(placed.c.account_uin, placed.c.configuration_id)).label("first")
    found = select(placed.c.id, placed.c.type, placed.c.place, first).subquery()
    unsettled = and_(found.c.type == TaskType.UNDEPLOY, found.c.place > 1)
    return select(found.c.id).where(or_(found.c.place > found.c.first, unsettled))


_STARTABLE = _startable()
_FIRST_READY = (  # built once: asked again and again
    select(Task)
    .where(Task.account_uin == bindparam("account_uin"), *_STARTABLE, *_in_place())
    .order_by(Task.created_at, Task.number, Task.id)
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True, of=Task)
    .execution_options(populate_existing=True)
)


class Lost(Exception):
    """The lease ran out and somebody else may be at it: stop without recording anything."""


@dataclass
class Lease:
    """An account that is ours until `until`. `length` is how long it is taken at a time."""

    account_uin: int
    claim: str
    length: timedelta
    until: datetime
    pace: Pace

    def needs_renewal(self) -> bool:
        return clock.now() > self.until - self.length * 3 / 4


@dataclass(frozen=True)
class Due:
    """An account with tasks of a space that may run, from `at` on."""

    space_id: str
    account_uin: int
    at: datetime


def due(session: Session, *, per_second: float) -> list[Due]:
    """Free accounts with something to do now, or within a second when their calls per second allow.

    Spaces by turns, and of each the first hundred accounts, who waits longest first.
    """
    now = clock.now()
    oldest = func.min(Task.created_at)
    rank = func.row_number().over(partition_by=Task.space_id, order_by=(oldest, Task.account_uin)).label("rank")
    free = or_(AccountClaim.until.is_(None), AccountClaim.until <= now)
    rested = or_(AccountClaim.next_call_at.is_(None), AccountClaim.next_call_at <= now + _SOON)
    found = (
        select(Task.space_id, Task.account_uin, oldest.label("oldest"), rank, AccountClaim.next_call_at)
        .outerjoin(AccountClaim, AccountClaim.account_uin == Task.account_uin)
        .where(*_STARTABLE, Task.id.not_in(waiting()), free, *([rested] if per_second else []))
        .group_by(Task.space_id, Task.account_uin, AccountClaim.next_call_at)
        .subquery()
    )
    rows = session.execute(
        select(found.c.space_id, found.c.account_uin, found.c.next_call_at)
        .where(found.c.rank <= _PER_SPACE)
        .order_by(found.c.rank, found.c.oldest, found.c.account_uin)
        .limit(_AT_ONCE),
        {"now": now},
    )
    return [
        Due(space_id, uin, Pace(per_second, next_call_at).rested_at() or now) for space_id, uin, next_call_at in rows
    ]


def take(session: Session, account_uin: int, claim: str, *, length: timedelta, per_second: float) -> Lease | None:
    """None when somebody else has the account."""
    now = clock.now()
    until = now + length
    free = update(AccountClaim).where(AccountClaim.account_uin == account_uin, AccountClaim.until <= now)
    if not _changed(session, free.values(claim=claim, until=until)):
        if session.get(AccountClaim, account_uin) is not None:
            return None
        try:
            with session.begin_nested():
                session.execute(insert(AccountClaim).values(account_uin=account_uin, claim=claim, until=until))
        except IntegrityError:  # somebody else was the first ever in this account, in this moment
            return None
    next_call_at = session.scalar(select(AccountClaim.next_call_at).where(AccountClaim.account_uin == account_uin))
    return Lease(account_uin, claim, length, until, Pace(per_second, next_call_at))


def hold(session: Session, lease: Lease) -> None:
    """Locks the account, which is ours for another `length`. Raises Lost."""
    until = clock.now() + lease.length
    if not _set(session, lease, until):
        raise Lost(lease.account_uin)
    lease.until = until


def free(session: Session, lease: Lease) -> None:
    _set(session, lease, clock.now() - timedelta(seconds=1))


def abandon(session: Session, lease: Lease) -> None:
    """Give the account back with what is under way: whoever takes it next runs that again."""
    mine = update(Task).where(Task.account_uin == lease.account_uin, Task.claim == lease.claim)
    free(session, lease)
    _changed(session, mine.where(Task.status == TaskStatus.RUNNING).values(claim_until=clock.now()))


def ready(session: Session, lease: Lease, most: int) -> Sequence[Task]:
    """The account's first tasks that may run now, locked."""
    asked = {"account_uin": lease.account_uin, "most": most, "now": clock.now()}
    return session.scalars(_FIRST_READY, asked).all()


def claim(lease: Lease, task: Task) -> None:
    """The task is under way: whoever takes the account after us, finds it."""
    task.status, task.claim, task.claim_until = TaskStatus.RUNNING, lease.claim, lease.until


def renew(session: Session, lease: Lease, task_id: str) -> None:
    """Keep account and task. Raises Lost."""
    hold(session, lease)
    mine = update(Task).where(Task.id == task_id, Task.claim == lease.claim, Task.status == TaskStatus.RUNNING)
    if not _changed(session, mine.values(claim_until=lease.until)):
        raise Lost(task_id)


def held_task(session: Session, lease: Lease, task_id: str) -> Task:
    """The task that we claimed, locked. Raises Lost."""
    task = session.scalar(
        select(Task)
        .where(Task.id == task_id, Task.claim == lease.claim, Task.status == TaskStatus.RUNNING)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    if task is None:
        raise Lost(task_id)
    return task


def give_way(session: Session) -> None:
    """From here on the transaction does not wait long for rows that somebody else has locked."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SET LOCAL lock_timeout = '100ms'"))


def gave_way(error: Exception) -> bool:
    return isinstance(error, OperationalError) and getattr(error.orig, "sqlstate", "") == _NOT_NOW


def _set(session: Session, lease: Lease, until: datetime) -> bool:
    mine = update(AccountClaim).where(AccountClaim.account_uin == lease.account_uin, AccountClaim.claim == lease.claim)
    return _changed(session, mine.values(until=until, next_call_at=lease.pace.next_call_at))


def _changed(session: Session, statement: object) -> bool:
    result = session.execute(statement, execution_options={"synchronize_session": False})  # type: ignore[call-overload]
    return bool(result.rowcount)
