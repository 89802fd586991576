"""Paging by cursor (RFC 9865)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Flask

from portal.core.database import Database
from tests.support.make import Make
from tests.support.scim import ScimClient, make_secret
from tests.support.statements import statements


def fill(scim: ScimClient, numbers: range) -> None:
    operations = [
        {"method": "POST", "path": "/Users", "bulkId": str(number), "data": {"userName": f"user{number}"}}
        for number in numbers
    ]
    outcomes = scim.post("/Bulk", {"Operations": operations}, status=200)["Operations"]
    assert {outcome["status"] for outcome in outcomes} == {"201"}


def walk(scim: ScimClient, *, between: Callable[[int], None] = lambda page: None, **query: Any) -> list[list[str]]:
    pages, cursor = [], ""
    while True:
        body = scim.get("/Users", cursor=cursor, **query)
        assert body["itemsPerPage"] == len(body["Resources"])
        pages.append([user["userName"] for user in body["Resources"]])
        if "nextCursor" not in body:
            return pages
        cursor = body["nextCursor"]
        between(len(pages))


def joined(pages: list[list[str]]) -> list[str]:
    return [name for page in pages for name in page]


def test_the_service_says_how_it_pages(scim: ScimClient) -> None:
    assert scim.get("/ServiceProviderConfig")["pagination"] == {
        "cursor": True,
        "index": True,
        "defaultPaginationMethod": "index",
        "defaultPageSize": 100,
        "maxPageSize": 200,
        "cursorTimeout": 3600,
    }


def test_the_walk_by_cursor_is_the_walk_by_index_each_page_at_the_same_price(
    scim: ScimClient, database: Database
) -> None:
    fill(scim, range(250))
    by_index = [
        user["userName"]
        for start in range(1, 251, 30)
        for user in scim.get("/Users", startIndex=start, count=30)["Resources"]
    ]
    prices, cursor, names = set(), "", []
    while True:
        with statements(database) as seen:
            body = scim.get("/Users", cursor=cursor, count=30)
        if database.url.startswith("postgresql"):  # for SQLite SQLAlchemy writes OFFSET 0 behind every LIMIT
            assert not any("OFFSET" in statement for statement in seen)
        prices.add(len(seen))
        names += [user["userName"] for user in body["Resources"]]
        assert (body["totalResults"], "startIndex" in body) == (250, False)
        cursor = body.get("nextCursor", "")
        if not cursor:
            break
    assert names == by_index == [f"user{number}" for number in range(250)]
    assert len(prices) == 1
    assert [len(page) for page in walk(scim)] == [100, 100, 50]
    assert [len(page) for page in walk(scim, count=1000)] == [200, 50]
    assert [len(page) for page in walk(scim, count=125)] == [125, 125]


def test_what_comes_and_goes_during_the_walk_neither_hides_nor_doubles_anything_else(scim: ScimClient) -> None:
    fill(scim, range(12))
    ids = {user["userName"]: user["id"] for user in scim.get("/Users")["Resources"]}

    def between(page: int) -> None:
        if page == 1:
            for gone in ("user0", "user2", "user3", "user5"):  # passed, the one under the cursor, and one to come
                scim.delete(f"/Users/{ids[gone]}")
            scim.user("late")

    assert walk(scim, count=4, between=between) == [
        ["user0", "user1", "user2", "user3"],
        ["user4", "user6", "user7", "user8"],
        ["user9", "user10", "user11", "late"],
    ]


def test_one_walks_back_the_way_one_came(scim: ScimClient) -> None:
    fill(scim, range(7))
    first = scim.get("/Users", cursor="", count=3)
    second = scim.get("/Users", cursor=first["nextCursor"], count=3)
    third = scim.get("/Users", cursor=second["nextCursor"], count=3)
    assert "previousCursor" not in first
    assert "nextCursor" not in third
    back = scim.get("/Users", cursor=third["previousCursor"], count=3)
    assert back["Resources"] == second["Resources"]
    start = scim.get("/Users", cursor=back["previousCursor"], count=3)
    assert (start["Resources"], "previousCursor" in start) == (first["Resources"], False)
    assert scim.get("/Users", cursor=start["nextCursor"], count=3)["Resources"] == second["Resources"]


def test_a_page_whose_rows_are_gone_still_leads_back(scim: ScimClient) -> None:
    fill(scim, range(3))
    first = scim.get("/Users", cursor="", count=2)
    last = scim.get("/Users", cursor=first["nextCursor"])["Resources"][0]
    scim.delete(f"/Users/{last['id']}")
    empty = scim.get("/Users", cursor=first["nextCursor"])
    assert (empty["Resources"], "nextCursor" in empty) == ([], False)
    assert scim.get("/Users", cursor=empty["previousCursor"])["Resources"] == first["Resources"]


def test_a_filter_goes_with_the_cursor_and_groups_and_post_search_do_too(scim: ScimClient) -> None:
    fill(scim, range(30))
    asked = 'userName sw "user1"'
    assert joined(walk(scim, count=4, filter=asked)) == ["user1", *(f"user{number}" for number in range(10, 20))]
    for name in "ABC":
        scim.group(name)
    first = scim.post("/Groups/.search", {"cursor": "", "count": 2}, status=200)
    second = scim.post("/Groups/.search", {"cursor": first["nextCursor"], "count": 2}, status=200)
    assert [group["displayName"] for body in (first, second) for group in body["Resources"]] == ["A", "B", "C"]
    nothing = scim.get("/Users", cursor="", count=0)
    assert (nothing["totalResults"], nothing["Resources"], "nextCursor" in nothing) == (30, [], False)
    assert scim.get("/Users", cursor="", count=1, attributes="userName")["Resources"][0].keys() == {
        "schemas",
        "id",
        "userName",
    }


def test_a_cursor_that_was_changed_or_belongs_elsewhere_is_refused(scim: ScimClient, app: Flask, make: Make) -> None:
    fill(scim, range(3))
    cursor = scim.get("/Users", cursor="", count=1)["nextCursor"]
    other = {"A": "B"}
    spoilt = [cursor[:place] + other.get(cursor[place], "A") + cursor[place + 1 :] for place in (0, 9, 40, -20, -1)]
    spoilt += ["2", "x" * 5000, "é", cursor + "A", cursor + " ", cursor[:-1], "!" + cursor, cursor + "===="]
    stranger = ScimClient(app, make_secret(make, make.space(scim_enabled=True)))
    refusals = [scim.get("/Users", cursor=each, status=400) for each in spoilt]
    refusals += [
        scim.get("/Users", cursor=cursor, filter="userName pr", status=400),
        scim.get("/Groups", cursor=cursor, status=400),
        stranger.get("/Users", cursor=cursor, status=400),
        scim.post("/Users/.search", {"cursor": 7}, status=400),
    ]
    assert {refused["scimType"] for refused in refusals} == {"invalidCursor"}
    assert len(scim.get("/Users", cursor=cursor)["Resources"]) == 2


def test_a_cursor_and_an_order_of_ones_own_do_not_go_together(scim: ScimClient) -> None:
    refused = scim.get("/Users", cursor="", sortBy="userName", status=400)
    assert refused["scimType"] == "invalidValue"
    assert "sortBy" in refused["detail"]
