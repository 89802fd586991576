"""Filter text to a clean tree (RFC 7644 section 3.4.2.2).

The grammar is scim2-filter-parser's. Its tree is right once literals are lifted out before (its lexer knows neither
escapes nor numbers nor dates) and precedence is rebuilt after (its `and` and `or` bind alike): a bracketed group is a
Filter directly in a Filter, a bare one is not, so a left-leaning run of bare LogExpr nodes is taken apart and grouped
again, `and` first.
Every failure is 400 invalidFilter.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from scim2_filter_parser import ast
from scim2_filter_parser.lexer import SCIMLexer
from scim2_filter_parser.parser import SCIMParser, SCIMParserError

from scim.errors import ScimError, invalid_filter

MAX_LENGTH = 4096
MAX_DEPTH = 20
MAX_TERMS = 100

Literal = str | int | float | bool | None
_LITERAL = re.compile(
    r'(?<=\s)(eq|ne|co|sw|ew|gt|ge|lt|le)(?:\s*("(?:[^"\\\x00-\x1f]|\\.)*")|\s+([^\s()\[\]"]+))(?=[\s)\]]|$)',
    re.IGNORECASE,
)
_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?")
_NAMED: dict[str, Literal] = {"true": True, "false": False, "null": None}


@dataclass(frozen=True)
class Path:
    name: str
    sub: str | None = None
    uri: str | None = None


@dataclass(frozen=True)
class Comparison:
    """`op` in lower case; `value` is None for `pr`."""

    path: Path
    op: str
    value: Literal = None


@dataclass(frozen=True)
class OneEntry:
    """`emails[...]`: the filter holds for one entry (its paths are sub-attributes)."""

    path: Path
    filter: Node


@dataclass(frozen=True)
class Not:
    part: Node


@dataclass(frozen=True)
class And:
    parts: tuple[Node, ...]


@dataclass(frozen=True)
class Or:
    parts: tuple[Node, ...]


Node = Comparison | OneEntry | Not | And | Or


def parse(text: str, *, strict: bool = False) -> Node:
    """`strict`: only what RFC 7644's grammar has. Raises ScimError 400 invalidFilter."""
    if len(text) > MAX_LENGTH:
        raise invalid_filter(f"A filter has at most {MAX_LENGTH} characters.")
    _check_depth(text)
    lifted, literals = _lift(text, strict)
    try:
        tree = _tree(lifted)
        if tree is None:
            raise invalid_filter("The filter is empty.")
        return _Cleaner(literals, strict).clean(tree)
    except ScimError:
        raise
    except (SCIMParserError, ValueError, AttributeError, IndexError, TypeError, RecursionError):
        raise invalid_filter("The filter could not be understood; see RFC 7644 section 3.4.2.2.") from None


@lru_cache(maxsize=512)
def _tree(lifted: str) -> Any:
    """Without its literals a question looks alike every time: an IdP has a handful of them. Nobody changes a tree."""
    return SCIMParser().parse(SCIMLexer().tokenize(lifted))


def _check_depth(text: str) -> None:
    depth = 0
    for char in re.sub(r'"(?:[^"\\]|\\.)*"', "", text):
        depth += (char in "([") - (char in ")]")
        if depth > MAX_DEPTH:
            raise invalid_filter(f"A filter has at most {MAX_DEPTH} brackets inside each other.")


def _lift(text: str, strict: bool) -> tuple[str, list[Literal]]:
    """Put an index in the place of every literal: `userName eq "a\\"b"` -> `userName eq "0"`."""
    literals: list[Literal] = []
    pieces: list[str] = []
    end = 0
    for found in _LITERAL.finditer(text):
        between = text[end : found.start()]
        pieces += [between, f'{found[1]} "{len(literals)}"']
        literals.append(_literal(found[2] or found[3], strict))
        if strict and text[found.end(1)] == '"':
            raise invalid_filter("A blank stands between operator and value.")
        end = found.end()
    pieces.append(text[end:])
    if any('"' in piece for piece in pieces[::2]):
        raise invalid_filter("A quoted value stands after an operator and ends with a quote.")
    if len(literals) > MAX_TERMS:
        raise invalid_filter(f"A filter has at most {MAX_TERMS} comparisons.")
    return "".join(pieces), literals


