"""Forgets what has been kept long enough. Every worker does it, any number of them at the same time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from portal.core import clock
from portal.core.database import Database
from portal.core.push import requests
from portal.settings import Settings

EVERY = timedelta(hours=1)
CHUNK = 1_000


class Housekeeping:
    """Told often, works once an hour."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database, self._settings = database, settings
        self._next: datetime | None = None

    def run_if_due(self, stopping: Callable[[], bool] = lambda: False) -> int:
        """How many rows it deleted."""
        if self._next is not None and clock.now() < self._next:
            return 0
        self._next = clock.now() + EVERY
        return forget_scim_requests(self._database, self._settings, stopping)


def forget_scim_requests(database: Database, settings: Settings, stopping: Callable[[], bool] = lambda: False) -> int:
    """In short transactions, so that no push waits for it. Asks without the write lock whether there is any work."""
    oldest = clock.now() - timedelta(days=settings.scim_log_days)
    with database.transaction(write=False) as session:
        left = requests.any_before(session, oldest)
    deleted = 0
    while left and not stopping():
        with database.transaction() as session:
            count = requests.delete_before(session, oldest, most=CHUNK)
        deleted += count
        left = count == CHUNK
    return deleted
