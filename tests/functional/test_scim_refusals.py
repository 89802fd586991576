"""Bad input at the SCIM door: each answered plainly in SCIM's own words, and nothing changed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from portal import create_app
from portal.core import clock
from portal.core import database as core_database
from portal.core.actor import SYSTEM
from portal.core.audit import AuditEvent, Result
from portal.core.database import Database
from portal.core.push import credentials
from portal.core.space.models import Space
from portal.settings import Settings
from tests.support.make import Make
from tests.support.processes import free_port
from tests.support.scim import ScimClient, make_secret

ERROR = "urn:ietf:params:scim:api:messages:2.0:Error"


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", "Bearer wrong", "Basic YTpi", "Bearer a b", "wrong", "Bearer \u00e4"]
)
def test_ic_7_without_a_known_credential_nothing_is_answered(scim: ScimClient, header: str) -> None:
    for path in ("/Users", "/Groups/g-000000000000", "/ServiceProviderConfig", "/Schemas"):
        refused = scim.get(path, status=401, headers={"Authorization": header})
        assert (refused["schemas"], refused["status"]) == ([ERROR], "401")
        assert scim.response.headers["WWW-Authenticate"].startswith("Bearer")
    scim.post("/Users", {"userName": "ann"}, status=401, headers={"Authorization": header})


def test_ic_7_disabled_expired_deleted_or_switched_off(scim: ScimClient, make: Make, space: Space) -> None:
    with make.transaction() as session:
        (credential,) = credentials.credentials_of_space(session, space)
        credentials.set_credential_enabled(session, SYSTEM, credential=credential, enabled=False)
    assert "disabled" in scim.get("/Users", status=401)["detail"]
    with make.transaction() as session:
        credential = credentials.get_credential(session, space, credential.id)
        credentials.set_credential_enabled(session, SYSTEM, credential=credential, enabled=True)
    with clock.shifted(timedelta(days=366)):
        assert "expired" in scim.get("/Users", status=401)["detail"]
    scim.get("/Users")
    with make.transaction() as session:
        credentials.set_scim_enabled(session, SYSTEM, space=session.get_one(Space, space.id), enabled=False)
    assert "switched off" in scim.get("/Users", status=401)["detail"]
    with make.transaction() as session:
        credentials.set_scim_enabled(session, SYSTEM, space=session.get_one(Space, space.id), enabled=True)
        credential = credentials.get_credential(session, space, credential.id)
        credentials.delete_credential(session, SYSTEM, credential=credential)
    assert "not known" in scim.get("/Users", status=401)["detail"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'"text"',
        b"null",
        b'{"userName": NaN}',
        b"\xff\xfe",
        b'{"a":' * 5000,
        b'{"a": ' + b"9" * 5000 + b"}",
    ],
)
def test_what_is_no_json_object_is_invalid_syntax(scim: ScimClient, body: bytes) -> None:
    for method, path in (("POST", "/Users"), ("POST", "/Groups"), ("POST", "/Users/.search")):
        assert scim.send(method, path, body, status=400)["scimType"] == "invalidSyntax"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/Users", {}),
        ("/Users", {"userName": ""}),
        ("/Users", {"userName": None}),
        ("/Users", {"userName": ["a"]}),
        ("/Users", {"userName": {"value": "a"}}),
        ("/Users", {"userName": "with blank"}),
        ("/Users", {"userName": "a" * 65}),
        ("/Users", {"userName": "a\x00b"}),
        ("/Users", {"userName": "a", "title": "\ud800"}),
        ("/Users", {"userName": "a", "active": "perhaps"}),
        ("/Users", {"userName": "a", "name": "Ann"}),
        ("/Users", {"userName": "a", "name": {"givenName": "x" * 65}}),
        ("/Users", {"userName": "a", "displayName": "ß" * 257}),
        ("/Users", {"userName": "a", "externalId": "x" * 257}),
        ("/Users", {"userName": "a", "emails": [{"value": "a", "primary": True}, {"value": "b", "primary": True}]}),
        ("/Groups", {}),
        ("/Groups", {"displayName": "x" * 129}),
        ("/Groups", {"displayName": "ß" * 129}),
        ("/Groups", {"displayName": "g", "externalId": "x" * 257}),
        ("/Groups", {"displayName": "line\nbreak"}),
        ("/Groups", {"displayName": "g", "members": [{"value": "u-000000000000"}]}),
        ("/Groups", {"displayName": "g", "members": [{"display": "who"}]}),
    ],
)
def test_a_value_that_breaks_a_rule_is_named_and_nothing_is_made(scim: ScimClient, path: str, body: Any) -> None:
    refused = scim.post(path, body, status=400)
    assert (refused["schemas"], refused["scimType"]) == ([ERROR], "invalidValue")
    assert refused["detail"]
    assert scim.get(path)["totalResults"] == 0


def test_a_taken_email_is_told_apart_from_a_taken_name(scim: ScimClient) -> None:
    scim.user("ann", emails=[{"value": "shared@acme.example"}])
    refused = scim.post("/Users", {"userName": "bob", "emails": [{"value": "SHARED@acme.example"}]}, status=409)
    assert refused["scimType"] == "uniqueness"
    assert "e-mail" in refused["detail"]


def test_a_filter_that_is_none_is_refused(scim: ScimClient) -> None:
    for text in ("", "x", 'noSuch eq "x"', "active gt true", "(" * 3000):
        assert scim.get("/Users", filter=text, status=400)["scimType"] == "invalidFilter"


@pytest.mark.parametrize("number", ["+-5", "--1", "-", "1e3", "٣", "9" * 19])
def test_what_is_no_whole_number_is_refused(scim: ScimClient, number: str) -> None:
    for name in ("count", "startIndex"):
        assert scim.get("/Users", status=400, **{name: number})["scimType"] == "invalidValue"
        assert scim.post("/Users/.search", {name: number}, status=400)["scimType"] == "invalidValue"


@pytest.mark.parametrize("character", ["\ud800", "\x00"])
def test_what_no_text_can_hold_is_refused_wherever_the_answer_would_quote_it(scim: ScimClient, character: str) -> None:
    bad = f"a{character}"
    for key in ("sortBy", "filter", "attributes", "count"):
        scim.post("/Users/.search", {key: bad}, status=400)
    user, group = f"/Users/{scim.user('ann')['id']}", f"/Groups/{scim.group('G')['id']}"
    for path in (bad, f'emails[{bad} eq "x"]', f'emails[value eq "{bad}"]'):
        for resource in (user, group):
            scim.patch(resource, {"op": "replace", "path": path, "value": "x"}, status=400)
    scim.patch(group, {"op": "add", "path": "members", "value": [bad]}, status=400)


def test_other_content_types_and_methods_and_addresses(scim: ScimClient) -> None:
    scim.post("/Users", {"userName": "a"}, status=415, headers={"Content-Type": "text/plain"})
    scim.post("/Users", {"userName": "a"}, headers={"Content-Type": "application/json; charset=utf-8"})
    scim.put("/Users", {}, status=405)
    assert "POST" in scim.response.headers["Allow"]
    scim.post("/Schemas", {}, status=405)
    scim.get("/Nothing", status=404)
    scim.get("/Users/u-1/x", status=404)
    for method in ("GET", "PUT", "PATCH", "DELETE"):
        scim.send(method, "/Me", {} if method != "GET" else None, status=501)


def test_an_oversized_body_is_refused(scim: ScimClient, app: Flask) -> None:
    big = b'{"userName": "' + b"x" * app.config["MAX_CONTENT_LENGTH"] + b'"}'
    assert scim.send("POST", "/Users", big, status=413)["status"] == "413"


@pytest.mark.parametrize("row_id", ["u-000000000000", "g-000000000000", "x", "u-%F0%9F%98%80", "..", "u-" + "a" * 500])
def test_an_unknown_id_is_404(scim: ScimClient, row_id: str) -> None:
    for kind in ("Users", "Groups"):
        scim.get(f"/{kind}/{row_id}", status=404)


def test_a_strangers_id_is_404(scim: ScimClient, app: Flask, make: Make) -> None:
    stranger = ScimClient(app, make_secret(make, make.space(scim_enabled=True)))
    user = stranger.user("ann")
    group = stranger.group("G", user["id"])
    for path, body in ((f"/Users/{user['id']}", {"userName": "x"}), (f"/Groups/{group['id']}", {"displayName": "x"})):
        scim.get(path, status=404)
        scim.put(path, body, status=404)
        scim.patch(path, {"op": "replace", "value": body}, status=404)
        scim.delete(path, status=404)
    assert scim.get("/Users")["totalResults"] == 0
    assert scim.found("/Users", f'id eq "{user["id"]}" or userName pr') == []
    mine = scim.group("Mine")
    refused = scim.patch(f"/Groups/{mine['id']}", {"op": "add", "path": "members", "value": [user["id"]]}, status=400)
    assert refused["scimType"] == "invalidValue"
    assert scim.user("ann")["id"] != user["id"]
    assert stranger.get(f"/Groups/{group['id']}") == group


def test_a_refused_change_is_audited(scim: ScimClient, database: Database) -> None:
    scim.user("ann")
    scim.post("/Users", {"userName": "ann"}, status=409)
    with database.transaction() as session:
        event = session.scalars(select(AuditEvent).where(AuditEvent.result == Result.REFUSED)).one()
        assert (event.actor_kind, event.action) == ("scim", "scim.create")
        assert "ann" in event.reason


@pytest.mark.parametrize(
    "path", ["/scim", "/scim/", "/scim/v1/Users", "/scim/v2", "/scim/v2/Nothing", "/scim/v2/Users/x/y"]
)
def test_errors_below_scim_are_always_those_of_scim(app: Flask, space: Space, path: str) -> None:
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "TRACE"):
        for headers in ({}, {"Accept": "text/html", "Authorization": "Basic YTpi"}):
            response = app.test_client().open(path, method=method, headers=headers)
            assert response.content_type == "application/scim+json"
            body = response.get_json(force=True)
            assert (body["schemas"], body["status"]) == ([ERROR], str(response.status_code))
            assert response.status_code in (401, 404, 405)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_silent_database_is_503_in_scims_words(settings: Settings) -> None:
    silent = Database(f"postgresql+psycopg://nobody@127.0.0.1:{free_port()}/none")
    app = create_app(settings, silent)
    app.testing = True
    app.config["PROPAGATE_EXCEPTIONS"] = False
    for method, path in (("GET", "/Users"), ("POST", "/Users"), ("GET", "/Nothing")):
        response = app.test_client().open(
            f"/scim/v2{path}", method=method, json={"userName": "ann"}, headers={"Authorization": "Bearer x"}
        )
        assert response.status_code == (404 if path == "/Nothing" else 503)
        assert response.get_json(force=True)["schemas"] == [ERROR]
        assert response.headers["X-Request-Id"]
    silent.dispose()


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_who_waits_too_long_for_the_write_lock_is_told_to_come_again(
    scim: ScimClient, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    scim.get("/Users")
    monkeypatch.setattr(core_database, "_SQLITE_SECONDS", 0.05)
    with database.transaction() as session:
        session.execute(select(1))
        scim.post("/Users", {"userName": "ann"}, status=503)
    scim.user("ann")


def test_a_long_path_is_quoted_shortly_and_costs_no_more_than_its_length(scim: ScimClient, database: Database) -> None:
    user = scim.user("ann")
    path = "key" * 200_000
    refused = scim.patch(f"/Users/{user['id']}", {"op": "replace", "path": path, "value": "x"}, status=400)
    assert len(refused["detail"]) < 1100
    with database.transaction(write=False) as session:
        (reason,) = session.scalars(select(AuditEvent.reason).where(AuditEvent.result == Result.REFUSED))
    assert len(reason) < 1100


def test_a_secret_in_a_path_does_not_reach_the_audit(scim: ScimClient, database: Database) -> None:
    user = scim.user("ann")
    path = 'password eq "hunter2"'
    scim.patch(f"/Users/{user['id']}", {"op": "replace", "path": path, "value": "x"}, status=400)
    with database.transaction(write=False) as session:
        (reason,) = session.scalars(select(AuditEvent.reason).where(AuditEvent.result == Result.REFUSED))
    assert "password" in reason
    assert "hunter2" not in reason


def test_a_search_that_is_refused_is_no_change_and_not_audited(scim: ScimClient, database: Database) -> None:
    scim.post("/Users/.search", {"filter": "userName eq"}, status=400)
    with database.transaction(write=False) as session:
        assert session.scalars(select(AuditEvent).where(AuditEvent.result == Result.REFUSED)).all() == []