def _literal(text: str, strict: bool) -> Literal:
    """A JSON value; unless strict, bare words that are none (dates, unquoted names) are taken as text."""
    if "\x00" in text or "\\u0000" in text:
        raise invalid_filter("A value holds no NUL character.")
    if text.startswith('"'):
        try:
            value = str(json.loads(text))
            value.encode()
        except ValueError:
            raise invalid_filter("A quoted value has an escape that JSON does not know.") from None
        return value
    if (text if strict else text.lower()) in _NAMED:
        return _NAMED[text.lower()]
    if _NUMBER.fullmatch(text) and len(text) <= 30:
        return int(text) if text.lstrip("-").isdigit() else float(text)
    if strict:
        raise invalid_filter(f"{text[:64]} is no JSON value: text stands in quotes.")
    return text


class _Cleaner:
    def __init__(self, literals: list[Literal], strict: bool) -> None:
        self.literals = literals
        self.strict = strict
        self.terms = 0

    def clean(self, node: Any) -> Node:
        if isinstance(node, ast.Filter):
            if node.namespace is not None:
                inner = self.clean(node.expr)
                path = _path(node.namespace)
                result: Node = OneEntry(path, inner)
            else:
                result = self.clean(node.expr)
            return Not(result) if node.negated else result
        if isinstance(node, ast.LogExpr):
            return self._regroup(node)
        return self._comparison(node)

    def _regroup(self, node: Any) -> Node:
        operands: list[Any] = []
        operators: list[str] = []
        while isinstance(node, ast.LogExpr):
            operands.append(node.expr2)
            operators.append(node.op.lower())
            left = node.expr1
            bare = not left.negated and left.namespace is None and isinstance(left.expr, ast.LogExpr)
            node = left.expr if bare else left
        operands.append(node)
        parts = [self.clean(operand) for operand in reversed(operands)]
        groups: list[list[Node]] = [[parts[0]]]
        for operator, part in zip(reversed(operators), parts[1:], strict=True):
            if operator == "and":
                groups[-1].append(part)
            else:
                groups.append([part])
        joined: list[Node] = [group[0] if len(group) == 1 else And(tuple(group)) for group in groups]
        return joined[0] if len(joined) == 1 else Or(tuple(joined))

    def _comparison(self, node: Any) -> Node:
        self.terms += 1
        if self.terms > MAX_TERMS:
            raise invalid_filter(f"A filter has at most {MAX_TERMS} comparisons.")
        op = node.value.lower()
        value = None if node.comp_value is None else self.literals[int(node.comp_value.value)]
        if not isinstance(node.attr_path.attr_name, ast.Filter):
            return Comparison(_path(node.attr_path), op, value)
        if self.strict:
            raise invalid_filter("Nothing follows a filter in brackets: the comparison stands in it, joined by and.")
        # emails[type eq "work"].value eq "x": not in the RFC's grammar, but Entra's way of matching by e-mail
        selection = node.attr_path.attr_name
        whole = _path(selection.namespace)
        comparison = Comparison(Path(whole.sub or "value"), "eq" if op == "ne" else op, value)
        entry = OneEntry(Path(whole.name, None, whole.uri), And((self.clean(selection.expr), comparison)))
        return Not(entry) if op == "ne" else entry


def _path(node: Any) -> Path:
    if isinstance(node.attr_name, ast.Filter):
        raise invalid_filter("A filter in brackets stands after the name of an attribute.")
    return Path(node.attr_name, node.sub_attr.value if node.sub_attr else None, node.uri)
