"""PATCH against a model: whatever the operations, the result is canonical, and repeating it changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from scim.attributes import ENTERPRISE, GROUPS, USERS
from scim.errors import ScimError
from scim.patch import apply
from scim.shaping import shape

text = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\x00"), min_size=1, max_size=8)
kinds = st.sampled_from(["work", "home", "other"])
simple = st.sampled_from(["title", "nickName", "name.givenName", "name.familyName", f"{ENTERPRISE}:department"])
ids = st.sampled_from(["a", "b", "c", "d"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
)


@given(st.lists(st.tuples(simple, st.sampled_from(["add", "replace", "remove"]), text | st.just("")), max_size=10))
def test_simple_attributes_behave_like_a_dictionary(steps: list[tuple[str, str, str]]) -> None:
    model: dict[str, str] = {}
    operations = []
    for path, op, value in steps:
        operations.append({"op": op, "path": path, "value": value})
        if op == "remove" or value == "":
            model.pop(path, None)
        else:
            model[path] = value
    after, _ = apply(USERS, {"userName": "u"}, {"Operations": operations or [{"op": "remove", "path": "ims"}]})
    expected: dict[str, Any] = {"userName": "u"}
    for path, value in model.items():
        if path.startswith(ENTERPRISE):
            expected.setdefault(ENTERPRISE, {})[path.rpartition(":")[2]] = value
        else:
            whole, _, part = path.partition(".")
            place = expected.setdefault(whole, {}) if part else expected
            place[part or whole] = value
    assert after == expected


@given(st.lists(st.tuples(kinds, st.sampled_from(["Add", "Replace", "Remove"]), text), min_size=1, max_size=8))
def test_entries_chosen_by_type_behave_like_a_dictionary(steps: list[tuple[str, str, str]]) -> None:
    model: dict[str, str] = {}
    operations = []
    for kind, op, value in steps:
        operations.append({"op": op, "path": f'emails[type eq "{kind}"].value', "value": value})
        if op == "Remove":
            model.pop(kind, None)
        else:
            model[kind] = value
    after, _ = apply(USERS, {"userName": "u"}, {"Operations": operations})
    entries = after.get("emails", [])
    assert {entry["type"]: entry["value"] for entry in entries} == model
    assert len(entries) == len(model)


steps_on_members = st.lists(
    st.tuples(st.sampled_from(["add", "remove", "replace", "filter"]), st.lists(ids, max_size=3)),
    min_size=1,
    max_size=8,
)


@given(st.sets(ids), steps_on_members)
def test_member_changes_behave_like_a_set(before: set[str], steps: list[tuple[str, list[str]]]) -> None:
    model = set(before)
    operations: list[dict[str, Any]] = []
    for op, members in steps:
        if op == "filter":
            operations += [{"op": "remove", "path": f'members[value eq "{member}"]'} for member in members]
        else:
            operations.append({"op": op, "path": "members", "value": [{"value": member} for member in members]})
        joined = model | set(members)
        model = joined if op == "add" else set(members) if op == "replace" else model - set(members)
    if not operations:
        return
    _, change = apply(GROUPS, {"displayName": "x"}, {"Operations": operations})
    assert change is not None
    result = set(change.added) if change.replaced else (before | set(change.added)) - set(change.removed)
    assert result == model


PATHS = [
    *("userName", "name", "emails", "emails.value", "active", "members", "displayName", "addresses", "meta", "nothing"),
    *('emails[type eq "work"]', "roles[primary eq true].value", "[", "", ENTERPRISE, f"{ENTERPRISE}:manager"),
]
operation = st.fixed_dictionaries(
    {"op": st.sampled_from(["add", "replace", "remove", "Add", "bogus"])},
    optional={
        "path": st.sampled_from(PATHS),
        "value": JSON | st.fixed_dictionaries({"value": text, "type": kinds, "primary": st.booleans()}),
    },
)


def refusal(call: Callable[[], Any]) -> ScimError | None:
    try:
        call()
    except ScimError as error:
        return error
    return None


@given(st.lists(operation, max_size=5), st.sampled_from([USERS, GROUPS]))
def test_any_operations_give_a_canonical_resource_or_a_scim_error(operations: list[Any], kind: Any) -> None:
    entry = {"value": "x", "type": "work", "primary": True}
    before = {"userName": "u", "emails": [entry]} if kind is USERS else {"displayName": "g"}
    refused = refusal(lambda: apply(kind, before, {"Operations": operations}))
    if refused:
        assert refused.status == 400
        assert refused.scim_type
    else:
        after, _ = apply(kind, before, {"Operations": operations})
        assert shape(kind, after) == after


@given(
    st.dictionaries(
        st.sampled_from(["userName", "NAME", "emails", "active", "members", ENTERPRISE, "x.y"]) | text, JSON
    )
)
def test_any_body_is_shaped_once_and_for_all_or_refused(body: dict[str, Any]) -> None:
    for kind in (USERS, GROUPS):
        refused = refusal(lambda kind=kind: shape(kind, body))  # type: ignore[misc]
        if refused:
            assert (refused.status, refused.scim_type) == (400, "invalidValue")
        else:
            shaped = shape(kind, body)
            assert shape(kind, shaped) == shaped
