"""Verbs on user groups (IC-4, IC-5)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from portal.core import audit, clock, limits
from portal.core.actor import Actor
from portal.core.database import flush_or
from portal.core.directory.models import Group, Membership, Source, User
from portal.core.directory.users import check_source as check_source
from portal.core.errors import Conflict, Invalid, NotFound
from portal.core.space.models import Space
from portal.core.text import fold

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
    space: Space,
    name: str,
    remarks: str = "",
    source: Source = Source.MANUAL,
    external_id: str | None = None,
) -> Group:
    """Raises Invalid, Conflict (name taken), LimitReached.

    A group pushed by SCIM keeps the name the IdP gave it, blanks and all.
    """
    count = session.scalar(select(func.count()).select_from(Group).where(Group.space_id == space.id)) or 0
    limits.check("groups_per_space", count + 1, what="user groups")
    group = Group(space_id=space.id, name="", name_key="", source=source, version=1)
    _apply(session, group, name=name, remarks=remarks, external_id=external_id)
    session.add(group)
    _flush(session)
    _record(session, actor, "group.create", group, source=source)
    return group


def update_group(session: Session, actor: Actor, *, group: Group, **changes: Any) -> Group:
    """Changes `name`, `remarks` or `external_id`. Raises Forbidden (source), Invalid, Conflict."""
    check_source(actor, group)
    before = {name: getattr(group, name) for name in changes}
    _apply(session, group, **changes)
    changed = sorted(name for name, value in before.items() if getattr(group, name) != value)
    if changed:
        _touch(group)
        _flush(session)
        _record(session, actor, "group.update", group, changed=changed)
    return group


def delete_group(session: Session, actor: Actor, *, group: Group) -> None:
    """A Manual group is refused while anything hangs on it.

    Deleting a SCIM group (by SCIM) takes everything away first.
    """
    from portal.core.access import principals

    check_source(actor, group)
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
    session.execute(delete(Membership).where(Membership.group_id == group.id))
    session.delete(group)
    session.flush()


def add_members(session: Session, actor: Actor, *, group: Group, user_ids: Sequence[str]) -> list[str]:
    """Add users of the group's own source; who is in already stays. Returns the ids that joined.

    Raises NotFound, Invalid, Forbidden.
    """
    from portal.core.access import syncs

    check_source(actor, group)
    wanted = list(dict.fromkeys(user_ids))
    found: dict[str, str] = {}
    for chunk in _chunks(wanted):
        rows = session.execute(select(User.id, User.source).where(User.space_id == group.space_id, User.id.in_(chunk)))
        found.update((user_id, source) for user_id, source in rows)
    missing = [user_id for user_id in wanted if user_id not in found]
    if missing:
        raise NotFound(f"There is no user {missing[0]} in this space.", field="members")
    if any(source != group.source for source in found.values()):
        raise Invalid(f"A group from {group.source} takes users from {group.source} only.", field="members")
    present: set[str] = set()
    for chunk in _chunks(wanted):
        present.update(
            session.scalars(
                select(Membership.user_id).where(Membership.group_id == group.id, Membership.user_id.in_(chunk))
            )
        )
    joined = [user_id for user_id in wanted if user_id not in present]
    if joined:
        now = clock.now()
        session.add_all(Membership(group_id=group.id, user_id=user_id, joined_at=now) for user_id in joined)
        _touch(group)
        flush_or(session, Conflict("Somebody else changed these users or this group in this moment. Try again."))
        _record(session, actor, "group.add_users", group, users=joined[:100], count=len(joined))
        syncs.members_joined(session, actor, group=group, user_ids=joined)
    return joined


def remove_members(session: Session, actor: Actor, *, group: Group, user_ids: Sequence[str]) -> list[str]:
    """Returns the ids that left; who is not in the group is passed over."""
    from portal.core.access import sessions, syncs

    check_source(actor, group)
    left: list[str] = []
    for chunk in _chunks(list(dict.fromkeys(user_ids))):
        condition = (Membership.group_id == group.id) & Membership.user_id.in_(chunk)
        present = list(session.scalars(select(Membership.user_id).where(condition)))
        if present:
            session.execute(delete(Membership).where(condition))
            left += present
    if left:
        _touch(group)
        session.flush()
        _record(session, actor, "group.remove_users", group, users=left[:100], count=len(left))
        syncs.members_left(session, actor, group=group, user_ids=left)
        sessions.end_after_leaving(session, actor, group=group, user_ids=left)
    return left


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
        group.external_id = changes["external_id"] or None


def _rename(session: Session, group: Group, name: str) -> None:
    if group.source == Source.MANUAL and not _CONSOLE_NAME.fullmatch(name):
        raise Invalid("A group name has 1 to 128 letters, digits and hyphens.", field="name")
    if not 1 <= len(name) <= 128 or not name.isprintable():
        raise Invalid("A group name has 1 to 128 printable characters.", field="name")
    key = fold(name)
    if key != group.name_key:
        with session.no_autoflush:
            other = session.scalar(select(Group).where(Group.space_id == group.space_id, Group.name_key == key))
        if other is not None and other is not group:
            raise Conflict(
                f"A user group named {other.name} exists already in this space ({other.id}, source {other.source}).",
                field="name",
            )
    group.name, group.name_key = name, key


def _touch(group: Group) -> None:
    group.version += 1
    group.updated_at = clock.now()


def _flush(session: Session) -> None:
    flush_or(session, Conflict("A user group of this name exists already in this space.", field="name"))


def _chunks(items: list[str], size: int = 500) -> list[list[str]]:
    return [items[start : start + size] for start in range(0, len(items), size)]


def _record(session: Session, actor: Actor, action: str, group: Group, **details: Any) -> None:
    audit.record(
        session, actor, action, target_type="group", target_id=group.id, target_name=group.name, details=details
    )
