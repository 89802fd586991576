"""SCP-2: the visual and the JSON editor show the same document; switching between them loses nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.core.cam import catalogue
from portal.core.cam.conditions import OPERATORS
from portal.core.cam.policy import PolicyError, parse
from portal.core.guardrails.policies import FULL_ACCESS_DOCUMENT
from portal.core.guardrails.visual import PREFIXES, Condition, NotShown, Statement, read, repeated, write


def document(**statement: Any) -> str:
    content = {"effect": "deny", "action": "cvm:*", "resource": "*", **statement}
    return json.dumps({"version": "2.0", "statement": [content]})


@pytest.mark.parametrize(
    ("action", "service", "every", "chosen", "typed"),
    [
        ("*", "*", True, [], []),
        ("*:*", "*", True, [], []),
        ("*:Describe*", "*", False, [], ["*:Describe*"]),
        ("cvm:*", "cvm", True, [], []),
        (["cvm:Describe*", "cvm:RunInstances"], "cvm", False, ["Describe*"], ["cvm:RunInstances"]),
        (["cvm:Describe*", "cos:Get*"], "", False, [], ["cvm:Describe*", "cos:Get*"]),
        ("unheard:*", "", False, [], ["unheard:*"]),
        (["*", "*:Describe*"], "", False, [], ["*", "*:Describe*"]),
        ("name/cvm:RunInstances", "", False, [], ["name/cvm:RunInstances"]),
        ("RunInstances", "", False, [], ["RunInstances"]),
        ("cvm", "", False, [], ["cvm"]),
    ],
)
def test_actions_stand_in_the_field_that_fits(
    action: Any, service: str, every: bool, chosen: list[str], typed: list[str]
) -> None:
    (found,) = read(document(action=action))
    assert (found.service, found.every_action, found.chosen, found.typed) == (service, every, chosen, typed)


def test_resources_and_conditions_stand_one_a_line() -> None:
    (found,) = read(
        document(
            resource=["qcs::cvm:::instance/*", "qcs::cvm:::sg/*"],
            condition={
                "ip_not_equal": {"qcs:ip": ["10.0.0.0/8", "192.0.2.1"]},
                "for_any_value:string_equal_if_exist": {"qcs:resource_tag": "a&b"},
            },
        )
    )
    assert found.resources == ["qcs::cvm:::instance/*", "qcs::cvm:::sg/*"]
    assert found.conditions == [
        Condition("", "ip_not_equal", False, "qcs:ip", ["10.0.0.0/8", "192.0.2.1"]),
        Condition("for_any_value", "string_equal", True, "qcs:resource_tag", ["a&b"]),
    ]


def test_an_action_without_its_service_is_of_the_chosen_one() -> None:
    assert Statement(service="cvm", typed=["RunInstances", "cos:GetObject"]).actions == [
        "cvm:RunInstances",
        "cos:GetObject",
    ]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "JSON"),
        ('{"version": "1.0", "statement": []}', "Version"),
        (document(Sid="1"), "Sid"),
        (document(effect="Deny"), "effect"),
        (document(action=[5]), "action"),
        (document(action=["a:b\nc:d"]), "line of its own"),
        (document(action="\ud800"), "line of its own"),
        (document(resource=[" *"]), "line of its own"),
        (document(condition=[]), "condition"),
        (document(condition={"ip_equal": 1}), "operator and key"),
        (document(condition={"a:ip_equal": {"qcs:ip": "1"}}), "operator and key"),
        (document(condition={"ip_equal": {}}), "lose"),
        (document(condition={":ip_equal": {"qcs:ip": "1"}}), "lose"),
        (document(condition={"ip_equal": {"": "1"}}), "does not fit"),
    ],
)
def test_what_the_fields_cannot_hold_is_said(text: str, reason: str) -> None:
    with pytest.raises(NotShown, match=reason) as caught:
        read(text)
    str(caught.value).encode()


def test_two_conditions_of_the_same_operator_and_key_are_told() -> None:
    one = Condition(key="qcs:ip", values=["1.2.3.4"])
    other = Condition(key="qcs:ip", values=["1.2.3.4"], if_exist=True)
    assert repeated(Statement(conditions=[one, other, one, Condition(), Condition()])) == [2]


LINES = st.lists(st.text('aä*:/{}$ "\\', max_size=6).map(str.strip).filter(bool), max_size=3)
ACTIONS = st.sampled_from(
    ["*", "*:*", "cvm:*", "cvm:Describe*", "cvm:Run", "cam:GetUser", "x:*", "name/cvm:Run", "*:Get*", "cvm", "cvm:"]
)
CONDITION = st.builds(
    Condition,
    prefix=st.sampled_from(PREFIXES),
    operator=st.sampled_from(OPERATORS),
    if_exist=st.booleans(),
    key=st.sampled_from(["qcs:ip", "k", "k k"]),
    values=LINES.filter(bool),
)
STATEMENT = st.fixed_dictionaries(
    {
        "effect": st.sampled_from(["allow", "deny"]),
        "action": ACTIONS | st.lists(ACTIONS, min_size=1, max_size=4),
        "resource": st.just("*") | st.lists(st.sampled_from(["*", "qcs::cvm:::a", "b"]), min_size=1, max_size=3),
    },
    optional={
        "condition": st.dictionaries(
            CONDITION.map(lambda one: one.name),
            st.dictionaries(st.sampled_from(["qcs:ip", "k"]), st.integers() | st.booleans() | LINES.filter(bool),
                            min_size=1),
        )
    },
)  # fmt: skip


def compiled(text: str) -> Any:
    try:
        return parse(text)
    except PolicyError as fault:
        return fault.statement, fault.element


@given(st.lists(STATEMENT, min_size=1, max_size=3))
def test_json_visual_json_is_the_same_policy(statements: list[dict[str, Any]]) -> None:
    text = json.dumps({"version": "2.0", "statement": statements})
    shown = read(text)
    again = write(shown)
    assert read(again) == shown
    first, second = compiled(text), compiled(again)
    if isinstance(first, tuple):
        assert first == second
    else:
        for one, other in zip(first.statements, second.statements, strict=True):
            assert (one.effect, one.actions.exact, one.resources) == (
                other.effect,
                other.actions.exact,
                other.resources,
            )
            assert {k: set(v) for k, v in one.actions.wild.items()} == {
                k: set(v) for k, v in other.actions.wild.items()
            }
            assert str(one.condition) == str(other.condition)


@given(
    st.lists(
        st.builds(
            Statement,
            effect=st.sampled_from(["allow", "deny"]),
            service=st.sampled_from(["*", "", *catalogue.services()]),
            every_action=st.booleans(),
            typed=LINES.filter(bool),
            every_resource=st.booleans(),
            resources=LINES.filter(bool),
            conditions=st.lists(CONDITION, max_size=3, unique_by=lambda one: (one.name, one.key)),
        ),
        min_size=1,
        max_size=2,
    )
)
def test_whatever_was_typed_is_shown_again(statements: list[Statement]) -> None:
    again = read(write(statements))
    assert read(write(again)) == again
    assert [set(one.actions) - {"*", "*:*"} for one in again] == [set(one.actions) - {"*", "*:*"} for one in statements]


def test_the_system_policy_can_be_shown() -> None:
    (found,) = read(FULL_ACCESS_DOCUMENT)
    assert (found.effect, found.service, found.every_action, found.every_resource) == ("allow", "*", True, True)
