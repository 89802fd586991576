"""The default worker: threads of `portal serve` that run due tasks, woken by every commit that queued some."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from portal.core.database import Database
from portal.fetching import from_settings
from portal.settings import Settings
from portal.worker.checking import Checking
from portal.worker.engine import Turns
from portal.worker.housekeeping import Housekeeping
from portal.worker.refreshing import Refreshing

log = logging.getLogger(__name__)

SWEEP_SECONDS = 2.0
_CHORES_SECONDS = 60.0
_LAST_CHECK_SECONDS = 10.0


@dataclass
class Embedded:
    threads: list[threading.Thread]
    wakes: list[threading.Event]
    stopping: threading.Event

    def wake(self) -> None:
        for event in self.wakes:
            event.set()

    def ask_to_stop(self) -> None:
        """After the tasks that are running."""
        self.stopping.set()
        self.wake()

    def stop(self, timeout: float = 30.0) -> None:
        """`timeout` in seconds."""
        self.ask_to_stop()
        end = time.monotonic() + timeout
        for thread in self.threads:
            thread.join(max(0.0, end - time.monotonic()))


def start(database: Database, settings: Settings) -> Embedded:
    """To be called after a fork, in the process that runs the threads."""
    handle = begin(Turns(database, settings), settings.threads, chores=chores(database, settings))
    database.dispatch = lambda _ids: handle.wake()
    return handle


def begin(
    turns: Turns, count: int, *, chores: Callable[[Callable[[], bool]], None], more: Callable[[], None] | None = None
) -> Embedded:
    """Each of `count` threads looks for itself; the first one also does the `chores`. `more` as in `Turns.run`."""
    handle = Embedded([], [threading.Event() for _ in range(count)], threading.Event())
    for number, wake in enumerate(handle.wakes):
        own = chores if number == 0 else _no_chores
        name = f"portal-worker-{number + 1}"
        loop = threading.Thread(name=name, daemon=True, target=_loop, args=(handle, wake, turns, own, more))
        handle.threads.append(loop)
        loop.start()
    return handle


def chores(database: Database, settings: Settings) -> Callable[[Callable[[], bool]], None]:
    """What a worker does beside tasks; told whether to stop, and called once more then."""
    housekeeping = Housekeeping(database, settings)
    refreshing = Refreshing(database, from_settings(settings))
    checking = Checking(database, settings)

    def run(stopping: Callable[[], bool]) -> None:
        if stopping():
            checking.join(_LAST_CHECK_SECONDS)
            return
        housekeeping.run_if_due(stopping)
        refreshing.start_if_due(stopping)
        checking.start_if_due(stopping)

    return run


def _no_chores(stopping: Callable[[], bool]) -> None:
    pass


def _loop(
    handle: Embedded,
    wake: threading.Event,
    turns: Turns,
    chores: Callable[[Callable[[], bool]], None],
    more: Callable[[], None] | None,
) -> None:
    stopping = handle.stopping.is_set
    while not stopping():
        wake.clear()
        end = time.monotonic() + _CHORES_SECONDS
        try:
            turns.run(lambda: stopping() or time.monotonic() > end, more=more)  # noqa: B023 -- not used after this turn
            chores(stopping)
        except Exception:
            log.exception("the worker cannot run tasks now; it tries again")
        wake.wait(SWEEP_SECONDS)
    chores(stopping)
