"""Who works on what: tasks and accounts are taken by compare-and-set with a lease that runs out by itself.

One writer per account at a time. About one permission configuration in one account an undeployment keeps its place:
it waits for everything asked for before it, and what was asked for after it waits.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, case, exists, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, aliased

from portal.core import clock
from portal.core.access.models import AccountClaim, Task, TaskStatus, TaskType

LEASE = timedelta(seconds=60)
_RENEW_AFTER = timedelta(seconds=15)
_PER_ACCOUNT = 20
_AT_ONCE = 500


class Lost(Exception):
    """The lease ran out and somebody else may be at it: stop without recording anything."""


class Lease:
    """Held by one run of one task. `keep` is called between the calls into an account."""

    def __init__(self, task_id: str, account_uin: int, claim: str, until: datetime) -> None:
        self.task_id = task_id
        self.account_uin = account_uin
        self.claim = claim
        self.until = until

    def needs_renewal(self) -> bool:
        return clock.now() > self.until - LEASE + _RENEW_AFTER

    def renew(self, session: Session) -> None:
        """Raises Lost."""
        now = clock.now()
        until = now + LEASE
        task = update(Task).where(Task.id == self.task_id, Task.claim == self.claim, Task.claim_until > now)
        account = update(AccountClaim).where(
            AccountClaim.account_uin == self.account_uin, AccountClaim.claim == self.claim
        )
        if not _changed(session, task.values(claim_until=until)) or not _changed(session, account.values(until=until)):
            raise Lost(self.task_id)
        self.until = until


def due(session: Session, *, account_uin: int | None = None) -> list[str]:
    """Ids of tasks that may run now: of every free account the first few, accounts by turns, oldest first."""
    now = clock.now()
    busy = exists().where(AccountClaim.account_uin == Task.account_uin, AccountClaim.until > now)
    place = func.row_number().over(partition_by=Task.account_uin, order_by=(Task.created_at, Task.number, Task.id))
    statement = select(Task.id, Task.created_at, Task.number, place.label("place")).where(_ready(now), ~busy)
    if account_uin is not None:
        statement = statement.where(Task.account_uin == account_uin)
    found = statement.subquery()
    return list(
        session.scalars(
            select(found.c.id)
            .where(found.c.place <= _PER_ACCOUNT)
            .order_by(found.c.place, found.c.created_at, found.c.number)
            .limit(_AT_ONCE)
        )
    )


def take(session: Session, task_id: str, claim: str) -> Lease | None:
    """Take the task and its account. None when the task is not to run now or its account is busy: roll back then."""
    now = clock.now()
    until = now + LEASE
    taken = _changed(
        session,
        update(Task)
        .where(Task.id == task_id, _ready(now))
        .values(
            status=TaskStatus.RUNNING,
            claim=claim,
            claim_until=until,
            attempts=Task.attempts + 1,
            started_at=case((Task.started_at.is_(None), now), else_=Task.started_at),
        ),
    )
    if not taken:
        return None
    account_uin = session.scalars(select(Task.account_uin).where(Task.id == task_id)).one()
    if not _take_account(session, account_uin, claim, now, until):
        return None
    return Lease(task_id, account_uin, claim, until)


def held_task(session: Session, lease: Lease) -> Task | None:
    """The task, locked, if it and its account are still ours."""
    task = session.scalar(
        select(Task)
        .where(Task.id == lease.task_id, Task.claim == lease.claim, Task.status == TaskStatus.RUNNING)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    account = select(AccountClaim.claim).where(AccountClaim.account_uin == lease.account_uin).with_for_update()
    return task if session.scalar(account) == lease.claim else None


def free_account(session: Session, lease: Lease) -> None:
    session.execute(
        update(AccountClaim)
        .where(AccountClaim.account_uin == lease.account_uin, AccountClaim.claim == lease.claim)
        .values(until=clock.now() - timedelta(seconds=1))
    )


def _take_account(session: Session, account_uin: int, claim: str, now: datetime, until: datetime) -> bool:
    free = update(AccountClaim).where(AccountClaim.account_uin == account_uin, AccountClaim.until <= now)
    if _changed(session, free.values(claim=claim, until=until)):
        return True
    if session.get(AccountClaim, account_uin) is not None:
        return False
    try:
        with session.begin_nested():
            session.execute(insert(AccountClaim).values(account_uin=account_uin, claim=claim, until=until))
    except IntegrityError:  # somebody else was the first ever in this account, in this moment
        return False
    return True


def _ready(now: datetime) -> ColumnElement[bool]:
    queued = and_(Task.status == TaskStatus.QUEUED, Task.not_before <= now)
    abandoned = and_(Task.status == TaskStatus.RUNNING, Task.claim_until <= now)
    earlier = aliased(Task)
    before = and_(
        earlier.account_uin == Task.account_uin,
        earlier.configuration_id == Task.configuration_id,
        earlier.status.in_([TaskStatus.QUEUED, TaskStatus.RUNNING]),
        earlier.id != Task.id,
        or_(
            earlier.created_at < Task.created_at,
            and_(earlier.created_at == Task.created_at, earlier.number < Task.number),
        ),
    )
    undeploys_first = exists().where(earlier.type == TaskType.UNDEPLOY, before)
    unsettled = and_(Task.type == TaskType.UNDEPLOY, exists().where(before))
    return and_(or_(queued, abandoned), ~undeploys_first, ~unsettled)


def _changed(session: Session, statement: object) -> bool:
    result = session.execute(statement, execution_options={"synchronize_session": False})  # type: ignore[call-overload]
    return bool(result.rowcount)
