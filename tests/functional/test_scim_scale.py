"""The number of SQL statements does not grow with what is there; two requests at a time both count."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import count
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import event, text

from portal.core.database import Database
from portal.core.directory import groups
from portal.core.errors import NotFound
from portal.core.space.models import Space
from scim import resources
from scim.recording import LINES_OF_AN_ADDRESS
from scim.resources import KINDS, Door
from tests.support.make import SCIM
from tests.support.scim import ScimClient
from tests.support.statements import statements


@pytest.fixture(autouse=True)
def warm(scim: ScimClient) -> None:
    """The first request of an app asks more than the others."""
    scim.get("/Users")


@pytest.fixture
def doors(database: Database, space: Space) -> Iterator[list[Door]]:
    """Two requests under way; a lock that is not to be had is an error after a while."""
    with database.session() as first, database.session() as second:
        for session in (first, second):
            session.execute(text("SET LOCAL lock_timeout = '5s'"))
        yield [Door(session, SCIM, space, "") for session in (first, second)]


def counted(database: Database, call: Any) -> int:
    with statements(database) as seen:
        call()
    return len(seen)


def test_a_list_of_a_hundred_takes_as_many_statements_as_one_of_two(scim: ScimClient, database: Database) -> None:
    def make(numbers: range) -> None:
        for number in numbers:
            user = scim.user(f"user{number}", emails=[{"value": f"u{number}@x.y"}], title="T")
            scim.group(f"Group {number}", user["id"])

    def counts(count: int) -> list[int]:
        pages: list[Any] = [scim.get(kind, count=count)["itemsPerPage"] for kind in ("/Users", "/Groups")]
        assert pages == [count, count]
        kinds = [counted(database, lambda k=k: scim.get(k, count=count)) for k in ("/Users", "/Groups")]
        return kinds + [counted(database, lambda q=q: scim.get("/Users", count=count, **q)) for q in asked]

    asked: list[dict[str, Any]] = [{"filter": 'title eq "t"'}, {"sortBy": "userName"}]
    make(range(3))
    few = counts(2)
    make(range(3, 101))
    many = counts(100)
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


def test_no_operation_takes_more_statements_when_there_are_more_users_and_groups(
    scim: ScimClient, database: Database
) -> None:
    numbers = count(1)

    def all_kinds() -> list[int]:
        """One user and one group live their life; a cursor and a deep page are opened."""
        name = f"kind{next(numbers)}"
        made: dict[str, Any] = {}

        def post(path: str, body: dict[str, Any]) -> None:
            made[path] = f"{path}/{scim.post(path, body)['id']}"

        acts = [
            lambda: post("/Users", {"userName": name, "externalId": name, "emails": [{"value": f"{name}@x.y"}]}),
            lambda: post("/Groups", {"displayName": name}),
            lambda: scim.get(made["/Users"]),
            lambda: scim.found("/Users", f'userName eq "{name}"'),
            lambda: scim.found("/Users", f'externalId eq "{name}"'),
            lambda: scim.found("/Users", f'emails[value eq "{name}@x.y"] or userName eq "nobody"'),
            lambda: scim.get("/Users", startIndex=scim_total() - 1, count=1),
            lambda: scim.get("/Users", cursor="", count=1),
            lambda: scim.put(made["/Users"], {"userName": name, "title": "T"}),
            lambda: scim.patch(made["/Users"], {"op": "replace", "path": "active", "value": False}),
            lambda: scim.patch(made["/Groups"], {"op": "add", "path": "members", "value": [member()]}),
            lambda: scim.patch(made["/Groups"], {"op": "remove", "path": f'members[value eq "{member()["value"]}"]'}),
            lambda: scim.delete(made["/Groups"]),
            lambda: scim.delete(made["/Users"]),
        ]

        def member() -> dict[str, str]:
            return {"value": made["/Users"].rsplit("/", 1)[1]}

        return [counted(database, act) for act in acts]

    def scim_total() -> int:
        return int(scim.get("/Users", count=0)["totalResults"])

    ids = [scim.user(f"user{number}")["id"] for number in range(3)]
    all_kinds()  # the first of all makes the guard of the space
    few = all_kinds()
    ids += [scim.user(f"user{number}")["id"] for number in range(3, 60)]
    for number in range(20):
        scim.group(f"Group {number}", *ids)
    assert all_kinds() == few


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


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_a_user_who_joins_a_group_while_being_deleted_stops_neither_request(
    scim: ScimClient, space: Space, doors: list[Door]
) -> None:
    user_id = scim.user("ann")["id"]
    first, second = scim.group("First", user_id)["id"], scim.group("Second")["id"]
    joining, deleting = doors
    resources.locked(joining, KINDS["Groups"], first)
    user = resources.locked(deleting, KINDS["Users"], user_id)
    with ThreadPoolExecutor(1) as pool:
        deletion = pool.submit(KINDS["Users"].delete, deleting, user)
        with pytest.raises(TimeoutError):
            deletion.result(0.3)  # it waits for the first group
        group = groups.get_group(joining.session, space, second)
        groups.add_members(joining.session, SCIM, group=group, user_ids=[user_id])
        joining.session.commit()
        deletion.result(10)
    deleting.session.commit()
    assert scim.get("/Users")["totalResults"] == 0
    assert not any("members" in found for found in scim.get("/Groups")["Resources"])


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_a_user_who_is_being_deleted_joins_no_group(scim: ScimClient, space: Space, doors: list[Door]) -> None:
    user_id = scim.user("ann")["id"]
    group_id = scim.group("Team")["id"]
    joining, deleting = doors
    user = resources.locked(deleting, KINDS["Users"], user_id)
    other: list[Any] = []

    def join() -> None:
        group = groups.get_group(joining.session, space, group_id)
        with pytest.raises(NotFound):
            groups.add_members(joining.session, SCIM, group=group, user_ids=[user_id])
        other.append("refused")

    with ThreadPoolExecutor(1) as pool:

        def join_meanwhile(*_event: object) -> None:
            if not other:
                other.append(pool.submit(join))
                time.sleep(0.3)

        event.listen(deleting.session, "before_flush", join_meanwhile)
        KINDS["Users"].delete(deleting, user)
        deleting.session.commit()
        other[0].result(10)
    assert other[1:] == ["refused"]


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("path", "content_type"),
    [("/scim/v2/Users", "application/scim+json"), ("/saml/acme/acs", "application/x-www-form-urlencoded")],
)
def test_a_body_that_trickles_in_keeps_nobody_from_writing(
    scim: ScimClient, app: Flask, database: Database, path: str, content_type: str
) -> None:
    outcomes = []

    class Trickle:
        def read(self, _size: int = -1) -> bytes:
            with closing(sqlite3.connect(str(database.engine.url.database), timeout=0)) as other:
                other.execute("BEGIN IMMEDIATE")
            outcomes.append("written")
            return b""

        readline = read

    app.test_client().post(
        path,
        content_type=content_type,
        headers={"Authorization": f"Bearer {scim.secret}"},
        environ_overrides={"wsgi.input": Trickle(), "CONTENT_LENGTH": "100"},
    )
    assert outcomes[:1] == ["written"]


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_who_asks_is_looked_up_before_a_change_waits_for_the_others(
    scim: ScimClient, app: Flask, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("portal.core.database._SQLITE_SECONDS", 0)
    stranger = ScimClient(app, "wrong")
    for _ in range(LINES_OF_AN_ADDRESS):
        stranger.post("/Users", {"userName": "ann"}, status=401)
    with closing(sqlite3.connect(str(database.engine.url.database), timeout=0)) as other:
        other.execute("BEGIN IMMEDIATE")
        stranger.post("/Users", {"userName": "ann"}, status=401)
        named = {"json": {"userName": "ann"}, "headers": {"Authorization": f"Bearer {scim.secret}"}}
        assert scim.client.post("/scim/v2/Users", **named).status_code >= 500
    scim.user("ann")


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
