"""Nested groups cost the same however big they are; requests at the same time all take effect and none is killed."""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import insert, select

from portal.core import clock
from portal.core.database import Database
from portal.core.directory.models import GroupNesting, Membership, User
from portal.core.space.models import Space
from tests.support.scim import PATCH, ScimClient
from tests.support.statements import statements


@pytest.fixture(autouse=True)
def warm(scim: ScimClient) -> None:
    """The first request of an app asks more than the others."""
    scim.get("/Users")


def counted(database: Database, call: Callable[[], Any]) -> int:
    with statements(database) as seen:
        call()
    return len(seen)


def of_members(op: str, *ids: str) -> dict[str, Any]:
    return {"op": op, "path": "members", "value": [{"value": each} for each in ids]}


def filled(database: Database, space: Space, group_id: str, count: int) -> None:
    """A group of so many users, in rows: pushing them one by one is not what is measured."""
    with database.transaction() as session:
        names = [f"{group_id}-{number}" for number in range(count)]
        users = [
            {"space_id": space.id, "user_name": name, "user_name_key": name, "source": "SCIM", "attributes": {}}
            for name in names
        ]
        session.execute(insert(User), users)
        ids = session.scalars(select(User.id).where(User.user_name.in_(names)))
        rows = [{"group_id": group_id, "user_id": user_id, "joined_at": clock.now()} for user_id in ids]
        session.execute(insert(Membership), rows)


def test_nesting_and_a_change_inside_take_as_many_statements_for_2000_users_as_for_2(
    scim: ScimClient, database: Database, space: Space
) -> None:
    top, small, big = (scim.group(name)["id"] for name in ("Top", "Small", "Big"))
    filled(database, space, small, 2)
    filled(database, space, big, 2000)
    scim.patch(f"/Groups/{scim.group('Whole')['id']}", of_members("add", top))
    ann = scim.user("ann")["id"]
    costs = {}
    for inner in (small, big):
        costs[inner] = [
            counted(database, lambda inner=inner: scim.patch(f"/Groups/{top}", of_members("add", inner))),
            counted(database, lambda inner=inner: scim.patch(f"/Groups/{inner}", of_members("add", ann))),
            counted(database, lambda inner=inner: scim.patch(f"/Groups/{inner}", of_members("remove", ann))),
        ]
    assert costs[big] == costs[small]
    with database.transaction(write=False) as session:
        assert len(session.scalars(select(Membership.user_id).where(Membership.group_id == top)).all()) == 2002
    scim.patch(f"/Groups/{top}", of_members("remove", big))
    with database.transaction(write=False) as session:
        assert len(session.scalars(select(Membership.user_id).where(Membership.group_id == top)).all()) == 2


def test_who_does_not_nest_groups_pays_nothing(scim: ScimClient, database: Database) -> None:
    """Not a statement about nesting, but for the deletion of a group; the flag comes along with another question."""
    ann, flat = scim.user("ann")["id"], scim.group("Flat")["id"]
    with statements(database) as seen:
        scim.patch(f"/Groups/{flat}", of_members("add", ann))
        scim.get(f"/Groups/{flat}")
        scim.patch(f"/Groups/{flat}", of_members("replace"))
    about_nesting = [each for each in seen if "group_nestings" in each and "memberships" not in each]
    assert [each for each in about_nesting if "users.source" not in each] == []
    assert not any("spaces" in each and "FOR NO KEY UPDATE" in each for each in seen)


def test_two_users_who_come_by_two_ways_at_the_same_time_are_both_in(scim: ScimClient, app: Flask) -> None:
    """One adds a user to the inner group while another puts that group into the outer one, twenty times."""
    users = [scim.user(f"user{number}")["id"] for number in range(20)]
    for number, user_id in enumerate(users):
        outer, inner = (scim.group(f"{name}{number}")["id"] for name in ("Outer", "Inner"))
        together(scim, app, [(inner, of_members("add", user_id)), (outer, of_members("add", inner))])
        joined = {group["value"]: group["type"] for group in scim.get(f"/Users/{user_id}")["groups"]}
        assert joined == {inner: "direct", outer: "indirect"}


