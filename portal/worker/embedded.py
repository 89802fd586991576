"""The default worker: a thread of `portal serve` that runs due tasks, woken by every commit that queued some."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, field

from portal.core.database import Database
from portal.fetching import from_settings
from portal.settings import Settings
from portal.worker.checking import Checking
from portal.worker.engine import run_until_idle
from portal.worker.housekeeping import Housekeeping
from portal.worker.refreshing import Refreshing

log = logging.getLogger(__name__)

SWEEP_SECONDS = 2.0


@dataclass
class Embedded:
    thread: threading.Thread
    wake: threading.Event = field(default_factory=threading.Event)
    stopping: threading.Event = field(default_factory=threading.Event)

    def stop(self, timeout: float = 30.0) -> None:
        """Ends after the task that is running. `timeout` in seconds."""
        self.stopping.set()
        self.wake.set()
        self.thread.join(timeout)


def start(database: Database, settings: Settings) -> Embedded:
    """To be called after a fork, in the process that runs the thread."""
    thread = threading.Thread(name="portal-worker", daemon=True, target=lambda: _loop(handle, database, settings))
    handle = Embedded(thread)
    database.dispatch = lambda _ids: handle.wake.set()
    handle.thread.start()
    return handle


def _loop(handle: Embedded, database: Database, settings: Settings) -> None:
    housekeeping = Housekeeping(database, settings)
    refreshing = Refreshing(database, from_settings(settings))
    checking = Checking(database, settings)
    while not handle.stopping.is_set():
        handle.wake.clear()
        try:
            run_until_idle(database, settings, stopping=handle.stopping.is_set)
            housekeeping.run_if_due(handle.stopping.is_set)
            refreshing.start_if_due(handle.stopping.is_set)
            checking.start_if_due(handle.stopping.is_set)
        except Exception:
            log.exception("the worker cannot run tasks now; it tries again")
        handle.wake.wait(SWEEP_SECONDS)
    checking.join(timeout=10)
