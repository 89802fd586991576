"""SCP-4, SCP-5: level by level from the account to Root, then CAM; every step is told."""

from __future__ import annotations

from typing import Any

import pytest

from portal.core.cam.decision import AccessRequest, NamedPolicy
from portal.core.cam.policy import PolicyError, parse
from portal.core.guardrails.access import decide_access
from portal.core.guardrails.levels import Level


def policy(name: str, effect: str, action: str, resource: str = "*", **condition: Any) -> NamedPolicy:
    statement: dict[str, Any] = {"effect": effect, "action": action, "resource": resource}
    if condition:
        statement["condition"] = condition
    return NamedPolicy(name, "Custom", parse({"version": "2.0", "statement": [statement]}))


FULL = policy("full", "allow", "*")
NO_CVM = policy("no-cvm", "deny", "cvm:*")
ONLY_COS = policy("only-cos", "allow", "cos:*")
ADMINISTRATOR = policy("administrator", "allow", "*")
RUN = AccessRequest("cvm:RunInstances", "*", 1)


def levels(*policies: tuple[NamedPolicy, ...]) -> list[Level]:
    """The account, Research, Root."""
    names = (("account", 1, "shop"), ("department", 2, "Research"), ("department", 3, "Root"))
    return [Level(*name, held) for name, held in zip(names, policies, strict=True)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("held", "verdict", "asked", "reason"),
    [
        (((FULL,), (FULL,), (FULL,)), "allow", 4, "Allowed by statement 1 of administrator"),
        (((FULL, NO_CVM), (FULL,), (FULL,)), "explicit deny", 1,
         "Denied at the account shop by statement 1 of the service control policy no-cvm"),
        (((FULL,), (FULL, NO_CVM), (FULL,)), "explicit deny", 2,
         "Denied at the department Research by statement 1 of the service control policy no-cvm"),
        (((FULL,), (FULL,), (FULL, NO_CVM)), "explicit deny", 3,
         "Denied at the department Root by statement 1 of the service control policy no-cvm"),
        (((FULL,), (FULL,), (ONLY_COS,)), "explicit deny", 3,
         "No service control policy of the department Root allows cvm:RunInstances on *"),
        (((), (FULL,), (FULL,)), "explicit deny", 1,
         "No service control policy of the account shop allows cvm:RunInstances on *"),
        (((ONLY_COS, NO_CVM), (FULL,), (FULL,)), "explicit deny", 1,
         "Denied at the account shop by statement 1 of the service control policy no-cvm"),
    ],
)  # fmt: skip
def test_scp_4_each_level_must_allow_and_none_deny(held: Any, verdict: str, asked: int, reason: str) -> None:
    decision = decide_access(levels(*held), [ADMINISTRATOR], RUN)
    assert (decision.verdict, len(decision.steps), decision.reason) == (verdict, asked, reason)
    assert [step.verdict for step in decision.steps[:-1]] == ["allow"] * (asked - 1)


def test_scp_5_service_control_policies_grant_nothing() -> None:
    decision = decide_access(levels((FULL,), (FULL,), (FULL,)), [], RUN)
    assert (decision.verdict, decision.steps[-1].kind) == ("implicit deny", "cam")
    assert not decision.allowed


def test_scp_4_without_levels_cam_alone_decides() -> None:
    decision = decide_access([], [ADMINISTRATOR], RUN)
    assert [step.kind for step in decision.steps] == ["cam"]
    assert decision.allowed


def test_scp_4_a_policy_speaks_of_resources_and_conditions_too() -> None:
    guarded = policy("office", "deny", "*", ip_not_equal={"qcs:ip": "10.0.0.0/8"})
    held = levels((FULL,), (FULL,), (FULL, guarded))
    inside = AccessRequest("cvm:RunInstances", "*", 1, {"qcs:ip": "10.1.2.3"})
    outside = AccessRequest("cvm:RunInstances", "*", 1, {"qcs:ip": "192.0.2.1"})
    assert decide_access(held, [ADMINISTRATOR], inside).allowed
    assert not decide_access(held, [ADMINISTRATOR], outside).allowed


def test_the_trace_holds_what_applied_at_each_step() -> None:
    decision = decide_access(levels((FULL, ONLY_COS), (FULL,), (FULL,)), [ADMINISTRATOR], RUN)
    assert [(step.name, [match.policy for match in step.matches]) for step in decision.steps] == [
        ("shop", ["full"]), ("Research", ["full"]), ("Root", ["full"]), ("CAM", ["administrator"]),
    ]  # fmt: skip


def test_a_bad_question_is_refused() -> None:
    with pytest.raises(PolicyError):
        decide_access([], [], AccessRequest("cvm:*", "*", 1))
