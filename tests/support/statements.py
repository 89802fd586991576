"""Counts SQL statements: a list must take as many for a hundred rows as for two."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event

from portal.core.database import Database


@contextmanager
def statements(database: Database) -> Iterator[list[str]]:
    """The statements that run in the block, but for BEGIN, COMMIT and the like."""
    seen: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if not statement.startswith(("BEGIN", "PRAGMA")):
            seen.append(statement)

    event.listen(database.engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(database.engine, "before_cursor_execute", note)
