"""What the elements of a policy cover: texts with wildcards and variables, actions, six-segment resources.

Nothing here backtracks: a wildcard text is cut at its stars once and compared piece by piece, so that no
policy, however odd, makes a decision slow.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Self

from portal.core.text import storable

VARIABLES = ("uin", "owner_uin", "app_id")

_VARIABLE = re.compile(r"\$\{([^}]*)\}")
_SERVICE = re.compile(r"[A-Za-z0-9_-]+")
_ACTION_NAME = re.compile(r"[A-Za-z0-9_.*-]+")
_ACCOUNT = re.compile(r"uin/[0-9]+|uid/[0-9]+|uin/\*|uid/\*|\*|")


Code = Literal[
    "ActionError",
    "ActionMiss",
    "ConditionContentError",
    "ConditionError",
    "ConditionTypeError",
    "EffectError",
    "PolicyDocumentError",
    "PolicyDocumentLengthOverLimit",
    "PrincipalError",
    "ResourceContentError",
    "ResourceError",
    "ResourceProjectError",
    "ResourceQcsError",
    "ResourceRegionError",
    "ResourceServiceNotExist",
    "ResourceUinError",
    "StatementError",
    "VersionError",
]
"""The real product's codes, one for each part of a policy; its API puts `InvalidParameter.` in front."""

_CONTENT: dict[str, Code] = {"resource": "ResourceContentError", "condition": "ConditionContentError"}


class PolicyError(ValueError):
    """A fault in a policy or a request: `statement` (from 1, None outside of one), `element`, `rule` and `code`."""

    def __init__(self, statement: int | None, element: str, rule: str, code: Code) -> None:
        element, rule = storable(element), storable(rule)
        place = element[:1].upper() + element[1:] if statement is None else f"Statement {statement}, {element}"
        super().__init__(f"{place}: {rule}.")
        self.statement = statement
        self.element = element
        self.rule = rule
        self.code: Code = code


def quoted(value: object) -> str:
    text = str(value)
    return f'"{text[:80]}…"' if len(text) > 80 else f'"{text}"'


@dataclass(frozen=True, slots=True)
class Pattern:
    """A text cut at its wildcards; one part means no wildcard. Parts hold `${...}` if `has_variables`."""

    parts: tuple[str, ...]
    has_variables: bool = False

    @classmethod
    def read(cls, text: str, *, element: str, wildcards: bool = True) -> Self:
        """Compile `text`; with `wildcards` a `*` is any characters. PolicyError for an unknown variable."""
        names = _VARIABLE.findall(text)
        for name in names:
            if name not in VARIABLES:
                rule = f"{quoted('${' + name + '}')} is not one of the variables {_known()}"
                raise PolicyError(None, element, rule, _CONTENT.get(element, "ActionError"))
        return cls(tuple(text.split("*")) if wildcards else (text,), bool(names))

    def matches(self, text: str, variables: Mapping[str, str]) -> bool:
        """Whether it covers all of `text`. A variable that the request has no value for covers nothing."""
        parts = self.parts
        if self.has_variables:
            try:
                parts = tuple(_VARIABLE.sub(lambda found: variables[found[1]], part) for part in parts)
            except KeyError:
                return False
        if len(parts) == 1:
            return text == parts[0]
        first, last = parts[0], parts[-1]
        at, end = len(first), len(text) - len(last)
        if at > end or not text.startswith(first) or not text.endswith(last):
            return False
        for part in parts[1:-1]:
            at = text.find(part, at, end)
            if at < 0:
                return False
            at += len(part)
        return True


def _known() -> str:
    return ", ".join("${" + name + "}" for name in VARIABLES)


@dataclass(frozen=True, slots=True)
class Target:
    """What a request asks for, read once per decision; with `everything` the resource is `*`."""

    service: str
    action: str
    everything: bool
    resource_service: str
    region: str
    accounts: frozenset[str]
    owner: str
    resource: str
    context: Mapping[str, str | Sequence[str]]
    variables: Mapping[str, str]

    @classmethod
    def read(
        cls,
        *,
        action: str,
        resource: str,
        account: int,
        context: Mapping[str, str | Sequence[str]],
        variables: Mapping[str, str],
    ) -> Self:
        """PolicyError (element action or resource) unless each names one thing or the resource is `*`."""
        service, name = split_action(action)
        if "*" in action:
            raise PolicyError(
                None, "action", f"{quoted(action)} must name one action, without a wildcard", "ActionError"
            )
        everything = resource == "*"
        _, _, resource_service, region, holder, thing = split_resource("qcs::*:::*" if everything else resource)
        if not everything and "*" in resource:
            rule = f'{quoted(resource)} must name one resource; only a lone "*" means all'
            raise PolicyError(None, "resource", rule, "ResourceContentError")
        owner = f"uin/{account}"
        variables = {"owner_uin": str(account), **variables}
        own = {owner, f"uid/{variables['app_id']}"} if "app_id" in variables else {owner}
        accounts = own if not holder or holder in own else {holder}
        return cls(
            service,
            name,
            everything,
            resource_service,
            region,
            frozenset(accounts),
            owner,
            thing,
            context,
            variables,
        )


