"""Looks into accounts whose turn it is (portal.core.drift). Every worker does, any number of them; one looks at a time.

Read what should be there, ask the account, keep what differs: each for itself, so that nobody waits for an account
that is slow to answer, tasks least of all. Killed anywhere, the turn ends by itself and somebody looks again.
"""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Callable
from datetime import datetime, timedelta

from portal import addresses
from portal.clouds import connector_for
from portal.core import clock
from portal.core.database import Database
from portal.core.drift import checks, turns
from portal.core.drift.desired import desired
from portal.core.errors import Error
from portal.settings import Settings

log = logging.getLogger(__name__)

EVERY = timedelta(seconds=5)
ENROLL_EVERY = timedelta(minutes=1)


class Checking:
    """Told often, looks for turns every few seconds. Works in a thread of its own: no task waits for it."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database, self._settings = database, settings
        self._next: datetime | None = None
        self._enroll_at: datetime | None = None
        self.thread: threading.Thread | None = None

    def start_if_due(self, stopping: Callable[[], bool] = lambda: False) -> None:
        if (self._next is not None and clock.now() < self._next) or (self.thread and self.thread.is_alive()):
            return
        self._next = clock.now() + EVERY
        self.enroll_if_due()
        if self._due():
            self.thread = threading.Thread(name="portal-check", daemon=True, target=self.run, args=(stopping,))
            self.thread.start()

    def join(self, timeout: float) -> None:
        """Let the one account be kept that is being looked into. `timeout` in seconds."""
        if self.thread:
            self.thread.join(timeout)

    def enroll_if_due(self) -> int:
        """How many accounts got their first turn."""
        if not self._settings.drift_check_hours or (self._enroll_at is not None and clock.now() < self._enroll_at):
            return 0
        self._enroll_at = clock.now() + ENROLL_EVERY
        enrolled = 0
        while True:
            with self._database.transaction(write=False) as session:
                if not turns.any_without(session):
                    return enrolled
            with self._database.transaction() as session:
                more = turns.enroll(session)
            if not more:
                return enrolled
            enrolled += more

    def run(self, stopping: Callable[[], bool] = lambda: False) -> int:
        """How many accounts were looked into."""
        looked = 0
        try:
            for account_uin, space_id in self._due():
                if stopping():
                    break
                looked += look(self._database, self._settings, account_uin, space_id)
        except Exception:
            log.exception("accounts cannot be compared now; it is tried later")
        return looked

    def _due(self) -> list[tuple[int, str]]:
        with self._database.transaction(write=False) as session:
            return turns.due(session, scheduled=bool(self._settings.drift_check_hours))


def look(database: Database, settings: Settings, account_uin: int, space_id: str) -> bool:
    """Whether it was our turn."""
    with database.transaction() as session:
        turn = checks.take(session, account_uin, space_id)
        if turn is None:
            return False
        entity_id = addresses.issuer(settings.base_url, turn.space.name)
        wanted = desired(session, turn.space, account_uin, entity_id=entity_id)
    hours = settings.drift_check_hours
    try:
        connector = connector_for(database, turn.account, base_url=settings.base_url)
        state = connector.describe(managed_by=space_id)
    except Exception as error:
        with database.transaction() as session:
            checks.fail(session, turn, reason=_reason(turn.account.uin, error), hours=hours)
        return True
    with database.transaction() as session:
        checks.settle(session, turn, wanted=wanted, state=state, hours=hours)
    return True


def _reason(account_uin: int, problem: Exception) -> str:
    if isinstance(problem, Error):
        return problem.message
    reference = secrets.token_hex(4)
    log.error("account %s cannot be described, reference %s", account_uin, reference, exc_info=problem)
    return f"An unexpected error; see the log, reference {reference}."
