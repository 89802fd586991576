"""What comes in, read by the attribute definitions: names spelled one way, values of the right type.

Tolerant as RFC 7643 allows and IdPs need: names without case, dotted names and full URNs as keys, "True" for true, bare
text for an object that has a `value`, one object for a list, unknown and read-only names dropped. null, "" and [] mean
unassigned (RFC 7643 section 2.5).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scim.attributes import Attribute, ResourceType, Schema
from scim.errors import invalid_value
from scim.matching import boolean

Resource = dict[str, Any]
MAX_ENTRIES = 200


def shape(resource_type: ResourceType, body: Mapping[str, Any]) -> Resource:
    """The writable part of a resource, canonical. Raises ScimError 400 invalidValue (a wrong type, a missing name)."""
    resource: Resource = {}
    for key, value in body.items():
        schema = resource_type.schema_of(key)
        if schema is not None and isinstance(value, Mapping):
            for name, inner in value.items():
                _assign(resource_type, resource, f"{schema.id}:{name}", inner)
        else:
            _assign(resource_type, resource, key, value)
    for attribute in resource_type.schema.attributes:
        if attribute.required and attribute.name not in resource:
            raise invalid_value(f"{attribute.name} is required.")
    return resource


def _assign(resource_type: ResourceType, resource: Resource, key: str, value: Any) -> None:
    uri, name = split_uri(resource_type, key)
    name, _, sub = name.partition(".")
    found = resource_type.find(name, sub or None, uri=uri)
    if found is None or found.attribute.read_only or not found.attribute.kept:
        return
    shaped = value_of(found.leaf, value)
    if shaped is None:
        return
    place = container(resource_type, resource, found.schema, make=True)
    if found.sub is None:
        merge = isinstance(place.get(found.attribute.name), dict)
        place[found.attribute.name] = {**place[found.attribute.name], **shaped} if merge else shaped
    elif not found.attribute.multi and not found.sub.read_only:
        place.setdefault(found.attribute.name, {})[found.sub.name] = shaped


def container(resource_type: ResourceType, resource: Resource, schema: Schema, *, make: bool = False) -> Resource:
    """Where the attributes of `schema` stand: the resource itself, or the object under an extension's URN."""
    if schema is resource_type.schema:
        return resource
    found: Resource = resource.setdefault(schema.id, {}) if make else resource.get(schema.id, {})
    return found


def split_uri(resource_type: ResourceType, text: str) -> tuple[str | None, str]:
    """`urn:...:User:name.givenName` -> (the schema's id, `name.givenName`)."""
    for schema in resource_type.schemas:
        if text.lower().startswith(schema.id.lower() + ":"):
            return schema.id, text[len(schema.id) + 1 :]
    return None, text


def value_of(attribute: Attribute, value: Any) -> Any:
    """The value in canonical form, None when it is unassigned. Raises ScimError 400 invalidValue."""
    if value is None or value in ("", [], {}):
        return None
    if attribute.multi:
        return entries_of(attribute, value) or None
    return _single(attribute, value)


def entries_of(attribute: Attribute, value: Any) -> list[Any]:
    items = value if isinstance(value, list) else [value]
    if len(items) > MAX_ENTRIES and not attribute.membership:
        raise invalid_value(f"{attribute.name} has at most {MAX_ENTRIES} entries.")
    entries: list[Any] = []
    for item in items:
        entry = _single(attribute, item)
        if has_content(entry) and (attribute.membership or entry not in entries):  # RFC 7643 section 2.4: no twins
            entries.append(entry)
    if sum(1 for entry in entries if isinstance(entry, dict) and entry.get("primary")) > 1:
        raise invalid_value(f"{attribute.name}: at most one entry is primary.")
    return entries


def has_content(entry: Any) -> bool:
    """Whether an entry says more than what it would be for."""
    return bool(entry) and (not isinstance(entry, dict) or bool(entry.keys() - {"type", "primary"}))


def _single(attribute: Attribute, value: Any) -> Any:
    if value is None or value == "":
        return None
    if attribute.type == "complex":
        return _complex(attribute, value)
    if attribute.type == "boolean":
        truth = boolean(value)
        if truth is None:
            raise invalid_value(f"{attribute.name} is true or false.")
        return truth
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise invalid_value(f"{attribute.name} is text.")
    return text(attribute.name, value)


def _complex(attribute: Attribute, value: Any) -> Resource | None:
    if not isinstance(value, Mapping):
        if attribute.sub("value") is None or isinstance(value, list | bool):
            raise invalid_value(f"{attribute.name} is an object.")
        value = {"value": value}
    entry: Resource = {}
    for key, inner in value.items():
        sub = attribute.sub(key)
        if sub is not None and not sub.read_only:
            shaped = _single(sub, inner)
            if shaped is not None:
                entry[sub.name] = shaped
    return entry or None


def text(name: str, value: str) -> str:
    """Raises ScimError 400 invalidValue for what no database keeps: NUL and halves of surrogate pairs."""
    try:
        value.encode()
    except UnicodeEncodeError:
        raise invalid_value(f"{name} holds half of a surrogate pair.") from None
    if "\x00" in value:
        raise invalid_value(f"{name} holds a NUL character.")
    return value
