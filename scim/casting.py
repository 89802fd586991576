"""Where SCIM meets the tables: rows to plain dicts on the way out, a resource to a verb's arguments on the way in.

Beyond the columns a user's resource is kept as sent in `User.attributes`, so that a read gives it back; the rows of
`user_values` are its index, made for filters and never read back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from portal.core.directory.models import Group, Source, User
from portal.core.directory.moving import Seen
from portal.core.directory.users import Value
from portal.core.text import fold
from scim.attributes import ENTERPRISE, GROUPS, USERS, Attribute, ResourceType
from scim.members import is_group
from scim.shaping import Resource

_USER_COLUMNS = {"userName": "user_name", "externalId": "external_id", "displayName": "display_name"}
_NAME_COLUMNS = {"givenName": "given_name", "familyName": "family_name"}


def writable_user(user: User) -> Resource:
    """What PATCH works on. `active: null` among the attributes: a client took `active` away, and shall not see it."""
    attributes = user.attributes
    resource: Resource = {"userName": user.user_name}
    if user.external_id:
        resource["externalId"] = user.external_id
    if user.display_name:
        resource["displayName"] = user.display_name
    resource.update(attributes)
    if user.given_name or user.family_name or "name" in attributes:
        name = resource["name"] = dict(attributes.get("name", ()))
        if user.given_name:
            name["givenName"] = user.given_name
        if user.family_name:
            name["familyName"] = user.family_name
    if "active" in resource:
        del resource["active"]
    else:
        resource["active"] = user.enabled
    if user.source == Source.MANUAL and user.email and "emails" not in resource:
        resource["emails"] = [{"value": user.email, "type": "work", "primary": True}]
    return resource


def writable_group(group: Group) -> Resource:
    resource: Resource = {"displayName": group.name}
    return resource | ({"externalId": group.external_id} if group.external_id else {})


def user_resource(user: User, groups: Sequence[tuple[str, str, bool]], base: str) -> Resource:
    """`groups`: id and name of the user's groups, and whether it was put in itself; `base`: the service's address."""
    resource = _resource(USERS, user, writable_user(user), base)
    if ENTERPRISE in resource:
        resource["schemas"].append(ENTERPRISE)
    if groups:
        resource["groups"] = [
            {
                "value": group_id,
                "$ref": f"{base}/Groups/{group_id}",
                "display": name,
                "type": "direct" if direct else "indirect",
            }
            for group_id, name, direct in groups
        ]
    return resource


def group_resource(group: Group, members: Sequence[tuple[str, str]], base: str) -> Resource:
    """`members`: (id, name) of who was put into it, users and groups; the id tells which."""
    resource = _resource(GROUPS, group, writable_group(group), base)
    if members:
        resource["members"] = [_member(member_id, name, base) for member_id, name in members]
    return resource


def _member(member_id: str, name: str, base: str) -> Resource:
    kind = "Group" if is_group(member_id) else "User"
    member = {"value": member_id, "$ref": f"{base}/{kind}s/{member_id}", "type": kind}
    return member | ({"display": name} if name else {})


def _resource(resource_type: ResourceType, row: User | Group, writable: Resource, base: str) -> Resource:
    created, modified = row.created_at, row.updated_at
    meta = {
        "resourceType": resource_type.name,
        "created": (shown := _moment(created)),
        "lastModified": shown if modified == created else _moment(modified),
        "location": location(resource_type, row, base),
        "version": etag(row),
    }
    return {"schemas": [resource_type.schema.id], "id": row.id, **writable, "meta": meta}


def location(resource_type: ResourceType, row: User | Group | Seen, base: str) -> str:
    return f"{base}{resource_type.endpoint}/{row.id}"


def etag(row: User | Group | Seen) -> str:
    return f'W/"{row.version}"'


def names_version(header: str | None, row: User | Group | Seen) -> bool:
    """Whether an If-Match or If-None-Match names the row's version; weak tags, so `W/` does not count."""
    tags = {tag.strip().removeprefix("W/") for tag in (header or "").split(",")}
    return "*" in tags or etag(row).removeprefix("W/") in tags


def _moment(value: datetime) -> str:
    return value.isoformat(timespec="microseconds")[:-6] + "Z"  # UTC, as all moments are: instead of +00:00


def user_changes(resource: Resource) -> dict[str, Any]:
    """Arguments of create_user and update_user, `enabled` apart."""
    name = resource.get("name", {})
    changes: dict[str, Any] = {column: resource.get(key, "") for key, column in _USER_COLUMNS.items()}
    changes.update({column: name.get(part, "") for part, column in _NAME_COLUMNS.items()})
    rest = {key: value for key, value in resource.items() if key not in _USER_COLUMNS and key not in ("active", "name")}
    if other := {part: value for part, value in name.items() if part not in _NAME_COLUMNS}:
        rest["name"] = other
    return changes | {
        "email": _contact(resource.get("emails", [])),
        "attributes": rest,
        "values": list(_index(resource)),
    }


def group_changes(resource: Resource) -> dict[str, Any]:
    """Arguments of create_group and update_group."""
    return {"name": resource["displayName"], "external_id": resource.get("externalId")}


def _contact(emails: Sequence[Mapping[str, Any]]) -> str | None:
    """The address that the console shows: the primary one, else that for work, else the first that is an address."""
    best = sorted(emails, key=lambda entry: (not entry.get("primary"), entry.get("type") != "work"))
    return next((entry["value"] for entry in best if _is_address(entry.get("value", ""))), None)


def _is_address(text: str) -> bool:
    local, _, domain = text.rpartition("@")
    return bool(local and domain) and len(text) <= 128 and not any(char.isspace() for char in text)


def _index(resource: Resource) -> Iterator[Value]:
    for schema in USERS.schemas:
        values = resource if schema is USERS.schema else resource.get(schema.id, {})
        for attribute in schema.attributes:
            value = values.get(attribute.name)
            if value is None or attribute.column:
                continue
            if attribute.multi:
                for position, entry in enumerate(value):
                    yield from _index_entry(attribute, position, entry)
            elif attribute.type == "complex":
                for part, inner in value.items():
                    yield _row(f"{attribute.name}.{part}", 0, inner)
            else:
                yield _row(attribute.name, 0, value)


def _index_entry(attribute: Attribute, position: int, entry: Mapping[str, Any]) -> Iterator[Value]:
    first = attribute.subs[0].name
    row = _row(attribute.name, position, entry.get(first))
    row["type"], row["display"] = _folded(entry.get("type"), 64), _folded(entry.get("display"), 256)
    row["primary"] = bool(entry.get("primary"))
    yield row
    for part, inner in entry.items():
        if part not in (first, "type", "display", "primary"):
            yield _row(f"{attribute.name}.{part}", position, inner)


def _row(name: str, position: int, value: str | None) -> Value:
    """Of a value beyond 1024 bytes the beginning is indexed, for an index takes little more; the whole is kept."""
    if value is not None and (len(value) if value.isascii() else len(fold(value).encode())) > 1024:
        value = value[:256]
    return {
        "attribute": name, "position": position, "type": None, "value": value, "display": None, "primary": False,
    }  # fmt: skip


def _folded(value: str | None, length: int) -> str | None:
    return fold(value)[:length] if value else None
