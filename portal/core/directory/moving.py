"""Users into a pushed group and out of it, with the group locked for as short as can be (IC-5).

An IdP that fills a big group sends one request after another for it. Each gives the group another version, so they wait
for each other, and everything is looked at and written down before the version is raised, which locks the row; after
that come the memberships and the commit. What can be told by then only, that the group hangs together with others or
that somebody was quicker, is an `Otherwise`: the caller undoes the transaction and goes the long way, which locks first
(`groups.add_members`, `groups.remove_members`, `nesting`). Both take the group before the memberships.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import String, and_, bindparam, exists, or_, select, true, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from portal.core import audit, clock
from portal.core.access import sessions, syncs
from portal.core.access.models import OpenedSession, SyncStatus, UserSync
from portal.core.actor import Actor
from portal.core.database import UtcDateTime
from portal.core.directory.closure import is_nested
from portal.core.directory.drafts import Otherwise
from portal.core.directory.models import Group, Membership, Source, User
from portal.core.space.models import Space, SpaceKey

MOST = 500
"""Users at once; more go the long way, in parts."""

_groups: Any = Group.__table__
_users: Any = User.__table__
_members: Any = Membership.__table__
_group_id: Any = bindparam("group", type_=String())
_space_id: Any = bindparam("space")
_ids: Any = bindparam("users", expanding=True)
_nested = is_nested(_group_id)
_LOOK = (
    select(
        *(_groups.c.number, _groups.c.id, _groups.c.name, _groups.c.version, _groups.c.source, _nested.label("nested")),
        *(_users.c.id.label("user_id"), _users.c.source.label("user_source"), _members.c.direct),
    )
    .outerjoin_from(_groups, _users, and_(_users.c.space_id == _groups.c.space_id, _users.c.id.in_(_ids)))
    .outerjoin(_members, and_(_members.c.group_id == _groups.c.id, _members.c.user_id == _users.c.id))
    .where(_groups.c.space_id == _space_id, _groups.c.id == _group_id)
)
_RAISE = (
    update(_groups)
    .where(_groups.c.number == bindparam("of"))
    .values(version=_groups.c.version + 1, updated_at=bindparam("now"))
    .returning(_groups.c.version)
)
# Asked beside the change itself, in the statement that follows the lock and so sees what the one before has done.
_is_followed = exists().where(UserSync.group_id == _group_id, UserSync.status != SyncStatus.DELETING)
_is_inside = exists().where(OpenedSession.user_id.in_(_ids), OpenedSession.ends_at > bindparam("now"))


def _joining(insert: Any) -> Any:
    now = bindparam("now", type_=UtcDateTime())
    row = select(_group_id, _users.c.id, true(), now).where(_users.c.space_id == _space_id, _users.c.id.in_(_ids))
    statement = insert(_members).from_select(["group_id", "user_id", "direct", "joined_at"], row)
    return statement.on_conflict_do_nothing().returning(_members.c.user_id, _nested, _is_followed)


_JOIN = {"sqlite": _joining(sqlite.insert), "postgresql": _joining(postgresql.insert)}
_LEAVE = (
    _members.delete()
    .where(_members.c.group_id == _group_id, _members.c.user_id.in_(_ids), _members.c.direct)
    .returning(_members.c.user_id, _nested, or_(_is_followed, _is_inside))
)


class Seen(NamedTuple):
    """A pushed group with nothing around it, and who of some users is in it."""

    number: int
    id: str
    name: str
    version: int
    inside: frozenset[str]


def look(session: Session, *, space: Space | SpaceKey, group_id: str, user_ids: Sequence[str]) -> Seen:
    """Nothing is locked. Raises Otherwise: not such a group, or not such users."""
    asked = {"group": group_id, "space": space.id, "users": user_ids}
    rows = session.connection().execute(_LOOK, asked).all() if 0 < len(user_ids) <= MOST else []
    found = {row.user_id for row in rows if row.user_source == Source.SCIM}
    if not found.issuperset(user_ids) or rows[0].source != Source.SCIM or rows[0].nested:
        raise Otherwise
    first = rows[0]
    return Seen(first.number, first.id, first.name, first.version, frozenset(r.user_id for r in rows if r.direct))


def add_members(
    session: Session, actor: Actor, *, space: Space | SpaceKey, group: Seen, user_ids: Sequence[str]
) -> Seen:
    """As groups.add_members; gives the group as it is then. Raises Otherwise."""
    return _move(session, actor, space, group, [each for each in user_ids if each not in group.inside], joining=True)


def remove_members(
    session: Session, actor: Actor, *, space: Space | SpaceKey, group: Seen, user_ids: Sequence[str]
) -> Seen:
    """As groups.remove_members; gives the group as it is then. Raises Otherwise."""
    return _move(session, actor, space, group, [each for each in user_ids if each in group.inside], joining=False)


def _move(
    session: Session, actor: Actor, space: Space | SpaceKey, group: Seen, user_ids: list[str], *, joining: bool
) -> Seen:
    if not user_ids:
        return group
    audit.record(
        session, actor, "group.add_users" if joining else "group.remove_users", target_type="group",
        target_id=group.id, target_name=group.name, details={"users": user_ids[:100], "count": len(user_ids)},
    )  # fmt: skip
    connection = session.connection()
    now = clock.now()
    version = connection.execute(_RAISE, {"of": group.number, "now": now}).scalar()
    statement = _JOIN[connection.dialect.name] if joining else _LEAVE
    asked = {"group": group.id, "space": space.id, "users": user_ids, "now": now}
    try:
        rows = connection.execute(statement, asked).all()
    except IntegrityError:  # somebody deletes one of them in this moment
        raise Otherwise from None
    if version is None or len(rows) != len(user_ids) or any(nested for _user_id, nested, _more in rows):
        raise Otherwise
    if rows[0][2]:
        _tell(session, actor, session.get_one(Group, group.number), user_ids, joining=joining)
    return group._replace(version=version)


def _tell(session: Session, actor: Actor, group: Group, user_ids: Sequence[str], *, joining: bool) -> None:
    """Somebody follows the group, or may be put out of an account."""
    if joining:
        syncs.members_joined(session, actor, group=group, user_ids=user_ids)
    else:
        syncs.members_left(session, actor, group=group, user_ids=user_ids)
        sessions.end_after_leaving(session, actor, group=group, user_ids=user_ids)
