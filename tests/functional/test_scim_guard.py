"""A push that would take away too many users is paused until an administrator decides (IC-7)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from portal.core import clock
from portal.core.audit import AuditEvent
from portal.core.push.guard import LEAST, TRIAL
from portal.core.push.models import ScimGuard
from portal.core.space.models import Space
from portal.web.observing import SCIM_HELD_BACK
from tests.support.admin import READ_ONLY, Admin, enter, make_administrator, sign_in
from tests.support.browser import Browser
from tests.support.make import Make
from tests.support.scim import ScimClient, switch

OFF = {"op": "replace", "path": "active", "value": False}
ON = {"op": "replace", "path": "active", "value": True}
DAY = timedelta(hours=24)


@pytest.fixture
def admin(browser: Browser, make: Make) -> Admin:
    admin = sign_in(browser, make)
    switch(make, admin.space, on=True)
    return admin


@pytest.fixture
def space(admin: Admin) -> Space:
    return admin.space


def push(scim: ScimClient, count: int, *, ago: timedelta = TRIAL, first: int = 0) -> list[str]:
    """Users who have been here for a while."""
    operations = [
        {"method": "POST", "path": "/Users", "bulkId": f"b{number}", "data": {"userName": f"user{number:03}"}}
        for number in range(first, first + count)
    ]
    with clock.shifted(-ago):
        done = scim.post("/Bulk", {"Operations": operations}, status=200)["Operations"]
    return [each["location"].rpartition("/")[2] for each in done]


def paths(ids: list[str]) -> list[str]:
    return [f"/Users/{user_id}" for user_id in ids]


def pause(scim: ScimClient, count: int = 10) -> list[str]:
    """As many go as may; the paths of those who are left. The push is paused afterwards."""
    users = paths(push(scim, count))
    for path in users[:LEAST]:
        scim.delete(path)
    scim.delete(users[LEAST], status=503)
    return users[LEAST:]


def stored(make: Make, what: Any) -> list[Any]:
    with make.transaction() as session:
        return list(session.scalars(what))


def actions(make: Make) -> list[str]:
    return stored(make, select(AuditEvent.action).where(AuditEvent.action.like("guard.%")).order_by(AuditEvent.id))


def test_ic_7_what_goes_beyond_the_share_is_held_back_and_the_rest_goes_on(scim: ScimClient, make: Make) -> None:
    users = paths(push(scim, 40))
    counted = SCIM_HELD_BACK._value.get()
    for path in users[:3]:
        scim.delete(path)
    for path in users[3:6]:
        scim.patch(path, OFF)
    for path in users[6:8]:
        scim.put(path, {"userName": path[-14:], "active": False})
    refusals = [
        scim.delete(users[8], status=503),
        scim.patch(users[9], OFF, {"op": "replace", "path": "title", "value": "T"}, status=503),
        scim.put(users[10], {"userName": "renamed", "active": "False"}, status=503),
    ]
    for refused in refusals:
        assert refused["status"] == "503"
        assert "8 of 40 went within 24 hours" in refused["detail"]
        assert "People > SCIM" in refused["detail"]
    assert int(scim.response.headers["Retry-After"]) > 0
    assert [scim.get(path)["active"] for path in users[8:11]] == [True, True, True]
    assert "title" not in scim.get(users[9])
    assert SCIM_HELD_BACK._value.get() == counted + 3

    new = scim.user("new")
    scim.patch(f"/Users/{new['id']}", {"op": "replace", "path": "title", "value": "T"})
    scim.patch(users[3], OFF)
    scim.delete(users[3])
    scim.patch(users[4], ON)
    group = scim.group("Engineers", new["id"])
    scim.patch(f"/Groups/{group['id']}", {"op": "remove", "path": f'members[value eq "{new["id"]}"]'})
    scim.delete(f"/Groups/{group['id']}")
    assert actions(make) == ["guard.pause", "guard.hold", "guard.hold", "guard.hold"]
    (guard,) = stored(make, select(ScimGuard))
    assert (guard.taken, guard.users_at_start, guard.held_back) == (8, 40, 3)


def test_a_small_directory_may_always_lose_a_few(scim: ScimClient) -> None:
    users = paths(push(scim, LEAST))
    for path in users:
        scim.delete(path)
    assert scim.get("/Users")["totalResults"] == 0


def test_in_bulk_each_held_back_operation_says_so_and_the_others_stay(scim: ScimClient, make: Make) -> None:
    users = paths(push(scim, 8))
    operations = [{"method": "DELETE", "path": path} for path in users[:4]]
    operations += [{"method": "PATCH", "path": path, "data": {"Operations": [OFF]}} for path in users[4:]]
    operations += [{"method": "POST", "path": "/Users", "bulkId": "x", "data": {"userName": "new"}}]
    done = scim.post("/Bulk", {"Operations": operations}, status=200)["Operations"]
    assert [each["status"] for each in done] == ["204"] * 4 + ["200"] + ["503"] * 3 + ["201"]
    assert "is paused" in done[6]["response"]["detail"]
    assert [scim.get(path)["active"] for path in users[4:]] == [False, True, True, True]
    (guard,) = stored(make, select(ScimGuard))
    assert (guard.taken, guard.held_back) == (5, 3)
    assert actions(make) == ["guard.pause"] + ["guard.hold"] * 3


def test_ic_7_an_administrator_lets_it_through_for_a_day(
    browser: Browser, scim: ScimClient, make: Make, admin: Admin
) -> None:
    left = pause(scim)
    scim.delete(left[1], status=503)
    for page in ("/console/", "/console/scim"):
        browser.open(page)
        for part in ("is paused", "5 of 10 users", "2 attempts were held back", "user006, user005"):
            assert part in browser.text, part
    browser.click("Let it through")
    assert "may delete and deactivate any number of users" in browser.text
    browser.submit("Let it through")
    assert "Deletions and deactivations are let through." in browser.text
    assert "is paused" not in browser.open("/console/").text
    for path in left[:3]:
        scim.delete(path)
    with clock.shifted(DAY):
        scim.delete(left[3])
        (guard,) = stored(make, select(ScimGuard))
        assert (guard.taken, guard.users_at_start) == (1, 2)
    assert actions(make)[-1] == "guard.open"


def test_a_day_of_letting_through_can_be_ended(browser: Browser, scim: ScimClient) -> None:
    left = pause(scim, 14)
    browser.open("/console/scim/guard/open").submit("Let it through").submit("Watch again now")
    assert "counted anew" in browser.text
    for path in left[:LEAST]:
        scim.delete(path)
    scim.delete(left[LEAST], status=503)


def test_ic_7_the_users_are_kept_and_counting_begins_anew(browser: Browser, scim: ScimClient, make: Make) -> None:
    left = pause(scim, 11)
    browser.open("/console/").submit("Keep them")
    assert "counted anew" in browser.text
    assert "identity provider is paused" not in browser.text
    for path in left[:LEAST]:
        scim.delete(path)
    scim.delete(left[LEAST], status=503)
    (guard,) = stored(make, select(ScimGuard))
    assert (guard.users_at_start, guard.taken, guard.held_back) == (6, 5, 1)
    assert actions(make) == ["guard.pause", "guard.hold", "guard.reset", "guard.pause", "guard.hold"]


def test_a_window_ends_but_a_pause_does_not(scim: ScimClient, make: Make) -> None:
    users = paths(push(scim, 20))
    for path in users[:4]:
        scim.delete(path)
    with clock.shifted(DAY):
        for path in users[4:9]:
            scim.delete(path)
        scim.delete(users[9], status=503)
    with clock.shifted(3 * DAY):
        scim.delete(users[9], status=503)
    (guard,) = stored(make, select(ScimGuard))
    assert (guard.users_at_start, guard.taken, guard.held_back) == (16, 5, 2)


def test_the_share_is_set_by_an_administrator(browser: Browser, scim: ScimClient, make: Make) -> None:
    browser.open("/console/scim")
    assert "more than 20 % of the users" in browser.text
    browser.click("Change").submit("Save", status=400, percent="101")
    assert "between 0 and 100" in browser.text
    browser.submit("Save", percent="50")
    assert "more than 50 % of the users" in browser.text
    users = paths(push(scim, 14))
    for path in users[:7]:
        scim.delete(path)
    scim.delete(users[7], status=503)
    browser.open("/console/scim/guard").submit("Save", percent="0")
    assert "any number of users at once" in browser.text
    assert "is paused" not in browser.text
    for path in users[7:]:
        scim.delete(path)
    assert actions(make) == ["guard.update", "guard.pause", "guard.hold", "guard.update"]


def test_what_another_administrator_decided_is_told(browser: Browser, scim: ScimClient) -> None:
    pause(scim)
    token = browser.open("/console/scim").page.find(attrs={"name": "csrf_token"})["value"]
    browser.submit("Keep them")
    for path in ("open", "reset"):
        browser.post(f"/console/scim/guard/{path}", {"csrf_token": token}, status=409)
        assert "not paused any more" in browser.text
    assert "No push is paused" in browser.open("/console/scim/guard/open").text


def test_who_may_only_look_sees_the_pause_and_no_button(
    browser: Browser, scim: ScimClient, make: Make, admin: Admin
) -> None:
    pause(scim)
    make_administrator(make, admin.organization, "reader", [READ_ONLY])
    browser.open("/console/").submit("Sign out")
    enter(browser, "acme", "reader")
    for page in ("/console/", "/console/scim"):
        assert "is paused" in browser.open(page).text
        assert "Let it through" not in browser.text
        assert "Keep them" not in browser.text
    browser.open("/console/scim/guard", status=403)
    browser.open("/console/scim/guard/open", status=403)


def test_a_trial_of_a_connection_is_not_held_back(scim: ScimClient, make: Make) -> None:
    users = paths(push(scim, 20, ago=TRIAL - timedelta(minutes=1)))
    for path in users[:10]:
        scim.delete(path)
    for path in users[10:]:
        scim.patch(path, OFF)
    for _again in range(LEAST + 1):
        scim.delete(f"/Users/{scim.user('trial')['id']}")
    assert [guard.taken for guard in stored(make, select(ScimGuard))] == [0]


def test_users_made_by_hand_do_not_count(scim: ScimClient, make: Make, admin: Admin) -> None:
    manual = make.user(admin.space, "manual")
    left = pause(scim)
    scim.delete(f"/Users/{manual.id}", status=403)
    (guard,) = stored(make, select(ScimGuard))
    assert guard.users_at_start == LEAST + len(left)


def test_two_at_a_time_take_exactly_what_is_allowed(app: Flask, scim: ScimClient, make: Make) -> None:
    users = paths(push(scim, 16))

    def remove(path: str) -> int:
        client = ScimClient(app, scim.secret).client
        return client.delete(f"/scim/v2{path}", headers={"Authorization": f"Bearer {scim.secret}"}).status_code

    with ThreadPoolExecutor(4) as pool:
        statuses = list(pool.map(remove, users))
    assert sorted(statuses) == [204] * LEAST + [503] * 11
    assert scim.get("/Users")["totalResults"] == 11
    (guard,) = stored(make, select(ScimGuard))
    assert (guard.taken, guard.held_back) == (LEAST, 11)
    assert actions(make).count("guard.pause") == 1


def test_bulk_and_single_requests_on_the_same_users_wait_for_each_other(app: Flask, scim: ScimClient) -> None:
    """The guard is locked before the users, so that neither is killed for a deadlock."""
    users = paths(push(scim, 30))
    headers = {"Authorization": f"Bearer {scim.secret}"}

    def bulk(order: list[str]) -> list[str]:
        operations = [{"method": "PATCH", "path": path, "data": {"Operations": [OFF]}} for path in order]
        answer = app.test_client().post("/scim/v2/Bulk", json={"Operations": operations}, headers=headers)
        return [each["status"] for each in answer.get_json()["Operations"]]

    def single(path: str) -> list[str]:
        body = {"Operations": [OFF]}
        return [str(app.test_client().patch(f"/scim/v2{path}", json=body, headers=headers).status_code)]

    with ThreadPoolExecutor(4) as pool:
        running = [pool.submit(bulk, users[:6]), pool.submit(bulk, users[5::-1])]
        running += [pool.submit(single, path) for path in users[:6]]
        statuses = [status for each in running for status in each.result(timeout=60)]
    assert set(statuses) == {"200"}


def test_who_came_since_the_window_began_counts_before_anybody_is_held_back(scim: ScimClient) -> None:
    pilots = paths(push(scim, 3, ago=timedelta(hours=5)))
    with clock.shifted(timedelta(hours=-4)):
        scim.delete(pilots[0])
    everybody = paths(push(scim, 50, ago=timedelta(hours=3), first=3))
    for path in everybody[:9]:  # with the pilot a fifth of all
        scim.delete(path)
    scim.delete(everybody[10], status=503)
