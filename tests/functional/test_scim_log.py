"""The SCIM log (IC-7): what goes into it, at which price, and the pages that show it."""

from __future__ import annotations

import csv
import io
import json
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from portal.core import clock
from portal.core.actor import SYSTEM
from portal.core.audit import AuditEvent
from portal.core.database import Database
from portal.core.directory.models import User
from portal.core.push import credentials, requests
from portal.core.push.models import ScimRequest
from portal.core.space.models import Space
from tests.support.admin import READ_ONLY, Admin, enter, make_administrator, sign_in
from tests.support.browser import Browser
from tests.support.make import Make
from tests.support.scim import ScimClient
from tests.support.statements import statements

BULK = "urn:ietf:params:scim:api:messages:2.0:BulkRequest"


@pytest.fixture
def admin(browser: Browser, make: Make) -> Admin:
    admin = sign_in(browser, make)
    switch(make, admin.space, enabled=True)
    return admin


@pytest.fixture
def space(admin: Admin) -> Space:
    return admin.space


def switch(make: Make, space: Space, *, enabled: bool) -> None:
    with make.transaction() as session:
        credentials.set_scim_enabled(session, SYSTEM, space=session.get_one(Space, space.id), enabled=enabled)


def lines(app: Flask) -> list[ScimRequest]:
    """Oldest first, with those that still waited to be written."""
    app.extensions["scim_log"].flush()
    with app.extensions["database"].transaction(write=False) as session:
        return list(session.scalars(select(ScimRequest).order_by(ScimRequest.id)))


def last(app: Flask) -> ScimRequest:
    return lines(app)[-1]


def rows(browser: Browser) -> list[str]:
    return [" ".join(row.get_text(" ").split()) for row in browser.page.select("tbody tr")]


# What is written


def test_ic_7_every_request_is_a_line_that_tells_who_asked_what_and_what_came_of_it(
    scim: ScimClient, app: Flask, admin: Admin
) -> None:
    user = scim.post("/Users", {"userName": "ann"}, headers={"User-Agent": "Okta SCIM Client 1.0.0"})
    created = last(app)
    assert (created.method, created.path, created.status, created.failed) == ("POST", "/scim/v2/Users", 201, False)
    assert (created.target_id, created.target_name) == (user["id"], "ann")
    assert (created.space_id, created.client, created.address) == (
        admin.space.id,
        "Okta SCIM Client 1.0.0",
        "127.0.0.1",
    )
    assert created.credential_id.startswith("scimcred-")
    assert created.request_id == scim.response.headers["X-Request-Id"]
    assert created.body is None
    assert created.milliseconds > 0

    group = scim.group("Team", user["id"])
    scim.patch(f"/Groups/{group['id']}", {"op": "replace", "path": "displayName", "value": "Crew"})
    scim.delete(f"/Users/{user['id']}")
    scim.get("/Users", filter='userName eq "ann"')
    scim.post("/Users/.search", {"filter": 'userName eq "ann"'}, status=200)
    told = [(line.method, line.path, line.status, line.target_name) for line in lines(app)[1:]]
    assert told == [
        ("POST", "/scim/v2/Groups", 201, "Team"),
        ("PATCH", f"/scim/v2/Groups/{group['id']}", 204, "Crew"),
        ("DELETE", f"/scim/v2/Users/{user['id']}", 204, "ann"),
        ("GET", '/scim/v2/Users?filter=userName eq "ann"', 200, ""),
        ("POST", "/scim/v2/Users/.search", 200, ""),
    ]


def test_a_failure_keeps_the_body_without_secrets_and_the_name_that_was_sent(scim: ScimClient, app: Flask) -> None:
    scim.user("ann")
    sent = {
        "userName": "ann",
        "password": "geheim-1",
        "name": {"givenName": "Ann"},
        "urn:x:y:User": {"apiToken": "t-1"},
    }
    scim.post("/Users", sent, status=409)
    line = last(app)
    assert (line.status, line.failed, line.scim_type, line.target_name) == (409, True, "uniqueness", "ann")
    assert "exists already" in line.detail
    kept = json.loads(line.body or "")
    assert kept["name"] == {"givenName": "Ann"}
    assert "geheim" not in (line.body or "")
    assert "t-1" not in (line.body or "")
    assert scim.secret not in repr([vars(line) for line in lines(app)])


