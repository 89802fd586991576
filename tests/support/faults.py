"""Accounts that do not answer or refuse, and workers that die at any moment, as a script says it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from typing import Any

from sqlalchemy.orm import Session

from portal.clouds.local import LocalConnector
from portal.core.database import Database
from portal.core.errors import Forbidden, Invalid, Unavailable

CALLS = (
    "describe",
    "ensure_identity_provider",
    "remove_identity_provider",
    "ensure_role",
    "remove_role",
    "ensure_user",
    "remove_user",
    "release_user",
    "end_sessions",
)
REFUSALS: Mapping[str, Callable[[], Exception]] = {
    "unavailable": lambda: Unavailable("The account does not answer."),
    "invalid": lambda: Invalid("The account takes no such thing."),
    "forbidden": lambda: Forbidden("The account is not ours."),
    "unexpected": lambda: RuntimeError("Nobody thought of this."),
}
DEATHS = ("before", "after")


class Killed(BaseException):
    """The process is gone: nothing that catches an Exception sees this."""


class Faults:
    """`calls` says what happens to the next calls into accounts, one after the other: a name of REFUSALS or DEATHS, or
    "" when it works. `commit` is how many commits go well before the process dies there, before or after it.
    """

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.commit: tuple[int, str] | None = None

    def heal(self) -> None:
        self.calls, self.commit = [], None

    def next_call(self) -> str:
        return self.calls.pop(0) if self.calls else ""

    def dies_at_commit(self) -> str:
        """ "before", "after", or "" when this one goes well."""
        if self.commit is None:
            return ""
        left, when = self.commit
        self.commit = (left - 1, when)
        return when if left == 0 else ""


@contextmanager
def faulty(database: Database) -> Iterator[Faults]:
    faults = Faults()
    originals = {name: getattr(LocalConnector, name) for name in CALLS}
    commit = database.commit

    def wrapped(original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def call(*arguments: Any, **named: Any) -> Any:
            fault = faults.next_call()
            if fault in REFUSALS:
                raise REFUSALS[fault]()
            if fault == "before":
                raise Killed
            result = original(*arguments, **named)
            if fault == "after":
                raise Killed
            return result

        return call

    def committed(session: Session) -> None:
        when = faults.dies_at_commit()
        if when == "before":
            raise Killed
        commit(session)
        if when == "after":
            raise Killed

    for name, original in originals.items():
        setattr(LocalConnector, name, wrapped(original))
    database.commit = committed  # type: ignore[method-assign]
    try:
        yield faults
    finally:
        for name, original in originals.items():
            setattr(LocalConnector, name, original)
        database.commit = commit  # type: ignore[method-assign]
