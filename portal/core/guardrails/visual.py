"""A policy as the visual editor shows it: statements with fields instead of JSON, and back, without loss (SCP-2).

    read(document) -> statements         NotShown, with the reason in words, where the fields cannot hold it
    write(statements) -> document        whatever was typed: the grammar judges it afterwards

One value and a list of one mean the same, as do a number and its text: only such things may look different afterwards.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from portal.core.cam import catalogue
from portal.core.cam.faults import faults
from portal.core.text import storable

ALL_SERVICES = "*"
OTHER_SERVICES = ""
PREFIXES = ("", "for_any_value", "for_all_value")
_KEYS = {"effect", "action", "resource", "condition"}


class NotShown(ValueError):
    """The visual editor has no fields for this document."""

    def __init__(self, reason: str) -> None:
        super().__init__(storable(reason))


@dataclass
class Condition:
    """`operator` is the bare one; `values` are one a line."""

    prefix: str = ""
    operator: str = "ip_equal"
    if_exist: bool = False
    key: str = ""
    values: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"{self.prefix + ':' if self.prefix else ''}{self.operator}{'_if_exist' if self.if_exist else ''}"

    @property
    def is_blank(self) -> bool:
        return not self.key and not self.values


@dataclass
class Statement:
    """`service` is one of the catalogue, ALL_SERVICES or OTHER_SERVICES; `chosen` are names of its actions.

    `typed` are whole actions; without a colon they are of the service.
    """

    effect: str = "deny"
    service: str = OTHER_SERVICES
    every_action: bool = False
    chosen: list[str] = field(default_factory=list)
    typed: list[str] = field(default_factory=list)
    every_resource: bool = True
    resources: list[str] = field(default_factory=list)
    conditions: list[Condition] = field(default_factory=list)

    @property
    def actions(self) -> list[str]:
        if self.every_action and self.service:
            return ["*" if self.service == ALL_SERVICES else f"{self.service}:*"]
        typed = [self._whole(action) for action in self.typed]
        return list(dict.fromkeys([f"{self.service}:{name}" for name in self.chosen] + typed))

    def _whole(self, action: str) -> str:
        return action if ":" in action or "/" in action or not self.service else f"{self.service}:{action}"


def write(statements: Iterable[Statement]) -> str:
    """JSON laid out for reading."""
    content = {"version": "2.0", "statement": [_statement(one) for one in statements]}
    return json.dumps(content, indent=2, ensure_ascii=False)


def repeated(statement: Statement) -> list[int]:
    """Conditions (from 0) whose operator and key another one has already: JSON holds each pair once."""
    seen: set[tuple[str, str]] = set()
    found = []
    for index, condition in enumerate(statement.conditions):
        pair = (condition.name, condition.key)
        if not condition.is_blank and pair in seen:
            found.append(index)
        seen.add(pair)
    return found


def read(document: str) -> list[Statement]:
    """Raises NotShown."""
    found = faults(document)
    shapeless = [fault for fault in found if fault.error.statement is None]
    if shapeless:
        raise NotShown(str(shapeless[0].error))
    content = json.loads(document)
    listed = content["statement"] if isinstance(content["statement"], list) else [content["statement"]]
    statements = [_read(number, statement) for number, statement in enumerate(listed, start=1)]
    if _meaning(json.loads(write(statements))["statement"]) != _meaning(listed):
        raise NotShown("It holds something that the fields would lose.")
    return statements


def _statement(statement: Statement) -> dict[str, Any]:
    content: dict[str, Any] = {
        "effect": statement.effect,
        "action": statement.actions,
        "resource": "*" if statement.every_resource else statement.resources,
    }
    condition: dict[str, dict[str, list[str]]] = {}
    for one in statement.conditions:
        if not one.is_blank:
            condition.setdefault(one.name, {}).setdefault(one.key, []).extend(one.values)
    return {**content, "condition": condition} if condition else content


def _read(number: int, content: Any) -> Statement:
    if not isinstance(content, Mapping):
        raise NotShown(f"Statement {number} is no object.")
    for key in content:
        if key not in _KEYS:
            raise NotShown(f"Statement {number} has the key {key[:80]}.")
    if content.get("effect") not in ("allow", "deny"):
        raise NotShown(f"Statement {number} has neither allow nor deny as effect.")
    actions = list(dict.fromkeys(_texts(number, "action", content.get("action", []))))
    resources = _texts(number, "resource", content.get("resource", []))
    service = _service(actions)
    every_action = actions in (["*"], ["*:*"]) or (service not in ("", "*") and actions == [f"{service}:*"])
    chosen = []
    if service in catalogue.services():
        offered = {f"{service}:{name}": name for name in catalogue.services()[service].actions}
        chosen = [offered[action] for action in actions if action in offered]
    return Statement(
        effect=content["effect"],
        service=service,
        every_action=every_action,
        chosen=chosen,
        typed=[] if every_action else [one for one in actions if one.partition(":")[2] not in chosen],
        every_resource=resources == ["*"],
        resources=[] if resources == ["*"] else resources,
        conditions=list(_conditions(number, content.get("condition", {}))),
    )


def _service(actions: list[str]) -> str:
    """The service of the catalogue, or all of them, that every one of these actions names."""
    names = {action if action == "*" else action.rpartition(":")[0] for action in actions}
    only = names.pop() if len(names) == 1 else OTHER_SERVICES
    if only == ALL_SERVICES and len(actions) > 1 and "*" in actions:
        return OTHER_SERVICES
    return only if only == ALL_SERVICES or only in catalogue.services() else OTHER_SERVICES


def _conditions(number: int, content: Any) -> Iterable[Condition]:
    if not isinstance(content, Mapping):
        raise NotShown(f"The condition of statement {number} is no object.")
    for name, keys in content.items():
        prefix, _, bare = name.rpartition(":")
        if prefix not in PREFIXES or not isinstance(keys, Mapping):
            raise NotShown(f"The condition {name[:80]} of statement {number} has another form than operator and key.")
        for key, values in keys.items():
            if not _fits_a_line(key):
                raise NotShown(
                    f"The condition {name[:80]} of statement {number} has a key that does not fit on a line."
                )
            texts = _texts(number, f"condition {name[:80]}", values, numbers=True)
            yield Condition(prefix, bare.removesuffix("_if_exist"), bare.endswith("_if_exist"), key, texts)


def _texts(number: int, element: str, value: Any, *, numbers: bool = False) -> list[str]:
    listed = value if isinstance(value, list) else [value]
    texts = [_text(one) if numbers else one for one in listed]
    for text in texts:
        if not isinstance(text, str) or not _fits_a_line(text):
            raise NotShown(f"Statement {number}, {element}, has a value that does not fit on a line of its own.")
    return texts


def _fits_a_line(text: str) -> bool:
    return bool(text) and text.isprintable() and text == text.strip()


def _text(value: Any) -> Any:
    """As the grammar reads the values of conditions."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else value


def _meaning(statements: list[Any]) -> list[Any]:
    """What two documents must have in common to be the same policy."""
    return [
        (
            one.get("effect"),
            sorted({"*:*" if action == "*" else action for action in _list(one.get("action", []))}),
            _list(one.get("resource", [])),
            {
                name: {key: [_text(value) for value in _list(values)] for key, values in keys.items()}
                for name, keys in one.get("condition", {}).items()
            },
        )
        for one in statements
    ]


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
