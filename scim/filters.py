"""A filter's tree as SQL: nothing is filtered in Python.

Multi-valued attributes become EXISTS, `ne` is "none equals" (RFC 7644 section 3.4.2.2 leaves it open), every
comparison is true or false and never NULL, so that `not` means what it says. A name that we do not know is 400
invalidFilter: dropping it would widen the answer.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from sqlalchemy import ColumnElement, and_, exists, false, func, not_, or_, select, true
from sqlalchemy.orm import aliased

from portal.core.directory.models import Group, Membership, Source, User, UserValue
from scim.attributes import Attribute, Found, ResourceType
from scim.errors import invalid_filter
from scim.matching import holds, operand, part_of
from scim.parsing import And, Comparison, Node, Not, OneEntry, Or, Path

Condition = ColumnElement[bool]


def where(resource_type: ResourceType, node: Node) -> Condition:
    """Raises ScimError 400 invalidFilter (an unknown name, an operator that does not suit the type)."""
    return _combine(node, lambda leaf: _leaf(resource_type, leaf))


def order_by(resource_type: ResourceType, name: str) -> ColumnElement[Any]:
    """What `sortBy` sorts by; of a multi-valued attribute the primary entry, else the first. Raises ScimError 400."""
    schema, _, bare = _split_uri(resource_type, name)
    attribute, _, sub = bare.partition(".")
    found = resource_type.find(attribute, sub or None, uri=schema)
    if found is not None and found.attribute.type == "complex" and found.sub is None:
        found = resource_type.find(attribute, "value", uri=schema)
    if found is None or found.attribute.membership or not found.attribute.kept:
        raise invalid_filter(f"sortBy: there is nothing to sort by called {name}.")
    leaf, model = found.leaf, _model(resource_type)
    if leaf.column:
        return _column(model, leaf)
    if not _indexed(resource_type, found):
        raise invalid_filter(f"sortBy: {name} cannot be sorted by.")
    column = UserValue.value if leaf.case_exact else UserValue.value_key
    return (
        select(column)
        .where(UserValue.user_number == User.number, UserValue.attribute == _row_name(found))
        .order_by(UserValue.primary.desc(), UserValue.position)
        .limit(1)
        .scalar_subquery()
    )


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
    row: Condition = exists().where(
        UserValue.user_number == User.number,
        UserValue.attribute == name,
        true() if absent else _compare(leaf, UserValue.value, UserValue.value_key, node),
    )
    if leaf.manual:
        column = getattr(User, leaf.manual)
        by_hand = _present(column) if absent else _compare(leaf, column, None, node)
        row = or_(row, and_(User.source == Source.MANUAL, by_hand))
    return not_(row) if absent else row


def _one_entry(resource_type: ResourceType, found: Found, node: Node) -> Condition:
    attribute = found.attribute
    if attribute.type != "complex" or found.sub is not None:
        raise invalid_filter(f"{attribute.name} has no parts to choose by.")
    if attribute.membership:
        return _membership(resource_type, attribute, node)
    if not attribute.multi:
        return _combine(node, lambda leaf: _part(resource_type, found, leaf))
    row = aliased(UserValue)
    condition = exists().where(
        row.user_number == User.number,
        row.attribute == attribute.name,
        _combine(node, lambda leaf: _of_row(attribute, row, leaf)),
    )
    value = attribute.sub("value")
    if value is None or not value.manual:
        return condition
    by_hand = _combine(node, lambda leaf: _of_manual(attribute, leaf))
    return or_(condition, and_(User.source == Source.MANUAL, User.email.is_not(None), by_hand))


def _of_row(attribute: Attribute, row: Any, leaf: Comparison | OneEntry) -> Condition:
    sub, comparison = part_of(attribute, leaf)
    if sub.name == "primary":
        return _compare(sub, row.primary, None, comparison)
    if sub.name in ("type", "display"):
        column = getattr(row, sub.name)
        return _compare(sub, column, column, comparison)  # the index keeps them folded
    if sub.name == attribute.subs[0].name:
        return _compare(sub, row.value, row.value_key, comparison)
    other = aliased(UserValue)
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
        return _compare(sub, getattr(User, sub.manual), getattr(User, sub.manual_key), comparison)
    shown = {"type": "work", "primary": True}.get(sub.name)
    return true() if holds(sub, shown, comparison.op, comparison.value) else false()


def _membership(resource_type: ResourceType, attribute: Attribute, node: Node) -> Condition:
    member = Membership.__table__.alias()
    if resource_type.name == "User":
        other: Any = aliased(Group)
        join = and_(member.c.user_id == User.id, other.id == member.c.group_id)
    else:
        other = aliased(User)
        join = and_(member.c.group_id == Group.id, other.id == member.c.user_id)

    def of_other(leaf: Comparison | OneEntry) -> Condition:
        sub, comparison = part_of(attribute, leaf)
        if sub.constant:
            return true() if holds(sub, sub.constant, comparison.op, comparison.value) else false()
        if not sub.column:
            raise invalid_filter(f"{attribute.name}.{sub.name} cannot be searched.")
        return _compare(sub, getattr(other, sub.column), getattr(other, sub.key) if sub.key else None, comparison)

    return exists().where(join, _combine(node, of_other))


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
    return exists().where(UserValue.user_number == User.number, UserValue.attribute.in_(names))


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
    return and_(column.is_not(None), _rule(column, node.op, wanted))


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
    return User if resource_type.name == "User" else Group


def _column(model: Any, leaf: Attribute) -> ColumnElement[Any]:
    column: ColumnElement[Any] = getattr(model, leaf.key or leaf.column)
    return column
