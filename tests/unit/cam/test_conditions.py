"""CAM-1: every operator by example; absent keys and several values; bad values are refused at once."""

from __future__ import annotations

from typing import Any

import pytest

from portal.core.cam.conditions import compile_condition
from portal.core.cam.matching import PolicyError


def met(condition: dict[str, Any], context: dict[str, Any], **variables: str) -> bool:
    return all(clause.met(context, variables) for clause in compile_condition(condition))


@pytest.mark.parametrize(
    ("operator", "value", "yes", "no"),
    [
        ("string_equal", "Sh", "Sh", "sh"),
        ("string_equal", "a*", "a*", "ab"),
        ("string_equal", 100, "100", "1000"),
        ("string_equal", True, "true", "True"),
        ("string_equal", "", "", "x"),
        ("string_not_equal", "Sh", "sh", "Sh"),
        ("string_equal_ignore_case", "Sh", "sH", "bj"),
        ("string_not_equal_ignore_case", "Sh", "bj", "sH"),
        ("string_like", "image/*", "image/png", "Image/png"),
        ("string_like", "*/png", "image/png", "png"),
        ("string_like", "a*b*c", "a--b--c", "a--c--b"),
        ("string_like", "ab*ba", "abba", "aba"),
        ("string_not_like", "image/*", "text/html", "image/png"),
        ("binary_equal", "tag_value1", "tag_value1", "TAG_VALUE1"),
        ("numeric_equal", 10, "10.0", "10.5"),
        ("numeric_not_equal", "10", "11", "10"),
        ("numeric_less_than", 10, "9.99", "10"),
        ("numeric_less_than_equal", 10, "10", "10.01"),
        ("numeric_greater_than", -1, "0", "-1"),
        ("numeric_greater_than_equal", "1.5", "1.50", "1.49"),
        ("date_equal", "2016-06-01T00:01:00Z", "2016-06-01T08:01:00+08:00", "2016-06-01T08:01:00Z"),
        ("date_not_equal", "2016-06-01T00:01:00Z", "2016-06-01T00:01:01Z", "2016-06-01T00:01:00Z"),
        ("date_less_than", "2022-05-31 00:00:00", "2022-05-30T23:59:59Z", "2022-05-31T00:00:00Z"),
        ("date_less_than_equal", "2022-05-31", "2022-05-31T00:00:00Z", "2022-05-31T00:00:01Z"),
        ("date_greater_than", "2022-05-31T00:00:00Z", "2022-05-31T00:00:01Z", "2022-05-31T00:00:00Z"),
        ("date_greater_than_equal", "2022-05-31T00:00:00Z", "2022-05-31T00:00:00Z", "2022-05-30T00:00:00Z"),
        ("bool_equal", True, "true", "false"),
        ("bool_equal", "false", "False", "true"),
        ("bool_equal", "true", "1", "0"),
        ("ip_equal", "10.217.182.3/24", "10.217.182.200", "10.217.183.1"),
        ("ip_equal", "192.168.1.1", "192.168.1.1", "192.168.1.2"),
        ("ip_equal", "192.168.1.0/24", "::ffff:192.168.1.9", "::1"),
        ("ip_equal", "2001:db8::/32", "2001:db8::5", "10.0.0.1"),
        ("ip_not_equal", "10.0.0.0/8", "11.0.0.1", "10.0.0.1"),
        ("numeric_equal", 1, "1", "one"),
        ("numeric_not_equal", 1, "one", "1"),
        ("ip_equal", "10.0.0.0/8", "10.0.0.1", "somewhere"),
        ("date_less_than", "2022-05-31", "2022-05-30", "never"),
        ("bool_equal", "true", "true", "yes"),
    ],
)
def test_an_operator_tells_one_value_from_the_other(operator: str, value: object, yes: str, no: str) -> None:
    assert met({operator: {"key": value}}, {"key": yes})
    assert not met({operator: {"key": value}}, {"key": no})


def test_one_of_several_values_is_enough_and_none_may_fit_a_negated_operator() -> None:
    within = {"ip_equal": {"qcs:ip": ["10.0.0.0/8", "172.16.0.0/12"]}}
    outside = {"ip_not_equal": {"qcs:ip": ["10.0.0.0/8", "172.16.0.0/12"]}}
    for address, inside in (("172.16.0.1", True), ("10.1.1.1", True), ("192.168.0.1", False)):
        assert met(within, {"qcs:ip": address}) is inside
        assert met(outside, {"qcs:ip": address}) is not inside


def test_all_keys_and_all_operators_are_required() -> None:
    condition = {"string_equal": {"a": "1", "b": "2"}, "numeric_less_than": {"c": 3}}
    assert met(condition, {"a": "1", "b": "2", "c": "2"})
    for wrong in ({"a": "x"}, {"b": "x"}, {"c": "4"}):
        assert not met(condition, {"a": "1", "b": "2", "c": "2"} | wrong)


def test_keys_are_case_sensitive() -> None:
    assert not met({"string_equal": {"vpc:Region": "sh"}}, {"vpc:region": "sh"})


