"""A visit to one account: its due tasks, one after the other. Called by the embedded threads and by Celery alike."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from portal.clouds import Connector, connector_for
from portal.core import clock
from portal.core.access.models import Task, TaskStatus, TaskType
from portal.core.database import Database
from portal.core.errors import Error, Unavailable
from portal.core.organization.models import Account
from portal.settings import Settings
from portal.worker import claims, providers, repairs, roles, sessions, users
from portal.worker.claims import Lease, Lost
from portal.worker.kinds import Work
from portal.worker.pacing import paced

log = logging.getLogger(__name__)

MAX_ATTEMPTS = 5
_KINDS = {**roles.KINDS, **users.KINDS, **sessions.KINDS, **providers.KINDS, **repairs.KINDS}
_FIRST_DELAY = 2.0
_VISIT_SECONDS = 2.0
_STEP_SECONDS = 0.25
_AT_ONCE = 32


@dataclass
class Run:
    """A claimed task whose calls are to be made. `problem` is why they failed."""

    task_id: str
    work: Work
    problem: Exception | None = None


@dataclass
class Visit:
    """An account that is ours. `run` is the task under way; `over` when nothing is left to do and it is given back."""

    lease: Lease
    account: Account
    connector: Connector | None = None
    run: Run | None = None
    ran: int = 0
    over: bool = False


class _TooSoon(Exception):
    """The account takes no more calls in this moment."""


def visit(
    account_uin: int, database: Database, settings: Settings, *, stopping: Callable[[], bool] = lambda: False
) -> int:
    """Run what is due in the account, for some seconds at most; returns how many tasks ran, whatever came of them."""
    found = enter(account_uin, database, settings)
    if found is None:
        return 0
    end = time.monotonic() + _VISIT_SECONDS
    try:
        while not found.over:
            perform(found, database, settings)
            go_on(found, database, settings, last=stopping() or time.monotonic() > end)
    except Lost:
        log.warning("the claim of account %s ran out in the middle; what was under way will run again", account_uin)
    except Exception:
        with database.transaction() as session:
            claims.abandon(session, found.lease)
        raise
    return found.ran


def enter(account_uin: int, database: Database, settings: Settings) -> Visit | None:
    """Take the account and begin; None when somebody else is in it."""
    length, per_second = timedelta(seconds=settings.task_lease_seconds), settings.account_calls_per_second
    with database.transaction() as session:
        lease = claims.take(session, account_uin, secrets.token_hex(16), length=length, per_second=per_second)
        if lease is None:
            return None
        found = Visit(lease, session.get_one(Account, account_uin))
        _begin_tasks(session, found, settings)
        return found


def perform(visit: Visit, database: Database, settings: Settings) -> None:
    """The calls of the task under way, each a transaction of its own. Raises Lost."""
    run, lease = visit.run, visit.lease
    if run is None:
        return

    def keep() -> None:
        if lease.needs_renewal() and visit.run:
            with database.transaction() as session:
                claims.renew(session, lease, visit.run.task_id)

    try:
        if visit.connector is None:
            connector = connector_for(database, visit.account, base_url=settings.base_url)
            visit.connector = paced(connector, lease.pace, keep, nap=lease.length / 4)
        run.work.perform(visit.connector, keep)
    except Lost:
        raise
    except Exception as error:
        run.problem = error


def go_on(visit: Visit, database: Database, settings: Settings, *, last: bool = False) -> None:
    """Write the result of the task under way and begin the next ones, unless it was the `last`. Raises Lost."""
    with database.transaction() as session:
        claims.hold(session, visit.lease)
        if visit.run:
            _finish(session, visit, visit.run)
        if last:
            _leave(session, visit)
        else:
            _begin_tasks(session, visit, settings)


def _begin_tasks(session: Session, visit: Visit, settings: Settings) -> None:
    """Run to its end what needs no calls, and claim the first task that does.

    Tasks are taken in lots that double: where each needs calls one is taken, where none does nearly all are.
    """
    lot, end, patient = 1, time.monotonic() + _STEP_SECONDS, True
    while time.monotonic() < end:
        tasks = claims.ready(session, visit.lease, lot)
        if not tasks:
            _leave(session, visit)
        for task in tasks:
            if not _begin(session, visit, task, settings):
                return
            if patient:
                claims.give_way(session)
                patient = False
        if visit.over:
            return
        lot = min(2 * lot, _AT_ONCE)


def _begin(session: Session, visit: Visit, task: Task, settings: Settings) -> bool:
    """Whether it is settled; if not, it is claimed now, or left for later: as it was, where somebody has its rows."""
    work, problem, reason = None, None, ""
    try:
        if task.attempts >= MAX_ATTEMPTS:
            raise Unavailable(f"Given up after {MAX_ATTEMPTS} attempts that broke off.")
        with session.begin_nested():
            work = _KINDS[TaskType(task.type)].plan(session, task, base_url=settings.base_url)
            if not work.calls:
                reason = work.record(session, task)
            elif visit.lease.pace.wait():
                raise _TooSoon
    except _TooSoon:
        _leave(session, visit)
        return False
    except Exception as error:
        if claims.gave_way(error):
            return False
        problem = error
    try:
        with session.begin_nested() if problem else nullcontext():
            task.attempts += 1
            task.started_at = task.started_at or clock.now()
            if work is not None and work.calls and problem is None:
                claims.claim(visit.lease, task)
                visit.run = Run(task.id, work)
                return False
            _settle(session, task, problem, reason, touched=task.attempts > 1)
    except OperationalError as error:
        if claims.gave_way(error):
            return False
        raise
    visit.ran += 1
    return True


def _finish(session: Session, visit: Visit, run: Run) -> None:
    task, reason = claims.held_task(session, visit.lease, run.task_id), ""
    if run.problem is None:
        try:
            with session.begin_nested():
                reason = run.work.record(session, task)
        except Exception as error:
            run.problem = error
    _settle(session, task, run.problem, reason, touched=True)
    visit.run = None
    visit.ran += 1
    claims.give_way(session)


def _leave(session: Session, visit: Visit) -> None:
    visit.over = True
    claims.free(session, visit.lease)


def _settle(session: Session, task: Task, problem: Exception | None, reason: str, *, touched: bool) -> None:
    task.claim = task.claim_until = None
    if problem is None and not reason:
        task.status, task.reason, task.ended_at = TaskStatus.SUCCESS, "", clock.now()
        return
    if problem is not None:
        reason = problem.message if isinstance(problem, Error) else _unexpected(task, problem)
    again = problem is not None and (isinstance(problem, Unavailable) or not isinstance(problem, Error))
    task.reason = reason
    if again and task.attempts < MAX_ATTEMPTS:
        task.status = TaskStatus.QUEUED
        task.not_before = clock.now() + _delay(task.attempts)
        return
    task.status, task.ended_at = TaskStatus.FAILED, clock.now()
    if problem is not None:
        _KINDS[TaskType(task.type)].give_up(session, task, touched=touched)


def _unexpected(task: Task, problem: Exception) -> str:
    reference = secrets.token_hex(4)
    log.error("task %s failed unexpectedly, reference %s", task.id, reference, exc_info=problem)
    return f"An unexpected error; see the log, reference {reference}."


def _delay(attempts: int) -> timedelta:
    """Doubles with every attempt; half of it is chance, so that what failed together does not come back together."""
    longest = _FIRST_DELAY * 2 ** (attempts - 1)
    return timedelta(seconds=longest / 2 + longest / 2 * secrets.randbelow(1000) / 1000)
