"""Lists read by index what they show, not all rows of the space: as SQLite plans it without statistics, as usual."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.orm import Session

from portal.core.access import queries
from portal.core.database import Database
from portal.core.paging import Search
from tests.support.make import Make

LISTS: dict[str, Callable[..., Any]] = {
    "portal": lambda session, space, user: queries.entries_of_user(session, user, Search()),
    "portal, found": lambda session, space, user: queries.entries_of_user(session, user, Search(text="some")),
    "account": lambda session, space, user: queries.authorizations_of_account(session, space, 1, Search()),
    "account, deployments": lambda session, space, user: queries.deployments_of_account(session, space, 1, Search()),
    "user": lambda session, space, user: queries.authorizations_of_user(session, space, user, Search()),
    "batch": lambda session, space, user: queries.batch(session, space, "b-1"),
    "tasks of a batch": lambda session, space, user: queries.tasks_page(
        session, space, Search(sort="number", filters={"batch": "b-1"})
    ),
    "failed tasks": lambda session, space, user: queries.tasks_page(
        session, space, Search(filters={"status": "Failed"})
    ),
}


@pytest.fixture
def plans(database: Database) -> Iterator[list[str]]:
    """How each SELECT of the test reads each table."""
    seen: list[str] = []

    def explain(_connection: Any, cursor: Any, statement: str, parameters: Any, *_rest: Any) -> None:
        if statement.startswith("SELECT"):
            seen.extend(row[3] for row in cursor.connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters))

    event.listen(database.engine, "before_cursor_execute", explain)
    yield seen
    event.remove(database.engine, "before_cursor_execute", explain)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize("name", LISTS)
def test_a_list_reads_what_it_shows(name: str, session: Session, make: Make, plans: list[str]) -> None:
    space = make.space()
    user = make.user(space)
    plans.clear()
    LISTS[name](session, space, user)
    big = ("authorizations", "deployments", "tasks", "users", "memberships")
    assert plans
    assert not [plan for plan in plans if plan.startswith(tuple(f"SCAN {table}" for table in big))]
    assert not [plan for plan in plans if "(space_id=?)" in plan and plan.split()[1] in big]
