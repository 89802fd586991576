"""Values of a PATCH that some clients wrap in text or in a list."""

from __future__ import annotations

import json
from typing import Any

import pytest

from scim.attributes import GROUPS, USERS
from scim.errors import ScimError
from scim.patch import MemberChange, apply


def patched(*operations: dict[str, Any]) -> dict[str, Any]:
    return apply(USERS, {"userName": "ann"}, {"Operations": list(operations)})[0]


@pytest.mark.parametrize(
    "wrapped",
    [{"title": "T"}, [{"title": "T"}], '{"title": "T"}', ['{"title": "T"}'], [{"title": "X"}, {"title": "T"}]],
)
def test_without_a_path_the_object_may_come_in_a_list_or_as_text(wrapped: Any) -> None:
    assert patched({"op": "replace", "value": wrapped}) == {"userName": "ann", "title": "T"}


@pytest.mark.parametrize("wrong", [None, "T", [], ["T"], "[]", "{", '{"title": NaN}', 7, [["x"]], "[" * 5000])
def test_what_is_no_object_is_refused(wrong: Any) -> None:
    with pytest.raises(ScimError) as error:
        patched({"op": "replace", "value": wrong})
    assert error.value.scim_type == "invalidValue"


def test_a_single_value_may_come_in_a_list_of_one() -> None:
    assert patched({"op": "replace", "path": "active", "value": [False]})["active"] is False
    assert patched({"op": "add", "path": "name.givenName", "value": ["Ann"]})["name"] == {"givenName": "Ann"}
    assert patched({"op": "add", "path": "name", "value": [{"givenName": "Ann"}]})["name"] == {"givenName": "Ann"}


def test_what_has_parts_may_come_as_text_and_plain_text_stays_text() -> None:
    emails = [{"value": "a@b.c", "type": "work"}]
    for value in (json.dumps(emails), [json.dumps(emails[0])], json.dumps(emails[0])):
        assert patched({"op": "replace", "path": "emails", "value": value})["emails"] == emails
    assert patched({"op": "replace", "path": "title", "value": '{"a": 1}'})["title"] == '{"a": 1}'
    assert patched({"op": "replace", "path": "emails", "value": "{not json"})["emails"] == [{"value": "{not json"}]


def test_members_may_come_as_text() -> None:
    members = '[{"value":"u-1","type":"User"},{"value":"u-2"}]'
    change = apply(
        GROUPS, {"displayName": "G"}, {"Operations": [{"op": "replace", "path": "members", "value": members}]}
    )
    assert change[1] == MemberChange(replaced=True, added=("u-1", "u-2"))
