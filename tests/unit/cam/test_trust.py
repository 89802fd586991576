"""CAM-1: who may assume a role."""

from __future__ import annotations

from typing import Any

import pytest

from portal.core.cam.policy import PolicyError, TrustPolicy, parse, parse_trust

PROVIDER = "qcs::cam::uin/100000000001:saml-provider/TencentReservedSSO-z-1"
AUDIENCE = "https://cloud.tencent.com/login/saml"


def document(**statement: Any) -> dict[str, Any]:
    trust = {
        "effect": "allow",
        "action": "name/sts:AssumeRoleWithSAML",
        "principal": {"federated": [PROVIDER]},
    }
    return {"version": "2.0", "statement": [trust | statement]}


def admits(trust: TrustPolicy, principal: str = PROVIDER, *, audience: str = AUDIENCE, **other: Any) -> bool:
    asked: dict[str, Any] = {"action": "sts:AssumeRoleWithSAML", "kind": "federated"} | other
    return trust.admits(principal=principal, context={"saml:aud": audience}, **asked)


def test_only_the_named_provider_is_admitted() -> None:
    trust = parse_trust(document())
    assert admits(trust)
    assert not admits(trust, PROVIDER + "x")
    assert not admits(trust, kind="qcs")
    assert not admits(trust, action="sts:AssumeRole")


def test_the_condition_of_the_audience_counts() -> None:
    trust = parse_trust(document(condition={"string_equal": {"saml:aud": AUDIENCE}}))
    assert admits(trust)
    assert not admits(trust, audience="https://elsewhere.example/saml")


def test_a_deny_wins_over_an_allow() -> None:
    content = document()
    content["statement"].append(content["statement"][0] | {"effect": "deny"})
    assert not admits(parse_trust(content))


def test_a_principal_above_the_statements_holds_for_all_of_them() -> None:
    content = document()
    content["principal"] = content["statement"][0].pop("principal")
    assert admits(parse_trust(content))


def test_a_service_and_another_account_may_be_trusted() -> None:
    service, root = "cls.cloud.tencent.com", "qcs::cam::uin/67890:root"
    trust = parse_trust(document(action="name/sts:AssumeRole", principal={"service": service, "qcs": [root]}))
    assert admits(trust, service, kind="service", action="sts:AssumeRole")
    assert admits(trust, root, kind="qcs", action="sts:AssumeRole")


@pytest.mark.parametrize(
    ("statement", "element"),
    [
        ({"principal": "*"}, "principal"),
        ({"principal": {}}, "principal"),
        ({"principal": {"federated": []}}, "principal"),
        ({"principal": {"user": "x"}}, "principal"),
        ({"principal": {"federated": "saml-provider/x"}}, "principal"),
        ({"principal": {"federated": "qcs::cam::uin/*:saml-provider/x"}}, "principal"),
        ({"principal": {"service": "cls"}}, "principal"),
        ({"action": "*"}, "action"),
        ({"action": "name/sts:*"}, "action"),
        ({"action": "name/cam:CreateUser"}, "action"),
        ({"resource": "qcs::cam:::role/1"}, "resource"),
        ({"condition": {"equal": {"saml:aud": "x"}}}, "condition"),
    ],
)
def test_a_fault_of_a_trust_policy_is_named(statement: dict[str, Any], element: str) -> None:
    with pytest.raises(PolicyError) as caught:
        parse_trust(document(**statement))
    assert (caught.value.statement, caught.value.element) == (1, element)


def test_a_statement_for_nobody_is_refused() -> None:
    content = document()
    del content["statement"][0]["principal"]
    with pytest.raises(PolicyError, match="whom"):
        parse_trust(content)


def test_an_identity_policy_may_not_name_principals() -> None:
    with pytest.raises(PolicyError, match="only in the trust policy"):
        parse(document(resource="*"))
    assert parse(document(resource="*"), principal=True).statements
