"""CAM-3 as properties over a small world of policies and requests, and against a slow and obvious evaluator."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from portal.core.cam.decision import AccessRequest, NamedPolicy, decide
from portal.core.cam.matching import Pattern
from portal.core.cam.policy import PolicyError, parse
from portal.core.cam.presets import find, presets

ACCOUNT = 1
Document = dict[str, Any]

letters = st.text("ab", min_size=1, max_size=4)
wild = st.text("ab*", min_size=1, max_size=5)
services = st.sampled_from(["cvm", "cos"])
regions = st.sampled_from(["", "gz", "bj"])
accounts = st.sampled_from(["", "uin/1", "uin/2"])

actions = st.one_of(st.just("*"), st.builds("{}{}:{}".format, st.sampled_from(["", "name/"]), services, wild))
resources = st.one_of(
    st.just("*"),
    st.builds(
        "qcs::{}:{}:{}:{}".format,
        st.one_of(services, st.just("*")),
        st.one_of(regions, st.just("*")),
        st.one_of(accounts, st.just("*")),
        st.one_of(wild, st.just("${uin}/*"), st.just("a/${uin}")),
    ),
)
operators = st.sampled_from(
    [
        prefix + base + suffix
        for prefix in ("", "for_any_value:", "for_all_value:")
        for base in ("string_equal", "string_not_equal", "string_like", "string_not_like")
        for suffix in ("", "_if_exist")
    ]
)
conditions = st.dictionaries(
    operators,
    st.dictionaries(st.sampled_from(["k", "m"]), st.lists(wild, min_size=1, max_size=2), min_size=1),
    max_size=2,
)
statements = st.fixed_dictionaries(
    {
        "effect": st.sampled_from(["allow", "deny"]),
        "action": st.one_of(actions, st.lists(actions, min_size=1, max_size=3)),
        "resource": st.one_of(resources, st.lists(resources, min_size=1, max_size=3)),
    },
    optional={"condition": conditions},
)
documents = st.lists(
    st.fixed_dictionaries({"version": st.just("2.0"), "statement": st.lists(statements, min_size=1, max_size=3)}),
    max_size=4,
)
requests = st.builds(
    AccessRequest,
    action=st.builds("{}:{}".format, services, letters),
    resource=st.one_of(
        st.just("*"),
        st.builds(
            "qcs::{}:{}:{}:{}".format,
            services,
            regions,
            accounts,
            st.one_of(letters, st.sampled_from(["a/b", "b/a"])),
        ),
    ),
    account=st.just(ACCOUNT),
    context=st.dictionaries(st.sampled_from(["k", "m"]), st.one_of(letters, st.lists(letters, max_size=2))),
    variables=st.one_of(st.just({}), st.fixed_dictionaries({"uin": st.sampled_from(["a", "b"])})),
)


def named(contents: list[Document]) -> list[NamedPolicy]:
    return [NamedPolicy(f"p{number}", "Custom", parse(content)) for number, content in enumerate(contents)]


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def like(text: str, pattern: str) -> bool:
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(like(text[cut:], pattern[1:]) for cut in range(len(text) + 1))
    return bool(text) and text[0] == pattern[0] and like(text[1:], pattern[1:])


def action_covers(pattern: str, action: str) -> bool:
    return pattern == "*" or like(action.lower(), pattern.removeprefix("name/").lower())


def resource_covers(pattern: str, request: AccessRequest) -> bool:
    if "*" in (pattern, request.resource):
        return pattern == "*"
    wanted, asked = pattern.split(":", 5), request.resource.split(":", 5)
    name = wanted[5]
    if "${uin}" in name:
        if "uin" not in request.variables:
            return False
        name = name.replace("${uin}", request.variables["uin"])
    return (
        wanted[2] in ("*", asked[2])
        and wanted[3] in ("", "*", asked[3])
        and (wanted[4] == "*" or (wanted[4] or "uin/1") == (asked[4] or "uin/1"))
        and like(asked[5], name)
    )


def clause_met(operator: str, values: list[str], given: str | list[str] | None) -> bool:
    prefix, _, rest = operator.rpartition(":")
    base, negated = rest.removesuffix("_if_exist"), "_not_" in rest
    if given is None or given == []:
        return rest.endswith("_if_exist")
    fits = like if base.endswith("like") else str.__eq__
    outcomes = [any(fits(one, value) for value in values) != negated for one in listed(given)]
    if prefix == "for_all_value" or (not prefix and negated):
        return all(outcomes)
    return any(outcomes)


def obvious_verdict(contents: list[Document], request: AccessRequest) -> str:
    effects = set()
    for content in contents:
        for statement in content["statement"]:
            clauses = [
                clause_met(operator, values, request.context.get(key))
                for operator, keys in statement.get("condition", {}).items()
                for key, values in keys.items()
            ]
            if (
                any(action_covers(pattern, request.action) for pattern in listed(statement["action"]))
                and any(resource_covers(pattern, request) for pattern in listed(statement["resource"]))
                and all(clauses)
            ):
                effects.add(statement["effect"])
    return "explicit deny" if "deny" in effects else "allow" if "allow" in effects else "implicit deny"


@given(documents, requests)
def test_cam_3_the_decision_agrees_with_a_slow_and_obvious_evaluator(
    contents: list[Document], request: AccessRequest
) -> None:
    assert decide(named(contents), request).verdict == obvious_verdict(contents, request)


@given(wild | st.sampled_from(["ab*ba", "*a*b*", "a*a*a"]), st.text("ab", max_size=6))
def test_a_wildcard_text_agrees_with_a_slow_and_obvious_matcher(pattern: str, text: str) -> None:
    assert Pattern.read(pattern, element="resource").matches(text, {}) == like(text, pattern)


@settings(max_examples=300)
@given(resources, requests)
def test_a_resource_agrees_with_a_slow_and_obvious_matcher(resource: str, request: AccessRequest) -> None:
    only = {"version": "2.0", "statement": {"effect": "allow", "action": "*", "resource": resource}}
    assert decide(named([only]), request).allowed == resource_covers(resource, request)


@given(documents, requests)
def test_cam_3_a_deny_that_matches_wins(contents: list[Document], request: AccessRequest) -> None:
    deny = {"version": "2.0", "statement": {"effect": "deny", "action": request.action, "resource": "*"}}
    assert decide(named([*contents, deny]), request).verdict == "explicit deny"


@given(documents, statements, requests)
def test_cam_3_one_more_deny_never_widens(
    contents: list[Document], statement: Document, request: AccessRequest
) -> None:
    more = [*contents, {"version": "2.0", "statement": statement | {"effect": "deny"}}]
    assert decide(named(contents), request).allowed or not decide(named(more), request).allowed


@given(documents, statements, requests)
def test_cam_3_one_more_allow_never_narrows(
    contents: list[Document], statement: Document, request: AccessRequest
) -> None:
    more = [*contents, {"version": "2.0", "statement": statement | {"effect": "allow"}}]
    assert decide(named(more), request).allowed or not decide(named(contents), request).allowed


@given(documents, requests, st.randoms(use_true_random=False))
def test_cam_3_the_order_of_policies_and_statements_does_not_matter(
    contents: list[Document], request: AccessRequest, random: Any
) -> None:
    shuffled = [
        content | {"statement": random.sample(content["statement"], len(content["statement"]))} for content in contents
    ]
    random.shuffle(shuffled)
    before, after = decide(named(contents), request), decide(named(shuffled), request)
    assert before.verdict == after.verdict
    assert sorted(match.effect for match in before.matches) == sorted(match.effect for match in after.matches)


@given(documents, requests)
def test_cam_3_the_reason_names_a_statement_that_matched(contents: list[Document], request: AccessRequest) -> None:
    decision = decide(named(contents), request)
    if decision.verdict == "implicit deny":
        assert request.action in decision.reason
        assert decision.matches == ()
    else:
        effect = "allow" if decision.allowed else "deny"
        told = [f"by statement {m.statement} of {m.policy}" for m in decision.matches if m.effect == effect]
        assert decision.reason.split(" ", 1)[1] in told


@given(st.sampled_from(["Create", "Delete", "Run", "Put", "Modify", "Attach"]), st.text("abcXYZ", max_size=6))
def test_read_only_access_lets_no_write_through(verb: str, rest: str) -> None:
    preset = find("ReadOnlyAccess")
    assert preset is not None
    policy = NamedPolicy(preset.name, "System", preset.policy)
    for service in {one.service for one in presets()}:
        assert not decide([policy], AccessRequest(f"{service}:{verb}{rest}", "*", ACCOUNT)).allowed


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
keys = st.sampled_from(["effect", "action", "resource", "condition", "principal", "Sid"])


@given(
    st.one_of(
        st.text(max_size=40),
        st.dictionaries(st.sampled_from(["version", "statement", "principal"]), json_values),
        st.fixed_dictionaries(
            {
                "version": st.just("2.0"),
                "statement": st.lists(st.dictionaries(keys, st.one_of(json_values, actions, conditions)), max_size=2),
            }
        ),
    ),
    st.booleans(),
)
def test_whatever_the_document_it_is_read_or_refused_by_name(document: Any, principal: bool) -> None:
    told = None
    try:
        parse(document, principal=principal)
    except PolicyError as fault:
        told = fault
    assert told is None or (told.element and told.rule in str(told))
