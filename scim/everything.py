"""One question about users and groups together, at the root of the service (RFC 7644 sections 3.4.2.1 and 3.4.3).

What a resource type does not know is as if it had no value there; what none of them knows is 400 invalidFilter.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Boolean, ColumnElement, Select, cast, func, literal, null, select, union_all

from scim import filters, resources
from scim.attributes import RESOURCE_TYPES, ResourceType
from scim.errors import ScimError, invalid_filter
from scim.parsing import And, Comparison, Node, Not, Or, Path
from scim.resources import KINDS, Door, Resources, Row

_ALWAYS = Comparison(Path("id"), "pr")
_NEVER = Not(_ALWAYS)


def find(
    door: Door, *, node: Node | None, sort_by: str, descending: bool, start: int, count: int
) -> tuple[int, Sequence[tuple[Resources, Row]]]:
    """How many there are, and those from `start` (from 1): users before groups, in the order of creation."""
    kinds = list(KINDS.values())
    keys = _sort_keys(sort_by)
    parts = []
    for place, found in enumerate(kinds):
        condition = None if node is None else filters.where(found.type, _known_to(found.type, node))
        statement = resources.matching(door, found, condition)
        columns = (
            literal(place).label("kind"),
            found.model.__table__.c.number.label("number"),
            keys[found.type.name].label("key"),
        )
        parts.append(statement.with_only_columns(*columns, maintain_column_froms=True))
    union = union_all(*parts).subquery()
    total = door.session.scalar(select(func.count()).select_from(union)) or 0
    if count == 0 or start > total:
        return total, ()
    key = union.c.key.desc().nulls_first() if descending else union.c.key.asc().nulls_last()
    page: Select[tuple[int, int]] = select(union.c.kind, union.c.number)
    page = page.order_by(key, union.c.kind, union.c.number).offset(start - 1).limit(count)
    places = [(row.kind, row.number) for row in door.session.execute(page)]
    rows: dict[tuple[int, int], Row] = {}
    for place, found in enumerate(kinds):
        numbers = [number for kind, number in places if kind == place]
        if numbers:
            for row in door.session.scalars(select(found.model).where(found.model.number.in_(numbers))):
                rows[place, row.number] = row
    there = [key for key in places if key in rows]  # what is deleted in this moment is not
    return total, [(kinds[place], rows[place, number]) for place, number in there]


def _sort_keys(name: str) -> dict[str, ColumnElement[Any]]:
    """What each type is sorted by; nothing where it has no such attribute. Raises ScimError 400 when none has it."""
    found = {}
    for resource_type in RESOURCE_TYPES if name else ():
        try:
            found[resource_type.name] = filters.sort_value(resource_type, name)
        except ScimError as error:
            refused = error
    if name and not found:
        raise refused
    type_ = next(iter(found.values())).type if found else Boolean()
    return {each.name: found.get(each.name, cast(null(), type_)) for each in RESOURCE_TYPES}


def _known_to(resource_type: ResourceType, node: Node) -> Node:
    """The filter as it is for this type: what it does not know has no value. Raises ScimError 400 invalidFilter."""
    if isinstance(node, And | Or):
        return type(node)(tuple(_known_to(resource_type, part) for part in node.parts))
    if isinstance(node, Not):
        return Not(_known_to(resource_type, node.part))
    if not any(_has(each, node.path) for each in RESOURCE_TYPES):
        raise invalid_filter(f"No resource type has an attribute {node.path.name}.")
    if _has(resource_type, node.path):
        return node
    absent = (
        isinstance(node, Comparison) and (node.op == "eq") is (node.value in (None, "")) and node.op in ("eq", "ne")
    )
    return _ALWAYS if absent else _NEVER


def _has(resource_type: ResourceType, path: Path) -> bool:
    return resource_type.find(path.name, path.sub, uri=path.uri) is not None
