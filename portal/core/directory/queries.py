"""Lists of users and user groups."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from portal.core.directory.models import Group, Membership, Source, User
from portal.core.directory.ways import ways_into, ways_of
from portal.core.paging import Page, Search, paginate
from portal.core.space.models import Space
from portal.core.text import contains


@dataclass(frozen=True)
class GroupRow:
    group: Group
    users: int


@dataclass(frozen=True)
class MemberRow:
    """`through`: for who was not put in itself, the groups inside by which it is in."""

    user: User
    joined_at: datetime
    direct: bool
    through: list[Group]


@dataclass(frozen=True)
class JoinedRow:
    group: Group
    joined_at: datetime
    direct: bool
    through: list[Group]


def users_page(session: Session, space: Space, search: Search) -> Page[User]:
    """Filters: `status` (enabled, disabled), `source` (Manual, SCIM)."""
    statement = _matching_users(select(User).where(User.space_id == space.id), search)
    if search.filter("status") in ("enabled", "disabled"):
        statement = statement.where(User.enabled.is_(search.filter("status") == "enabled"))
    if search.filter("source"):
        statement = statement.where(User.source == search.filter("source"))
    sorts = {"created": User.number, "name": User.user_name_key, "display": User.display_name_key}
    return paginate(session, statement, search, sorts=sorts, key=User.number, scalars=True)


def groups_page(session: Session, space: Space, search: Search) -> Page[GroupRow]:
    """Filter: `source`."""
    size = select(func.count()).where(Membership.group_id == Group.id).correlate(Group).scalar_subquery()
    statement = _matching_groups(select(Group, size).where(Group.space_id == space.id), search)
    if search.filter("source"):
        statement = statement.where(Group.source == search.filter("source"))
    page = paginate(
        session, statement, search, sorts={"created": Group.number, "name": Group.name_key}, key=Group.number
    )
    return Page([GroupRow(*row) for row in page.rows], page.total, page.search)


def users_of_group(session: Session, group: Group, search: Search) -> Page[MemberRow]:
    statement = _matching_users(
        select(User, Membership.joined_at, Membership.direct)
        .join(Membership, Membership.user_id == User.id)
        .where(Membership.group_id == group.id),
        search,
    )
    sorts = {"name": User.user_name_key, "joined": Membership.joined_at}
    page = paginate(session, statement, search, sorts=sorts, key=User.number)
    ways = ways_into(session, group, [user.id for user, _joined_at, direct in page.rows if not direct])
    rows = [MemberRow(user, joined_at, direct, ways.get(user.id, [])) for user, joined_at, direct in page.rows]
    return Page(rows, page.total, page.search)


def groups_of_user(session: Session, user: User, search: Search) -> Page[JoinedRow]:
    statement = _matching_groups(
        select(Group, Membership.joined_at, Membership.direct)
        .join(Membership, Membership.group_id == Group.id)
        .where(Membership.user_id == user.id),
        search,
    )
    sorts = {"name": Group.name_key, "joined": Membership.joined_at}
    page = paginate(session, statement, search, sorts=sorts, key=Group.number)
    ways = ways_of(session, user.id, [group.id for group, _joined_at, direct in page.rows if not direct])
    rows = [JoinedRow(group, joined_at, direct, ways.get(group.id, [])) for group, joined_at, direct in page.rows]
    return Page(rows, page.total, page.search)


def users_to_add(session: Session, group: Group, search: Search) -> Page[User]:
    """Users of the group's source who are not in it yet."""
    inside = select(Membership.user_id).where(Membership.group_id == group.id)
    statement = _matching_users(
        select(User).where(User.space_id == group.space_id, User.source == group.source, User.id.not_in(inside)), search
    )
    return paginate(session, statement, search, sorts={"name": User.user_name_key}, key=User.number, scalars=True)


def groups_to_join(session: Session, user: User, search: Search) -> Page[Group]:
    """Groups of the user's source that it is not in yet."""
    joined = select(Membership.group_id).where(Membership.user_id == user.id)
    statement = _matching_groups(
        select(Group).where(Group.space_id == user.space_id, Group.source == user.source, Group.id.not_in(joined)),
        search,
    )
    return paginate(session, statement, search, sorts={"name": Group.name_key}, key=Group.number, scalars=True)


def counts(session: Session, space: Space, *, source: Source | None = None) -> dict[str, int]:
    """Of one source, or of both."""

    def of(model: type[User] | type[Group]) -> Any:
        mine = select(func.count()).select_from(model).where(model.space_id == space.id)
        return (mine if source is None else mine.where(model.source == source)).scalar_subquery()

    users, groups = session.execute(select(of(User), of(Group))).one()
    return {"users": users, "groups": groups}


def _matching_users(statement: Any, search: Search) -> Any:
    if not search.text:
        return statement
    pattern = contains(search.text)
    return statement.where(
        or_(
            User.user_name_key.like(pattern, escape="\\"),
            User.display_name_key.like(pattern, escape="\\"),
            User.email_key.like(pattern, escape="\\"),
            User.id == search.text,
        )
    )


def _matching_groups(statement: Any, search: Search) -> Any:
    if not search.text:
        return statement
    return statement.where(or_(Group.name_key.like(contains(search.text), escape="\\"), Group.id == search.text))
