"""Two transactions at the same moment."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from portal.core.database import Database
from portal.core.errors import Error

# SQLite has one writer at a time, so nothing meets there
on_postgresql = pytest.mark.parametrize("database", ["postgresql"], indirect=True)
Step = Callable[[Session], Any]


def meet(database: Database, first: Step, second: Callable[[], Any]) -> Any:
    """`second` begins before `first` is committed and has to wait for it; its result, or its refusal."""
    session = database.session()
    with ThreadPoolExecutor(1) as pool:
        try:
            first(session)
            running = pool.submit(second)
            deadline = time.monotonic() + 10
            while not running.done() and not waiting(database):
                assert time.monotonic() < deadline
                time.sleep(0.01)
            session.commit()
        finally:
            session.close()
        try:
            return running.result(timeout=10)
        except Error as refusal:
            return refusal


def waiting(database: Database) -> bool:
    blocked = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    with database.transaction(write=False) as session:
        return bool(session.scalar(text(blocked)))
