"""Groups inside groups as an IdP pushes them, and what they give (RFC 7643 section 4.2).

What was pushed is kept (`GroupNesting`), and flattened at once: who is in a group that is inside another one has a row
of `memberships` there too, an indirect one. So everything that asks who is in a group reads one table. Directories let
groups stand inside themselves and in circles; so do we, and everybody is then in all of them.

A group and all above it change together, so changes of nested groups follow each other: whoever makes one holds the
space's row meanwhile (`wait_for_turn`), taken after the rows of the groups that it names and before everything else.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import CTE, Select, delete, exists, insert, literal, select, true, update
from sqlalchemy.orm import Session, aliased

from portal.core import audit, clock, limits
from portal.core.access.picking import chunks
from portal.core.actor import Actor
from portal.core.database import UtcDateTime, flush_or
from portal.core.directory.closure import downward, upward, with_all_above
from portal.core.directory.models import Group, GroupNesting, Membership, Source, User
from portal.core.directory.sources import check_source
from portal.core.errors import Conflict, Invalid, NotFound
from portal.core.space.models import Space

Changed = Mapping[str, list[str]]
"""The ids of users by the id of the group that they came into or went out of."""


def change_groups(
    session: Session, actor: Actor, *, group: Group, add: Sequence[str] = (), remove: Sequence[str] = ()
) -> None:
    """Put groups into a group and take others out; what is so already stays as it is.

    Whom the change brings into the group or into one above it joins there, who has no other way in leaves. Raises
    NotFound, Invalid (a group made by hand), Forbidden, LimitReached.
    """
    check_source(session, actor, group)
    _check_groups(session, group, list(dict.fromkeys(add)))
    wait_for_turn(session, group)
    mine = GroupNesting.group_id == group.id
    present = set(session.scalars(select(GroupNesting.member_id).where(mine)))
    added = [group_id for group_id in dict.fromkeys(add) if group_id not in present]
    removed = [group_id for group_id in dict.fromkeys(remove) if group_id in present and group_id not in add]
    limits.check("groups_per_group", len(present) + len(added) - len(removed), what="groups in a group")
    now = clock.now()
    gained: Changed = {}
    lost: Changed = {}
    if added:
        session.add_all(GroupNesting(group_id=group.id, member_id=group_id, joined_at=now) for group_id in added)
        flush_or(session, Conflict("Somebody else changed these groups in this moment. Try again."))
        gained = _gain(session, group, _users_of(added))
    if removed:
        session.execute(delete(GroupNesting).where(mine, GroupNesting.member_id.in_(removed)))
        lost = _lose(session, with_all_above(group.id), _users_of(removed))
    if added or removed:
        group.version += 1
        group.updated_at = now
        session.flush()
    for action, ids, users in (("add_groups", added, gained), ("remove_groups", removed, lost)):
        if ids:
            _record(session, actor, f"group.{action}", group, groups=ids, users_count=len(users.get(group.id, ())))
    report_joined(session, actor, gained, by=group)
    report_left(session, actor, lost, by=group)


def wait_for_turn(session: Session, group: Group) -> None:
    session.execute(select(Space.id).where(Space.id == group.space_id).with_for_update(key_share=True))


def spread(session: Session, group: Group, user_ids: Sequence[str]) -> Changed:
    """Users were put into a nested group: they come into all groups above it. Returns who came in where."""
    gained: defaultdict[str, list[str]] = defaultdict(list)
    for chunk in chunks(user_ids):
        users = select(Membership.user_id).where(Membership.group_id == group.id, Membership.user_id.in_(chunk))
        _merge(gained, _gain(session, group, users))
    return gained


def make_direct(session: Session, group: Group, user_ids: Sequence[str], *, direct: bool = True) -> None:
    for chunk in chunks(user_ids):
        rows = update(Membership).where(Membership.group_id == group.id, Membership.user_id.in_(chunk))
        session.execute(rows.values(direct=direct), execution_options={"synchronize_session": False})


def take_out(session: Session, group: Group, user_ids: Sequence[str]) -> Changed:
    """Users are in a nested group no longer by themselves. Returns who went out of it and of those above it."""
    lost: defaultdict[str, list[str]] = defaultdict(list)
    make_direct(session, group, user_ids, direct=False)
    for chunk in chunks(user_ids):
        _merge(lost, _lose(session, with_all_above(group.id), select(User.id).where(User.id.in_(chunk))))
    return lost


def dissolve(session: Session, group: Group, *, held_by: Sequence[str]) -> Changed:
    """A nested group is going to be deleted. Returns who went out of the groups above it, which `held_by` holds."""
    either = (GroupNesting.group_id == group.id) | (GroupNesting.member_id == group.id)
    session.execute(delete(GroupNesting).where(either))
    above = upward(select(Group.id).where(Group.id.in_(held_by), Group.id != group.id))
    return _lose(session, above, _users_of([group.id]))


def note_loss_of(session: Session, group: Group) -> list[str]:
    """The ids of the groups that hold the group, in their order; their `members` change, so do their versions.

    Before `wait_for_turn`: it waits for their rows.
    """
    ids = sorted(session.scalars(select(GroupNesting.group_id).where(GroupNesting.member_id == group.id)))
    for chunk in chunks(ids):
        rows = select(Group.id).where(Group.id.in_(chunk)).order_by(Group.id).with_for_update(key_share=True)
        session.execute(rows)
        held = update(Group).where(Group.id.in_(chunk), Group.id != group.id)
        session.execute(held.values(version=Group.version + 1, updated_at=clock.now()))
    return ids


def refuse_indirect(session: Session, group: Group, user_ids: Sequence[str]) -> None:
    """Raises Conflict for a user who is in the group only through another one: there is nothing here to remove."""
    inside = aliased(Membership)
    below = downward(with_all_above(group.id))
    for chunk in chunks(user_ids):
        found = session.execute(
            select(User.user_name, Group.name)
            .join(Membership, Membership.user_id == User.id)
            .join(inside, inside.user_id == User.id)
            .join(below, below.c.id == inside.group_id)
            .join(Group, Group.id == inside.group_id)
            .where(Membership.group_id == group.id, Membership.user_id.in_(chunk), Membership.direct.is_(False))
            .where(below.c.root == group.id, inside.direct)
            .order_by(User.number, Group.number)
        ).first()
        if found:
            raise Conflict(f"{found[0]} is in {group.name} through {found[1]}: take the user out of that group.")


def report_joined(session: Session, actor: Actor, gained: Changed, *, by: Group) -> None:
    """What follows where users came in by a change of the group `by`, in that group itself and those above it."""
    from portal.core.access import syncs

    for group in _groups(session, gained, by):
        user_ids = gained[group.id]
        if group.id != by.id:
            details = {"users": user_ids[:100], "count": len(user_ids), "through": by.id}
            _record(session, actor, "group.gain_users", group, **details)
        syncs.members_joined(session, actor, group=group, user_ids=user_ids)


def report_left(session: Session, actor: Actor, lost: Changed, *, by: Group) -> None:
    from portal.core.access import sessions, syncs

    for group in _groups(session, lost, by):
        user_ids = lost[group.id]
        if group.id != by.id:
            details = {"users": user_ids[:100], "count": len(user_ids), "through": by.id}
            _record(session, actor, "group.lose_users", group, **details)
        syncs.members_left(session, actor, group=group, user_ids=user_ids)
        sessions.end_after_leaving(session, actor, group=group, user_ids=user_ids)


def _check_groups(session: Session, group: Group, wanted: list[str]) -> None:
    """Waits for who changes one of them in this moment: it may not know yet that it is going to be nested."""
    if wanted and group.source != Source.SCIM:
        raise Invalid("A user group made by hand holds users only.", field="members")
    found: dict[str, str] = {}
    for chunk in chunks(sorted(wanted)):
        rows = select(Group.id, Group.source).where(Group.space_id == group.space_id, Group.id.in_(chunk))
        locked = rows.order_by(Group.id).with_for_update(key_share=True)
        found.update((group_id, source) for group_id, source in session.execute(locked))
    missing = [group_id for group_id in wanted if group_id not in found]
    if missing:
        raise NotFound(f"There is no user group {missing[0]} in this space.", field="members")
    if any(source != group.source for source in found.values()):
        raise Invalid(f"A group from {group.source} takes groups from {group.source} only.", field="members")


def _users_of(group_ids: Sequence[str]) -> Select[Any]:
    return select(Membership.user_id).where(Membership.group_id.in_(group_ids))


def _gain(session: Session, group: Group, users: Select[Any]) -> Changed:
    """Rows for `users` in the group and all above it, where they are not yet."""
    coming, above, now = users.distinct().subquery(), with_all_above(group.id), clock.now()
    there = exists().where(Membership.group_id == above.c.id, Membership.user_id == coming.c.user_id)
    every = above.join(coming, true())
    rows = select(above.c.id, coming.c.user_id, literal(False), literal(now, UtcDateTime())).select_from(every)
    names = ["group_id", "user_id", "direct", "joined_at"]
    new = insert(Membership).from_select(names, rows.where(~there)).returning(Membership.group_id, Membership.user_id)
    return _by_group(session.execute(new))


def _lose(session: Session, roots: CTE, users: Select[Any]) -> Changed:
    """The indirect rows of `users` in `roots` go where no group inside holds them (any more)."""
    inside, below = aliased(Membership), downward(roots)
    held = (
        select(inside.user_id)
        .join(below, below.c.id == inside.group_id)
        .where(below.c.root == Membership.group_id, inside.user_id == Membership.user_id, inside.direct)
    )
    rows = delete(Membership).where(
        Membership.direct.is_(False),
        Membership.group_id.in_(select(roots.c.id)),
        Membership.user_id.in_(users),
        ~held.exists(),
    )
    gone = rows.returning(Membership.group_id, Membership.user_id)
    return _by_group(session.execute(gone, execution_options={"synchronize_session": False}))


def _by_group(rows: Any) -> Changed:
    found: defaultdict[str, list[str]] = defaultdict(list)
    for group_id, user_id in sorted(map(tuple, rows)):
        found[group_id].append(user_id)
    return found


def _merge(into: defaultdict[str, list[str]], more: Changed) -> None:
    for group_id, user_ids in more.items():
        into[group_id] += user_ids


def _groups(session: Session, changed: Changed, by: Group) -> list[Group]:
    """Those that changed; `by` is known, so without nesting nothing is read."""
    found = [by] if changed.get(by.id) else []
    for chunk in chunks(sorted(changed.keys() - {by.id})):
        found += session.scalars(select(Group).where(Group.id.in_(chunk)).order_by(Group.id))
    return found


def _record(session: Session, actor: Actor, action: str, group: Group, **details: Any) -> None:
    audit.record(
        session, actor, action, target_type="group", target_id=group.id, target_name=group.name, details=details
    )
