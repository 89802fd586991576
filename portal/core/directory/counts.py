"""How many users and groups a space has, kept in blocks of creation numbers: a total, or a place deep in a list, is
read off a few rows however long the list is.

What a transaction adds and takes is noted beside it and written right before it commits, in one order, so that two that
create users at the same time wait for each other for the length of a commit and never for ever. What a savepoint undoes
is forgotten with it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from sqlalchemy import bindparam, event, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session, SessionTransaction

from portal.core.database import insert_unless_taken
from portal.core.directory.models import DirectoryCount, Group, User

BLOCK = 2048
_NOTED, _MARKS = "directory_counts", "directory_counts_at_savepoint"

_counts: Any = DirectoryCount.__table__
_of_kind = (_counts.c.space_id == bindparam("in_space"), _counts.c.kind == bindparam("of_kind"))
_TOTAL = select(func.coalesce(func.sum(_counts.c.amount), 0)).where(*_of_kind)
_BESIDE = _TOTAL.scalar_subquery()
_BLOCKS = select(_counts.c.block, _counts.c.amount).where(*_of_kind).order_by(_counts.c.block)


def _adding(insert: Any) -> Any:
    statement = insert(_counts)
    keys = list(_counts.primary_key)
    return statement.on_conflict_do_update(
        index_elements=keys, set_={"amount": _counts.c.amount + statement.excluded.amount}
    )


_ADD = {"sqlite": _adding(sqlite.insert), "postgresql": _adding(postgresql.insert)}


def note(session: Session, row: User | Group, change: int) -> None:
    """`row` came (1) or goes (-1)."""
    noted: list[Any] = session.info.setdefault(_NOTED, [])
    noted.append(((row.space_id, type(row).__name__, row.number // BLOCK), change))


def total(session: Session, space_id: str, model: type[User] | type[Group]) -> int:
    """What this transaction noted counts too."""
    kept = session.connection().execute(_TOTAL, _asked(space_id, model)).scalar_one()
    return int(kept) + _noted(session, space_id, model)


def insert(session: Session, row: User | Group) -> int | None:
    """Insert it; how many there are with it, None when its name or e-mail is taken."""
    kept = insert_unless_taken(session, row, _BESIDE, **_asked(row.space_id, type(row)))
    if kept is None:
        return None
    note(session, row, 1)
    return int(kept) + _noted(session, row.space_id, type(row))


def _asked(space_id: str, model: type[User] | type[Group]) -> dict[str, str]:
    return {"in_space": space_id, "of_kind": model.__name__}


def _noted(session: Session, space_id: str, model: type[User] | type[Group]) -> int:
    noted = session.info.get(_NOTED, ())
    return sum(int(change) for key, change in noted if key[:2] == (space_id, model.__name__))


def place(session: Session, space_id: str, model: type[User] | type[Group], offset: int) -> tuple[int, int, int]:
    """The total; a creation number, and how many rows from it on the one at `offset` stands."""
    blocks: Sequence[Any] = session.connection().execute(_BLOCKS, _asked(space_id, model)).all()
    whole, place = 0, (0, offset)
    for block, amount in blocks:
        if whole <= offset < whole + amount:
            place = (block * BLOCK, offset - whole)
        whole += amount
    return whole, *place


@event.listens_for(Session, "before_commit")
def _write(session: Session) -> None:
    if _NOTED not in session.info or session.in_nested_transaction():
        return
    session.flush()  # whatever else this transaction has to wait for comes first
    sums: Counter[Any] = Counter()
    for key, change in session.info.pop(_NOTED):
        sums[key] += change
    rows = [
        {"space_id": space_id, "kind": kind, "block": block, "amount": amount}
        for (space_id, kind, block), amount in sorted(sums.items())
        if amount
    ]
    if rows:
        session.connection().execute(_ADD[session.get_bind().dialect.name], rows)


@event.listens_for(Session, "after_transaction_create")
def _mark(session: Session, transaction: SessionTransaction) -> None:
    if transaction.nested:
        session.info.setdefault(_MARKS, {})[transaction] = len(session.info.get(_NOTED, ()))


@event.listens_for(Session, "after_soft_rollback")
def _forget(session: Session, transaction: SessionTransaction) -> None:
    if transaction.nested:
        del session.info.get(_NOTED, [])[session.info[_MARKS][transaction] :]
    elif transaction.parent is None:
        session.info.pop(_NOTED, None)


@event.listens_for(Session, "after_transaction_end")
def _end(session: Session, transaction: SessionTransaction) -> None:
    if transaction.parent is None:
        session.info.pop(_MARKS, None)
