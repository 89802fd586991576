"""Users and groups behind one face, so that the routes are written once: read, find, create, replace, change, delete.

Reading a page takes the same few statements whatever its size. What is going to be changed is locked first, so that two
requests for one resource follow each other; with key_share, so that a user can be locked and join a group elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.orm import Session

from portal.core.actor import Actor
from portal.core.directory import groups, users
from portal.core.directory.models import Group, Membership, Source, User
from portal.core.errors import NotFound
from portal.core.space.models import Space
from scim import casting, patch
from scim.attributes import GROUPS, USERS, ResourceType
from scim.errors import ScimError
from scim.patch import MemberChange
from scim.projection import Projection
from scim.shaping import Resource, shape

Row = User | Group
_ID = re.compile(r"[ug]-[a-z0-9]{1,14}")


@dataclass(frozen=True)
class Door:
    """What a request brings along: whose space, who acts, the address of the service."""

    session: Session
    actor: Actor
    space: Space
    base: str


class Resources(Protocol):
    type: ResourceType
    model: Any

    def create(self, door: Door, body: Mapping[str, Any]) -> Row: ...
    def replace(self, door: Door, row: Any, body: Mapping[str, Any]) -> None: ...
    def change(self, door: Door, row: Any, body: Mapping[str, Any]) -> None: ...
    def delete(self, door: Door, row: Any) -> None: ...
    def shown(self, door: Door, rows: Sequence[Any], projection: Projection) -> list[Resource]: ...


class Users:
    type = USERS
    model = User

    def create(self, door: Door, body: Mapping[str, Any]) -> User:
        resource = shape(USERS, body)
        return users.create_user(
            door.session,
            door.actor,
            space=door.space,
            source=Source.SCIM,
            enabled=resource.get("active", True),
            **casting.user_changes(resource),
        )

    def replace(self, door: Door, row: User, body: Mapping[str, Any]) -> None:
        """`active` left out keeps its value: a PUT without it shall not let a disabled user in."""
        self._update(door, row, {"active": row.enabled} | shape(USERS, body))

    def change(self, door: Door, row: User, body: Mapping[str, Any]) -> None:
        resource, _ = patch.apply(USERS, casting.writable_user(row), body)
        self._update(door, row, resource)

    def _update(self, door: Door, row: User, resource: Resource) -> None:
        changes = casting.user_changes(resource)
        if "active" in resource:
            users.set_enabled(door.session, door.actor, user=row, enabled=resource["active"])
        else:
            changes["attributes"]["active"] = None
        users.update_user(door.session, door.actor, user=row, **changes)

    def delete(self, door: Door, row: User) -> None:
        users.delete_user(door.session, door.actor, user=row)

    def shown(self, door: Door, rows: Sequence[User], projection: Projection) -> list[Resource]:
        joined: dict[str, list[tuple[str, str]]] = {}
        if projection.wants(USERS, "groups"):
            statement = (
                select(Membership.user_id, Group.id, Group.name)
                .join(Group, Group.id == Membership.group_id)
                .where(Membership.user_id.in_([user.id for user in rows]))
                .order_by(Group.number)
            )
            for user_id, group_id, name in door.session.execute(statement):
                joined.setdefault(user_id, []).append((group_id, name))
        resources = (casting.user_resource(user, joined.get(user.id, ()), door.base) for user in rows)
        return [projection.of(USERS, resource) for resource in resources]


class Groups:
    type = GROUPS
    model = Group

    def create(self, door: Door, body: Mapping[str, Any]) -> Group:
        resource, members = self._read(body)
        changes = casting.group_changes(resource)
        group = groups.create_group(door.session, door.actor, space=door.space, source=Source.SCIM, **changes)
        self._change_members(door, group, members)
        return group

    def replace(self, door: Door, row: Group, body: Mapping[str, Any]) -> None:
        """`members` left out keeps them: an IdP that reads groups without members would empty the group otherwise."""
        resource, members = self._read(body)
        self._update(door, row, resource, members)

    def change(self, door: Door, row: Group, body: Mapping[str, Any]) -> None:
        resource, members = patch.apply(GROUPS, casting.writable_group(row), body)
        self._update(door, row, resource, members)

    def _read(self, body: Mapping[str, Any]) -> tuple[Resource, MemberChange | None]:
        """Members are taken apart from the rest by the same rules as in a PATCH that replaces them."""
        resource = shape(GROUPS, body)
        resource.pop("members", None)
        given = next((value for key, value in body.items() if key.lower() == "members"), None)
        if given is None:
            return resource, None
        operation = {"op": "replace", "path": "members", "value": given}
        return resource, patch.apply(GROUPS, {}, {"Operations": [operation]})[1]

    def _update(self, door: Door, row: Group, resource: Resource, members: MemberChange | None) -> None:
        groups.update_group(door.session, door.actor, group=row, **casting.group_changes(resource))
        self._change_members(door, row, members)

    def _change_members(self, door: Door, group: Group, change: MemberChange | None) -> None:
        """Touches the rows of those who join or leave, however many stay."""
        if change is None:
            return
        added, removed = list(change.added), list(change.removed)
        if change.replaced:
            statement = select(Membership.user_id).where(Membership.group_id == group.id)
            present = set(door.session.scalars(statement))
            removed = sorted(present - set(added))
            added = [user_id for user_id in added if user_id not in present]
        if removed:
            groups.remove_members(door.session, door.actor, group=group, user_ids=removed)
        if added:
            groups.add_members(door.session, door.actor, group=group, user_ids=added)

    def delete(self, door: Door, row: Group) -> None:
        groups.delete_group(door.session, door.actor, group=row)

    def shown(self, door: Door, rows: Sequence[Group], projection: Projection) -> list[Resource]:
        members: dict[str, list[tuple[str, str]]] = {}
        if projection.wants(GROUPS, "members"):
            statement = (
                select(Membership.group_id, User.id, User.display_name)
                .join(User, User.id == Membership.user_id)
                .where(Membership.group_id.in_([group.id for group in rows]))
                .order_by(User.number)
            )
            for group_id, user_id, name in door.session.execute(statement):
                members.setdefault(group_id, []).append((user_id, name))
        resources = (casting.group_resource(group, members.get(group.id, ()), door.base) for group in rows)
        return [projection.of(GROUPS, resource) for resource in resources]


def get(door: Door, resources: Resources, row_id: str, *, lock: bool = False) -> Row:
    """Raises NotFound, also for what is in another space."""
    model = resources.model
    statement = select(model).where(model.space_id == door.space.id, model.id == row_id)
    row: Row | None = None
    if _ID.fullmatch(row_id):
        row = door.session.scalar(statement.with_for_update(key_share=True) if lock else statement)
    if row is None:
        raise NotFound(f"There is no {resources.type.name} {row_id[:64]!r} in this space.")
    return row


def locked(door: Door, resources: Resources, row_id: str, *, if_match: str | None) -> Row:
    """What is going to be changed. Raises NotFound; ScimError 412 when it is not the version that `if_match` names."""
    row = get(door, resources, row_id, lock=True)
    if if_match is not None and not casting.names_version(if_match, row):
        raise ScimError(412, "It has been changed in the meantime: read it again.")
    return row


def matching(door: Door, resources: Resources, condition: ColumnElement[bool] | None) -> Select[tuple[Any]]:
    """Those of the space that meet the filter."""
    statement = select(resources.model).where(resources.model.space_id == door.space.id)
    return statement if condition is None else statement.where(condition)


def total(door: Door, resources: Resources, condition: ColumnElement[bool] | None) -> int:
    statement = matching(door, resources, condition)
    return door.session.scalar(statement.with_only_columns(func.count(), maintain_column_froms=True)) or 0


def find(
    door: Door,
    resources: Resources,
    *,
    condition: ColumnElement[bool] | None,
    order: ColumnElement[Any] | None,
    start: int,
    count: int,
) -> tuple[int, Sequence[Row]]:
    """How many there are, and the rows from `start` (from 1). The order of creation makes every order total."""
    count_of_all = total(door, resources, condition)
    if count == 0 or start > count_of_all:
        return count_of_all, ()
    statement = matching(door, resources, condition)
    if order is not None:
        statement = statement.order_by(order)
    statement = statement.order_by(resources.model.number).offset(start - 1).limit(count)
    return count_of_all, door.session.scalars(statement).all()


KINDS: Mapping[str, Resources] = {"Users": Users(), "Groups": Groups()}