def test_a_failed_change_names_its_target_and_a_missing_one_its_id(scim: ScimClient, app: Flask) -> None:
    user = scim.user("ann")
    scim.patch(f"/Users/{user['id']}", {"op": "replace", "path": "active", "value": "perhaps"}, status=400)
    assert (last(app).target_id, last(app).target_name) == (user["id"], "ann")
    scim.get("/Users/u-000000000000", status=404)
    assert (last(app).target_id, last(app).status) == ("u-000000000000", 404)


def test_what_the_house_answers_itself_is_logged_too(scim: ScimClient, app: Flask) -> None:
    scim.get("/Nothing", status=404)
    scim.put("/Users", {}, status=405)
    scim.post("/Users", {"userName": "a"}, status=415, headers={"Content-Type": "text/plain"})
    big = b'{"userName": "' + b"x" * app.config["MAX_CONTENT_LENGTH"] + b'"}'
    scim.send("POST", "/Users", big, status=413)
    scim.send("POST", "/Users", b"\xff\xfe{not json", status=400)
    found = lines(app)
    assert [line.status for line in found] == [404, 405, 415, 413, 400]
    assert all(line.failed and line.credential_id for line in found)
    assert all(line.detail for line in found)
    assert found[-1].body == "(11 bytes of application/scim+json, not kept: not JSON)"
    assert found[3].body is None


