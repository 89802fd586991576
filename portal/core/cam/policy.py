"""The policy grammar, version "2.0" (CAM-1): a JSON document is read and compiled once, then asked often.

A fault is answered with PolicyError, which names statement, element and rule. Choices of this reading:

- Service and action names compare without case; resources, condition keys and values compare exactly.
- `name/` in front of an action changes nothing; permission sets (`permid/...`), whose content is not public,
  are refused.
- An empty region means all regions, an empty account the account that owns the policy.
- `principal` belongs to trust policies of roles alone; there is no NotAction, NotResource or Sid.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from portal.core.cam.conditions import Condition, compile_condition
from portal.core.cam.matching import Actions, Code, PolicyError, Resource, Target, quoted

__all__ = [
    "ASSUME_ROLE",
    "ASSUME_ROLE_WITH_SAML",
    "MAX_CHARACTERS",
    "Effect",
    "Policy",
    "PolicyError",
    "Statement",
    "TrustPolicy",
    "names_accounts",
    "parse",
    "parse_trust",
]

MAX_CHARACTERS = 6144
"""Length of a document, blanks not counted."""

ASSUME_ROLE = "sts:AssumeRole"
ASSUME_ROLE_WITH_SAML = "sts:AssumeRoleWithSAML"

Effect = Literal["allow", "deny"]
Principals = frozenset[tuple[str, str]]

_STATEMENT_KEYS = ("effect", "action", "resource", "condition")
_FORM: dict[str, Code] = {"action": "ActionError", "resource": "ResourceError", "principal": "PrincipalError"}
_MISSING: dict[str, Code] = {**_FORM, "action": "ActionMiss"}
_PRINCIPAL_KINDS = ("qcs", "service", "federated")
_TRUST_ACTIONS = {
    ASSUME_ROLE.casefold(): ASSUME_ROLE,
    ASSUME_ROLE_WITH_SAML.casefold(): ASSUME_ROLE_WITH_SAML,
}
_QCS_PRINCIPAL = re.compile(r"qcs::cam::uin/[0-9]+:[^*:]+")
_SERVICE_PRINCIPAL = re.compile(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")


@dataclass(frozen=True, slots=True)
class Statement:
    """`resources` None stands for `*`; `principals` is empty in identity policies, ("*", "*") is anyone."""

    number: int
    effect: Effect
    actions: Actions
    resources: tuple[Resource, ...] | None
    condition: Condition
    principals: Principals = frozenset()

    def applies(self, target: Target) -> bool:
        """Whether action, resource and condition cover what is asked; principals are left to the caller."""
        if not self.actions.cover(target):
            return False
        if self.resources is not None and not any(resource.covers(target) for resource in self.resources):
            return False
        return all(clause.met(target.context, target.variables) for clause in self.condition)


@dataclass(frozen=True, slots=True)
class Policy:
    statements: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class TrustPolicy:
    """Who may assume a role, and how."""

    statements: tuple[Statement, ...]

    def admits(
        self,
        *,
        action: str,
        kind: Literal["qcs", "service", "federated"],
        principal: str,
        context: Mapping[str, str | Sequence[str]],
    ) -> bool:
        """Whether `principal` may use `action` (sts:AssumeRole or sts:AssumeRoleWithSAML); a deny wins.

        Principals compare exactly: naming the root of an account does not admit its users.
        """
        target = Target.read(action=action, resource="*", account=0, context=context, variables={})
        effects = {
            statement.effect
            for statement in self.statements
            if (kind, principal) in statement.principals and statement.applies(target)
        }
        return effects == {"allow"}


def parse(document: str | Mapping[str, Any], *, principal: bool = False) -> Policy:
    """Read a policy; with `principal` every statement says whom it is for and may leave out `resource`.

    Raise PolicyError for the first fault found.
    """
    content = _content(document)
    known = ("version", "statement", "principal") if principal else ("version", "statement")
    _refuse_unknown(content, known, "PolicyDocumentError", principal=principal)
    if content.get("version") != "2.0":
        raise PolicyError(None, "version", 'must be "2.0"', "VersionError")
    statements = content.get("statement")
    if isinstance(statements, Mapping):
        statements = [statements]
    if not isinstance(statements, list) or not statements:
        raise PolicyError(None, "statement", "must be a list with at least one statement", "StatementError")
    common = _principals(content["principal"]) if "principal" in content else None
    read = []
    for number, statement in enumerate(statements, start=1):
        try:
            read.append(_statement(number, statement, principal=principal, common=common))
        except PolicyError as fault:
            raise PolicyError(number, fault.element, fault.rule, fault.code) from None
    return Policy(tuple(read))


def names_accounts(policy: Policy) -> bool:
    """Whether it may decide differently for two accounts: by a resource's account, a variable or a condition."""
    return any(
        statement.condition
        or any(
            resource.account not in (None, "*") or resource.name.has_variables for resource in statement.resources or ()
        )
        for statement in policy.statements
    )


