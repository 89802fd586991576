"""How somebody is in a group, for the pages: put in itself, or through which groups (RFC 7643 section 4.1.2)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from portal.core.directory.closure import downward, with_all_above
from portal.core.directory.models import Group, GroupNesting, Membership
from portal.core.paging import Page, Search, paginate
from portal.core.text import contains

Ways = Mapping[str, list[Group]]
"""The groups that a user was put into and so came into another one, by the id of the user or of that other one."""


def ways_into(session: Session, group: Group, user_ids: Sequence[str]) -> Ways:
    """By user: the groups inside this one that it was put into. One statement, none when nobody is asked for."""
    if not user_ids:
        return {}
    below = downward(with_all_above(group.id))
    found = session.execute(
        select(Membership.user_id, Group)
        .join(Group, Group.id == Membership.group_id)
        .join(below, below.c.id == Group.id)
        .where(below.c.root == group.id, Membership.user_id.in_(user_ids), Membership.direct)
        .order_by(Group.name_key)
    )
    return _listed(found)


def ways_of(session: Session, user_id: str, group_ids: Sequence[str]) -> Ways:
    """By group: the groups inside it that the user was put into."""
    if not group_ids:
        return {}
    roots = select(Group.id.label("id")).where(Group.id.in_(group_ids)).cte("roots")
    below = downward(roots)
    found = session.execute(
        select(below.c.root, Group)
        .join(Group, Group.id == below.c.id)
        .join(Membership, Membership.group_id == Group.id)
        .where(Membership.user_id == user_id, Membership.direct)
        .order_by(Group.name_key)
    )
    return _listed(found)


def groups_inside(session: Session, group: Group, search: Search) -> Page[tuple[Group, int]]:
    """The groups that were put into it, each with the number of its users."""
    size = select(func.count()).where(Membership.group_id == Group.id).correlate(Group).scalar_subquery()
    statement = (
        select(Group, size)
        .join(GroupNesting, GroupNesting.member_id == Group.id)
        .where(GroupNesting.group_id == group.id)
    )
    if search.text:
        statement = statement.where(Group.name_key.like(contains(search.text), escape="\\") | (Group.id == search.text))
    page = paginate(session, statement, search, sorts={"name": Group.name_key}, key=Group.number)
    return Page([(inner, users) for inner, users in page.rows], page.total, page.search)


def _listed(rows: Iterable[Any]) -> Ways:
    ways: defaultdict[str, list[Group]] = defaultdict(list)
    for key, group in rows:
        ways[key].append(group)
    return ways
