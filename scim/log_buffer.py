"""Lines of the SCIM log that wait to be written: those of requests that succeeded.

A thread of the process writes them together, about a second later or when 200 have come. What waits is bounded: when
the database is away for long, the oldest lines go, which is logged. The rest is written when the process ends.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
from collections import deque
from weakref import WeakSet

import structlog
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from portal.core.database import Database
from portal.core.push import requests
from portal.core.push.requests import Line

log = structlog.get_logger()

BATCH = 200
MOST = 10_000
SECONDS = 1.0

_buffers: WeakSet[LogBuffer] = WeakSet()


class LogBuffer:
    """`threaded=False`: nothing is written until `flush` is called."""

    def __init__(self, database: Database, *, threaded: bool = True) -> None:
        self._database = database
        self._threaded = threaded
        self._waiting: deque[Line] = deque()
        self._dropped = 0
        self._begin()
        if threaded:
            _buffers.add(self)

    def _begin(self) -> None:
        """Also in a process just forked: its parent writes what it had, and threads and held locks stay behind."""
        self._waiting.clear()
        self._thread: threading.Thread | None = None
        self._lock, self._writing = threading.Lock(), threading.Lock()
        self._some, self._full = threading.Event(), threading.Event()

    def add(self, line: Line) -> None:
        with self._lock:
            self._waiting.append(line)
            self._trim()
            if self._threaded and self._thread is None:
                self._thread = threading.Thread(name="portal-scim-log", daemon=True, target=self._run)
                self._thread.start()
        self._some.set()
        if len(self._waiting) >= BATCH:
            self._full.set()

    def write(self, session: Session, line: Line) -> None:
        """Write one at once, in the transaction of `session`, behind those that came before it."""
        lines = self._next()
        try:
            requests.record(session, [*lines, line])
        except OperationalError:
            self._wait_on(lines)
            raise

    def flush(self) -> None:
        """Write all that waits. Raises OperationalError when the database is away: the lines wait on."""
        with self._writing:
            while lines := self._next():
                try:
                    with self._database.transaction() as session:
                        requests.record(session, lines)
                except OperationalError:
                    self._wait_on(lines)
                    raise
                except Exception:
                    log.exception("scim.log_lines_lost", lines=len(lines))
        if self._dropped:
            log.warning("scim.log_lines_dropped", lines=self._dropped)
            self._dropped = 0

    def _next(self) -> list[Line]:
        with self._lock:
            return [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]

    def _wait_on(self, lines: list[Line]) -> None:
        with self._lock:
            self._waiting.extendleft(reversed(lines))
            self._trim()

    def _trim(self) -> None:
        while len(self._waiting) > MOST:
            self._waiting.popleft()
            self._dropped += 1

    def _run(self) -> None:
        while True:
            self._some.wait()
            self._full.wait(SECONDS)
            self._some.clear()
            self._full.clear()
            try:
                self.flush()
            except OperationalError as error:
                log.warning("scim.log_waits", lines=len(self._waiting), dropped=self._dropped, reason=str(error.orig))
                self._some.set()
                time.sleep(SECONDS)


def _after_fork() -> None:
    for buffer in list(_buffers):
        buffer._begin()


def _at_end() -> None:
    for buffer in list(_buffers):
        try:
            buffer.flush()
        except Exception as error:
            log.warning("scim.log_lines_lost", lines=len(buffer._waiting), reason=str(error))


atexit.register(_at_end)
os.register_at_fork(after_in_child=_after_fork)
