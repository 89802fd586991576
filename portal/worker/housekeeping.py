"""Forgets what has been kept long enough. Every worker does it, any number of them at the same time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from portal.core import clock
from portal.core.database import Database
from portal.core.federation.models import PendingLogout, PendingSignIn, SeenAssertion, SignInAttempt
from portal.core.forgetting import Forgotten, any_before, delete_before
from portal.core.push.models import ScimRequest
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
        return sum(
            forget(self._database, table, days, stopping)
            for table, days in (
                (ScimRequest, self._settings.scim_log_days),
                (SignInAttempt, self._settings.sign_in_log_days),
                (PendingSignIn, 0),
                (PendingLogout, 0),
                (SeenAssertion, 0),
            )
        )


def forget(database: Database, table: Forgotten, days: int, stopping: Callable[[], bool] = lambda: False) -> int:
    """In short transactions, so that nobody waits for it. Asks without the write lock whether there is any work."""
    oldest = clock.now() - timedelta(days=days)
    with database.transaction(write=False) as session:
        left = any_before(session, table, oldest)
    deleted = 0
    while left and not stopping():
        with database.transaction() as session:
            count = delete_before(session, table, oldest, most=CHUNK)
        deleted += count
        left = count == CHUNK
    return deleted
