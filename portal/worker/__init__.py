"""Runs the tasks that the heart queued (IC-9..IC-15).

    commit -> dispatch(ids)         embedded: wakes the thread of `portal serve`; with a broker: one message per task
    claims.due()                    what may run now; also finds what a crash or a lost message left behind
    engine.run(task id)
        claim                       one transaction: task and account taken by compare-and-set, what to do is read
        perform                     connector calls, each a transaction of its own and each an "ensure"
        finish                      one transaction, only while the claim is still ours: result, audit, release

    housekeeping                    forgets old lines of logs and what expired, hourly
    refreshing                      reads metadata of identity providers again, in a thread of its own
    checking                        compares accounts with what should be there, in a thread of its own

Killed anywhere, a claim runs out and the task runs again; nothing is done twice, because every step is an "ensure".
"""

from __future__ import annotations

import signal
from typing import Any

from portal.core.database import Database
from portal.settings import Settings


def setup_dispatch(database: Database, settings: Settings) -> None:
    """Say what happens after a commit. Without a broker nothing does here: an embedded thread looks for itself."""
    if settings.broker_url:
        from portal.worker.celery_app import dispatcher

        database.dispatch = dispatcher(settings)


def main(settings: Settings, database: Database) -> None:
    """`portal worker`: runs tasks until it is told to stop (SIGTERM, SIGINT)."""
    if settings.broker_url:
        from portal.worker.celery_app import work

        work(database, settings)
        return
    from portal.worker import embedded

    handle = embedded.start(database, settings)

    def stop(*_signal: Any) -> None:
        handle.stopping.set()
        handle.wake.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    handle.thread.join()
