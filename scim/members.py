"""Who is in a group: the users that were put in and the groups inside it; an id tells which it is (u-, g-).

A group's `members` are what the IdP pushed; who is in it through a group inside it is not among them, and has the
group with type `indirect` among its own `groups` (RFC 7643 sections 4.1.2 and 4.2).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, bindparam, case, literal, select, union_all
from sqlalchemy.orm import Session

from portal.core.access.picking import chunks
from portal.core.actor import Actor
from portal.core.directory import groups, nesting
from portal.core.directory.models import Group, GroupNesting, Membership, User
from scim.attributes import Attribute
from scim.patch import MemberChange

_users, _groups = User.__table__.c, Group.__table__.c
_members, _nestings = Membership.__table__.c, GroupNesting.__table__.c
_wanted: Any = bindparam("ids", expanding=True)
_OF_GROUPS = union_all(
    select(_members.group_id, _users.id, _users.display_name, literal(0).label("kind"), _users.number)
    .join_from(Membership.__table__, User.__table__, _users.id == _members.user_id)
    .where(_members.group_id.in_(_wanted), _members.direct),
    select(_nestings.group_id, _groups.id, _groups.name, literal(1), _groups.number)
    .join_from(GroupNesting.__table__, Group.__table__, _groups.id == _nestings.member_id)
    .where(_nestings.group_id.in_(_wanted)),
).order_by("kind", "number")
_GROUP_ID = re.compile(rb"\bg-[a-z0-9]{12}\b")


@dataclass(frozen=True)
class Kind:
    """One kind of entries of `members` or `groups`: how they hang together with the resource, and for a filter the
    column and its folded copy of each part, or the one value that it has.
    """

    prefix: str
    join: ColumnElement[bool]
    parts: Mapping[str, tuple[Any, Any] | str]


def is_group(member_id: str) -> bool:
    return member_id.startswith("g-")


def kinds_of(attribute: Attribute) -> tuple[Kind, ...]:
    member, group = Membership.__table__.alias().c, Group.__table__.alias().c
    of_group = {"value": (group.id, None), "display": (group.name, group.name_key)}
    if attribute.name == "groups":
        how = case((member.direct, "direct"), else_="indirect")
        join = and_(member.user_id == _users.id, group.id == member.group_id)
        return (Kind("g-", join, {**of_group, "type": (how, how)}),)
    user, nested = User.__table__.alias().c, GroupNesting.__table__.alias().c
    of_user = {"value": (user.id, None), "display": (user.display_name, user.display_name_key)}
    users = and_(member.group_id == _groups.id, member.direct, user.id == member.user_id)
    inside = and_(nested.group_id == _groups.id, group.id == nested.member_id)
    return Kind("u-", users, {**of_user, "type": "User"}), Kind("g-", inside, {**of_group, "type": "Group"})


def of_groups(session: Session, group_ids: Sequence[str]) -> dict[str, list[tuple[str, str]]]:
    """(id, name) of the members of each group, users first, in one statement."""
    if not group_ids:
        return {}
    found: dict[str, list[tuple[str, str]]] = {}
    session.flush()
    rows = session.connection().execute(_OF_GROUPS, {"ids": list(group_ids)})
    for group_id, member_id, name, _kind, _number in rows:
        found.setdefault(group_id, []).append((member_id, name))
    return found


def change(session: Session, actor: Actor, group: Group, wanted: MemberChange) -> None:
    """Touches the rows of those who join or leave, however many stay.

    Who comes in goes before who goes out, so that nobody who only changes the way in has been out.
    """
    added, removed = wanted.added, wanted.removed
    if wanted.replaced:
        users = select(Membership.user_id).where(Membership.group_id == group.id, Membership.direct)
        inside = select(GroupNesting.member_id).where(GroupNesting.group_id == group.id)
        present = set(session.scalars(union_all(users, inside)))
        removed = tuple(sorted(present - set(added)))
        added = tuple(member_id for member_id in added if member_id not in present)
    groups_in, groups_out = _only_groups(added), _only_groups(removed)
    users_in = [member_id for member_id in added if not is_group(member_id)]
    users_out = [member_id for member_id in removed if not is_group(member_id)]
    if users_in:
        groups.add_members(session, actor, group=group, user_ids=users_in)
    if groups_in or groups_out:
        nesting.change_groups(session, actor, group=group, add=groups_in, remove=groups_out)
    if users_out:
        groups.remove_members(session, actor, group=group, user_ids=users_out)


def _only_groups(ids: Iterable[str]) -> list[str]:
    return [member_id for member_id in ids if is_group(member_id)]


def lock_all(session: Session, space_id: str, ids: Iterable[str], body: bytes, *, and_above: bool = False) -> None:
    """Groups that change together are locked in one order, whoever names them first: requests wait, none is killed.

    They are `ids` and whatever may be one in the `body`; `and_above`: the groups that hold one of them as well.
    """
    wanted = {*ids, *(found.decode() for found in _GROUP_ID.findall(body))}
    if and_above:
        for chunk in chunks(sorted(wanted)):
            above = select(GroupNesting.group_id).where(GroupNesting.member_id.in_(chunk))
            wanted.update(session.scalars(above))
    if len(wanted) > 1:
        for chunk in chunks(sorted(wanted)):
            rows = select(Group.id).where(Group.space_id == space_id, Group.id.in_(chunk))
            session.execute(rows.order_by(Group.id).with_for_update(key_share=True))
