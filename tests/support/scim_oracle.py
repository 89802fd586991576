"""What a filter means, said again and naively: over the JSON of a resource; of the product only the tree is used."""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime
from typing import Any

from scim.parsing import And, Comparison, Node, Not, OneEntry, Or

EXACT = {"id", "externalid", "value of groups", "value of members", "value of manager", "value of photos"}
TIMES = {"created", "lastmodified"}
BOOLEANS = {"active", "primary"}


def matches(resource: dict[str, Any], node: Node) -> bool:
    if isinstance(node, And):
        return all(matches(resource, part) for part in node.parts)
    if isinstance(node, Or):
        return any(matches(resource, part) for part in node.parts)
    if isinstance(node, Not):
        return not matches(resource, node.part)
    value = _named(resource, node.path.name, node.path.uri)
    if isinstance(node, OneEntry):
        return any(_entry(node.path.name, entry, node.filter) for entry in _entries(value))
    if isinstance(value, dict | list):
        sub = node.path.sub or "value"
        if node.op == "pr" and node.path.sub is None:
            return bool(value)
        candidates = [_get(entry, sub) if isinstance(entry, dict) else entry for entry in _entries(value)]
        return _any(candidates, node, sub, node.path.name)
    return _any([value], node, node.path.sub or node.path.name, node.path.name)


def _entry(name: str, entry: dict[str, Any], node: Node) -> bool:
    if isinstance(node, And):
        return all(_entry(name, entry, part) for part in node.parts)
    if isinstance(node, Or):
        return any(_entry(name, entry, part) for part in node.parts)
    if isinstance(node, Not):
        return not _entry(name, entry, node.part)
    assert isinstance(node, Comparison)
    return _any([_get(entry, node.path.name)], node, node.path.name, name)


def _any(candidates: list[Any], node: Comparison, leaf: str, attribute: str) -> bool:
    if node.op == "ne":
        return not any(_holds(candidate, "eq", node.value, leaf, attribute) for candidate in candidates)
    if node.op == "eq" and node.value in (None, ""):
        return all(candidate in (None, "") for candidate in candidates)
    return any(_holds(candidate, node.op, node.value, leaf, attribute) for candidate in candidates)


def _holds(have: Any, op: str, wanted: Any, leaf: str, attribute: str) -> bool:
    if op == "pr":
        return have not in (None, "")
    if wanted in (None, "") and wanted is not False:
        return (have in (None, "")) == (op == "eq")
    if have in (None, "") and have is not False:
        return False
    if leaf.lower() in BOOLEANS:
        return bool(have is (str(wanted).lower() == "true"))
    if leaf.lower() in TIMES:
        have, wanted = _time(have), _time(wanted)
    elif leaf.lower() not in EXACT and f"{leaf.lower()} of {attribute.lower()}" not in EXACT:
        have, wanted = _fold(have), _fold(str(wanted))
    return bool(
        {
            "eq": lambda: have == wanted,
            "co": lambda: wanted in have,
            "sw": lambda: have.startswith(wanted),
            "ew": lambda: have.endswith(wanted),
            "gt": lambda: have > wanted,
            "ge": lambda: have >= wanted,
            "lt": lambda: have < wanted,
            "le": lambda: have <= wanted,
        }[op]()
    )


def _named(resource: dict[str, Any], name: str, uri: str | None) -> Any:
    places = [resource] + [value for key, value in resource.items() if ":enterprise:" in key]
    if uri and ":enterprise:" in uri:
        places = places[1:]
    return next((found for place in places if (found := _get(place, name)) is not None), None)


def _get(mapping: dict[str, Any], name: str) -> Any:
    return next((value for key, value in mapping.items() if key.lower() == name.lower()), None)


def _entries(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value] if value else []


def _fold(text: str) -> str:
    return unicodedata.normalize("NFC", text).casefold()


def _time(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    return found.replace(tzinfo=found.tzinfo or UTC)
