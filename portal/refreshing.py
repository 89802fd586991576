"""Metadata by URL, read again: what the worker, the console and the command line share (IC-6).

Whose turn it is and what came of it are two short transactions; the asking in between holds none.
"""

from __future__ import annotations

import logging
import secrets
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import IO

from portal.core import clock
from portal.core.actor import SYSTEM, Actor
from portal.core.database import Database
from portal.core.errors import Conflict, Error
from portal.core.federation import refreshes
from portal.core.federation.identity_provider import TrustedIdentityProvider
from portal.core.federation.refreshes import Settled
from portal.fetching import Fetcher, from_settings
from portal.settings import Settings
from portal.trust import from_address, from_metadata, trusted_certificates
from saml.freshness import read_again_by

log = logging.getLogger(__name__)

_WORDS = {
    Settled.UNCHANGED: "Nothing has changed.",
    Settled.TRUSTED: "What changed is trusted now.",
    Settled.WAITS: "The login address has changed. The new data waits in the console to be tested and trusted.",
}


@dataclass(frozen=True)
class Outcome:
    """`problem`: why nothing was read; else what came of it."""

    settled: Settled = Settled.UNCHANGED
    problem: str = ""

    @property
    def words(self) -> str:
        """For a command."""
        return self.problem or _WORDS[self.settled]


def read(fetcher: Fetcher, url: str, signed_by: str = "") -> TrustedIdentityProvider:
    """What stands at an address. Raises Invalid, Unavailable."""
    return from_address(fetcher.fetch(url), url=url, signed_by=signed_by)


def refresh(database: Database, fetcher: Fetcher, space_id: str, *, actor: Actor | None = None) -> Outcome | None:
    """Read the metadata of a space again. None without an address, and when it is not due or another is at it.

    With an `actor`, who asks for it, it need not be due, and that another is at it is a problem to be told; otherwise
    the system acts.
    """
    try:
        with database.transaction() as session:
            turn = refreshes.take(session, space_id, now_due=actor is None)
    except Conflict as error:
        return Outcome(problem=error.message)
    if turn is None:
        return None
    actor = actor or replace(SYSTEM, organization_id=turn.space.organization_id)
    try:
        document = fetcher.fetch(turn.url)
        found = from_address(document, url=turn.url, signed_by=turn.signed_by)
        with database.transaction() as session:
            again_at = next_time(document, clock.now())
            return Outcome(refreshes.settle(session, actor, turn=turn, read=found, again_at=again_at))
    except Error as error:
        problem = error.message
    except Exception:
        reference = secrets.token_hex(4)
        log.exception("metadata of space %s failed unexpectedly, reference %s", turn.space.name, reference)
        problem = f"An unexpected error; see the log, reference {reference}."
    with database.transaction() as session:
        refreshes.fail(session, actor, turn=turn, reason=problem)
    return Outcome(problem=problem)


def refresh_once(settings: Settings, space_id: str, actor: Actor) -> Outcome | None:
    """For a command: with a database of its own."""
    database = Database(settings.database_url)
    try:
        return refresh(database, from_settings(settings), space_id, actor=actor)
    finally:
        database.dispose()


def offered(
    settings: Settings, *, file: IO[bytes] | None, url: str | None, signed_by: IO[bytes] | None
) -> TrustedIdentityProvider:
    """For a command: what a file or an address describes. Raises Invalid, Unavailable."""
    if file:
        return from_metadata(file.read())
    pems = "".join(one.pem for one in trusted_certificates(signed_by.read())) if signed_by else ""
    return read(from_settings(settings), url or "", pems)


def next_time(document: bytes, now: datetime) -> datetime:
    """In a day, or while half of the time is left that the metadata gives itself, but not within the hour.

    A tenth of it is chance, so that what was set up together is not read together for ever.
    """
    wait = refreshes.USUAL
    if ends := read_again_by(document, now=now):
        wait = min(wait, (ends - now) / 2)
    wait = max(wait * (1 - secrets.randbelow(1000) / 10_000), refreshes.SHORTEST)
    return now + timedelta(seconds=round(wait.total_seconds()))
