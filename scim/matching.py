"""Comparing one value, and choosing entries of a multi-valued attribute in memory (paths of PATCH)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from portal.core.text import fold
from scim.attributes import Attribute
from scim.errors import invalid_filter
from scim.parsing import And, Comparison, Literal, Node, Not, OneEntry, Or

ORDERING = ("gt", "ge", "lt", "le")
SUBSTRING = ("co", "sw", "ew")


def boolean(value: Any) -> bool | None:
    """true, false, and the texts that Entra sends; None for anything else."""
    if isinstance(value, bool):
        return value
    return {"true": True, "false": False}.get(value.lower()) if isinstance(value, str) else None


def moment(text: str) -> datetime:
    """A dateTime (RFC 7643 section 2.3.5), UTC when it names no zone; more than six digits of a second are cut.

    Raises ScimError 400 invalidFilter.
    """
    try:
        found = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text))
        return found.replace(tzinfo=found.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError):
        raise invalid_filter(f"{text!r} is not a time such as 2026-01-31T12:00:00Z.") from None


def operand(attribute: Attribute, op: str, value: Literal) -> Any:
    """The literal in the attribute's type: bool, datetime, or text (folded unless the case counts). None: null and "".

    Raises ScimError 400 invalidFilter for an operator that the type does not have.
    """
    if attribute.type == "complex":
        raise invalid_filter(
            f"{attribute.name} has parts: name one of them, such as {attribute.name}.{attribute.subs[0].name}."
        )
    if value is None or value == "":
        if op in ORDERING or (value is None and op in SUBSTRING):
            raise invalid_filter(f"{op} needs a value.")
        return None
    if attribute.type == "boolean":
        truth = boolean(value)
        if op in ORDERING + SUBSTRING or truth is None:
            raise invalid_filter(f"{attribute.name} is true or false and takes eq and ne only.")
        return truth
    if attribute.type == "dateTime":
        if op in SUBSTRING or not isinstance(value, str):
            raise invalid_filter(f"{attribute.name} is a time and takes eq, ne, gt, ge, lt and le with a time.")
        return moment(value)
    if attribute.type == "binary" and op in ORDERING:
        raise invalid_filter(f"{attribute.name} is binary and takes no {op}.")
    text = {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)
    return text if attribute.case_exact else fold(text)


def holds(attribute: Attribute, actual: Any, op: str, value: Literal) -> bool:
    """Whether a single value (None when unassigned) meets the comparison."""
    present = actual is not None and actual != ""
    if op == "pr":
        return present
    if op == "ne":
        return not holds(attribute, actual, "eq", value)
    wanted = operand(attribute, op, value)
    if wanted is None:
        return not present if op == "eq" else present
    if not present:
        return False
    have = actual
    if attribute.type == "dateTime":
        have = moment(actual) if isinstance(actual, str) else actual
    elif attribute.type != "boolean" and not attribute.case_exact:
        have = fold(str(actual))
    return bool(_RULES[op](have, wanted))


_RULES: Mapping[str, Any] = {
    "eq": lambda have, wanted: have == wanted,
    "co": lambda have, wanted: wanted in have,
    "sw": lambda have, wanted: have.startswith(wanted),
    "ew": lambda have, wanted: have.endswith(wanted),
    "gt": lambda have, wanted: have > wanted,
    "ge": lambda have, wanted: have >= wanted,
    "lt": lambda have, wanted: have < wanted,
    "le": lambda have, wanted: have <= wanted,
}


def entry_matches(attribute: Attribute, entry: Mapping[str, Any], node: Node) -> bool:
    """Whether one entry of `attribute` meets the filter that stood in brackets."""
    if isinstance(node, And):
        return all(entry_matches(attribute, entry, part) for part in node.parts)
    if isinstance(node, Or):
        return any(entry_matches(attribute, entry, part) for part in node.parts)
    if isinstance(node, Not):
        return not entry_matches(attribute, entry, node.part)
    sub, comparison = part_of(attribute, node)
    unmarked = False if sub.name == "primary" else None  # RFC 7643 section 2.4
    return holds(sub, entry.get(sub.name, unmarked), comparison.op, comparison.value)


def part_of(attribute: Attribute, node: Node) -> tuple[Attribute, Comparison]:
    """The sub-attribute that a comparison inside brackets names. Raises ScimError 400 invalidFilter."""
    if isinstance(node, OneEntry) or not isinstance(node, Comparison):
        raise invalid_filter("Brackets do not stand inside brackets.")
    sub = None if node.path.sub or node.path.uri else attribute.sub(node.path.name)
    if sub is None:
        raise invalid_filter(f"{attribute.name} has no part {node.path.name}.")
    return sub, node
