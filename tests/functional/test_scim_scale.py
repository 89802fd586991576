"""The number of SQL statements does not grow with what is there; two requests at a time both count."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask import Flask

from portal.core.database import Database
from portal.core.space.models import Space
from tests.support.make import Make
from tests.support.scim import ScimClient, make_secret
from tests.support.statements import statements


@pytest.fixture
def space(make: Make) -> Space:
    return make.space("acme", scim_enabled=True)


@pytest.fixture
def scim(app: Flask, make: Make, space: Space) -> ScimClient:
    client = ScimClient(app, make_secret(make, space))
    client.get("/Users")
    return client


def counted(database: Database, call: Any) -> int:
    with statements(database) as seen:
        call()
    return len(seen)


def test_a_list_of_a_hundred_takes_as_many_statements_as_one_of_two(scim: ScimClient, database: Database) -> None:
    def make(numbers: range) -> None:
        for number in numbers:
            user = scim.user(f"user{number}", emails=[{"value": f"u{number}@x.y"}], title="T")
            scim.group(f"Group {number}", user["id"])

    make(range(2))
    asked: list[dict[str, Any]] = [{}, {"filter": 'title eq "t"'}, {"sortBy": "userName"}]
    few = [counted(database, lambda q=q, k=k: scim.get(k, **q)) for q in asked[:1] for k in ("/Users", "/Groups")]
    few += [counted(database, lambda q=q: scim.get("/Users", **q)) for q in asked[1:]]
    make(range(2, 100))
    many = [counted(database, lambda q=q, k=k: scim.get(k, **q)) for q in asked[:1] for k in ("/Users", "/Groups")]
    many += [counted(database, lambda q=q: scim.get("/Users", **q)) for q in asked[1:]]
    assert scim.get("/Users")["itemsPerPage"] == 100
    assert many == few
    assert max(many) <= 4


def test_a_member_joins_and_leaves_a_big_group_by_its_own_row(scim: ScimClient, database: Database) -> None:
    ids = [scim.user(f"user{number}")["id"] for number in range(120)]
    small, big = (f"/Groups/{scim.group(name)['id']}" for name in ("Small", "Big"))
    scim.patch(big, {"op": "add", "path": "members", "value": [{"value": user} for user in ids[1:]]})
    for op in ("add", "remove"):
        operation = {"op": op, "path": "members", "value": [{"value": ids[0]}]}
        in_small = counted(database, lambda operation=operation: scim.patch(small, operation))
        in_big = counted(database, lambda operation=operation: scim.patch(big, operation))
        assert in_big == in_small
    assert len(scim.get(big)["members"]) == 119
    assert counted(database, lambda: scim.get(big)) == counted(database, lambda: scim.get(small))


def test_two_changes_of_one_group_at_the_same_time_both_take_effect(scim: ScimClient, app: Flask) -> None:
    ids = [scim.user(f"user{number}")["id"] for number in range(8)]
    path = f"/Groups/{scim.group('G')['id']}"

    def add(user_id: str) -> int:
        client = ScimClient(app, scim.secret)
        client.patch(path, {"op": "add", "path": "members", "value": [{"value": user_id}]})
        return client.response.status_code

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(add, ids)) == [204] * 8
    assert {member["value"] for member in scim.get(path)["members"]} == set(ids)


def test_the_same_create_twice_at_the_same_time_gives_one_user_and_conflicts(scim: ScimClient, app: Flask) -> None:
    def create(_number: int) -> int:
        client = ScimClient(app, scim.secret)
        response = client.client.post(
            "/scim/v2/Users", json={"userName": "ann"}, headers={"Authorization": f"Bearer {scim.secret}"}
        )
        return response.status_code

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(create, range(4))) == [201, 409, 409, 409]
    assert scim.get("/Users")["totalResults"] == 1
