"""The `condition` of a statement: `{operator: {key: value or values}}`, compiled when the policy is read.

Operators and keys are all required (AND); of the values of one key one is enough (OR). A negated operator is
the exact opposite of its positive one: no value may fit. Condition keys are case sensitive.

A key that the request does not carry: the clause is false, for negated operators too (as the real product has it),
except with `_if_exist` and with `null_equal`, which asks for just that.

A key with several values in the request: `for_any_value:` wants one of them to pass, `for_all_value:` every
one; without a prefix a positive operator wants one, a negated one every one. A value of the request that
cannot be read as a number, date or address equals nothing.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any

from portal.core.cam.matching import Code, Pattern, PolicyError, quoted

Context = Mapping[str, str | Sequence[str]]

_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?")
_TRUTH = {"true": True, "1": True, "false": False, "0": False}


@dataclass(frozen=True, slots=True)
class Operator:
    """How the values of the policy and of the request are read (ValueError: not one) and when they agree."""

    wants: str
    policy_value: Callable[[str], Any]
    request_value: Callable[[str], Any]
    agree: Callable[[Any, Any, Mapping[str, str]], bool]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Clause:
    """One operator on one key."""

    key: str
    operator: Operator
    values: tuple[Any, ...]
    when_absent: bool
    every: bool

    def met(self, context: Context, variables: Mapping[str, str]) -> bool:
        given = context.get(self.key)
        if given is None or (not given and given != ""):
            return self.when_absent
        passes = (self._passes(one, variables) for one in ((given,) if isinstance(given, str) else given))
        return all(passes) if self.every else any(passes)

    def _passes(self, given: str, variables: Mapping[str, str]) -> bool:
        try:
            actual = self.operator.request_value(given)
        except ValueError:
            return self.operator.negated
        agrees = any(self.operator.agree(actual, value, variables) for value in self.values)
        return agrees != self.operator.negated


@dataclass(frozen=True, slots=True)
class NullClause:
    """`null_equal`: with true the key must be absent or empty, with false it must have a value."""

    key: str
    absent: bool

    def met(self, context: Context, variables: Mapping[str, str]) -> bool:
        return (not context.get(self.key)) == self.absent


Condition = tuple[Clause | NullClause, ...]


def compile_condition(condition: object) -> Condition:
    """Read a condition element; raise PolicyError (element condition) naming operator, key and rule."""
    clauses: list[Clause | NullClause] = []
    for name, keys in _mapping(condition, "must be an object of operators").items():
        prefix, _, bare = name.rpartition(":")
        base = bare.removesuffix("_if_exist")
        if prefix not in ("", "for_any_value", "for_all_value") or (base not in _OPERATORS and base != "null_equal"):
            raise _fault(f"{quoted(name)} is not a condition operator", "ConditionTypeError")
        if base == "null_equal" and name != base:
            rule = "null_equal takes neither _if_exist nor a for_any_value: or for_all_value: prefix"
            raise _fault(rule, "ConditionTypeError")
        for key, values in _mapping(keys, f"{name} must hold an object of condition keys").items():
            if not key or key != "".join(key.split()):
                raise _fault(f"{name} has the key {quoted(key)}, which is empty or holds blanks")
            texts = [_text(value, f"{name} of {key}") for value in (values if isinstance(values, list) else [values])]
            if not texts:
                raise _fault(f"{name} of {key} has no value", "ConditionContentError")
            clauses.append(_null(key, texts) if base == "null_equal" else _clause(prefix, base, bare, key, texts))
        if not keys:
            raise _fault(f"{name} names no condition key")
    return tuple(clauses)


def _clause(prefix: str, base: str, bare: str, key: str, texts: list[str]) -> Clause:
    chosen = _OPERATORS[base]
    values = []
    for text in texts:
        try:
            values.append(chosen.policy_value(text))
        except PolicyError:
            raise
        except ValueError:
            rule = f"{base} of {key} needs {chosen.wants}, not {quoted(text)}"
            raise _fault(rule, "ConditionContentError") from None
    every = prefix == "for_all_value" or (not prefix and chosen.negated)
    return Clause(key, chosen, tuple(values), bare != base, every)


def _null(key: str, texts: list[str]) -> NullClause:
    if len(texts) != 1 or texts[0] not in ("true", "false"):
        raise _fault(f"null_equal of {key} needs the one value true or false", "ConditionContentError")
    return NullClause(key, texts[0] == "true")


def _fault(rule: str, code: Code = "ConditionError") -> PolicyError:
    return PolicyError(None, "condition", rule, code)


def _mapping(value: object, rule: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise _fault(rule)
    return value


def _text(value: object, where: str) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str | int | float):
        raise _fault(f"{where} must have texts, numbers or booleans as values", "ConditionContentError")
    return str(value)


def _exact(text: str) -> Pattern:
    return Pattern.read(text, element="condition", wildcards=False)


def _wild(text: str) -> Pattern:
    return Pattern.read(text, element="condition")


def _number(text: str) -> Decimal:
    if not _NUMBER.fullmatch(text):
        raise ValueError(text)
    return Decimal(text)


def _date(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _truth(text: str) -> bool:
    try:
        return _TRUTH[text.lower()]
    except KeyError:
        raise ValueError(text) from None


def _address(text: str) -> Any:
    address = ip_address(text)
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _fits(text: str, pattern: Pattern, variables: Mapping[str, str]) -> bool:
    return pattern.matches(text, variables)


def _folded(text: str, pattern: Pattern, variables: Mapping[str, str]) -> bool:
    return pattern.matches(text, {name: value.casefold() for name, value in variables.items()})


def _plain(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any, Mapping[str, str]], bool]:
    return lambda actual, value, variables: compare(actual, value)


def _operators() -> dict[str, Operator]:
    within = _plain(lambda address, network: address in network)
    equals = {
        "string_equal": Operator("a text", _exact, str, _fits),
        "string_like": Operator("a text", _wild, str, _fits),
        "string_equal_ignore_case": Operator("a text", lambda text: _exact(text.casefold()), str.casefold, _folded),
        "numeric_equal": Operator("a number", _number, _number, _plain(operator.eq)),
        "date_equal": Operator("an ISO 8601 date", _date, _date, _plain(operator.eq)),
        "ip_equal": Operator("an address or CIDR block", lambda text: ip_network(text, strict=False), _address, within),
    }
    found = {**equals, "binary_equal": equals["string_equal"]}
    found["bool_equal"] = Operator("true or false", _truth, _truth, _plain(operator.eq))
    for name, positive in equals.items():
        negative = name.replace("_equal", "_not_equal").replace("_like", "_not_like")
        found[negative] = Operator(
            positive.wants, positive.policy_value, positive.request_value, positive.agree, negated=True
        )
    for family in ("numeric", "date"):
        same = equals[f"{family}_equal"]
        for suffix, compare in (
            ("less_than", operator.lt),
            ("less_than_equal", operator.le),
            ("greater_than", operator.gt),
            ("greater_than_equal", operator.ge),
        ):
            name = f"{family}_{suffix}"
            found[name] = Operator(same.wants, same.policy_value, same.request_value, _plain(compare))
    return found


_OPERATORS = _operators()
OPERATORS = (*_OPERATORS, "null_equal")
"""Without prefix and `_if_exist`."""
