"""CAM-1: what the grammar takes, and how it names what it does not take."""

from __future__ import annotations

import json
from typing import Any

import pytest

from portal.core.cam.policy import MAX_CHARACTERS, PolicyError, parse


def document(**statement: Any) -> dict[str, Any]:
    return {"version": "2.0", "statement": [{"effect": "allow", "action": "*", "resource": "*"} | statement]}


def without(*keys: str) -> dict[str, Any]:
    content = document()
    for key in keys:
        del content["statement"][0][key]
    return content


@pytest.mark.parametrize(
    "content",
    [
        document(),
        document(effect="deny"),
        document(action="*:*"),
        document(action="*:Describe*"),
        document(action=["cos:*", "cos:GetObject", "cos:*Bucket*", "name/cvm:RunInstances"]),
        document(resource="qcs::cvm:ap-guangzhou:uin/1:instance/ins-1"),
        document(resource=["qcs::cvm:::sg/*", "qcs::*:::*", "qcs::cos::uid/125:bucket-125/a:b/*"]),
        document(resource="qcs::cam::uin/1:uin/${uin}"),
        document(condition={}),
        document(condition={"ip_equal": {"qcs:ip": ["10.0.0.0/8", "192.168.1.1"]}}),
        {"version": "2.0", "statement": {"effect": "allow", "action": "*", "resource": "*"}},
    ],
)
def test_a_valid_document_is_read_as_text_and_as_an_object(content: dict[str, Any]) -> None:
    assert parse(content) == parse(json.dumps(content, indent=4))


def test_statements_keep_their_number_and_effect() -> None:
    content = document()
    content["statement"].append({"effect": "deny", "action": "cam:*", "resource": "*"})
    assert [(one.number, one.effect) for one in parse(content).statements] == [(1, "allow"), (2, "deny")]


@pytest.mark.parametrize(
    ("content", "element", "rule"),
    [
        (document() | {"version": "3.0"}, "version", '"2.0"'),
        ({"statement": []}, "version", '"2.0"'),
        ({"version": "2.0"}, "statement", "at least one"),
        ({"version": "2.0", "statement": []}, "statement", "at least one"),
        ({"version": "2.0", "statement": "allow"}, "statement", "at least one"),
        (document() | {"Version": "2.0"}, "Version", "lower case"),
        (document() | {"id": "x"}, "id", "not a known key"),
        (document() | {"principal": "*"}, "principal", "trust policy"),
    ],
)
def test_a_fault_of_the_document_names_element_and_rule(content: dict[str, Any], element: str, rule: str) -> None:
    with pytest.raises(PolicyError, match=rule) as caught:
        parse(content)
    assert (caught.value.statement, caught.value.element) == (None, element)


@pytest.mark.parametrize(
    ("content", "element", "rule"),
    [
        (without("effect"), "effect", '"allow" or "deny"'),
        (without("action"), "action", "missing"),
        (without("resource"), "resource", "missing"),
        (document(effect="Allow"), "effect", '"allow" or "deny"'),
        (document(effect=["allow"]), "effect", '"allow" or "deny"'),
        (document(Effect="allow"), "Effect", "lower case"),
        (document(notAction="cvm:*"), "notAction", "not a known key"),
        (document(NotResource="*"), "NotResource", "not a known key"),
        (document(Sid="1"), "Sid", "not a known key"),
        (document(principal={"qcs": "qcs::cam::uin/1:root"}), "principal", "trust policy"),
        (document(action=[]), "action", "at least one"),
        (document(action=[1]), "action", "list of texts"),
        (document(action=""), "action", "list of texts"),
        (document(action="RunInstances"), "action", "service:name"),
        (document(action="cvm:"), "action", "service:name"),
        (document(action=":RunInstances"), "action", "service:name"),
        (document(action="c*:RunInstances"), "action", "service:name"),
        (document(action="cvm:Run Instances"), "action", "service:name"),
        (document(action="cvm:Run:Instances"), "action", "service:name"),
        (document(action="permid/280001"), "action", "permission set"),
        (document(resource="instance/ins-1"), "resource", "qcs::service"),
        (document(resource="qcs::cvm:::"), "resource", "last segment"),
        (document(resource="arn::cvm:::instance/1"), "resource", "qcs::service"),
        (document(resource="qcs:5:cvm:::instance/1"), "resource", "project"),
        (document(resource="qcs:::::instance/1"), "resource", "third segment"),
        (document(resource="qcs::cvm::12345:instance/1"), "resource", "fifth segment"),
        (document(resource="qcs::cvm::uin/12*:instance/1"), "resource", "fifth segment"),
        (document(resource="qcs::cvm:${uin}::instance/1"), "resource", "last segment"),
        (document(resource="qcs::cvm:::instance/${user}"), "resource", "variables"),
        (document(resource=["*", ""]), "resource", "list of texts"),
        (document(condition=None), "condition", "object of operators"),
        (document(condition={"string_equal": "x"}), "condition", "condition keys"),
    ],
)
def test_a_fault_of_a_statement_names_its_number_too(content: dict[str, Any], element: str, rule: str) -> None:
    content["statement"].insert(0, {"effect": "allow", "action": "cvm:*", "resource": "*"})
    with pytest.raises(PolicyError, match=rule) as caught:
        parse(content)
    assert (caught.value.statement, caught.value.element) == (2, element)
    assert str(caught.value).startswith(f"Statement 2, {element}: ")


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", "JSON"),
        ("{", "line 1, column 2"),
        ("[]", "JSON object"),
        ('{"version": "2.0", "version": "2.0"}', '"version" twice'),
        ("[" * 3000, "JSON"),
        ('{"version": ' + "1" * 5000 + "}", "JSON"),
    ],
)
def test_text_that_is_no_policy_is_refused(text: str, rule: str) -> None:
    with pytest.raises(PolicyError, match=rule):
        parse(text)


def test_an_object_that_json_cannot_say_is_refused() -> None:
    with pytest.raises(PolicyError, match="JSON"):
        parse({"version": object()})


def test_the_length_limit_does_not_count_blanks() -> None:
    text = json.dumps(document(action=["cvm:" + "a" * 100] * 50), separators=(",", ":"))
    room = MAX_CHARACTERS - len(text)
    fits = text.replace("a" * 100, "a" * (100 + room), 1)
    assert parse(fits.replace(",", ",\n" + " " * 100)).statements
    with pytest.raises(PolicyError, match="6144"):
        parse(fits.replace("cvm:", "cvm:a", 1))
    with pytest.raises(PolicyError, match="6144"):
        parse(json.loads(fits.replace("cvm:", "cvm:a", 1)))


def test_a_long_wrong_value_is_shortened_in_the_message() -> None:
    with pytest.raises(PolicyError) as caught:
        parse(document(action="x" * 5000))
    assert len(str(caught.value)) < 250
