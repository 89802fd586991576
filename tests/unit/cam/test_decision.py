"""CAM-3: explicit deny, then allow, else deny; what actions and resources cover."""

from __future__ import annotations

from typing import Any

import pytest

from portal.core.cam.decision import AccessRequest, Match, NamedPolicy, decide
from portal.core.cam.policy import PolicyError, parse
from portal.core.cam.presets import find

ACCOUNT = 100000000001
INSTANCE = f"qcs::cvm:ap-guangzhou:uin/{ACCOUNT}:instance/ins-1"


def policy(name: str, *statements: dict[str, Any]) -> NamedPolicy:
    defaults = {"effect": "allow", "action": "*", "resource": "*"}
    return NamedPolicy(name, "Custom", parse({"version": "2.0", "statement": [defaults | one for one in statements]}))


def request(action: str = "cvm:RunInstances", resource: str = INSTANCE, **more: Any) -> AccessRequest:
    return AccessRequest(action, resource, ACCOUNT, **more)


def test_cam_3_nothing_is_allowed_without_a_policy() -> None:
    decision = decide([], request())
    assert (decision.allowed, decision.verdict, decision.matches) == (False, "implicit deny", ())
    assert decision.reason == f"No policy allows cvm:RunInstances on {INSTANCE}"


def test_cam_3_an_allow_names_policy_and_statement() -> None:
    preset = find("QcloudCVMReadOnlyAccess")
    assert preset is not None
    decision = decide([NamedPolicy(preset.name, "System", preset.policy)], request("cvm:DescribeInstances"))
    assert (decision.allowed, decision.verdict) == (True, "allow")
    assert decision.reason == "Allowed by statement 1 of QcloudCVMReadOnlyAccess"
    assert decision.matches == (Match("QcloudCVMReadOnlyAccess", 1, "allow"),)


def test_cam_3_an_explicit_deny_wins_over_every_allow() -> None:
    mixed = policy("mixed", {}, {"effect": "deny", "action": "cvm:Run*"})
    decision = decide([policy("all", {}), mixed], request())
    assert (decision.allowed, decision.verdict) == (False, "explicit deny")
    assert decision.reason == "Denied by statement 2 of mixed"
    assert [tuple(match) for match in decision.matches] == [
        ("all", 1, "allow"),
        ("mixed", 1, "allow"),
        ("mixed", 2, "deny"),
    ]
    assert decide([mixed], request("cvm:StopInstances")).allowed


@pytest.mark.parametrize(
    ("pattern", "action", "covered"),
    [
        ("*", "cvm:RunInstances", True),
        ("*:*", "cvm:RunInstances", True),
        ("cvm:*", "cvm:RunInstances", True),
        ("cvm:*", "cvmx:RunInstances", False),
        ("cvm:RunInstances", "cvm:RunInstances", True),
        ("cvm:RunInstances", "cvm:RunInstancesNow", False),
        ("name/cvm:RunInstances", "cvm:RunInstances", True),
        ("cvm:RunInstances", "name/cvm:RunInstances", True),
        ("CVM:runinstances", "cvm:RunInstances", True),
        ("cvm:Describe*", "cvm:DescribeZones", True),
        ("cvm:Describe*", "cvm:Describe", True),
        ("cvm:Describe*", "cvm:RunInstances", False),
        ("cos:*Bucket*", "cos:PutBucketPolicy", True),
        ("cos:*Bucket*", "cos:PutObject", False),
        ("*:Describe*", "redis:DescribeInstances", True),
        ("cos:Get.*", "cos:GetObject", False),
    ],
)
def test_an_action_covers_by_service_and_name(pattern: str, action: str, covered: bool) -> None:
    assert decide([policy("p", {"action": pattern})], request(action)).allowed is covered


