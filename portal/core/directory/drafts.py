"""A user changed without being locked first (IC-5): read, changed in memory, and written if it still is what was read.

A push then changes a user by a single statement, and nobody waits while it is thought over. That somebody else was
quicker is an `Otherwise`: the caller undoes the transaction and begins anew, with the user locked. Every change of a
user raises its version, so the version tells.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from sqlalchemy import bindparam
from sqlalchemy.orm import Session

from portal.core.directory.models import User

_users: Any = User.__table__
COLUMNS = tuple(column.key for column in _users.columns)
_WRITTEN = [name for name in COLUMNS if name not in ("number", "id", "space_id", "source", "created_at")]
_WRITE = (
    _users.update()
    .where(_users.c.number == bindparam("of"), _users.c.version == bindparam("seen"))
    .values({name: bindparam(f"new_{name}", type_=_users.c[name].type) for name in _WRITTEN})
)


class Otherwise(Exception):
    """Nothing may be committed of what was done so far."""


class Draft(SimpleNamespace):
    """Stands in the place of a `User`, with its columns; `seen` is the version that the database holds."""

    seen: int


def write(session: Session, draft: Draft) -> None:
    """Raises Otherwise; IntegrityError for a name or e-mail that is taken."""
    values = {f"new_{name}": getattr(draft, name) for name in _WRITTEN}
    done = session.connection().execute(_WRITE, values | {"of": draft.number, "seen": draft.seen})
    if done.rowcount != 1:
        raise Otherwise
    draft.seen = draft.version
