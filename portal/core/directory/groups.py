"""Verbs on user groups (IC-4, IC-5)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from sqlalchemy import and_, bindparam, delete, func, select
from sqlalchemy.orm import Session

from portal.core import audit, clock, limits
from portal.core.actor import Actor
from portal.core.database import execute_or, flush_or
from portal.core.directory import counts, nesting
from portal.core.directory.closure import is_nested
from portal.core.directory.models import Group, Membership, Source, User
from portal.core.directory.sources import check_source, of_other
from portal.core.errors import Conflict, Invalid, NotFound
from portal.core.space.models import Space, SpaceKey
from portal.core.text import fold

_members: Any = Membership.__table__
_users: Any = User.__table__
_in_group = and_(_members.c.group_id == bindparam("group_id"), _members.c.user_id == _users.c.id)
_CANDIDATES = (
    select(_users.c.id, _users.c.source, _members.c.direct, is_nested(bindparam("group_id")))
    .select_from(_users.outerjoin(_members, _in_group))
    .where(_users.c.space_id == bindparam("space_id"), _users.c.id.in_(bindparam("user_ids", expanding=True)))
)
_CANDIDATES = _CANDIDATES.with_for_update(read=True, key_share=True, of=_users)  # nobody deletes them meanwhile
_JOIN = _members.insert()
_LEAVING = and_(
    _members.c.group_id == bindparam("group_id"),
    _members.c.user_id.in_(bindparam("user_ids", expanding=True)),
    _members.c.direct,
)
_LEAVERS = select(_members.c.user_id, is_nested(bindparam("group_id"))).where(_LEAVING)
_LEAVE = _members.delete().where(_LEAVING)
_CONSOLE_NAME = re.compile(r"[A-Za-z0-9-]{1,128}")


def get_group(session: Session, space: Space, group_id: str) -> Group:
    group = session.scalar(select(Group).where(Group.space_id == space.id, Group.id == group_id))
    if group is None:
        raise NotFound("There is no such user group in this space.")
    return group


def create_group(
    session: Session,
    actor: Actor,
    *,
    space: Space | SpaceKey,
    name: str,
    remarks: str = "",
    source: Source = Source.MANUAL,
    external_id: str | None = None,
) -> Group:
    """Raises Invalid, Conflict (name taken), LimitReached.

    A group pushed by SCIM keeps the name the IdP gave it, blanks and all.
    """
    now = clock.now()
    group = Group(space_id=space.id, name="", name_key="", source=source, version=1, created_at=now, updated_at=now)
    _apply(session, group, name=name, remarks=remarks, external_id=external_id)
    total = counts.insert(session, group)
    if total is None:
        _check_not_taken(session, group)
        raise Conflict("A user group of this name exists already in this space.", field="name")
    limits.check("groups_per_space", total, what="user groups")
    _record(session, actor, "group.create", group, source=source)
    return group


def update_group(session: Session, actor: Actor, *, group: Group, **changes: Any) -> Group:
    """Changes `name`, `remarks` or `external_id`. Raises Forbidden (source), Invalid, Conflict."""
    check_source(session, actor, group)
    before = {name: getattr(group, name) for name in changes}
    _apply(session, group, **changes)
    changed = sorted(name for name, value in before.items() if getattr(group, name) != value)
    if changed:
        _touch(group)
        if "name" in changed:
            flush_or(session, Conflict("A user group of this name exists already in this space.", field="name"))
        else:
            session.flush()
        _record(session, actor, "group.update", group, changed=changed)
    return group


def delete_group(session: Session, actor: Actor, *, group: Group) -> None:
    """Refused while anything hangs on it; SCIM, deleting one of its own, takes everything away first."""
    from portal.core.access import principals

    check_source(session, actor, group)
    nested = bool(session.scalar(select(is_nested(group.id))))
    held_by = nesting.note_loss_of(session, group) if nested else []
    if nested:
        nesting.wait_for_turn(session, group)
    session.execute(select(Group.id).where(Group.id == group.id).with_for_update())  # nothing new hangs on it from here
    if actor.kind == "scim":
        principals.withdraw_group(session, actor, group=group)
    else:
        users = member_count(session, group)
        uses = [f"{users} user{'s' if users > 1 else ''}"] if users else []
        uses += principals.uses_of_group(session, group)
        if uses:
            raise Conflict(f"{group.name} is still in use: {', '.join(uses)}. Remove these first.")
    _record(session, actor, "group.delete", group)
    if nested:
        nesting.report_left(session, actor, nesting.dissolve(session, group, held_by=held_by), by=group)
    session.execute(delete(Membership).where(Membership.group_id == group.id))
    session.delete(group)
    session.flush()
    counts.note(session, group, -1)


def add_members(session: Session, actor: Actor, *, group: Group, user_ids: Sequence[str]) -> list[str]:
    """Add users of the group's own source; who was put in already stays. Returns the ids that were put in now.

    Who has been in it through another group is in it both ways then, and joins nothing. Raises NotFound, Invalid,
    Forbidden.
    """
    from portal.core.access import syncs

    check_source(session, actor, group)
    wanted = list(dict.fromkeys(user_ids))
    found: dict[str, str] = {}
    direct: dict[str, bool] = {}
    nested = False
    for chunk in _chunks(wanted):
        asked = {"space_id": group.space_id, "group_id": group.id, "user_ids": chunk}
        for user_id, source, inside, is_in in session.connection().execute(_CANDIDATES, asked):
            found[user_id], nested = source, is_in
            if inside is not None:
                direct[user_id] = inside
    missing = [user_id for user_id in wanted if user_id not in found]
    if missing:
        raise NotFound(f"There is no user {missing[0]} in this space.", field="members")
    if any(source != group.source for source in found.values()):
        hint = " An administrator can hand others over to SCIM on their pages." if group.source == Source.SCIM else ""
        raise Invalid(f"A group from {group.source} takes users from {group.source} only.{hint}", field="members")
    if nested:
        nesting.wait_for_turn(session, group)
        direct = _direct(session, group, wanted)  # what another request did to the groups around meanwhile
    added = [user_id for user_id in wanted if not direct.get(user_id)]
    joined = [user_id for user_id in added if user_id not in direct]
    if added:
        now = clock.now()
        rows = [{"group_id": group.id, "user_id": user_id, "direct": True, "joined_at": now} for user_id in joined]
        overtaken = Conflict("Somebody else changed these users or this group in this moment. Try again.")
        if rows:
            execute_or(session, _JOIN, rows, overtaken, alone=actor.kind == "scim")
        _touch(group)
        _record(session, actor, "group.add_users", group, users=added[:100], count=len(added))
        syncs.members_joined(session, actor, group=group, user_ids=joined)
        if nested:
            nesting.make_direct(session, group, [user_id for user_id in added if user_id in direct])
            nesting.report_joined(session, actor, nesting.spread(session, group, joined), by=group)
    return added


def remove_members(session: Session, actor: Actor, *, group: Group, user_ids: Sequence[str]) -> list[str]:
    """Returns the ids that were taken out; who was not put in is passed over.

    Raises Conflict outside of SCIM for who is in it through another group only: it would seem to have worked.
    """
    check_source(session, actor, group)
    if actor.kind != "scim":
        nesting.refuse_indirect(session, group, user_ids)
    removed: list[str] = []
    nested = False
    for chunk in _chunks(list(dict.fromkeys(user_ids))):
        asked = {"group_id": group.id, "user_ids": chunk}
        rows = session.connection().execute(_LEAVERS, asked).all()
        nested = nested or any(nested for _user_id, nested in rows)
        if rows and not nested:
            session.connection().execute(_LEAVE, asked)
        removed += [user_id for user_id, _nested in rows]
    left: nesting.Changed = {group.id: removed} if removed else {}
    if removed:
        _touch(group)
        session.flush()
        if nested:
            nesting.wait_for_turn(session, group)
            left = nesting.take_out(session, group, removed)
        _record(session, actor, "group.remove_users", group, users=removed[:100], count=len(removed))
        nesting.report_left(session, actor, left, by=group)
    return removed


def _direct(session: Session, group: Group, user_ids: list[str]) -> dict[str, bool]:
    """Who of these is in the group, and whether put in itself."""
    direct: dict[str, bool] = {}
    for chunk in _chunks(user_ids):
        rows = select(Membership.user_id, Membership.direct).where(Membership.group_id == group.id)
        direct.update((row[0], row[1]) for row in session.execute(rows.where(Membership.user_id.in_(chunk))))
    return direct


def member_count(session: Session, group: Group) -> int:
    return session.scalar(select(func.count()).select_from(Membership).where(Membership.group_id == group.id)) or 0


def _apply(session: Session, group: Group, **changes: Any) -> None:
    if "name" in changes:
        _rename(session, group, (changes["name"] or "").strip())
    if "remarks" in changes:
        if len(changes["remarks"] or "") > 1024:
            raise Invalid("At most 1024 characters are allowed.", field="remarks")
        group.remarks = (changes["remarks"] or "").strip()
    if "external_id" in changes:
        if len(changes["external_id"] or "") > 256:
            raise Invalid("At most 256 characters are allowed.", field="external_id")
        if (changes["external_id"] or None) != group.external_id:
            group.external_id = changes["external_id"] or None


def _rename(session: Session, group: Group, name: str) -> None:
    if group.source == Source.MANUAL and not _CONSOLE_NAME.fullmatch(name):
        raise Invalid("A group name has 1 to 128 letters, digits and hyphens.", field="name")
    if not 1 <= len(name) <= 128 or not name.isprintable():
        raise Invalid("A group name has 1 to 128 printable characters.", field="name")
    if name == group.name:
        return
    key = fold(name)
    changed = key != group.name_key
    group.name, group.name_key = name, key
    if changed and group.number is not None:
        _check_not_taken(session, group)


def _check_not_taken(session: Session, group: Group) -> None:
    """A group that is there is looked up; a new one meets the unique index when it is inserted."""
    with session.no_autoflush:
        other = session.scalar(select(Group).where(Group.space_id == group.space_id, Group.name_key == group.name_key))
    if other is not None and other is not group:
        whose = of_other(other, group.source)
        raise Conflict(f"A user group named {other.name} exists already in this space{whose}", field="name")


def _touch(group: Group) -> None:
    group.version += 1
    group.updated_at = clock.now()


def _chunks(items: list[str], size: int = 500) -> list[list[str]]:
    return [items[start : start + size] for start in range(0, len(items), size)]


def _record(session: Session, actor: Actor, action: str, group: Group, **details: Any) -> None:
    audit.record(
        session, actor, action, target_type="group", target_id=group.id, target_name=group.name, details=details
    )
