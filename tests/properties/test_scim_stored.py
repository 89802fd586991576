"""Through HTTP: what a PATCH leaves is what a GET gives, as the model in memory and scim2-models say; what is cut out
of an answer is a part of the whole answer; an order is total and the same on every page.
"""

from __future__ import annotations

import copy
import unicodedata
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from scim2_models import EnterpriseUser, PatchOp
from scim2_models import User as UserModel
from scim2_models.exceptions import SCIMException

from scim.attributes import USERS
from scim.patch import apply
from scim.shaping import shape
from tests.support.scim import ScimClient
from tests.support.scim_examples import ENTERPRISE, FULL_ENTERPRISE, PATCH, USER

some = settings(
    max_examples=50,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
texts = st.sampled_from(["a", "B", "é", "😀", "x y", "true", "{", 'q"u'])
addresses = st.sampled_from(["a@x.example", "b@x.example", "c@x.example"])
kinds = st.sampled_from(["work", "home", "other"])
emails = st.lists(
    st.fixed_dictionaries({"value": addresses, "type": kinds}), max_size=3, unique_by=lambda entry: entry["type"]
)


@pytest.fixture
def path(scim: ScimClient) -> str:
    return f"/Users/{scim.user('ann')['id']}"


# PATCH

SIMPLE = ["title", "nickName", "displayName", "name.givenName", "name.formatted", f"{ENTERPRISE}:department"]


def operation(op: str, path: str, value: Any) -> dict[str, Any]:
    return {"op": op, "path": path} | ({} if op == "remove" else {"value": value})


operations = st.lists(
    st.one_of(
        st.builds(operation, st.sampled_from(["add", "replace", "remove"]), st.sampled_from(SIMPLE), texts),
        st.builds(operation, st.sampled_from(["add", "replace"]), st.just("active"), st.booleans()),
        st.builds(operation, st.sampled_from(["add", "replace"]), st.just("emails"), emails.filter(bool)),
        st.builds(lambda kind: operation("remove", f'emails[type eq "{kind}"]', None), kinds),
        st.builds(
            lambda op, kind, value: operation(op, f'emails[type eq "{kind}"].value', value),
            st.sampled_from(["replace", "add"]),
            kinds,
            addresses,
        ),
        st.builds(
            lambda op, name: {"op": op, "value": {"name": name, "title": "T"}},
            st.sampled_from(["add", "replace"]),
            st.fixed_dictionaries({}, optional={"givenName": texts, "familyName": texts}).filter(bool),
        ),
        st.builds(lambda kind: operation("replace", f'emails[type eq "{kind}"].primary', True), kinds),
        st.just({"op": "remove", "path": "emails"}),
        st.just({"op": "remove", "path": "name"}),
    ),
    min_size=1,
    max_size=5,
)
users = st.fixed_dictionaries(
    {"userName": st.just("ann"), "active": st.booleans()},
    optional={
        "title": texts,
        "emails": emails,
        "name": st.fixed_dictionaries({"givenName": texts}),
        ENTERPRISE: st.fixed_dictionaries({"department": texts}),
    },
)


def second_opinion(before: dict[str, Any], body: dict[str, Any]) -> dict[str, Any] | None:
    """What scim2-models makes of it, in our canonical form; None where it takes less than we do (F13)."""
    try:
        model = UserModel[EnterpriseUser].model_validate({"schemas": [USER, ENTERPRISE], **copy.deepcopy(before)})
        PatchOp[UserModel[EnterpriseUser]].model_validate(copy.deepcopy(body)).patch(model)
    except (SCIMException, ValueError):
        return None
    return shape(USERS, model.model_dump(mode="json"))


def comparable(resource: dict[str, Any]) -> dict[str, Any]:
    """`primary: false` and no mark are the same (RFC 7643 section 2.4)."""
    shaped = shape(USERS, {key: value for key, value in resource.items() if key not in ("id", "meta", "schemas")})
    for entry in shaped.get("emails", []):
        if not entry.get("primary"):
            entry.pop("primary", None)
    return shaped


opinions: list[bool] = []


@some
@given(before=users, steps=operations)
def test_get_after_patch_gives_what_the_model_says(
    scim: ScimClient, path: str, before: dict[str, Any], steps: list[dict[str, Any]]
) -> None:
    start = comparable(scim.put(path, before))
    assert start == comparable(before)
    body = {"schemas": [PATCH], "Operations": steps}
    try:
        expected = comparable(apply(USERS, start, body)[0])
    except Exception:  # the model refuses: so does the server, and nothing changes
        scim.send("PATCH", path, body, status=400)
        assert comparable(scim.get(path)) == start
        return
    answer = scim.send("PATCH", path, body)
    assert comparable(answer) == expected
    assert scim.get(path) == answer
    opinion = second_opinion(start, body)
    opinions.append(opinion is not None)
    if opinion is not None:
        assert comparable(opinion) == expected, body


def test_the_second_opinion_was_heard() -> None:
    """A check of the test itself."""
    assert sum(opinions) > len(opinions) / 4 > 0


# attributes and excludedAttributes

NAMES = [
    *("userName", "externalId", "name", "name.familyName", "NAME.givenName", "emails", "emails.value", "emails.type"),
    *("addresses.locality", "active", "title", "meta", "meta.version", f"{USER}:nickName", f"{USER}:name.formatted"),
    *(f"{ENTERPRISE}:department", f"{ENTERPRISE}:manager.value", "noSuch", "name.noSuch", "password", "id", "schemas"),
]


def covers(asked: list[str], uri: str, *names: str) -> bool:
    """Whether one of the paths asked for names the attribute, or the attribute that it is a part of."""
    paths = {item.lower() for item in asked}
    forms = [".".join(names[:size]).lower() for size in range(1, len(names) + 1)]
    prefixes = [f"{uri}:".lower()] + ([""] if uri == USER else [])
    return any(prefix + form in paths for prefix in prefixes for form in forms)


def cut(whole: dict[str, Any], asked: list[str], *, keep: bool) -> dict[str, Any]:
    def part(uri: str, name: str, value: Any) -> Any:
        if covers(asked, uri, name):
            return value if keep else None
        if isinstance(value, list):
            return [kept for entry in value if (kept := part(uri, name, entry))] or None
        if isinstance(value, dict):
            return {sub: inner for sub, inner in value.items() if covers(asked, uri, name, sub) is keep} or None
        return None if keep else value

    result = {}
    for name, value in whole.items():
        if name in ("id", "schemas"):
            result[name] = value
        elif name == ENTERPRISE:
            inner = {key: kept for key, each in value.items() if (kept := part(ENTERPRISE, key, each)) is not None}
            result |= {name: inner} if inner else {}
        elif (kept := part(USER, name, value)) is not None:
            result[name] = kept
    return result


@some
@given(asked=st.lists(st.sampled_from(NAMES), min_size=1, max_size=5))
def test_attributes_and_excluded_attributes_cut_the_whole_answer(scim: ScimClient, path: str, asked: list[str]) -> None:
    whole = scim.put(path, {**FULL_ENTERPRISE, "userName": "ann"})
    assert scim.get(path, attributes=",".join(asked)) == cut(whole, asked, keep=True)
    assert scim.get(path, excludedAttributes=", ".join(asked)) == cut(whole, asked, keep=False)


# order

SORTED = ["userName", "displayName", "title", "name.givenName", "emails", "emails.value", "externalId", "active"]
crowds = st.lists(
    st.fixed_dictionaries(
        {"active": st.booleans()},
        optional={
            "displayName": texts,
            "title": texts,
            "externalId": texts,
            "name": st.fixed_dictionaries({"givenName": texts}),
            "emails": st.lists(
                st.fixed_dictionaries({"value": texts}, optional={"type": kinds}), min_size=1, max_size=3
            ),
        },
    ),
    min_size=5,
    max_size=9,
)


def sort_key(user: dict[str, Any], by: str) -> Any:
    first, _, sub = by.partition(".")
    value = user.get(first)
    if isinstance(value, list):
        best = sorted(value, key=lambda entry: not entry.get("primary"))
        value = best[0].get(sub or "value")
    elif isinstance(value, dict):
        value = value.get(sub)
    if isinstance(value, str) and first != "externalId":
        value = unicodedata.normalize("NFC", value).casefold()
    return value


@settings(some, max_examples=5)
@given(crowd=crowds, size=st.integers(1, 4), primary=st.booleans())
def test_an_order_is_total_and_the_same_on_every_page(
    scim: ScimClient, crowd: list[dict[str, Any]], size: int, primary: bool
) -> None:
    for user in scim.get("/Users")["Resources"]:
        scim.delete(f"/Users/{user['id']}")
    for number, person in enumerate(crowd):
        if "emails" in person:
            person["emails"][-1]["primary"] = primary
        scim.user(f"{'bA'[number % 2]}{number}", **person)
    everybody = scim.get("/Users")["Resources"]
    for by in SORTED:
        valued = [user for user in everybody if sort_key(user, by) is not None]
        missing = [user for user in everybody if sort_key(user, by) is None]
        for order in ("ascending", "descending"):
            # a sort is stable: equal ones stay in the order of creation, also when descending
            ranked = sorted(valued, key=lambda user: sort_key(user, by), reverse=order == "descending")
            expected = missing + ranked if order == "descending" else ranked + missing
            pages = [
                scim.get("/Users", sortBy=by, sortOrder=order, startIndex=start, count=size)["Resources"]
                for start in range(1, len(everybody) + 1, size)
            ]
            assert [user["userName"] for page in pages for user in page] == [user["userName"] for user in expected], by