def test_a_failure_of_the_portal_is_logged_with_its_reference(
    scim: ScimClient, app: Flask, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the disk is full at the commit: the line of the change goes with it, one of the failure comes."""
    commit = database.commit

    def fail_once(session: Any) -> None:
        monkeypatch.setattr(database, "commit", commit)
        raise RuntimeError("the disk is full")

    monkeypatch.setattr(database, "commit", fail_once)
    refused = scim.post("/Users", {"userName": "ann"}, status=500)
    assert "disk" not in refused["detail"]
    (line,) = lines(app)
    assert (line.status, line.failed, line.request_id) == (500, True, scim.response.headers["X-Request-Id"])
    assert scim.get("/Users")["totalResults"] == 0


def test_a_bulk_with_failed_operations_is_marked_although_it_was_answered_with_200(
    scim: ScimClient, app: Flask
) -> None:
    scim.user("ann")
    operations = [
        {"method": "POST", "path": "/Users", "bulkId": "1", "data": {"userName": "ann", "password": "geheim"}},
        {"method": "POST", "path": "/Users", "bulkId": "2", "data": {"userName": "bob"}},
        {"method": "DELETE", "path": "/Users/u-000000000000"},
    ]
    scim.post("/Bulk", {"schemas": [BULK], "Operations": operations}, status=200)
    line = last(app)
    assert (line.status, line.failed, line.scim_type) == (200, True, "uniqueness")
    assert line.detail.startswith("2 of 3 operations failed. POST /Users: 409 userName")
    assert "404" in line.detail
    assert "bob" in (line.body or "")
    assert "geheim" not in (line.body or "")
    scim.post("/Bulk", {"schemas": [BULK], "Operations": [operations[1] | {"data": {"userName": "eve"}}]}, status=200)
    assert (last(app).failed, last(app).body) == (False, None)


def test_a_body_is_kept_up_to_16_kib(scim: ScimClient, app: Flask) -> None:
    scim.post("/Users", {"userName": "not a name", "title": "ü" * 30_000}, status=400)
    body = last(app).body or ""
    assert len(body.encode()) <= requests.MOST_BODY
    assert body.endswith("bytes in all)")


def test_a_path_is_cut_and_keeps_no_secret(scim: ScimClient, app: Flask) -> None:
    scim.get("/Users", status=400, filter='password eq "geheim"')
    scim.get("/Users", access_token="geheim")
    scim.get("/Users", status=400, filter="x" * 3_000)
    found = lines(app)
    assert "geheim" not in repr([(line.path, line.detail, line.search_key) for line in found])
    assert len(found[2].path) == 1024


@pytest.mark.parametrize("character", ["\ud800", "\x00"])
def test_what_no_database_takes_is_replaced(scim: ScimClient, app: Flask, character: str) -> None:
    scim.post("/Users", {"userName": f"a{character}", "title": character}, status=400)
    assert last(app).target_name == "a?"


def test_disabled_expired_or_switched_off_is_logged_in_its_space_without_the_body(
    scim: ScimClient, app: Flask, make: Make, admin: Admin
) -> None:
    make.space("other", scim_enabled=True)
    with clock.shifted(timedelta(days=366)):
        scim.post("/Users", {"userName": "ann"}, status=401)
    switch(make, admin.space, enabled=False)
    scim.get("/Users", status=401)
    with make.transaction() as session:
        (credential,) = credentials.credentials_of_space(session, admin.space)
        credentials.set_credential_enabled(session, SYSTEM, credential=credential, enabled=False)
    scim.get("/Users", status=401)
    found = lines(app)
    assert [line.detail.rsplit(" ", 1)[-1] for line in found] == ["expired.", "space.", "disabled."]
    assert {(line.space_id, line.credential_id, line.body) for line in found} == {(admin.space.id, credential.id, None)}


def test_an_unknown_secret_is_logged_where_only_one_space_can_be_meant(
    scim: ScimClient, app: Flask, make: Make
) -> None:
    wrong = {"Authorization": "Bearer wrong"}
    scim.post("/Users", {"userName": "ann"}, status=401, headers=wrong)
    (line,) = lines(app)
    assert (line.status, line.credential_id, line.body, line.failed) == (401, "", None, True)
    make.space("other", scim_enabled=True)
    scim.post("/Users", {"userName": "ann"}, status=401, headers=wrong)
    assert len(lines(app)) == 1


def test_strangers_cannot_fill_the_log(scim: ScimClient, app: Flask) -> None:
    wrong = {"Authorization": "Bearer wrong"}
    for _ in range(12):
        scim.get("/Users", status=401, headers=wrong)
        scim.get("/Nothing", status=404, headers=wrong)
    assert len(lines(app)) == 5
    with clock.shifted(timedelta(seconds=61)):
        scim.get("/Users", status=401, headers=wrong)
    assert len(lines(app)) == 6
    for number in range(100):
        client = app.test_client()
        client.get("/scim/v2/Users", environ_overrides={"REMOTE_ADDR": f"192.0.2.{number}"})
    assert len(lines(app)) <= 5 + 61


def test_successes_are_written_later_and_many_at_once(scim: ScimClient, app: Flask, database: Database) -> None:
    scim.get("/Users")
    with statements(database) as seen:
        scim.get("/Users")
        scim.get("/ServiceProviderConfig")
    assert not [statement for statement in seen if "scim_requests" in statement or "INSERT" in statement]
    with statements(database) as seen:
        scim.user("ann")
    assert not [statement for statement in seen if "scim_requests" in statement]
    assert len(lines(app)) == 4
    for _ in range(300):
        scim.get("/Users?count=0")
    with statements(database) as seen:
        app.extensions["scim_log"].flush()
    assert len(seen) == 2


def test_a_refused_change_writes_audit_and_log_in_one_transaction(scim: ScimClient, app: Flask, make: Make) -> None:
    scim.user("ann")
    scim.post("/Users", {"userName": "ann"}, status=409)
    with make.transaction() as session:
        event = session.scalars(select(AuditEvent).where(AuditEvent.action == "scim.create")).one()
        assert event.request_id == last(app).request_id
        assert session.scalars(select(User.user_name)).all() == ["ann"]


# The pages


def test_an_empty_log_says_what_it_is_for(browser: Browser, admin: Admin) -> None:
    browser.open("/console/scim").click("Log")
    assert "No requests yet" in browser.text


def test_ic_7_a_failed_push_is_found_and_the_page_says_what_to_do(
    browser: Browser, admin: Admin, scim: ScimClient, make: Make, app: Flask
) -> None:
    manual = make.user(admin.space, "ann")
    scim.user("bob")
    scim.post("/Users", {"userName": "ann", "password": "geheim"}, status=409)
    browser.open("/console/scim").click("Log")
    newest, before = rows(browser)
    for text in ("just now", "409", "uniqueness", "POST /Users", "ann", "exists already", "ms", "made by hand"):
        assert text in newest
    assert ("201" in before, "What you can do" in before) == (True, False)

    browser.click("POST /Users")
    assert "It was made by hand in the console" in browser.text
    assert "(removed)" in browser.text
    assert "geheim" not in browser.response.get_data(as_text=True)
    browser.click("Audit events of this request")
    assert [("scim.create" in row) for row in rows(browser)] == [True]
    browser.open(f"/console/scim/log/{last(app).id}").click(f"Open the user {manual.id}")
    assert browser.url == f"/console/users/{manual.id}"


def test_the_details_show_the_other_requests_of_the_same_target(
    browser: Browser, admin: Admin, scim: ScimClient, app: Flask
) -> None:
    user = scim.user("ann")
    path = f"/Users/{user['id']}"
    scim.patch(path, {"op": "replace", "path": "title", "value": "A"})
    scim.patch(path, {"op": "replace", "path": "active", "value": "perhaps"}, status=400)
    scim.user("bob")
    failed = next(line for line in lines(app) if line.failed)
    browser.open(f"/console/scim/log/{failed.id}")
    assert [row.split(" ")[2:] for row in rows(browser)] == [
        ["Succeeded", "200", "PATCH", path],
        ["Succeeded", "201", "POST", "/Users"],
    ]
    browser.click("Show all")
    assert len(rows(browser)) == 3
    assert "Only requests for" in browser.text


def test_the_log_is_filtered_and_searched_by_its_address(
    browser: Browser, admin: Admin, scim: ScimClient, app: Flask
) -> None:
    for name in ("ann", "bob"):
        scim.user(name)
    scim.post("/Users", {"userName": "BOB"}, status=409)
    scim.get("/Users")
    lines(app)
    (credential,) = {line.credential_id for line in lines(app)}
    for query, count in (
        ("", 4), ("result=failed", 1), ("method=GET", 1), ("method=POST", 3), ("method=x", 4), ("q=Ann", 1),
        ("q=bob", 2), (f"credential={credential}", 4), ("credential=scimcred-other", 0), ("q=exists+already", 1),
        ("q=100%25", 0), ("from=2020-01-01T00:00", 4), ("to=2020-01-01T00:00", 0), ("from=x&to=y", 4),
        ("result=failed&method=GET", 0), ("before=99999999999999999999&after=-1", 4), ("before=x", 4),
        ("from=0001-01-01T00:00%2B23:00", 4),
    ):  # fmt: skip
        browser.open(f"/console/scim/log?{query}")
        assert len(rows(browser)) == count, query
        assert ("No request matches" in browser.text) == (count == 0)
    browser.open("/console/scim/log").submit("Search", q="bob", result="failed")
    assert len(rows(browser)) == 1


def test_the_log_is_paged_without_counting(browser: Browser, admin: Admin, make: Make, database: Database) -> None:
    with make.transaction() as session:
        requests.record(session, [example(admin.space, target_name=f"user-{number:03}") for number in range(120)])
    browser.open("/console/scim/log")
    assert "user-119" in rows(browser)[0]
    assert len(rows(browser)) == 50
    browser.click("Older").click("Older")
    assert [row.split("user-")[1][:3] for row in rows(browser)] == [f"{number:03}" for number in range(19, -1, -1)]
    assert not [link for link in browser.page.select("a") if link.get_text() == "Older"]
    browser.click("Newer")
    assert ("user-069" in rows(browser)[0], len(rows(browser))) == (True, 50)
    browser.click("Newer")
    assert "user-119" in rows(browser)[0]
    assert not [link for link in browser.page.select("a") if link.get_text() == "Newer"]
    with statements(database) as seen:
        browser.open("/console/scim/log")
    assert not [statement for statement in seen if "count(" in statement.lower() and "scim_requests" in statement]


def test_the_log_is_exported_and_no_cell_is_a_formula(browser: Browser, admin: Admin, make: Make) -> None:
    with make.transaction() as session:
        requests.record(
            session, [example(admin.space, target_name="=cmd()", status=404, failed=True), example(admin.space)]
        )
    browser.open("/console/scim/log?result=failed").click("Export as CSV")
    (row,) = csv.DictReader(io.StringIO(browser.response.get_data(as_text=True)))
    assert (row["status"], row["target_name"]) == ("404", "'=cmd()")


def test_the_log_is_for_those_who_may_see_it_and_for_their_own_space(
    browser: Browser, admin: Admin, scim: ScimClient, app: Flask, make: Make
) -> None:
    scim.user("ann")
    number = last(app).id
    browser.open("/console/").click("Sign out")
    sign_in(browser, make, space="reader", policies=(READ_ONLY,))
    assert "No requests yet" in browser.open("/console/scim/log").text
    browser.open(f"/console/scim/log/{number}", status=404)
    browser.open("/console/").click("Sign out")
    make_administrator(make, admin.organization, "nobody", policies=())
    enter(browser, admin.space.name, "nobody", status=403)
    browser.open("/console/scim/log", status=403)


def example(space: Space, **fields: Any) -> requests.Line:
    given: dict[str, Any] = {"method": "GET", "path": "/scim/v2/Users", "status": 200, "milliseconds": 1.5} | fields
    return requests.Line(at=clock.now(), space_id=space.id, **given)
