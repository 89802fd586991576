"""The access decision (CAM-3): gather the statements that apply; any deny wins, then any allow, else denied.

policies of the principal (direct, groups, role) + request -> matches -> verdict with its reason
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from portal.core.cam.matching import Target
from portal.core.cam.policy import Effect, Policy

Verdict = Literal["allow", "explicit deny", "implicit deny"]

_PRECEDENCE: tuple[tuple[Effect, Verdict, str], ...] = (
    ("deny", "explicit deny", "Denied"),
    ("allow", "allow", "Allowed"),
)


@dataclass(frozen=True, slots=True)
class NamedPolicy:
    """A policy as it is granted. One with principals speaks about others than its holder: ValueError."""

    name: str
    type: Literal["System", "Custom"]
    policy: Policy

    def __post_init__(self) -> None:
        if any(statement.principals for statement in self.policy.statements):
            raise ValueError(f"{self.name} names principals: it belongs to a role or resource, not to an identity")


@dataclass(frozen=True, slots=True)
class AccessRequest:
    """`account` is the uin that owns the policies and, where the resource names none, the resource.

    `resource` names one resource in six segments, or is `*` for an action that is bound to none. `context`
    holds the condition keys, `variables` what `${uin}` and `${app_id}` stand for; `${owner_uin}` is known.
    """

    action: str
    resource: str
    account: int
    context: Mapping[str, str | Sequence[str]] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)


class Match(NamedTuple):
    """A statement that applies to the request."""

    policy: str
    statement: int
    effect: Effect


@dataclass(frozen=True, slots=True)
class Decision:
    """`reason` is one plain sentence; `matches` are all statements that apply, in the order given."""

    verdict: Verdict
    reason: str
    matches: tuple[Match, ...]

    @property
    def allowed(self) -> bool:
        return self.verdict == "allow"


def read_target(request: AccessRequest) -> Target:
    """Read once, however many policies are asked; PolicyError (action or resource) for a bad request."""
    return Target.read(
        action=request.action,
        resource=request.resource,
        account=request.account,
        context=request.context,
        variables=request.variables,
    )


def matching(policies: Iterable[NamedPolicy], target: Target) -> tuple[Match, ...]:
    """The statements that apply, in the order given."""
    return tuple(
        Match(named.name, statement.number, statement.effect)
        for named in policies
        for statement in named.policy.statements
        if statement.applies(target)
    )


def decide(policies: Iterable[NamedPolicy], request: AccessRequest, target: Target | None = None) -> Decision:
    """Decide over all policies of one principal; `target` is the request, where it was read before.

    Raises PolicyError (action or resource) for a bad request.
    """
    matches = matching(policies, target or read_target(request))
    for effect, verdict, done in _PRECEDENCE:
        for match in matches:
            if match.effect == effect:
                return Decision(verdict, f"{done} by statement {match.statement} of {match.policy}", matches)
    action = request.action.removeprefix("name/")
    return Decision("implicit deny", f"No policy allows {action} on {request.resource}", matches)
