"""What a read asks for: plain rows of what is shown, and with each user its groups, so that one statement gives all."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, Select, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from portal.core.directory.drafts import COLUMNS
from portal.core.directory.models import Group, Membership, User

_users, _groups, _members = User.__table__.c, Group.__table__.c, Membership.__table__.c
_ALIKE = ("number", "id", "source", "external_id", "version", "created_at", "updated_at")
_OF_USER = ("user_name", "display_name", "given_name", "family_name", "email", "enabled", "attributes")


class _Entries(FunctionElement[Any]):
    """The rows of a subquery as one JSON array of arrays, in no order."""

    inherit_cache = True
    type = JSON()


@compiles(_Entries, "sqlite")
def _on_sqlite(element: Any, compiler: Any, **options: Any) -> str:
    return f"json_group_array(json_array({compiler.process(element.clauses, **options)}))"


@compiles(_Entries, "postgresql")
def _on_postgresql(element: Any, compiler: Any, **options: Any) -> str:
    return f"json_agg(json_build_array({compiler.process(element.clauses, **options)}))"


_JOINED = (
    select(_Entries(_groups.number, _groups.id, _groups.name, _members.direct))
    .join_from(Membership.__table__, Group.__table__, _groups.id == _members.group_id)
    .where(_members.user_id == _users.id)
    .scalar_subquery()
    .label("joined")
)
WHOLE = select(*(_users[name] for name in COLUMNS), _users.version.label("seen"), _JOINED)
"""A user that is going to be changed (drafts)."""
_PLAIN: dict[Any, Select[Any]] = {
    (User, False): select(*(_users[name] for name in _ALIKE + _OF_USER)),
    (User, True): select(*(_users[name] for name in _ALIKE + _OF_USER), _JOINED),
    (Group, False): select(*(_groups[name] for name in (*_ALIKE, "name"))),
}


def plain(model: Any, *, joined: bool) -> Select[Any]:
    """`joined`: users with their groups, for `groups_of`."""
    return _PLAIN[model, joined]


def groups_of(row: Any) -> list[tuple[str, str, bool]]:
    """Id, name and whether put in itself, in the order of the groups' creation."""
    return [(group_id, name, bool(direct)) for _number, group_id, name, direct in sorted(row.joined or ())]
