"""Handing what was made by hand over to SCIM (IC-5): the source changes, ids, authorizations and synchronizations stay.

A push of the same name never takes a Manual object over by itself: whoever controls a name at the IdP would get what
an administrator gave to somebody else. So the push is refused, and a person decides here. From then on the IdP finds it
by its name and changes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session, aliased

from portal.core import audit, clock
from portal.core.actor import Actor
from portal.core.directory import groups
from portal.core.directory.models import Group, Membership, Source, User
from portal.core.directory.sources import check_source
from portal.core.directory.values import from_columns
from portal.core.errors import Conflict
from portal.core.push import credentials
from portal.core.space.models import Space

_NAMED = 10


def is_possible(session: Session, space: Space) -> bool:
    """SCIM is on, or off with a credential that waits for it: who moves to an IdP hands over before its first push.

    Without either nobody would ever push again what was handed over.
    """
    return space.scim_enabled or bool(credentials.credentials_of_space(session, space))


def adopt_user(session: Session, actor: Actor, *, user: User) -> list[Group]:
    """Raises Forbidden, Conflict (of SCIM already, no IdP). Gives the groups that the user left.

    A group holds users of its own source, so the user leaves its groups, all of which are Manual; tasks follow.
    """
    left = list(session.scalars(groups_to_leave(user).with_for_update(key_share=True)))
    _lock(session, user)
    _check(session, actor, user)
    for group in left:
        groups.remove_members(session, actor, group=group, user_ids=[user.id])
    _hand_over(session, actor, [user], groups=[group.name for group in left])
    return left


def adopt_group(session: Session, actor: Actor, *, group: Group) -> int:
    """With its users; gives how many. Raises Forbidden, Conflict (of SCIM already, no IdP, users in other groups)."""
    _lock(session, group)
    _check(session, actor, group)
    names, count = in_other_groups(session, group)
    if count:
        more = f" and {count - len(names)} more" if count > len(names) else ""
        raise Conflict(
            f"In other user groups too: {', '.join(names)}{more}. Remove them from this group or from those."
        )
    joined = select(Membership.user_id).where(Membership.group_id == group.id)
    users = session.scalars(select(User).where(User.id.in_(joined)).order_by(User.id).with_for_update()).all()
    _hand_over(session, actor, users, group=group.name)
    group.source = Source.SCIM
    group.version += 1
    group.updated_at = clock.now()
    audit.record(
        session, actor, "group.adopt", target_type="group", target_id=group.id, target_name=group.name,
        details={"users": len(users)},
    )  # fmt: skip
    session.flush()
    return len(users)


def groups_to_leave(user: User) -> Select[Any]:
    """In the order in which every verb locks groups."""
    joined = select(Membership.group_id).where(Membership.user_id == user.id)
    return select(Group).where(Group.id.in_(joined)).order_by(Group.id)


def in_other_groups(session: Session, group: Group) -> tuple[list[str], int]:
    """Users of the group who are in another one too: the names of some, and how many they are."""
    other = aliased(Membership)
    elsewhere = select(other.user_id).where(other.user_id == Membership.user_id, other.group_id != group.id).exists()
    statement = select(User.user_name).join(Membership, Membership.user_id == User.id)
    statement = statement.where(Membership.group_id == group.id, elsewhere)
    names = session.scalars(statement.order_by(User.user_name_key).limit(_NAMED)).all()
    return list(names), session.scalar(select(func.count()).select_from(statement.subquery())) or 0


def _lock(session: Session, found: User | Group) -> None:
    """And read anew: of two who hand it over at the same time the second finds it done."""
    statement: Any = select(type(found)).where(type(found).id == found.id).with_for_update()
    session.execute(statement.execution_options(populate_existing=True)).one()


def _check(session: Session, actor: Actor, found: User | Group) -> None:
    what = "user" if isinstance(found, User) else "user group"
    if found.source == Source.SCIM:
        raise Conflict(f"This {what} comes from SCIM already.")
    check_source(session, actor, found)
    if not is_possible(session, session.get_one(Space, found.space_id)):
        raise Conflict("No identity provider pushes here: switch SCIM on or create a SCIM credential first.")


def _hand_over(session: Session, actor: Actor, users: Sequence[User], **details: object) -> None:
    now = clock.now()
    for user in users:
        user.source = Source.SCIM
        session.add_all(from_columns(user))
        user.version += 1
        user.updated_at = now
        audit.record(
            session, actor, "user.adopt", target_type="user", target_id=user.id, target_name=user.user_name,
            details=dict(details),
        )  # fmt: skip
    session.flush()
