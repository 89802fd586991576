"""Who is next: spaces by turns, so that a batch of ten thousand holds up nobody else's single task."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from portal.core import clock
from portal.core.database import Database
from portal.settings import Settings
from portal.worker import claims
from portal.worker.claims import Due
from portal.worker.visits import visit

_FRESH_SECONDS = 1.0
_REST_SECONDS = 1.0


class Turns:
    """One per process, for all its threads. What is due is read at most once a second while there is enough to do."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database, self._settings = database, settings
        self._lock = threading.Lock()
        self._due: list[Due] = []
        self._read_at = 0.0
        self._served: dict[str, int] = {}
        self._visiting: set[int] = set()
        self._resting: dict[int, float] = {}

    def run(self, stopping: Callable[[], bool] = lambda: False, *, more: Callable[[], None] | None = None) -> int:
        """Visit accounts until nothing is due; returns how many tasks ran.

        What waits for its next attempt is not waited for, an account that rests from its calls is. `more` is called
        once when somebody else could help.
        """
        ran = 0
        while not stopping():
            found = self._next()
            if found is None:
                return ran
            account_uin, wait, others = found
            if wait:
                time.sleep(wait)
                continue
            if more and others:
                more()
                more = None
            ran += self._visit(account_uin, stopping)
        return ran

    def _visit(self, account_uin: int, stopping: Callable[[], bool]) -> int:
        ran = 0
        try:
            ran = visit(account_uin, self._database, self._settings, stopping=stopping)
        finally:
            with self._lock:
                self._visiting.discard(account_uin)
                if not ran:  # somebody was quicker, or has the tasks locked
                    self._resting[account_uin] = time.monotonic() + _REST_SECONDS
        return ran

    def _next(self) -> tuple[int, float, bool] | None:
        """An account, how long to wait instead, whether there are others."""
        with self._lock:
            tick, ready = time.monotonic(), self._ready()
            if not ready or self._read_at < tick - _FRESH_SECONDS:
                self._read(tick)
                ready = self._ready()
            if ready:
                found = min(ready, key=lambda one: self._served.get(one.space_id, 0))
                self._due = [one for one in self._due if one.account_uin != found.account_uin]
                self._visiting.add(found.account_uin)
                self._served[found.space_id] = max(self._served.values(), default=0) + 1
                return found.account_uin, 0.0, len(ready) > 1
            if self._due:
                return 0, max(0.01, (min(one.at for one in self._due) - clock.now()).total_seconds()), False
            return None

    def _ready(self) -> list[Due]:
        now = clock.now()
        return [one for one in self._due if one.at <= now]

    def _read(self, tick: float) -> None:
        self._resting = {uin: until for uin, until in self._resting.items() if until > tick}
        with self._database.transaction(write=False) as session:
            found = claims.due(session, per_second=self._settings.account_calls_per_second)
        away = self._visiting | self._resting.keys()
        self._due = [one for one in found if one.account_uin not in away]
        self._read_at = time.monotonic()


def run_until_idle(database: Database, settings: Settings) -> int:
    return Turns(database, settings).run()
