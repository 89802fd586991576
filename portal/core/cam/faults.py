"""Every fault of a policy at once, each with its line, for those who write one (SCP-2). `parse` stops at the first."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from portal.core.cam.policy import PolicyError, parse

_SOUND = {"effect": "allow", "action": "*", "resource": "*"}
_REQUIRED = tuple(_SOUND)
_ELEMENTS = (*_REQUIRED, "condition")
_BLANKS = re.compile(r"[ \t\r\n]*")
_value_at = json.JSONDecoder().raw_decode


@dataclass(frozen=True, slots=True)
class Fault:
    """`line` from 1, of the element or of what lacks it."""

    error: PolicyError
    line: int


def faults(document: str) -> list[Fault]:
    """One for each part that breaks a rule, in the order of the document; none for what `parse` reads.

    A document whose shape is wrong has one fault, which hides all others.
    """
    try:
        parse(document)
    except PolicyError as first:
        if first.statement is None:
            return [Fault(first, _line(document, first))]
    else:
        return []
    statements = json.loads(document)["statement"]
    listed = statements if isinstance(statements, list) else [statements]
    errors = [error for number, statement in enumerate(listed, start=1) for error in _errors(number, statement)]
    return [Fault(error, _line(document, error)) for error in errors]


def _errors(number: int, statement: Any) -> Iterator[PolicyError]:
    for part in _parts(statement) if isinstance(statement, Mapping) else [statement]:
        try:
            parse({"version": "2.0", "statement": [part]})
        except PolicyError as error:
            yield PolicyError(number, error.element, error.rule, error.code)


def _parts(statement: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The statement once for each of its elements, with the others sound."""
    yield {**_SOUND, **{key: value for key, value in statement.items() if key not in _ELEMENTS}}
    for element in _ELEMENTS:
        part = {key: value for key, value in _SOUND.items() if key != element}
        if element in statement:
            yield {**part, element: statement[element]}
        elif element in _REQUIRED:
            yield part


def _line(document: str, error: PolicyError) -> int:
    try:
        json.loads(document)
        at = _place(document, error)
    except json.JSONDecodeError as fault:
        return fault.lineno
    except (ValueError, RecursionError):
        return 1
    return document.count("\n", 0, at) + 1


def _place(document: str, error: PolicyError) -> int:
    at = _skip(document, 0)
    if error.statement is not None:
        at = next((value for key, _, value in _members(document, at) if key == "statement"), at)
        if document[at] == "[":
            at = list(_items(document, at))[error.statement - 1]
    if document[at] != "{":
        return at
    return next((place for key, place, _ in _members(document, at) if key == error.element), at)


def _members(text: str, at: int) -> Iterator[tuple[str, int, int]]:
    """Key, its place and the place of its value, of the object that begins at `at` in JSON without faults."""
    at = _skip(text, at + 1)
    while text[at] != "}":
        key, end = _value_at(text, at)
        value = _skip(text, _skip(text, end) + 1)
        yield key, at, value
        at = _next(text, value)


def _items(text: str, at: int) -> Iterator[int]:
    at = _skip(text, at + 1)
    while text[at] != "]":
        yield at
        at = _next(text, at)


def _next(text: str, value: int) -> int:
    after = _skip(text, _value_at(text, value)[1])
    return _skip(text, after + 1) if text[after] == "," else after


def _skip(text: str, at: int) -> int:
    found = _BLANKS.match(text, at)
    return found.end() if found else at
