"""Users and groups behind one face, so that the routes are written once: read, find, create, replace, change, delete.

Reading a page takes the same few statements whatever its size. What is going to be changed is locked first, so that two
requests for one resource follow each other; with key_share, so that a user can be locked and join a group elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import ColumnElement, Select, bindparam, func, select
from sqlalchemy.orm import Session

from portal.core.actor import Actor
from portal.core.directory import counts, groups, users
from portal.core.directory.drafts import Draft
from portal.core.directory.models import Group, Membership, Source, User
from portal.core.errors import NotFound
from portal.core.space.models import Space, SpaceKey
from scim import casting, guarding, members, patch, strict
from scim.attributes import GROUPS, USERS, ResourceType
from scim.errors import changed_meanwhile
from scim.patch import MemberChange
from scim.projection import Projection
from scim.rows import WHOLE, groups_of, plain
from scim.shaping import Resource, shape

Row = User | Group

_users: Any = User.__table__
_groups: Any = Group.__table__
_members: Any = Membership.__table__
_GROUPS_OF_USERS = (  # statements of every request are built once
    select(_members.c.user_id, _groups.c.id, _groups.c.name, _members.c.direct)
    .join_from(_members, _groups, _groups.c.id == _members.c.group_id)
    .where(_members.c.user_id.in_(bindparam("ids", expanding=True)))
    .order_by(_groups.c.number)
)


def _one(statement: Select[Any], table: Any) -> Select[Any]:
    return statement.where(table.c.space_id == bindparam("space_id"), table.c.id == bindparam("row_id"))


_SHOWN = {
    (User, True): _one(plain(User, joined=True), _users),
    (User, False): _one(plain(User, joined=False), _users),
    (Group, False): _one(plain(Group, joined=False), _groups),
}
_DRAFT = _one(WHOLE, _users)
_LOCKED = {
    User: _one(select(User), _users).with_for_update(key_share=True),
    Group: _one(select(Group), _groups).with_for_update(key_share=True),
}
_ID = re.compile(r"[ug]-[a-z0-9]{1,14}")


@dataclass(frozen=True)
class Door:
    """What a request brings along: whose space, who acts, the address of the service, and whether its credential is
    strict: then what is not as the RFCs say is refused (see strict), otherwise it is guessed.
    """

    session: Session
    actor: Actor
    space: Space | SpaceKey
    base: str
    strict: bool = False

    def shaped(self, resource_type: ResourceType, body: Mapping[str, Any]) -> Resource:
        if self.strict:
            strict.check_resource(resource_type, body)
        return shape(resource_type, body)

    def patched(
        self, resource_type: ResourceType, resource: Resource, body: Mapping[str, Any]
    ) -> tuple[Resource, MemberChange | None]:
        if self.strict:
            strict.check_patch(resource_type, body)
        return patch.apply(resource_type, resource, body, strict=self.strict)


class Resources(Protocol):
    type: ResourceType
    model: Any

    def create(self, door: Door, body: Mapping[str, Any]) -> Row: ...
    def replace(self, door: Door, row: Any, body: Mapping[str, Any]) -> None: ...
    def change(self, door: Door, row: Any, body: Mapping[str, Any]) -> None: ...
    def delete(self, door: Door, row: Any) -> None: ...
    def shown(
        self, door: Door, rows: Sequence[Any], projection: Projection, *, fresh: bool = False
    ) -> list[Resource]: ...


class Users:
    type = USERS
    model = User

    def create(self, door: Door, body: Mapping[str, Any]) -> User:
        resource = door.shaped(USERS, body)
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
        self._update(door, row, {"active": row.enabled} | door.shaped(USERS, body))

    def change(self, door: Door, row: User, body: Mapping[str, Any]) -> None:
        resource, _ = door.patched(USERS, casting.writable_user(row), body)
        self._update(door, row, resource)

    def _update(self, door: Door, row: User, resource: Resource) -> None:
        before = casting.user_changes(casting.writable_user(row))
        changes = casting.user_changes(resource)
        if changes["values"] == before["values"]:
            changes["values"] = None  # the index stays as it is
        if "active" in resource:
            if not resource["active"]:
                guarding.take(door, row)
            users.set_enabled(door.session, door.actor, user=row, enabled=resource["active"])
        else:
            changes["attributes"]["active"] = None
        users.update_user(door.session, door.actor, user=row, **changes)

    def delete(self, door: Door, row: User) -> None:
        guarding.take(door, row)
        users.delete_user(door.session, door.actor, user=row)

    def shown(self, door: Door, rows: Sequence[User], projection: Projection, *, fresh: bool = False) -> list[Resource]:
        """`fresh`: just made, so in no group yet."""
        joined: Mapping[str, Sequence[tuple[str, str, bool]]] = {}
        if projection.wants(USERS, "groups") and not fresh:
            joined = {row.id: groups_of(row) for row in rows} if hasattr(rows[0], "joined") else _joined(door, rows)
        resources = (casting.user_resource(user, joined.get(user.id, ()), door.base) for user in rows)
        return [projection.of(USERS, resource) for resource in resources]


def _joined(door: Door, users: Sequence[User]) -> dict[str, list[tuple[str, str, bool]]]:
    """The groups of users that were not read to be shown, but to be changed."""
    joined: dict[str, list[tuple[str, str, bool]]] = {}
    door.session.flush()
    asked = {"ids": [user.id for user in users]}
    for user_id, group_id, name, direct in door.session.connection().execute(_GROUPS_OF_USERS, asked):
        joined.setdefault(user_id, []).append((group_id, name, direct))
    return joined


class Groups:
    type = GROUPS
    model = Group

    def create(self, door: Door, body: Mapping[str, Any]) -> Group:
        resource, change = self._read(door, body)
        changes = casting.group_changes(resource)
        group = groups.create_group(door.session, door.actor, space=door.space, source=Source.SCIM, **changes)
        self._change_members(door, group, change)
        return group

    def replace(self, door: Door, row: Group, body: Mapping[str, Any]) -> None:
        """`members` left out keeps them: an IdP that reads groups without members would empty the group otherwise."""
        self._update(door, row, *self._read(door, body))

    def change(self, door: Door, row: Group, body: Mapping[str, Any]) -> None:
        self._update(door, row, *door.patched(GROUPS, casting.writable_group(row), body))

    def _read(self, door: Door, body: Mapping[str, Any]) -> tuple[Resource, MemberChange | None]:
        """Members are taken apart from the rest by the same rules as in a PATCH that replaces them."""
        resource = door.shaped(GROUPS, body)
        resource.pop("members", None)
        given = next((value for key, value in body.items() if key.lower() == "members"), None)
        if given is None:
            return resource, None
        operation = {"op": "replace", "path": "members", "value": given}
        return resource, patch.apply(GROUPS, {}, {"Operations": [operation]})[1]

    def _update(self, door: Door, row: Group, resource: Resource, change: MemberChange | None) -> None:
        groups.update_group(door.session, door.actor, group=row, **casting.group_changes(resource))
        self._change_members(door, row, change)

    def _change_members(self, door: Door, group: Group, change: MemberChange | None) -> None:
        if change is not None:
            members.change(door.session, door.actor, group, change)

    def delete(self, door: Door, row: Group) -> None:
        groups.delete_group(door.session, door.actor, group=row)

    def shown(
        self, door: Door, rows: Sequence[Group], projection: Projection, *, fresh: bool = False
    ) -> list[Resource]:
        """`fresh`: just made, so without members while it has its first version."""
        asked = projection.wants(GROUPS, "members") and not (fresh and rows[0].version == 1)
        found = members.of_groups(door.session, [group.id for group in rows] if asked else [])
        resources = (casting.group_resource(group, found.get(group.id, ()), door.base) for group in rows)
        return [projection.of(GROUPS, resource) for resource in resources]


def get(door: Door, resources: Resources, row_id: str, projection: Projection) -> Row:
    """A plain row, to be shown. Raises NotFound, also for what is in another space."""
    row: Row | None = None
    if _ID.fullmatch(row_id):
        statement = _SHOWN[resources.model, _with_groups(resources, projection)]
        asked = {"space_id": door.space.id, "row_id": row_id}
        row = door.session.connection().execute(statement, asked).one_or_none()  # type: ignore[assignment]
    return _found(row, resources, row_id)


def locked(door: Door, resources: Resources, row_id: str, *, if_match: str | None = None) -> Row:
    """What is going to be changed. Raises NotFound; ScimError 412 when it is not the version that `if_match` names."""
    row: Row | None = None
    if _ID.fullmatch(row_id):
        row = door.session.scalar(_LOCKED[resources.model], {"space_id": door.space.id, "row_id": row_id})
    return _matched(_found(row, resources, row_id), if_match)


def draft(door: Door, user_id: str, *, if_match: str | None = None) -> User:
    """The same of a user that is not locked, but written only if it still is so (drafts)."""
    row = None
    if _ID.fullmatch(user_id):
        asked = {"space_id": door.space.id, "row_id": user_id}
        row = door.session.connection().execute(_DRAFT, asked).one_or_none()
    read: Any = row and Draft(**row._mapping)
    found: Any = _matched(_found(read, KINDS["Users"], user_id), if_match)
    return found  # type: ignore[no-any-return]


def _matched(row: Row, if_match: str | None) -> Row:
    if if_match is not None and not casting.names_version(if_match, row):
        raise changed_meanwhile()
    return row


def _found(row: Row | None, resources: Resources, row_id: str) -> Row:
    if row is None:
        raise NotFound(f"There is no {resources.type.name} {row_id[:64]!r} in this space.")
    return row


def _with_groups(resources: Resources, projection: Projection) -> bool:
    return resources.type is USERS and projection.wants(USERS, "groups")


def matching(
    door: Door, resources: Resources, condition: ColumnElement[bool] | None, projection: Projection | None = None
) -> Select[Any]:
    """Those of the space that meet the filter, as plain rows: what is only shown needs no mapped objects."""
    joined = projection is not None and _with_groups(resources, projection)
    statement = plain(resources.model, joined=joined)
    statement = statement.where(resources.model.__table__.c.space_id == door.space.id)
    return statement if condition is None else statement.where(condition)


def total(door: Door, resources: Resources, condition: ColumnElement[bool] | None) -> int:
    if condition is None:
        return counts.total(door.session, door.space.id, resources.model)
    statement = matching(door, resources, condition)
    counting = statement.with_only_columns(func.count(), maintain_column_froms=True)
    return door.session.connection().execute(counting).scalar_one()


def _page(
    door: Door, resources: Resources, projection: Projection, chosen: Select[Any], order: Sequence[Any], offset: int
) -> Sequence[Row]:
    """The rows are chosen before they are read: a database may put together the groups of all whom it skips or sorts
    otherwise.
    """
    chosen = chosen.order_by(*order).offset(offset)
    if _with_groups(resources, projection) and (offset or len(order) > 1):
        number = resources.model.__table__.c.number
        numbers = chosen.with_only_columns(number, maintain_column_froms=True).correlate(None)
        chosen = plain(resources.model, joined=True).where(number.in_(numbers)).order_by(*order)
    rows: Sequence[Any] = door.session.connection().execute(chosen).all()
    return rows


def find(
    door: Door,
    resources: Resources,
    projection: Projection,
    *,
    condition: ColumnElement[bool] | None,
    order: ColumnElement[Any] | None,
    start: int,
    count: int,
) -> tuple[int, Sequence[Row]]:
    """How many there are, and the rows from `start` (from 1). The order of creation makes every order total."""
    if count == 0:
        return total(door, resources, condition), ()
    number = resources.model.__table__.c.number
    chosen = matching(door, resources, condition, projection).limit(count)
    if condition is None and order is None:
        total_of_all, since, offset = counts.place(door.session, door.space.id, resources.model, start - 1)
        if start > total_of_all:
            return total_of_all, ()
        chosen = chosen.where(number >= since)
        return total_of_all, _page(door, resources, projection, chosen, (number,), offset)
    wanted = (number,) if order is None else (order, number)
    rows = _page(door, resources, projection, chosen, wanted, start - 1)
    last = len(rows) < count and (rows or start == 1)  # the list ends on this page: nothing to count
    return start - 1 + len(rows) if last else total(door, resources, condition), rows


KINDS: Mapping[str, Resources] = {"Users": Users(), "Groups": Groups()}
