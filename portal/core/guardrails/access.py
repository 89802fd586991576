"""The whole access decision with its trace: service control policies level by level, then CAM (SCP-4, SCP-5, CAM-3)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from portal.core.cam.decision import AccessRequest, Decision, Match, NamedPolicy, Verdict, decide, matching, read_target
from portal.core.cam.matching import Target
from portal.core.guardrails.levels import Kind, Level


@dataclass(frozen=True, slots=True)
class Step:
    """What one level said, or at the end CAM: `kind` is account, department or "cam" (then without id).

    `matches` are the statements that apply there; the reason names the one that decided, or that none did.
    """

    kind: Kind | str
    id: int | None
    name: str
    verdict: Verdict
    reason: str
    matches: tuple[Match, ...]


@dataclass(frozen=True, slots=True)
class AccessDecision:
    """`steps` in the order in which they were asked; the last one decided."""

    verdict: Verdict
    reason: str
    steps: tuple[Step, ...]

    @property
    def allowed(self) -> bool:
        return self.verdict == "allow"


def decide_access(levels: Sequence[Level], policies: Iterable[NamedPolicy], request: AccessRequest) -> AccessDecision:
    """`levels` from the account to Root, empty where service control policies do not apply to who asks.

    Raises PolicyError (action or resource) for a bad request.
    """
    target = read_target(request)
    steps: list[Step] = []
    for level in levels:
        steps.append(_judge(level, target, request))
        if steps[-1].verdict != "allow":
            return AccessDecision("explicit deny", steps[-1].reason, tuple(steps))
    decision = decide(policies, request, target)
    steps.append(_of_cam(decision))
    return AccessDecision(decision.verdict, decision.reason, tuple(steps))


def _judge(level: Level, target: Target, request: AccessRequest) -> Step:
    matches = matching(level.policies, target)
    for match in matches:
        if match.effect == "deny":
            reason = f"Denied at {_place(level)} by statement {match.statement} of the service control policy "
            return Step(level.kind, level.id, level.name, "explicit deny", reason + match.policy, matches)
    for match in matches:
        reason = f"{_place(level, first=True)} lets it pass by statement {match.statement} of {match.policy}"
        return Step(level.kind, level.id, level.name, "allow", reason, matches)
    asked = f"{request.action.removeprefix('name/')} on {request.resource}"
    reason = f"No service control policy of {_place(level)} allows {asked}"
    return Step(level.kind, level.id, level.name, "explicit deny", reason, matches)


def _of_cam(decision: Decision) -> Step:
    return Step("cam", None, "CAM", decision.verdict, decision.reason, decision.matches)


def _place(level: Level, *, first: bool = False) -> str:
    what = "the account" if level.kind == "account" else "the department"
    return f"{what.capitalize() if first else what} {level.name}"
