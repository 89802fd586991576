"""Reads metadata again when it is due. Every worker looks, any number of them; one reads."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import datetime, timedelta

from portal import refreshing
from portal.core import clock
from portal.core.database import Database
from portal.core.federation import refreshes
from portal.fetching import Fetcher

log = logging.getLogger(__name__)

EVERY = timedelta(minutes=1)


class Refreshing:
    """Told often, looks once a minute. Reads in a thread of its own: no task waits for somebody else's server."""

    def __init__(self, database: Database, fetcher: Fetcher) -> None:
        self._database, self._fetcher = database, fetcher
        self._next: datetime | None = None
        self.thread: threading.Thread | None = None

    def start_if_due(self, stopping: Callable[[], bool] = lambda: False) -> None:
        if (self._next is not None and clock.now() < self._next) or (self.thread and self.thread.is_alive()):
            return
        self._next = clock.now() + EVERY
        if self._due():
            self.thread = threading.Thread(name="portal-refresh", daemon=True, target=self.run, args=(stopping,))
            self.thread.start()

    def run(self, stopping: Callable[[], bool] = lambda: False) -> int:
        """Of how many spaces the metadata was asked for."""
        asked = 0
        try:
            for space_id in self._due():
                if stopping():
                    break
                asked += refreshing.refresh(self._database, self._fetcher, space_id) is not None
        except Exception:
            log.exception("metadata cannot be read again now; it is tried later")
        return asked

    def _due(self) -> list[str]:
        with self._database.transaction(write=False) as session:
            return refreshes.due(session)
