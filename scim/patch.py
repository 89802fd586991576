"""PATCH (RFC 7644 section 3.5.2) on a plain resource: a pure function; a fault in any operation changes nothing.

Who is in a group comes back as a difference, never as the whole group. Tolerant of what IdPs send: capitalised `op`,
dotted names and URNs as keys without a path, `members` removed by a list of values, a bracket filter without a match
means "make that entry", a bare id for the manager, "" and null for "take it away".
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from scim.attributes import Attribute, Found, ResourceType, Schema
from scim.errors import invalid_filter, invalid_path, invalid_syntax, invalid_value, mutability, no_target
from scim.matching import entry_matches, part_of
from scim.parsing import And, Comparison, Node, Not, Or, Path, parse
from scim.shaping import MAX_ENTRIES, Resource, container, entries_of, has_content, split_uri, value_of
from scim.unwrapping import objects, unwrapped

MAX_OPERATIONS = 1000
MAX_COMPARISONS = 250_000  # of entries with values or filter terms, in one PATCH: about half a second
_PATH = re.compile(r"([A-Za-z$][\w$-]*)(?:\[(.*)\])?(?:\.([A-Za-z$][\w$-]*))?", re.DOTALL)


@dataclass(frozen=True)
class MemberChange:
    """With `replaced` the group shall hold exactly `added`; otherwise `added` join and `removed` leave."""

    replaced: bool = False
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Target:
    found: Found
    filter: Node | None = None

    @property
    def attribute(self) -> Attribute:
        return self.found.attribute

    @property
    def sub(self) -> Attribute | None:
        return self.found.sub


def apply(
    resource_type: ResourceType, resource: Resource, body: Mapping[str, Any], *, strict: bool = False
) -> tuple[Resource, MemberChange | None]:
    """The changed copy of `resource` (the writable part, canonical), and what happens to the members, if anything.

    `strict`: a filter without a match makes no entry, and replacing a complex attribute leaves nothing of the old one.
    Raises ScimError 400 with the scimType of the fault.
    """
    patch = _Patch(resource_type, copy.deepcopy(resource), strict)
    for operation in _operations(body):
        patch.apply(*operation)
    return patch.result()


def _operations(body: Mapping[str, Any]) -> list[tuple[str, str, Any]]:
    found = next((value for key, value in body.items() if key.lower() == "operations"), None)
    if not isinstance(found, list) or not found:
        raise invalid_syntax("A PATCH has a list of Operations.")
    if len(found) > MAX_OPERATIONS:
        raise invalid_value(f"A PATCH has at most {MAX_OPERATIONS} operations.")
    operations = []
    for item in found:
        if not isinstance(item, Mapping):
            raise invalid_syntax("An operation is an object with op, path and value.")
        lowered = {key.lower(): value for key, value in item.items()}
        op, path = lowered.get("op"), lowered.get("path")
        if not isinstance(op, str) or op.lower() not in ("add", "replace", "remove"):
            raise invalid_syntax("op is add, replace or remove.")
        if path is not None and not isinstance(path, str):
            raise invalid_path("path is text.")
        if op.lower() != "remove" and "value" not in lowered:
            raise invalid_value(f"{op} needs a value.")
        operations.append((op.lower(), (path or "").strip(), lowered.get("value")))
    return operations


def target_of(resource_type: ResourceType, path: str, *, strict: bool = False) -> Target | None:
    """What a path names, None when there is no such attribute. Raises ScimError 400 invalidPath, invalidFilter."""
    uri, rest = split_uri(resource_type, path)
    match = _PATH.fullmatch(rest)
    if match is None:
        return None
    name, text, sub = match.groups()
    found = resource_type.find(name, sub, uri=uri)
    if found is None:
        return None
    if text is None:
        return Target(found)
    if found.attribute.type != "complex":
        raise invalid_path(f"{name} has no parts to choose by.")
    return Target(found, parse(text, strict=strict))


class _Patch:
    def __init__(self, resource_type: ResourceType, resource: Resource, strict: bool) -> None:
        self.type = resource_type
        self.resource = resource
        self.strict = strict
        self.comparisons = 0
        self.members_touched = False
        self.replaced = False
        self.added: dict[str, None] = {}
        self.removed: dict[str, None] = {}

    def result(self) -> tuple[Resource, MemberChange | None]:
        for schema in self.type.extensions:
            if not self.resource.get(schema.id, True):
                del self.resource[schema.id]
        members = MemberChange(self.replaced, tuple(self.added), tuple(self.removed)) if self.members_touched else None
        return self.resource, members

    def apply(self, op: str, path: str, value: Any) -> None:
        if not path:
            if op == "remove":
                raise no_target("remove needs a path.")
            for values in objects(value):
                self._each(op, values)
            return
        schema = self.type.schema_of(path)
        if schema is not None:
            self._schema(op, schema, value)
            return
        target = target_of(self.type, path)
        if target is None:
            raise invalid_path(f"{self.type.name} has no attribute {path}.")
        if target.attribute.read_only or (target.sub is not None and target.sub.read_only):
            raise mutability(f"{path} is read-only.")
        self._change(op, target, value)

    def _each(self, op: str, values: Mapping[str, Any], schema: Schema | None = None) -> None:
        """Operations without a path: what is unknown or read-only is passed over."""
        for key, value in values.items():
            whole = None if schema else self.type.schema_of(key)
            if whole is not None:
                self._schema(op, whole, value)
                continue
            target = target_of(self.type, f"{schema.id}:{key}" if schema else key)
            if target is None or target.attribute.read_only or (target.sub is not None and target.sub.read_only):
                continue
            self._change(op, target, value)

    def _schema(self, op: str, schema: Schema, value: Any) -> None:
        if op == "remove":
            if schema is self.type.schema:
                raise no_target("remove needs the path of an attribute.")
            self.resource.pop(schema.id, None)
        elif isinstance(value, Mapping):
            self._each(op, value, schema)
        else:
            raise invalid_value(f"The value of {schema.id} is an object of attributes.")

    def _change(self, op: str, target: Target, value: Any) -> None:
        attribute = target.attribute
        if not attribute.kept:
            return
        value = unwrapped(target.found.leaf, value)
        if attribute.membership:
            self._change_members(op, target, value)
            return
        place = container(self.type, self.resource, target.found.schema, make=op != "remove")
        if attribute.multi:
            entries = place.get(attribute.name, [])
            self._count(len(entries), 1 if target.filter is None and op == "replace" else _terms(target, value))
            changed = [entry for entry in self._entries(op, target, entries, value) if has_content(entry)]
            if len(changed) > MAX_ENTRIES:
                raise invalid_value(f"{attribute.name} has at most {MAX_ENTRIES} entries.")
            _set(place, attribute, changed or None)
        elif attribute.type == "complex":
            current = place.get(attribute.name, {})
            if target.filter is not None and op == "remove" and not entry_matches(attribute, current, target.filter):
                return
            _set(place, attribute, self._complex(op, target, current, value) or None)
        else:
            _set(place, attribute, None if op == "remove" else value_of(attribute, value), removed=op == "remove")

    def _count(self, entries: int, terms: int) -> None:
        """Entries times terms can be a lot from a small body, and the write lock is held meanwhile."""
        self.comparisons += (entries + terms) * terms
        if self.comparisons > MAX_COMPARISONS:
            raise invalid_value(f"A PATCH makes at most {MAX_COMPARISONS} comparisons of entries: send it in parts.")

    def _complex(self, op: str, target: Target, current: Resource, value: Any) -> Resource:
        if target.sub is not None:
            shaped = None if op == "remove" else value_of(target.sub, value)
            rest = {key: inner for key, inner in current.items() if key != target.sub.name}
            return rest if shaped is None else rest | {target.sub.name: shaped}
        shaped = None if op == "remove" else value_of(target.attribute, value)
        if self.strict and op == "replace":
            return dict(shaped or {})
        if shaped is None:
            gone = (
                set(_named(target.attribute, value)) if isinstance(value, Mapping) and op != "remove" else set(current)
            )
            return {key: inner for key, inner in current.items() if key not in gone}
        unassigned = set(_named(target.attribute, value)) - set(shaped) if isinstance(value, Mapping) else set()
        if shaped.get("value", current.get("value")) != current.get("value"):
            unassigned.add("$ref")  # it pointed to the old one
        rest = {key: inner for key, inner in current.items() if key not in unassigned}
        rest.update(shaped)
        return rest

    def _entries(self, op: str, target: Target, entries: list[Any], value: Any) -> list[Any]:
        attribute = target.attribute
        if op == "remove":
            return self._without(target, entries, value)
        if target.filter is None and target.sub is None:
            new = [] if value is None else entries_of(attribute, value)
            return new if op == "replace" else _added(attribute, entries, new)
        chosen = [entry for entry in entries if target.filter is None or entry_matches(attribute, entry, target.filter)]
        if not chosen:
            if self.strict:
                raise no_target(f"No entry of {attribute.name} matches.")
            made = _implied(attribute, target.filter)
            entries, chosen = [*entries, made], [made]
        for entry in chosen:
            if target.sub is not None:
                shaped = value_of(target.sub, value)
                entry.pop(target.sub.name, None)
                entry.update({} if shaped is None else {target.sub.name: shaped})
            else:
                shaped = value_of(attribute, value)
                if op == "replace":
                    entry.clear()
                    entry.update(_implied(attribute, target.filter))
                entry.update(shaped[0] if shaped else {})
        return _one_primary(attribute, entries, chosen)

    def _without(self, target: Target, entries: list[Any], value: Any) -> list[Any]:
        attribute = target.attribute
        if target.sub is not None:
            chosen = [e for e in entries if target.filter is None or entry_matches(attribute, e, target.filter)]
            for entry in chosen:
                entry.pop(target.sub.name, None)
            return entries
        if target.filter is not None:
            return [entry for entry in entries if not entry_matches(attribute, entry, target.filter)]
        if value is None:
            return []
        unwanted = entries_of(attribute, value)
        return [entry for entry in entries if not any(_same(attribute, entry, other) for other in unwanted)]

    def _change_members(self, op: str, target: Target, value: Any) -> None:
        if target.sub is not None:
            raise invalid_path("Members are added and removed as a whole.")
        self.members_touched = True
        whole = target.filter is None and (op == "replace" or (op == "remove" and value is None))
        if target.filter is not None:
            ids = _ids_chosen(target.attribute, target.filter)
        else:
            items = value if isinstance(value, list) else [value]
            ids = [_member_id(target.attribute, item) for item in items if item not in (None, "")]
        if whole:
            self.replaced, self.added, self.removed = True, dict.fromkeys(ids), {}
        elif op == "remove":
            for member in ids:
                self.added.pop(member, None)
                self.removed[member] = None
        else:
            for member in ids:
                self.removed.pop(member, None)
                self.added[member] = None


def _terms(target: Target, value: Any) -> int:
    """How many things each entry is compared with."""
    if target.filter is not None:
        return _size(target.filter)
    return len(value) if isinstance(value, list) else 1


def _size(node: Node) -> int:
    if isinstance(node, And | Or):
        return sum(map(_size, node.parts))
    return _size(node.part) if isinstance(node, Not) else 1


def _set(place: Resource, attribute: Attribute, value: Any, *, removed: bool = False) -> None:
    if value is not None:
        place[attribute.name] = value
    elif attribute.required:
        raise (
            mutability(f"{attribute.name} is required.") if removed else invalid_value(f"{attribute.name} is required.")
        )
    else:
        place.pop(attribute.name, None)


def _named(attribute: Attribute, value: Mapping[str, Any]) -> list[str]:
    return [sub.name for key in value if (sub := attribute.sub(key)) is not None]


def _added(attribute: Attribute, entries: list[Any], new: list[Any]) -> list[Any]:
    result = list(entries)
    fresh = []
    for entry in new:
        content = _but_primary(entry)
        twin = next((old for old in result if _but_primary(old) == content), None)
        if twin is None:
            result.append(entry)
        elif entry.get("primary"):
            twin["primary"] = True
        fresh.append(entry if twin is None else twin)
    return _one_primary(attribute, result, fresh)


def _but_primary(entry: Resource) -> Resource:
    return {key: value for key, value in entry.items() if key != "primary"}


def _one_primary(attribute: Attribute, entries: list[Any], fresh: list[Any]) -> list[Any]:
    """A new primary entry takes the mark from the old one (RFC 7644 section 3.5.2)."""
    primary = [entry for entry in entries if entry.get("primary")]
    if len(primary) > 1:
        chosen = [entry for entry in primary if any(entry is other for other in fresh)]
        if len(chosen) != 1:
            raise invalid_value(f"{attribute.name}: at most one entry is primary.")
        for entry in primary:
            if entry is not chosen[0]:
                entry["primary"] = False
    return entries


def _same(attribute: Attribute, entry: Resource, other: Resource) -> bool:
    """Whether `entry` is the one that a remove with a value names: all must fit, but for what only describes."""
    said = {key: value for key, value in other.items() if key not in ("display", "primary", "$ref")} or other
    comparisons = (entry_matches(attribute, entry, Comparison(Path(key), "eq", value)) for key, value in said.items())
    return all(comparisons)


def _implied(attribute: Attribute, node: Node | None) -> Resource:
    """The entry that a filter describes: `[type eq "work"]` -> {"type": "work"}."""
    if node is None:
        return {}
    parts = node.parts if isinstance(node, And) else (node,)
    made: Resource = {}
    for part in parts:
        if not isinstance(part, Comparison) or part.op != "eq":
            raise no_target(
                f"No entry of {attribute.name} matches, and the filter does not say what a new one would be."
            )
        sub, comparison = part_of(attribute, part)
        shaped = value_of(sub, comparison.value)
        if shaped is not None:
            made[sub.name] = shaped
    return made


def _ids_chosen(attribute: Attribute, node: Node) -> list[str]:
    """`members[value eq "a" or value eq "b"]`: members are chosen by their id and by nothing else."""
    parts = node.parts if isinstance(node, Or) else (node,)
    ids = []
    for part in parts:
        sub, comparison = part_of(attribute, part)
        if sub.name != "value" or comparison.op != "eq" or not isinstance(comparison.value, str):
            raise invalid_filter('Members are chosen by id: members[value eq "..."].')
        ids.append(comparison.value)
    return ids


def _member_id(attribute: Attribute, item: Any) -> str:
    """Its `value`, else the end of its `$ref`."""
    entries = entries_of(attribute, item)
    entry = entries[0] if entries else {}
    found = entry.get("value") or entry.get("$ref", "").rstrip("/").rpartition("/")[2]
    if not isinstance(found, str) or not found:
        raise invalid_value("members: every entry has the id of a user or a group as its value.")
    return found