@pytest.mark.parametrize(
    ("pattern", "resource", "covered"),
    [
        ("*", INSTANCE, True),
        ("*", "*", True),
        ("qcs::cvm:::*", "*", False),
        ("qcs::*:::*", "*", False),
        ("qcs::cvm:::*", INSTANCE, True),
        ("qcs::*:::*", INSTANCE, True),
        ("qcs::CVM:::instance/*", INSTANCE, True),
        ("qcs::vpc:::*", INSTANCE, False),
        ("qcs::cvm:ap-guangzhou::*", INSTANCE, True),
        ("qcs::cvm:ap-*::*", INSTANCE, True),
        ("qcs::cvm:ap-beijing::*", INSTANCE, False),
        ("qcs::cvm:ap-guangzhou::*", "qcs::cvm:::instance/ins-1", False),
        (f"qcs::cvm::uin/{ACCOUNT}:instance/ins-1", INSTANCE, True),
        (f"qcs::cvm::uin/{ACCOUNT}:instance/ins-1", "qcs::cvm:::instance/ins-1", True),
        ("qcs::cvm:::instance/ins-1", "qcs::cvm:::instance/ins-1", True),
        ("qcs::cvm:::instance/ins-1", "qcs::cvm::uin/999:instance/ins-1", False),
        ("qcs::cvm::uin/999:instance/ins-1", "qcs::cvm::uin/999:instance/ins-1", True),
        ("qcs::cvm::uin/999:*", INSTANCE, False),
        ("qcs::cvm::*:*", "qcs::cvm::uin/999:instance/ins-1", True),
        ("qcs::cvm::uin/*:*", "qcs::cvm::uin/999:instance/ins-1", True),
        ("qcs::cvm:::instance/ins-1", "qcs::cvm:::instance/ins-12", False),
        ("qcs::cvm:::instance/ins-1*", "qcs::cvm:::instance/ins-12", True),
        ("qcs::cvm:::instance/*", "qcs::cvm:::image/img-1", False),
        ("qcs::cvm:::instance/INS-1", "qcs::cvm:::instance/ins-1", False),
        ("qcs::cos:::b-1/a/*", "qcs::cos:::b-1/a/x:y/z", True),
        ("qcs::cos:::b-1/a/*", "qcs::cos:::b-1/b/x", False),
        ("qcs::cos::uid/125:b-125/*", "qcs::cos::uid/125:b-125/x", True),
        ("qcs::cos::uid/125:b-125/*", "qcs::cos:::b-125/x", True),
        ("qcs::cos:::b-125/*", "qcs::cos::uid/125:b-125/x", True),
        ("qcs::cos::uid/126:b-125/*", "qcs::cos:::b-125/x", False),
    ],
)
def test_a_resource_covers_by_its_segments(pattern: str, resource: str, covered: bool) -> None:
    asked = request(resource=resource, variables={"app_id": "125"})
    assert decide([policy("p", {"resource": pattern})], asked).allowed is covered


def test_variables_in_a_resource_stand_for_the_requester() -> None:
    own = policy("own", {"resource": "qcs::cam:::uin/${uin}"}, {"resource": "qcs::ssm:::owner/${owner_uin}/*"})
    for resource, uin, covered in (
        ("qcs::cam:::uin/7", "7", True),
        ("qcs::cam:::uin/8", "7", False),
        ("qcs::cam:::uin/8", "*", False),
        (f"qcs::ssm:::owner/{ACCOUNT}/a", "7", True),
        ("qcs::ssm:::owner/1/a", "7", False),
    ):
        assert decide([own], request(resource=resource, variables={"uin": uin})).allowed is covered
    assert not decide([own], request(resource="qcs::cam:::uin/7")).allowed


def test_a_condition_decides_whether_the_statement_applies() -> None:
    office = policy("office", {"condition": {"ip_equal": {"qcs:ip": "10.0.0.0/8"}}})
    assert decide([office], request(context={"qcs:ip": "10.1.2.3"})).allowed
    assert decide([office], request(context={"qcs:ip": "8.8.8.8"})).verdict == "implicit deny"
    assert decide([office], request()).verdict == "implicit deny"


@pytest.mark.parametrize("action", ["", "RunInstances", "cvm:", "cvm:*", "*", "cvm:Describe*", "cvm:Run Instances"])
def test_a_request_names_one_action(action: str) -> None:
    with pytest.raises(PolicyError, match=r"^Action: ") as caught:
        decide([], request(action))
    assert (caught.value.statement, caught.value.element) == (None, "action")


@pytest.mark.parametrize(
    "resource",
    [
        "",
        "instance/1",
        "qcs::cvm:::",
        "qcs:1:cvm:::i/1",
        "qcs::cvm:::instance/*",
        "qcs::*:::i/1",
        "qcs::cvm::7:i/1",
    ],
)
def test_a_request_names_one_resource_or_all(resource: str) -> None:
    with pytest.raises(PolicyError) as caught:
        decide([], request(resource=resource))
    assert (caught.value.statement, caught.value.element) == (None, "resource")


def test_a_policy_about_others_cannot_be_granted() -> None:
    statement = {
        "effect": "allow",
        "action": "sts:AssumeRole",
        "principal": {"service": "cls.cloud.tencent.com"},
    }
    trust = parse({"version": "2.0", "statement": [statement]}, principal=True)
    with pytest.raises(ValueError, match="principals"):
        NamedPolicy("trust", "Custom", trust)
