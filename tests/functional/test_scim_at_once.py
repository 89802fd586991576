"""What is looked at before it is locked: of two requests at a time both take effect, or one is told (RFC 7644 3.14)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from portal.core.audit import AuditEvent
from portal.core.database import Database
from portal.core.push.models import ScimGuard
from portal.core.space.models import Space
from scim import guarding, members, resources
from scim.patch import MemberChange
from scim.resources import KINDS, Door
from tests.support.make import SCIM, Make
from tests.support.scim import ScimClient

OFF = {"op": "replace", "path": "active", "value": False}
postgresql = pytest.mark.parametrize("database", ["postgresql"], indirect=True)


@pytest.fixture
def other(database: Database, space: Space) -> Iterator[Door]:
    """A request that is under way, for as long as a test wants."""
    with database.session() as session:
        session.execute(text("SET LOCAL lock_timeout = '20s'"))
        yield Door(session, SCIM, space, "")


@pytest.fixture
def at_once(app: Flask, scim: ScimClient) -> Callable[..., list[Any]]:
    """Sends PATCHes of one path at the same time; the answers in the order of the operations."""

    def send(path: str, operations: list[dict[str, Any]], **headers: str) -> list[Any]:
        def one(operation: dict[str, Any]) -> Any:
            named = {"Authorization": f"Bearer {scim.secret}", **headers}
            return app.test_client().patch(f"/scim/v2{path}", json={"Operations": [operation]}, headers=named)

        with ThreadPoolExecutor(4) as pool:
            return list(pool.map(one, operations))

    return send


@pytest.fixture
def meanwhile(scim: ScimClient, other: Door) -> Callable[..., Any]:
    """Sends a PATCH that has to wait for the other request; the answer once that has ended."""

    def send(path: str, operation: dict[str, Any], **options: Any) -> Any:
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(scim.patch, path, operation, **options)
            with pytest.raises(TimeoutError):
                asked.result(0.5)
            other.session.commit()
            return asked.result(60)

    return send


def add(*ids: str) -> dict[str, Any]:
    return {"op": "add", "path": "members", "value": [{"value": each} for each in ids]}


def remove(user_id: str) -> dict[str, Any]:
    return {"op": "remove", "path": f'members[value eq "{user_id}"]'}


def inside(scim: ScimClient, path: str) -> set[str]:
    return {member["value"] for member in scim.get(path).get("members", ())}


def version(scim: ScimClient, path: str) -> int:
    scim.get(path)
    return int(scim.response.headers["ETag"][3:-1])


def events(session: Session, action: str) -> int:
    return len(session.scalars(select(AuditEvent.id).where(AuditEvent.action == action)).all())


def test_users_join_and_leave_one_group_at_the_same_time(scim: ScimClient, at_once: Any) -> None:
    ids = [scim.user(f"user{number}")["id"] for number in range(12)]
    path = f"/Groups/{scim.group('G', *ids[:6])['id']}"
    before = version(scim, path)
    answers = at_once(path, [*(remove(each) for each in ids[:6]), *(add(each) for each in ids[6:])])
    assert [answer.status_code for answer in answers] == [204] * 12
    assert inside(scim, path) == set(ids[6:])
    tags = {answer.headers["ETag"] for answer in answers}
    assert tags == {f'W/"{before + number}"' for number in range(1, 13)}


def test_of_two_who_name_one_version_the_second_is_told(scim: ScimClient, at_once: Any) -> None:
    ids = [scim.user(f"user{number}")["id"] for number in range(4)]
    path = f"/Groups/{scim.group('G')['id']}"
    answers = at_once(path, [add(each) for each in ids], **{"If-Match": f'W/"{version(scim, path)}"'})
    assert sorted(answer.status_code for answer in answers) == [204, 412, 412, 412]
    assert len(inside(scim, path)) == 1

    user = f"/Users/{ids[0]}"
    titles = [{"op": "replace", "path": "title", "value": f"T{number}"} for number in range(4)]
    answers = at_once(user, titles, **{"If-Match": f'W/"{version(scim, user)}"'})
    assert sorted(answer.status_code for answer in answers) == [200, 412, 412, 412]
    assert version(scim, user) == 2


def test_one_user_who_is_put_in_twice_at_the_same_time_joins_once(scim: ScimClient, at_once: Any, make: Make) -> None:
    user_id = scim.user("ann")["id"]
    path = f"/Groups/{scim.group('G')['id']}"
    before = version(scim, path)
    assert {answer.status_code for answer in at_once(path, [add(user_id)] * 6)} == {204}
    assert version(scim, path) == before + 1
    with make.transaction() as session:
        assert events(session, "group.add_users") == 1


def test_changes_of_one_user_at_the_same_time_are_all_kept(scim: ScimClient, at_once: Any) -> None:
    path = f"/Users/{scim.user('ann')['id']}"
    names = ["title", "nickName", "locale", "timezone", "userType", "preferredLanguage"]
    answers = at_once(path, [{"op": "add", "path": name, "value": "x"} for name in names])
    assert [answer.status_code for answer in answers] == [200] * 6
    assert {name: scim.get(path).get(name) for name in names} == dict.fromkeys(names, "x")
    assert {answer.headers["ETag"] for answer in answers} == {f'W/"{number}"' for number in range(2, 8)}


@postgresql
def test_who_joins_a_group_that_is_put_into_another_one_meanwhile_is_in_both(
    scim: ScimClient, other: Door, meanwhile: Any
) -> None:
    user_id = scim.user("ann")["id"]
    inner, outer = scim.group("Inner")["id"], scim.group("Outer")["id"]
    group = resources.locked(other, KINDS["Groups"], outer)
    members.change(other.session, SCIM, group, MemberChange(added=(inner,)))
    meanwhile(f"/Groups/{inner}", add(user_id))
    assert inside(scim, f"/Groups/{inner}") == {user_id}
    joined = {(each["value"], each["type"]) for each in scim.get(f"/Users/{user_id}")["groups"]}
    assert joined == {(inner, "direct"), (outer, "indirect")}


@postgresql
def test_who_leaves_a_group_that_is_put_into_another_one_meanwhile_is_in_none(
    scim: ScimClient, other: Door, meanwhile: Any
) -> None:
    user_id = scim.user("ann")["id"]
    inner, outer = scim.group("Inner", user_id)["id"], scim.group("Outer")["id"]
    group = resources.locked(other, KINDS["Groups"], outer)
    members.change(other.session, SCIM, group, MemberChange(added=(inner,)))
    meanwhile(f"/Groups/{inner}", remove(user_id))
    assert "groups" not in scim.get(f"/Users/{user_id}")


@postgresql
def test_who_is_deleted_meanwhile_joins_nothing(scim: ScimClient, other: Door, meanwhile: Any) -> None:
    user_id = scim.user("ann")["id"]
    path = f"/Groups/{scim.group('G')['id']}"
    before = version(scim, path)
    KINDS["Users"].delete(other, resources.locked(other, KINDS["Users"], user_id))
    meanwhile(path, add(user_id), status=400)
    assert version(scim, path) == before


@postgresql
def test_a_user_who_is_changed_meanwhile_is_read_anew(scim: ScimClient, other: Door, meanwhile: Any) -> None:
    path = f"/Users/{scim.user('ann', title='old')['id']}"
    user = resources.locked(other, KINDS["Users"], path[7:])
    KINDS["Users"].change(other, user, {"Operations": [{"op": "replace", "path": "title", "value": "new"}]})
    other.session.flush()
    after = meanwhile(path, {"op": "add", "path": "nickName", "value": "Annie"})
    assert (after["title"], after["nickName"], after["meta"]["version"]) == ("new", "Annie", 'W/"3"')


@postgresql
def test_who_came_within_the_hour_is_deactivated_without_waiting_for_the_guard(scim: ScimClient, other: Door) -> None:
    first, second = (f"/Users/{scim.user(name)['id']}" for name in ("ann", "bob"))
    guarding.lock_first(other, "Users", "DELETE", b"")
    assert other.session.get(ScimGuard, other.space.id) is not None
    assert [scim.patch(path, OFF)["active"] for path in (first, second)] == [False, False]
