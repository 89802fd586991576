"""One run of one task: claim, perform, finish. Called by the embedded thread and by Celery alike."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy.orm import Session

from portal.clouds import connector_for
from portal.core import clock
from portal.core.access.models import Task, TaskStatus, TaskType
from portal.core.database import Database
from portal.core.errors import Error, Unavailable
from portal.core.organization.models import Account
from portal.settings import Settings
from portal.worker import claims, providers, repairs, roles, sessions, users
from portal.worker.claims import Lease, Lost
from portal.worker.kinds import Work

log = logging.getLogger(__name__)

MAX_ATTEMPTS = 5
_KINDS = {**roles.KINDS, **users.KINDS, **sessions.KINDS, **providers.KINDS, **repairs.KINDS}
_FIRST_DELAY = 2.0


@dataclass
class Run:
    """A claimed task. `problem` is why it could not be planned or performed."""

    lease: Lease
    account: Account
    type: TaskType
    work: Work | None
    problem: Exception | None = None


def run(task_id: str, database: Database, settings: Settings) -> bool:
    """Run the task if it is to run now and nobody else is in its account. True when it ran, whatever came of it."""
    claimed = claim(task_id, database, settings)
    if claimed is None:
        return False
    try:
        perform(claimed, database, settings)
        finish(claimed, database)
    except Lost:
        log.warning("the claim of task %s ran out while it ran; it will run again", task_id)
    return True


def run_until_idle(database: Database, settings: Settings, *, stopping: Callable[[], bool] = lambda: False) -> int:
    """Run what is due until nothing is; returns how many ran. What waits for its next attempt is not waited for."""
    ran = 0
    while True:
        progress = 0
        for task_id in due(database):
            if stopping():
                return ran + progress
            progress += run(task_id, database, settings)
        if not progress:
            return ran
        ran += progress


def due(database: Database, *, account_uin: int | None = None) -> list[str]:
    """Ids of the tasks that may run now, those that a crash left behind included."""
    with database.transaction(write=False) as session:
        return claims.due(session, account_uin=account_uin)


def account_of(database: Database, task_id: str) -> int | None:
    with database.transaction(write=False) as session:
        task = session.get(Task, task_id)
        return task.account_uin if task else None


def claim(task_id: str, database: Database, settings: Settings) -> Run | None:
    """Phase one: take task and account, read what is to be done."""
    session = database.session()
    try:
        lease = claims.take(session, task_id, secrets.token_hex(16))
        if lease is None:
            session.rollback()
            return None
        task = session.get_one(Task, task_id, populate_existing=True)
        run = Run(lease, session.get_one(Account, task.account_uin), TaskType(task.type), None)
        if task.attempts > MAX_ATTEMPTS:
            run.problem = Unavailable(f"Given up after {MAX_ATTEMPTS} attempts that broke off.")
        else:
            try:
                with session.begin_nested():
                    run.work = _KINDS[run.type].plan(session, task, base_url=settings.base_url)
            except Exception as error:
                run.problem = error
        database.commit(session)
        return run
    finally:
        session.close()


def perform(run: Run, database: Database, settings: Settings) -> None:
    """Phase two: the calls into the account. Raises Lost."""

    def keep() -> None:
        if run.lease.needs_renewal():
            with database.transaction() as session:
                run.lease.renew(session)

    if run.work is None:
        return
    try:
        run.work.perform(connector_for(database, run.account, base_url=settings.base_url), keep)
    except Lost:
        raise
    except Exception as error:
        run.problem = error


def finish(run: Run, database: Database) -> None:
    """Phase three: write the result and free the account. Raises Lost when somebody else has the task by now."""
    with database.transaction() as session:
        task = claims.held_task(session, run.lease)
        if task is None:
            raise Lost(run.lease.task_id)
        reason = ""
        if run.work and not run.problem:
            try:
                with session.begin_nested():
                    reason = run.work.record(session, task)
            except Exception as error:
                run.problem = error
        _settle(session, run, task, reason)
        claims.free_account(session, run.lease)


def _settle(session: Session, run: Run, task: Task, reason: str) -> None:
    task.claim = task.claim_until = None
    problem = run.problem
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
        _KINDS[run.type].give_up(session, task, touched=run.work is not None or task.attempts > 1)


def _unexpected(task: Task, problem: Exception) -> str:
    reference = secrets.token_hex(4)
    log.error("task %s failed unexpectedly, reference %s", task.id, reference, exc_info=problem)
    return f"An unexpected error; see the log, reference {reference}."


def _delay(attempts: int) -> timedelta:
    """Doubles with every attempt; half of it is chance, so that what failed together does not come back together."""
    longest = _FIRST_DELAY * 2 ** (attempts - 1)
    return timedelta(seconds=longest / 2 + longest / 2 * secrets.randbelow(1000) / 1000)
