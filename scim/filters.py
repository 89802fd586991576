"""A filter's tree as SQL: nothing is filtered in Python.

Multi-valued attributes become EXISTS, `ne` is "none equals" (RFC 7644 section 3.4.2.2 leaves it open), every
comparison is true or false and never NULL, so that `not` means what it says. A name that we do not know is 400
invalidFilter: dropping it would widen the answer.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from sqlalchemy import ColumnElement, String, and_, case, exists, false, func, not_, or_, select, true
from sqlalchemy.sql.elements import False_

from portal.core.directory.models import Group, Source, User, UserValue
from scim.attributes import Attribute, Found, ResourceType
from scim.errors import invalid_filter
from scim.matching import holds, operand, part_of
from scim.members import Kind, kinds_of
from scim.parsing import And, Comparison, Node, Not, OneEntry, Or, Path

Condition = ColumnElement[bool]

# Tables rather than mapped classes: the same SQL, built in half the time.
_values: Any = UserValue.__table__
_VALUE, _USER, _GROUP = _values.c, User.__table__.c, Group.__table__.c
_ENTRY, _PART = _values.alias("entry").c, _values.alias("part").c  # one inside the other, never two of a kind


def where(resource_type: ResourceType, node: Node) -> Condition:
    """Raises ScimError 400 invalidFilter (an unknown name, an operator that does not suit the type)."""
    return _combine(node, lambda leaf: _leaf(resource_type, leaf))


def order_by(resource_type: ResourceType, name: str, *, descending: bool = False) -> ColumnElement[Any]:
    """What `sortBy` sorts by; of a multi-valued attribute the primary entry, else the first. Who has no value comes
    last, and first when descending (RFC 7644 section 3.4.2.3). Raises ScimError 400.
    """
    value, always_there = _sort_value(resource_type, name)
    if always_there:
        return value.desc() if descending else value.asc()
    value = sort_value(resource_type, name)
    return value.desc().nulls_first() if descending else value.asc().nulls_last()


def sort_value(resource_type: ResourceType, name: str) -> ColumnElement[Any]:
    """What `sortBy` compares, null for who has no value. Raises ScimError 400."""
    value, _ = _sort_value(resource_type, name)
    return func.nullif(value, "", type_=value.type) if isinstance(value.type, String) else value


def _sort_value(resource_type: ResourceType, name: str) -> tuple[ColumnElement[Any], bool]:
    """The value, and whether everybody has one."""
    schema, _, bare = _split_uri(resource_type, name)
    attribute, _, sub = bare.partition(".")
    found = resource_type.find(attribute, sub or None, uri=schema)
    if found is not None and found.attribute.type == "complex" and found.sub is None:
        found = resource_type.find(attribute, "value", uri=schema)
    if found is None or found.attribute.membership or not found.attribute.kept:
        raise invalid_filter(f"sortBy: there is nothing to sort by called {name}.")
    leaf, model = found.leaf, _model(resource_type)
    if leaf.column:
        return _column(model, leaf), leaf.required or leaf.type != "string" or leaf.name == "id"
    if not _indexed(resource_type, found):
        raise invalid_filter(f"sortBy: {name} cannot be sorted by.")
    column: Any = _VALUE.value if leaf.case_exact else _VALUE.value_key
    row_name = _row_name(found)
    if found.attribute.multi and leaf.name in (found.attribute.subs[0].name, "type", "display", "primary"):
        row_name = found.attribute.name  # these stand in the row of the entry itself
        column = getattr(_VALUE, leaf.name) if leaf is not found.attribute.subs[0] else column
    pushed = (
        select(column)
        .where(_VALUE.user_number == _USER.number, _VALUE.attribute == row_name)
        .order_by(_VALUE.primary.desc(), _VALUE.position)
        .limit(1)
        .scalar_subquery()
    )
    if not leaf.manual:
        return pushed, False
    by_hand = getattr(_USER, leaf.manual_key) if leaf.manual_key else func.lower(getattr(_USER, leaf.manual))
    return func.coalesce(pushed, case((_USER.source == Source.MANUAL, by_hand))), False


def _split_uri(resource_type: ResourceType, name: str) -> tuple[str | None, str, str]:
    for schema in resource_type.schemas:
        if name.lower().startswith(schema.id.lower() + ":"):
            return schema.id, ":", name[len(schema.id) + 1 :]
    return None, "", name


def _combine(node: Node, leaf: Callable[[Comparison | OneEntry], Condition]) -> Condition:
    if isinstance(node, And):
        return and_(*(_combine(part, leaf) for part in node.parts))
    if isinstance(node, Or):
        return or_(*(_combine(part, leaf) for part in node.parts))
    if isinstance(node, Not):
        return not_(_combine(node.part, leaf))
    if isinstance(node, Comparison) and node.op == "ne":
        return not_(leaf(Comparison(node.path, "eq", node.value)))
    return leaf(node)


def _leaf(resource_type: ResourceType, node: Comparison | OneEntry) -> Condition:
    path = node.path
    found = resource_type.find(path.name, path.sub, uri=path.uri)
    if found is None:
        whole = ":".join(part for part in (path.uri, path.name) if part) + (f".{path.sub}" if path.sub else "")
        raise invalid_filter(f"{resource_type.name} has no attribute {whole}.")
    if isinstance(node, OneEntry):
        return _one_entry(resource_type, found, node.filter)
    attribute = found.attribute
    if attribute.name == "schemas":
        return _schemas(resource_type, node)
    if attribute.type == "complex" and found.sub is None:
        if node.op == "pr":
            return _any_part(resource_type, found)
        value = attribute.sub("value")
        if value is None:
            operand(attribute, node.op, node.value)  # raises: name a part
        found = Found(found.schema, attribute, value)
    if attribute.multi:
        absent = node.op == "eq" and node.value in (None, "")
        inner = Comparison(Path(found.leaf.name), "pr" if absent else node.op, node.value)
        condition = _one_entry(resource_type, Found(found.schema, attribute), inner)
        return not_(condition) if absent else condition
    return _single(resource_type, found, node)


def _single(resource_type: ResourceType, found: Found, node: Comparison) -> Condition:
    leaf, model = found.leaf, _model(resource_type)
    if leaf.column:
        return _compare(leaf, getattr(model, leaf.column), getattr(model, leaf.key) if leaf.key else None, node)
    if leaf.name == "resourceType":
        return true() if holds(leaf, resource_type.name, node.op, node.value) else false()
    if not _indexed(resource_type, found):
        raise invalid_filter(f"{found.attribute.name}.{leaf.name} cannot be searched.")
    name = _row_name(found)
    absent = operand(leaf, node.op, node.value) is None and node.op == "eq"
    compared = true() if absent else _compare(leaf, _VALUE.value, _VALUE.value_key, node)
    row = _has_row(_VALUE, _VALUE.attribute == name, compared, few=node.op == "eq" and not absent)
    if leaf.manual:
        column = getattr(_USER, leaf.manual)
        by_hand = _present(column) if absent else _compare(leaf, column, None, node)
        row = or_(row, and_(_USER.source == Source.MANUAL, by_hand))
    return not_(row) if absent else row


def _one_entry(resource_type: ResourceType, found: Found, node: Node) -> Condition:
    attribute = found.attribute
    if attribute.type != "complex" or found.sub is not None:
        raise invalid_filter(f"{attribute.name} has no parts to choose by.")
    if attribute.membership:
        return or_(*(_member(attribute, kind, node) for kind in kinds_of(attribute)))
    if not attribute.multi:
        return _combine(node, lambda leaf: _part(resource_type, found, leaf))
    row = _ENTRY
    holding = _combine(node, lambda leaf: _of_row(attribute, row, leaf))
    condition = _has_row(row, row.attribute == attribute.name, holding, few=_names_value(attribute, node))
    value = attribute.sub("value")
    if value is None or not value.manual:
        return condition
    by_hand = _combine(node, lambda leaf: _of_manual(attribute, leaf))
    return or_(condition, and_(_USER.source == Source.MANUAL, _USER.email.is_not(None), by_hand))


def _has_row(row: Any, *conditions: Condition, few: bool) -> Condition:
    """`few`: the index finds the rows, and they the users; SQLite would look through all users otherwise."""
    if few:
        return _USER.number.in_(select(row.user_number).where(*conditions))
    return exists().where(row.user_number == _USER.number, *conditions)


def _names_value(attribute: Attribute, node: Node) -> bool:
    if isinstance(node, And):
        return any(_names_value(attribute, part) for part in node.parts)
    first = attribute.subs[0].name.lower()
    return isinstance(node, Comparison) and node.op == "eq" and node.path.name.lower() == first and bool(node.value)


def _of_row(attribute: Attribute, row: Any, leaf: Comparison | OneEntry) -> Condition:
    sub, comparison = part_of(attribute, leaf)
    if sub.name == "primary":
        return _compare(sub, row.primary, None, comparison)
    if sub.name in ("type", "display"):
        column = getattr(row, sub.name)
        return _compare(sub, column, column, comparison)  # the index keeps them folded
    if sub.name == attribute.subs[0].name:
        return _compare(sub, row.value, row.value_key, comparison)
    other = _PART
    absent = operand(sub, comparison.op, comparison.value) is None and comparison.op == "eq"
    condition = exists().where(
        other.user_number == row.user_number,
        other.attribute == f"{attribute.name}.{sub.name}",
        other.position == row.position,
        true() if absent else _compare(sub, other.value, other.value_key, comparison),
    )
    return not_(condition) if absent else condition


def _of_manual(attribute: Attribute, leaf: Comparison | OneEntry) -> Condition:
    """The one e-mail of a user made by hand, which a read shows as primary and of type work."""
    sub, comparison = part_of(attribute, leaf)
    if sub.manual:
        return _compare(sub, getattr(_USER, sub.manual), getattr(_USER, sub.manual_key), comparison)
    shown = {"type": "work", "primary": True}.get(sub.name)
    return true() if holds(sub, shown, comparison.op, comparison.value) else false()


def _member(attribute: Attribute, kind: Kind, node: Node) -> Condition:
    """Whether an entry of this kind meets the filter; a kind that cannot is left out of the statement."""

    def of_entry(leaf: Comparison | OneEntry) -> Condition:
        sub, comparison = part_of(attribute, leaf)
        if sub.name not in kind.parts:
            raise invalid_filter(f"{attribute.name}.{sub.name} cannot be searched.")
        part = kind.parts[sub.name]
        if isinstance(part, str):
            return true() if holds(sub, part, comparison.op, comparison.value) else false()
        wanted = comparison.value
        if sub.name == "value" and comparison.op == "eq" and wanted and not str(wanted).startswith(kind.prefix):
            return false()
        return _compare(sub, *part, comparison)

    condition = _combine(node, of_entry)
    return false() if isinstance(condition, False_) else exists().where(kind.join, condition)


def _any_part(resource_type: ResourceType, found: Found) -> Condition:
    """`name pr`, `emails pr`, `meta pr`: at least one part has a value."""
    attribute = found.attribute
    if attribute.name == "meta":
        return true()
    if attribute.multi:
        anything = Or(
            tuple(Comparison(Path(sub.name), "pr") for sub in attribute.subs if sub.name not in ("$ref", "primary"))
        )
        return _one_entry(resource_type, found, anything)
    return or_(
        *(
            _single(resource_type, Found(found.schema, attribute, sub), Comparison(Path(sub.name), "pr"))
            for sub in attribute.subs
        )
    )


def _schemas(resource_type: ResourceType, node: Comparison) -> Condition:
    if node.op == "pr":
        return true()
    if node.op != "eq" or not isinstance(node.value, str):
        raise invalid_filter("schemas takes eq, ne and pr.")
    schema = resource_type.schema_of(node.value)
    if schema is None or schema is resource_type.schema:
        return true() if schema else false()
    names = [_row_name(Found(schema, a, sub)) for a in schema.attributes for sub in (a.subs or (None,))]
    return exists().where(_VALUE.user_number == _USER.number, _VALUE.attribute.in_(names))


def _compare(attribute: Attribute, column: Any, key: Any, node: Comparison) -> Condition:
    if node.op == "pr":
        return _present(column, attribute)
    wanted = operand(attribute, node.op, node.value)
    if wanted is None:
        return not_(_present(column, attribute)) if node.op == "eq" else _present(column, attribute)
    if attribute.type == "boolean":
        return column.is_(wanted)  # type: ignore[no-any-return]
    if attribute.type != "dateTime" and not attribute.case_exact:
        column = key if key is not None else func.lower(column)
    there = _present(column, attribute) if node.op in ("lt", "le") else column.is_not(None)  # "" is no value
    return and_(there, _rule(column, node.op, wanted))


def _rule(column: Any, op: str, wanted: Any) -> Condition:
    """Not by LIKE: on SQLite that ignores the case of ASCII letters, also where the case counts."""
    if op == "co":
        condition: Condition = func.replace(column, wanted, "") != column
    elif op == "sw":
        condition = func.substr(column, 1, len(wanted)) == wanted
    elif op == "ew":
        start = func.length(column) - len(wanted) + 1
        condition = and_(start >= 1, func.substr(column, start) == wanted)
    else:
        condition = _ORDER[op](column, wanted)
    return condition


_ORDER: dict[str, Callable[[Any, Any], Condition]] = {
    "eq": operator.eq,
    "gt": operator.gt,
    "ge": operator.ge,
    "lt": operator.lt,
    "le": operator.le,
}


def _present(column: Any, attribute: Attribute | None = None) -> Condition:
    if attribute is not None and attribute.type in ("boolean", "dateTime"):
        return column.is_not(None)  # type: ignore[no-any-return]
    return and_(column.is_not(None), column != "")


def _part(resource_type: ResourceType, found: Found, leaf: Comparison | OneEntry) -> Condition:
    sub, comparison = part_of(found.attribute, leaf)
    return _single(resource_type, Found(found.schema, found.attribute, sub), comparison)


def _row_name(found: Found) -> str:
    return f"{found.attribute.name}.{found.sub.name}" if found.sub else found.attribute.name


def _indexed(resource_type: ResourceType, found: Found) -> bool:
    return resource_type.name == "User" and found.attribute.kept and found.attribute in found.schema.attributes


def _model(resource_type: ResourceType) -> Any:
    return _USER if resource_type.name == "User" else _GROUP


def _column(model: Any, leaf: Attribute) -> ColumnElement[Any]:
    column: ColumnElement[Any] = getattr(model, leaf.key or leaf.column)
    return column