def parse_trust(document: str | Mapping[str, Any]) -> TrustPolicy:
    """Read a role's trust policy: a principal map, sts:AssumeRole or sts:AssumeRoleWithSAML, no resource.

    Raise PolicyError for the first fault found.
    """
    policy = parse(document, principal=True)
    for statement in policy.statements:
        names = {f"{service}:{name}" for service, exact in statement.actions.exact.items() for name in exact}
        if statement.actions.wild or not names <= set(_TRUST_ACTIONS):
            allowed = " or ".join(f"name/{name}" for name in _TRUST_ACTIONS.values())
            rule = f"must be {allowed} in the trust policy of a role"
            raise PolicyError(statement.number, "action", rule, "ActionError")
        if statement.resources is not None:
            rule = "has no place in the trust policy of a role"
            raise PolicyError(statement.number, "resource", rule, "ResourceError")
        if ("*", "*") in statement.principals:
            rule = 'must name who is trusted, not "*"'
            raise PolicyError(statement.number, "principal", rule, "PrincipalError")
    return TrustPolicy(policy.statements)


def _content(document: str | Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        text = document if isinstance(document, str) else json.dumps(document, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        raise _fault("must hold only what JSON can say") from None
    length = sum(map(len, text.split()))
    if length > MAX_CHARACTERS:
        rule = f"must not exceed {MAX_CHARACTERS} characters without blanks, has {length}"
        raise PolicyError(None, "document", rule, "PolicyDocumentLengthOverLimit")
    try:
        content = json.loads(text, object_pairs_hook=_unique)
    except PolicyError:
        raise
    except json.JSONDecodeError as fault:
        raise _fault(f"must be JSON; {fault.msg} at line {fault.lineno}, column {fault.colno}") from None
    except (ValueError, RecursionError):
        raise _fault("must be JSON of reasonable numbers and depth") from None
    if not isinstance(content, dict):
        raise _fault("must be a JSON object")
    return content


def _fault(rule: str) -> PolicyError:
    return PolicyError(None, "document", rule, "PolicyDocumentError")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Two keys of one name would let a reader see another policy than the one that counts."""
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _fault(f"has the key {quoted(twice)} twice in one object")
    return found


def _refuse_unknown(content: Mapping[str, Any], known: Sequence[str], code: Code, *, principal: bool) -> None:
    for key in content:
        if key in known:
            continue
        if key == "principal" and not principal:
            raise PolicyError(None, "principal", "is allowed only in the trust policy of a role", "PrincipalError")
        hint = "keys are lower case" if key.lower() in known else f"the keys are {', '.join(known)}"
        raise PolicyError(None, key[:80] or '""', f"is not a known key; {hint}", code)


def _statement(number: int, content: object, *, principal: bool, common: Principals | None) -> Statement:
    if not isinstance(content, Mapping):
        raise PolicyError(None, "statement", "must be an object", "StatementError")
    known = (*_STATEMENT_KEYS, "principal") if principal else _STATEMENT_KEYS
    _refuse_unknown(content, known, "StatementError", principal=principal)
    effect = content.get("effect")
    if effect not in ("allow", "deny"):
        raise PolicyError(None, "effect", 'must be "allow" or "deny"', "EffectError")
    resources: tuple[Resource, ...] | None = None
    if "resource" in content or not principal:
        texts = _texts(content, "resource")
        if "*" not in texts:
            resources = tuple(Resource.read(text) for text in texts)
    principals = _principals(content["principal"]) if "principal" in content else common
    if principal and principals is None:
        raise PolicyError(None, "principal", "must say whom the statement is for", "PrincipalError")
    return Statement(
        number,
        cast(Effect, effect),
        Actions.read(_texts(content, "action")),
        resources,
        compile_condition(content.get("condition", {})),
        principals or frozenset(),
    )


def _texts(content: Mapping[str, Any], element: str) -> list[str]:
    if element not in content:
        raise PolicyError(None, element, "is missing", _MISSING[element])
    return _text_list(content[element], element)


def _text_list(value: object, element: str) -> list[str]:
    listed = value if isinstance(value, list) else [value]
    texts = [text for text in listed if isinstance(text, str) and text]
    if not texts or len(texts) != len(listed):
        rule = "must be a text or a list of texts, none of them empty" if listed else "must name at least one"
        raise PolicyError(None, element, rule, _FORM[element] if listed else _MISSING[element])
    return texts


def _principals(value: object) -> Principals:
    if value == "*":
        return frozenset({("*", "*")})
    if not isinstance(value, Mapping) or not value:
        rule = f"must be an object with the keys {', '.join(_PRINCIPAL_KINDS)}"
        raise PolicyError(None, "principal", rule, "PrincipalError")
    found = set()
    for kind, names in value.items():
        if kind not in _PRINCIPAL_KINDS:
            rule = f"has the key {quoted(kind)}; the keys are {', '.join(_PRINCIPAL_KINDS)}"
            raise PolicyError(None, "principal", rule, "PrincipalError")
        for name in _text_list(names, "principal"):
            form = _SERVICE_PRINCIPAL if kind == "service" else _QCS_PRINCIPAL
            if not form.fullmatch(name):
                example = "cls.cloud.tencent.com" if kind == "service" else "qcs::cam::uin/100000000001:root"
                rule = f"{quoted(name)} is not a principal of the kind {kind}, for example {example}"
                raise PolicyError(None, "principal", rule, "PrincipalError")
            found.add((kind, name))
    return frozenset(found)
