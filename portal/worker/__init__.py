"""Runs the tasks that the heart queued (IC-9..IC-15).

    commit -> dispatch          embedded: wakes the threads of `portal serve`; with a broker: a message wakes a worker
    engine.Turns                whose turn it is, spaces first: what may run now, after crashes and lost messages too
    visits.visit(account)
        enter                   the account, by compare-and-set; what needs no calls is run, the first other claimed
        perform                 connector calls, so many a second, each an "ensure" and a transaction of its own
        go_on                   one transaction, only while the account is ours: result, audit, the next one claimed

    housekeeping                forgets old lines of logs and what expired, hourly
    refreshing                  reads metadata of identity providers again, in a thread of its own
    checking                    compares accounts with what should be there, in a thread of its own

Killed anywhere, a claim runs out and the task runs again; nothing is done twice, because every step is an "ensure".
"""

from __future__ import annotations

import signal
from typing import Any

from portal.core.database import Database
from portal.settings import Settings


def setup_dispatch(database: Database, settings: Settings) -> None:
    """Say what happens after a commit. Without a broker nothing does here: embedded threads look for themselves."""
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
        handle.ask_to_stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    for thread in handle.threads:
        thread.join()