@pytest.mark.parametrize(
    ("operator", "value", "expected"),
    [
        ("string_equal", "x", False),
        ("string_equal_if_exist", "x", True),
        ("string_not_equal", "x", False),
        ("string_not_equal_if_exist", "x", True),
        ("ip_not_equal", "10.0.0.0/8", False),
        ("numeric_less_than", 1, False),
        ("numeric_less_than_if_exist", 1, True),
        ("for_all_value:string_equal", "x", False),
        ("for_all_value:string_equal_if_exist", "x", True),
        ("for_any_value:string_equal", "x", False),
        ("null_equal", True, True),
        ("null_equal", "false", False),
    ],
)
@pytest.mark.parametrize("context", [{}, {"key": []}])
def test_an_absent_key_fails_but_for_if_exist_null_and_negated_operators(
    operator: str, value: object, expected: bool, context: dict[str, Any]
) -> None:
    assert met({operator: {"key": value}}, context) is expected


def test_if_exist_compares_what_exists() -> None:
    assert met({"string_equal_if_exist": {"vpc:region": "sh"}}, {"vpc:region": "sh"})
    assert not met({"string_equal_if_exist": {"vpc:region": "sh"}}, {"vpc:region": "bj"})
    assert not met({"string_equal_if_exist": {"vpc:region": "sh"}}, {"vpc:region": ""})


def test_null_equal_takes_an_empty_value_for_none() -> None:
    assert met({"null_equal": {"key": "true"}}, {"key": ""})
    assert not met({"null_equal": {"key": "true"}}, {"key": "x"})
    assert met({"null_equal": {"key": False}}, {"key": "x"})


@pytest.mark.parametrize(
    ("operator", "tags", "expected"),
    [
        ("for_any_value:string_equal", ["game&web", "other&x"], True),
        ("for_any_value:string_equal", ["other&x"], False),
        ("for_all_value:string_equal", ["game&web", "game&app"], True),
        ("for_all_value:string_equal", ["game&web", "other&x"], False),
        ("for_any_value:string_not_equal", ["game&web", "other&x"], True),
        ("for_all_value:string_not_equal", ["game&web", "other&x"], False),
        ("string_equal", ["game&web", "other&x"], True),
        ("string_not_equal", ["game&web", "other&x"], False),
        ("for_all_value:string_equal_if_exist", ["game&web"], True),
    ],
)
def test_several_values_in_the_request_are_quantified(operator: str, tags: list[str], expected: bool) -> None:
    assert met({operator: {"qcs:resource_tag": ["game&web", "game&app"]}}, {"qcs:resource_tag": tags}) is expected


def test_variables_stand_for_the_requester_and_are_never_wildcards() -> None:
    own = {"string_equal": {"qcs:create_uin": "${uin}"}}
    assert met(own, {"qcs:create_uin": "100"}, uin="100")
    assert not met(own, {"qcs:create_uin": "101"}, uin="100")
    assert not met(own, {"qcs:create_uin": "${uin}"})
    assert not met({"string_like": {"path": "${uin}/*"}}, {"path": "anyone/x"}, uin="*")
    assert met({"string_like": {"path": "${uin}/*"}}, {"path": "100/x"}, uin="100")
    assert met({"string_equal_ignore_case": {"who": "${uin}-A"}}, {"who": "AB-a"}, uin="aB")


@pytest.mark.parametrize(
    ("condition", "rule"),
    [
        ({"StringEquals": {"a": "b"}}, "not a condition operator"),
        ({"string_equals": {"a": "b"}}, "not a condition operator"),
        ({"for_some_value:string_equal": {"a": "b"}}, "not a condition operator"),
        ({"null_equal_if_exist": {"a": "true"}}, "neither"),
        ({"for_any_value:null_equal": {"a": "true"}}, "neither"),
        ({"null_equal": {"a": "maybe"}}, "true or false"),
        ({"numeric_equal": {"a": "ten"}}, "numeric_equal of a needs a number"),
        ({"numeric_equal": {"a": "NaN"}}, "needs a number"),
        ({"numeric_equal": {"a": True}}, "needs a number"),
        ({"numeric_equal": {"a": "${uin}"}}, "needs a number"),
        ({"date_less_than": {"qcs:current_time": "tomorrow"}}, "ISO 8601 date"),
        ({"date_less_than": {"qcs:current_time": "2022-13-01T00:00:00Z"}}, "ISO 8601 date"),
        ({"ip_equal": {"qcs:ip": "10.0.0.0/33"}}, "CIDR"),
        ({"ip_equal": {"qcs:ip": "localhost"}}, "CIDR"),
        ({"bool_equal": {"a": "yes"}}, "true or false"),
        ({"string_equal": {"a": "${name}"}}, "variables"),
        ({"string_equal": {"a": None}}, "texts, numbers or booleans"),
        ({"string_equal": {"a": {"b": "c"}}}, "texts, numbers or booleans"),
        ({"string_equal": {"a": []}}, "no value"),
        ({"string_equal": {}}, "no condition key"),
        ({"string_equal": {"qcs:ip ": "x"}}, "blanks"),
        ({"string_equal": {"": "x"}}, "empty"),
        ({"string_equal": ["a"]}, "condition keys"),
        (["string_equal"], "operators"),
    ],
)
def test_a_fault_is_named_when_the_policy_is_read(condition: object, rule: str) -> None:
    with pytest.raises(PolicyError, match=rule) as caught:
        compile_condition(condition)
    assert caught.value.element == "condition"