def test_one_way_in_that_opens_while_another_shuts_keeps_the_user_in(scim: ScimClient, app: Flask) -> None:
    user_id = scim.user("ann")["id"]
    left, right = (scim.group(name)["id"] for name in ("Left", "Right"))
    top = scim.group("Top", left, right)["id"]
    scim.patch(f"/Groups/{left}", of_members("add", user_id))
    for number in range(20):
        here, there = (left, right) if number % 2 == 0 else (right, left)
        together(scim, app, [(there, of_members("add", user_id)), (here, of_members("remove", user_id))])
        joined = {group["value"]: group["type"] for group in scim.get(f"/Users/{user_id}")["groups"]}
        assert joined == {there: "direct", top: "indirect"}


def test_whatever_comes_at_the_same_time_nobody_is_refused_and_the_closure_holds(
    scim: ScimClient, app: Flask, database: Database
) -> None:
    """Nestings against each other in both directions, circles, users coming and going: no request is a victim."""
    dice = random.Random(7)
    users = [scim.user(f"user{number}")["id"] for number in range(4)]
    ids = [scim.group(f"G{number}")["id"] for number in range(4)]
    requests = []
    for _ in range(120):
        group_id = dice.choice(ids)
        op = dice.choice(["add", "add", "remove", "replace"])
        requests.append((group_id, of_members(op, *dice.sample([*users, *ids], dice.randint(1, 3)))))
    together(scim, app, requests)
    assert_closure(database)


def together(scim: ScimClient, app: Flask, requests: list[tuple[str, dict[str, Any]]]) -> None:
    headers = {"Authorization": f"Bearer {scim.secret}"}

    def send(request: tuple[str, dict[str, Any]]) -> int:
        group_id, operation = request
        body = {"schemas": [PATCH], "Operations": [operation]}
        return app.test_client().patch(f"/scim/v2/Groups/{group_id}", json=body, headers=headers).status_code

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(send, requests)) == {204}


def assert_closure(database: Database) -> None:
    with database.transaction(write=False) as session:
        rows = session.execute(select(Membership.group_id, Membership.user_id, Membership.direct)).all()
        inside = session.execute(select(GroupNesting.group_id, GroupNesting.member_id)).all()
    expected = {(group_id, user_id) for group_id, user_id, direct in rows if direct}
    while more := {(outer, user) for outer, inner in inside for group, user in expected if group == inner} - expected:
        expected |= more
    assert {(group_id, user_id) for group_id, user_id, _direct in rows} == expected


def test_groups_and_users_are_deleted_while_others_nest_them(scim: ScimClient, app: Flask, database: Database) -> None:
    """What goes away meanwhile is "not there" for the other; nothing else is an answer."""
    headers = {"Authorization": f"Bearer {scim.secret}"}
    dice = random.Random(11)
    users = [scim.user(f"user{number}")["id"] for number in range(8)]
    ids = [scim.group(f"G{number}", *dice.sample(users, 3))["id"] for number in range(8)]
    for outer in ids:
        scim.patch(f"/Groups/{outer}", of_members("add", *dice.sample(ids, 2)))

    def send(request: tuple[str, str, Any]) -> tuple[int, str]:
        method, path, operation = request
        body = {"schemas": [PATCH], "Operations": [operation]} if operation else None
        response = app.test_client().open(f"/scim/v2{path}", method=method, json=body, headers=headers)
        return response.status_code, "" if response.status_code == 204 else response.get_json(force=True)["detail"]

    requests: list[tuple[str, str, Any]] = [("DELETE", f"/Groups/{each}", None) for each in ids[:6]]
    requests += [("DELETE", f"/Users/{each}", None) for each in users[:4]]
    for _ in range(40):
        some = dice.sample([*users, *ids], 2)
        requests.append(("PATCH", f"/Groups/{dice.choice(ids)}", of_members(dice.choice(["add", "remove"]), *some)))
    dice.shuffle(requests)
    with ThreadPoolExecutor(4) as pool:
        for status, detail in pool.map(send, requests):
            assert status in (204, 400, 404, 409), detail
            assert status == 204 or "There is no" in detail or "in this moment" in detail, detail
    assert_closure(database)
