"""RFC 9865: the examples of paging by cursor, its errors, and how it lives with paging by index."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.support.scim import ScimClient
from tests.support.scim_examples import ERROR, LIST, SEARCH

UNRESERVED = re.compile(r"[A-Za-z0-9._~-]+")


@pytest.fixture
def names(scim: ScimClient) -> list[str]:
    people = [f"J{number:02}" for number in range(25)]
    operations = [
        {"method": "POST", "path": "/Users", "bulkId": name, "data": {"userName": name}} for name in [*people, "kim"]
    ]
    scim.post("/Bulk", {"Operations": operations}, status=200)
    return people


def shown(page: Any) -> list[str]:
    return [user["userName"] for user in page["Resources"]]


def test_2_walk_forth_and_back(scim: ScimClient, names: list[str]) -> None:
    """The example: userName sw J, ten a page, an empty cursor first."""
    question = {"filter": 'userName sw "J"', "count": 10}
    first = scim.get("/Users", cursor="", **question)
    assert first["schemas"] == [LIST]
    assert (first["totalResults"], first["itemsPerPage"], shown(first)) == (25, 10, names[:10])
    assert "previousCursor" not in first
    assert "startIndex" not in first
    second = scim.get("/Users", cursor=first["nextCursor"], **question)
    assert shown(second) == names[10:20]
    third = scim.get("/Users", cursor=second["nextCursor"], **question)
    assert (shown(third), third["itemsPerPage"], "nextCursor" in third) == (names[20:], 5, False)
    assert shown(scim.get("/Users", cursor=third["previousCursor"], **question)) == names[10:20]
    for page in (first, second, third):
        for name in ("nextCursor", "previousCursor"):
            assert UNRESERVED.fullmatch(page.get(name, "x"))  # needs no escape in a URL


@pytest.mark.usefixtures("names")
def test_2_1_errors(scim: ScimClient) -> None:
    cursor = scim.get("/Users", cursor="", count=5)["nextCursor"]
    for query, scim_type in (
        ({"cursor": "VZUTiyhEQJ94IR"}, "invalidCursor"),
        ({"cursor": cursor[:-2]}, "invalidCursor"),
        ({"cursor": cursor, "filter": "title pr"}, "invalidCursor"),
        ({"cursor": cursor, "count": "ten"}, "invalidCount"),
        ({"cursor": "", "count": "1.5"}, "invalidCount"),
        ({"count": "ten"}, "invalidValue"),  # no cursor: RFC 7644
    ):
        error = scim.get("/Users", **query, status=400)
        assert (error["schemas"], error["status"], error["scimType"]) == ([ERROR], "400", scim_type), query
        assert scim.post("/Users/.search", query, status=400)["scimType"] == scim_type


def test_2_a_page_holds_at_most_what_was_asked_and_what_the_server_allows(scim: ScimClient, names: list[str]) -> None:
    config = scim.get("/ServiceProviderConfig")["pagination"]
    assert scim.get("/Users", cursor="", count=config["maxPageSize"] + 1)["itemsPerPage"] == 26
    nothing = scim.get("/Users", cursor="", count=0)
    assert (nothing["totalResults"], nothing["Resources"]) == (26, [])
    assert len(names) == 25


@pytest.mark.usefixtures("names")
def test_2_3_without_a_cursor_pages_go_by_index_as_the_configuration_says(scim: ScimClient) -> None:
    assert scim.get("/ServiceProviderConfig")["pagination"]["defaultPaginationMethod"] == "index"
    page = scim.get("/Users", count=5)
    assert (page["startIndex"], page["itemsPerPage"]) == (1, 5)
    assert page.keys() & {"nextCursor", "previousCursor"} == set()


@pytest.mark.usefixtures("names")
def test_3_search_by_post_takes_cursors(scim: ScimClient) -> None:
    question: dict[str, Any] = {
        "schemas": [SEARCH],
        "attributes": ["displayName", "userName"],
        "filter": 'userName sw "j"',
        "cursor": "",
        "count": 10,
    }
    first = scim.post("/Users/.search", question, status=200)
    second = scim.post("/Users/.search", {**question, "cursor": first["nextCursor"]}, status=200)
    assert (len(shown(first)), shown(second)[0]) == (10, "J10")
    assert first["Resources"][0].keys() == {"schemas", "id", "userName"}


def test_4_the_configuration_describes_both_methods(scim: ScimClient) -> None:
    pagination = scim.get("/ServiceProviderConfig")["pagination"]
    assert (pagination["cursor"], pagination["index"]) == (True, True)
    assert 0 < pagination["defaultPageSize"] <= pagination["maxPageSize"]
    assert pagination["cursorTimeout"] > 0