def split_action(action: str) -> tuple[str, str]:
    """Service and name, folded: they compare without case, and `name/` in front changes nothing."""
    service, colon, name = action.removeprefix("name/").partition(":")
    if "/" in service:
        rule = f"{quoted(action)} is a permission set; name the actions as service:name"
        raise PolicyError(None, "action", rule, "ActionError")
    known_service = service == "*" or _SERVICE.fullmatch(service)
    if not (colon and known_service and _ACTION_NAME.fullmatch(name)):
        rule = f"{quoted(action)} must be written service:name, for example cvm:DescribeInstances"
        raise PolicyError(None, "action", rule, "ActionError")
    return service.casefold(), name.casefold()


@dataclass(frozen=True, slots=True)
class Actions:
    """The actions of a statement by service (`*`: all services), exact names apart from wildcards."""

    exact: Mapping[str, frozenset[str]]
    wild: Mapping[str, tuple[Pattern, ...]]

    @classmethod
    def read(cls, texts: Iterable[str]) -> Self:
        exact: dict[str, set[str]] = {}
        wild: dict[str, list[Pattern]] = {}
        for text in texts:
            service, name = split_action("*:*" if text == "*" else text)
            if "*" in name:
                wild.setdefault(service, []).append(Pattern.read(name, element="action"))
            else:
                exact.setdefault(service, set()).add(name)
        return cls(
            {service: frozenset(names) for service, names in exact.items()},
            {service: tuple(patterns) for service, patterns in wild.items()},
        )

    def cover(self, target: Target) -> bool:
        for service in (target.service, "*"):
            if target.action in self.exact.get(service, ()):
                return True
            for pattern in self.wild.get(service, ()):
                if pattern.matches(target.action, {}):
                    return True
        return False


def split_resource(resource: str) -> list[str]:
    """The segments of `qcs:<project>:<service>:<region>:<account>:<resource>`; the last may hold colons."""
    segments = resource.split(":", 5)
    if len(segments) != 6 or segments[0] != "qcs":
        rule = f'{quoted(resource)} must be "*" or qcs::service:region:account:resource'
        raise PolicyError(None, "resource", rule, "ResourceQcsError")
    _, project, service, region, account, name = segments
    if project:
        rule = f"{quoted(resource)} must leave the project (second segment) empty"
        raise PolicyError(None, "resource", rule, "ResourceProjectError")
    if service != "*" and not _SERVICE.fullmatch(service):
        rule = f'{quoted(resource)} must name a service or "*" in the third segment'
        raise PolicyError(None, "resource", rule, "ResourceServiceNotExist")
    if "$" in region:
        rule = f"{quoted(resource)} may hold variables only in the last segment"
        raise PolicyError(None, "resource", rule, "ResourceRegionError")
    if not _ACCOUNT.fullmatch(account):
        rule = f'{quoted(resource)} must have uin/<number>, uid/<number>, "*" or nothing in the fifth segment'
        raise PolicyError(None, "resource", rule, "ResourceUinError")
    if not name:
        rule = f"{quoted(resource)} must name a resource in the last segment"
        raise PolicyError(None, "resource", rule, "ResourceContentError")
    segments[2] = service.casefold()
    return segments


@dataclass(frozen=True, slots=True)
class Resource:
    """One six-segment resource: service without case, the rest exact. `account` None stands for the owner."""

    service: str
    region: Pattern
    account: str | None
    name: Pattern

    @classmethod
    def read(cls, text: str) -> Self:
        _, _, service, region, account, name = split_resource(text)
        return cls(
            service,
            Pattern.read(region or "*", element="resource"),
            "*" if account.endswith("*") else account or None,
            Pattern.read(name, element="resource"),
        )

    def covers(self, target: Target) -> bool:
        """A request on everything is covered by `*` alone, which is no Resource."""
        return (
            not target.everything
            and self.service in ("*", target.resource_service)
            and (self.account == "*" or (self.account or target.owner) in target.accounts)
            and self.region.matches(target.region, {})
            and self.name.matches(target.resource, target.variables)
        )
