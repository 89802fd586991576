"""SCP-2: each fault names statement, element, rule, the real product's code and the line."""

from __future__ import annotations

import json
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.core.cam.faults import faults
from portal.core.cam.matching import Code
from portal.core.cam.policy import MAX_CHARACTERS, PolicyError, parse, parse_trust

SOUND = {"effect": "allow", "action": "cvm:*", "resource": "*"}


def document(**statement: Any) -> str:
    return json.dumps({"version": "2.0", "statement": [SOUND, {**SOUND, **statement}]})


def without(key: str) -> str:
    return json.dumps({"version": "2.0", "statement": [{name: value for name, value in SOUND.items() if name != key}]})


CODES = [
    ("", "PolicyDocumentError"),
    ("[]", "PolicyDocumentError"),
    ('{"version": "2.0", "version": "2.0"}', "PolicyDocumentError"),
    ('{"version": "2.0", "statement": [], "id": 1}', "PolicyDocumentError"),
    ("[" * 3000, "PolicyDocumentError"),
    ("x" * (MAX_CHARACTERS + 1), "PolicyDocumentLengthOverLimit"),
    ('{"statement": []}', "VersionError"),
    ('{"version": "1.0", "statement": []}', "VersionError"),
    ('{"version": "2.0"}', "StatementError"),
    ('{"version": "2.0", "statement": []}', "StatementError"),
    ('{"version": "2.0", "statement": [5]}', "StatementError"),
    (document(Sid="1"), "StatementError"),
    (document(principal={"qcs": ["*"]}), "PrincipalError"),
    (document(effect="Allow"), "EffectError"),
    (without("effect"), "EffectError"),
    (without("action"), "ActionMiss"),
    (document(action=[]), "ActionMiss"),
    (document(action=[5]), "ActionError"),
    (document(action="RunInstances"), "ActionError"),
    (document(action="permid/5"), "ActionError"),
    (without("resource"), "ResourceError"),
    (document(resource=[]), "ResourceError"),
    (document(resource=[""]), "ResourceError"),
    (document(resource="instance/ins-1"), "ResourceQcsError"),
    (document(resource="arn::cvm:::instance/1"), "ResourceQcsError"),
    (document(resource="qcs:5:cvm:::instance/1"), "ResourceProjectError"),
    (document(resource="qcs:::::instance/1"), "ResourceServiceNotExist"),
    (document(resource="qcs::cvm:${uin}::instance/1"), "ResourceRegionError"),
    (document(resource="qcs::cvm::12345:instance/1"), "ResourceUinError"),
    (document(resource="qcs::cvm:::"), "ResourceContentError"),
    (document(resource="qcs::cvm:::instance/${user}"), "ResourceContentError"),
    (document(condition=[]), "ConditionError"),
    (document(condition={"ip_equal": {}}), "ConditionError"),
    (document(condition={"ip_equal": {"a b": "1"}}), "ConditionError"),
    (document(condition={"ip_same": {"qcs:ip": "1.2.3.4"}}), "ConditionTypeError"),
    (document(condition={"null_equal_if_exist": {"qcs:ip": "true"}}), "ConditionTypeError"),
    (document(condition={"ip_equal": {"qcs:ip": "office"}}), "ConditionContentError"),
    (document(condition={"ip_equal": {"qcs:ip": []}}), "ConditionContentError"),
    (document(condition={"null_equal": {"qcs:ip": "maybe"}}), "ConditionContentError"),
    (document(condition={"string_equal": {"qcs:uin": None}}), "ConditionContentError"),
    (document(condition={"string_equal": {"qcs:uin": "${nobody}"}}), "ConditionContentError"),
]


@pytest.mark.parametrize(("text", "code"), CODES)
def test_scp_2_each_part_has_its_code(text: str, code: str) -> None:
    with pytest.raises(PolicyError) as caught:
        parse(text)
    assert caught.value.code == code
    assert [fault.error.code for fault in faults(text)] == [code]
    assert [str(fault.error) for fault in faults(text)] == [str(caught.value)]


def test_the_table_has_every_code() -> None:
    assert {code for _text, code in CODES} == set(get_args(Code))


def test_the_trust_policy_of_a_role_has_the_same_codes() -> None:
    with pytest.raises(PolicyError) as caught:
        parse_trust({"version": "2.0", "statement": [{"effect": "allow", "action": "name/sts:AssumeRole"}]})
    assert caught.value.code == "PrincipalError"


def test_scp_2_every_wrong_part_is_told_at_its_line() -> None:
    text = """{
      "version": "2.0",
      "statement": [
        {"effect": "allow", "action": "cvm:*", "resource": "*"},
        {
          "effect": "forbid",
          "action": ["cvm:*",
                     "Run"],
          "resource": "qcs::cvm:::",
          "note": "x, }",
          "condition": {"ip_equal": {"qcs:ip": "office"}}
        },
        7,
        {"effect": "deny", "resource": "*"}
      ]
    }"""
    assert [(fault.error.statement, fault.error.code, fault.line) for fault in faults(text)] == [
        (2, "StatementError", 10),
        (2, "EffectError", 6),
        (2, "ActionError", 7),
        (2, "ResourceContentError", 9),
        (2, "ConditionContentError", 11),
        (3, "StatementError", 13),
        (4, "ActionMiss", 14),
    ]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('{\n"version": "2.0",\n"statement": [\n}', 4),
        ('{\n\n"version": "1.0"}', 3),
        ('\n\n{"statement": []}', 3),
        ('{"version": "2.0",\n"statement":\n{"effect": "allow",\n"action": 5, "resource": "*"}}', 4),
        ("\n[" * 3000, 1),
    ],
)
def test_scp_2_the_line_of_a_fault(text: str, line: int) -> None:
    assert [fault.line for fault in faults(text)] == [line]


def fault_of(text: str) -> PolicyError | None:
    try:
        parse(text)
    except PolicyError as first:
        return first
    return None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["*", "allow", "cvm:*", "qcs::cvm:::a", "x", ""]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["effect", "action", "resource", "condition", "ip_equal", "k"]), inner)
    ),
    max_leaves=8,
)


@given(st.lists(JSON, max_size=3) | JSON, st.sampled_from([None, 2]))
def test_faults_and_parse_agree(statements: Any, indent: int | None) -> None:
    text = json.dumps({"version": "2.0", "statement": statements}, indent=indent)
    found = faults(text)
    first = fault_of(text)
    assert [fault.error.statement for fault in found[:1]] == ([first.statement] if first else [])
    assert first is None or str(first) in [str(fault.error) for fault in found]
    assert all(1 <= fault.line <= text.count("\n") + 1 for fault in found)
