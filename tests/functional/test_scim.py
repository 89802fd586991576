"""SCIM as a protocol: discovery, lists, versions, projections, what it may touch and what follows from it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import event, select, text

from portal.core import clock
from portal.core.audit import AuditEvent
from portal.core.database import Database
from portal.core.directory.models import Source, User
from portal.core.federation.models import SignIn, SignInKind
from portal.core.push.models import ScimCredential
from portal.core.space.models import Space
from tests.support.make import Make
from tests.support.scim import ENTERPRISE, ScimClient

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"


def test_discovery_is_made_from_the_definitions_and_has_no_nulls(scim: ScimClient) -> None:
    config = scim.get("/ServiceProviderConfig")
    assert config["patch"]["supported"]
    assert config["filter"] == {"supported": True, "maxResults": 200}
    types = scim.get("/ResourceTypes")["Resources"]
    assert [(each["id"], each["name"], each["endpoint"]) for each in types] == [
        ("User", "User", "/Users"),
        ("Group", "Group", "/Groups"),
    ]
    assert scim.get("/ResourceTypes/User")["schemaExtensions"] == [{"schema": ENTERPRISE, "required": False}]
    schemas = scim.get("/Schemas")
    assert schemas["totalResults"] == 3
    assert {each["id"] for each in schemas["Resources"]} == {USER, ENTERPRISE, GROUP}
    user = scim.get(f"/Schemas/{USER}")
    names = {attribute["name"] for attribute in user["attributes"]}
    assert {"userName", "name", "emails", "active", "groups", "x509Certificates", "addresses"} <= names
    assert "null" not in scim.response.get_data(as_text=True)
    scim.get("/Schemas/urn:none", status=404)
    scim.get("/Schemas", filter='id eq "x"', status=403)


def test_a_user_is_kept_as_it_was_sent(scim: ScimClient) -> None:
    sent: dict[str, Any] = {
        "schemas": [USER, ENTERPRISE],
        "externalId": "e-1",
        "userName": "Ann.Smith@acme.example",
        "name": {"formatted": "Dr. Ann Smith", "familyName": "Smith", "givenName": "Ann", "honorificPrefix": "Dr."},
        "displayName": "Ann Smith",
        "nickName": "Annie",
        "profileUrl": "https://acme.example/ann",
        "title": "Engineer",
        "userType": "Employee",
        "preferredLanguage": "de-DE",
        "locale": "de-DE",
        "timezone": "Europe/Berlin",
        "active": True,
        "emails": [{"value": "ann@acme.example", "type": "work", "primary": True}, {"value": "a@home.example"}],
        "phoneNumbers": [{"value": "+49 (0) 30 / 12", "type": "work"}],
        "ims": [{"value": "ann", "type": "xmpp"}],
        "photos": [{"value": "https://acme.example/ann.png", "type": "photo"}],
        "addresses": [{"type": "work", "streetAddress": "Weg 1", "locality": "Köln", "country": "DE"}],
        "entitlements": [{"value": "x"}],
        "roles": [{"value": "y", "display": "Y"}],
        "x509Certificates": [{"value": "TUlJ" * 700}],
        ENTERPRISE: {
            **{name: name for name in ("employeeNumber", "costCenter", "organization", "division", "department")},
            "manager": {"value": "u-boss", "$ref": "../Users/u-boss"},
        },
    }
    created = scim.post("/Users", sent)
    assert scim.response.headers["Location"] == created["meta"]["location"]
    assert scim.response.headers["ETag"] == created["meta"]["version"] == 'W/"1"'
    assert created["meta"]["location"] == f"http://localhost/scim/v2/Users/{created['id']}"
    assert {key: value for key, value in created.items() if key not in ("id", "meta")} == sent
    assert scim.get(f"/Users/{created['id']}") == created
    assert scim.put(f"/Users/{created['id']}", created)["meta"] == created["meta"]


def test_ic_5_pushed_people_stand_in_the_directory_as_scim(scim: ScimClient, database: Database) -> None:
    created = scim.user("ann", name={"givenName": "Ann", "familyName": "S"}, emails=[{"value": "ann@acme.example"}])
    with database.transaction() as session:
        user = session.scalars(select(User)).one()
        assert (user.id, user.source, user.given_name, user.email) == (
            created["id"],
            Source.SCIM,
            "Ann",
            "ann@acme.example",
        )
        event = session.scalars(select(AuditEvent).where(AuditEvent.action == "user.create")).one()
        assert (event.actor_kind, event.target_id) == ("scim", user.id)


def test_a_user_can_be_renamed_but_not_to_a_name_that_cam_does_not_take(scim: ScimClient) -> None:
    user, _ = scim.user("ann"), scim.user("bob")
    path = f"/Users/{user['id']}"
    assert scim.patch(path, {"op": "replace", "path": "userName", "value": "ann.married"})["userName"] == "ann.married"
    assert scim.found("/Users", 'userName eq "ann"') == []
    taken = scim.patch(path, {"op": "replace", "path": "userName", "value": "BOB"}, status=409)
    assert taken["scimType"] == "uniqueness"
    wrong = scim.patch(path, {"op": "replace", "path": "userName", "value": "ann müller"}, status=400)
    assert wrong["scimType"] == "invalidValue"
    assert "userName" in wrong["detail"]


def test_put_takes_away_what_it_leaves_out_but_never_lets_a_disabled_user_in(scim: ScimClient) -> None:
    user = scim.user("ann", active=False, title="T", emails=[{"value": "a@b.c"}], externalId="e")
    after = scim.put(f"/Users/{user['id']}", {"userName": "ann"})
    assert after.keys() == {"schemas", "id", "userName", "active", "meta"}
    assert after["active"] is False


def test_active_that_is_taken_away_is_not_shown_and_changes_nothing(scim: ScimClient) -> None:
    user = scim.user("ann", active=False)
    path = f"/Users/{user['id']}"
    assert "active" not in scim.patch(path, {"op": "remove", "path": "active"})
    assert scim.found("/Users", "active eq false")[0]["id"] == user["id"]
    assert scim.patch(path, {"op": "add", "path": "active", "value": True})["active"] is True


def test_lists_clamp_what_is_out_of_bounds(scim: ScimClient) -> None:
    for number in range(3):
        scim.user(f"user{number}")
    assert scim.get("/Users", startIndex=-5)["startIndex"] == 1
    assert scim.get("/Users", count=-5)["Resources"] == []
    only_total = scim.get("/Users", count=0)
    assert (only_total["totalResults"], only_total["itemsPerPage"], only_total["Resources"]) == (3, 0, [])
    assert scim.get("/Users", count=10**9)["itemsPerPage"] == 3
    assert scim.get("/Users", startIndex=10**17)["Resources"] == []
    assert scim.get("/Users", count="many", status=400)["scimType"] == "invalidValue"


def test_lists_are_sorted_by_any_attribute(scim: ScimClient) -> None:
    scim.user(
        "carl", title="a", name={"familyName": "Y"}, emails=[{"value": "z@x.y"}, {"value": "a@x.y", "primary": True}]
    )
    scim.user("Bea", title="C", name={"familyName": "Z"}, emails=[{"value": "b@x.y"}])
    scim.user("ann", title="b", name={"familyName": "X"}, emails=[{"value": "c@x.y"}])

    def names(**query: Any) -> list[str]:
        return [user["userName"] for user in scim.get("/Users", **query)["Resources"]]

    assert names() == ["carl", "Bea", "ann"]
    assert names(sortBy="userName") == ["ann", "Bea", "carl"]
    assert names(sortBy="USERNAME", sortOrder="descending") == ["carl", "Bea", "ann"]
    assert names(sortBy="title") == ["carl", "ann", "Bea"]
    assert names(sortBy="name.familyName") == ["ann", "carl", "Bea"]
    assert names(sortBy="emails") == ["carl", "Bea", "ann"]
    assert names(sortBy="meta.created", sortOrder="descending") == ["ann", "Bea", "carl"]
    scim.get("/Users", sortBy="nothing", status=400)
    scim.get("/Users", sortBy="groups", status=400)


def test_search_by_post_asks_the_same_in_a_body(scim: ScimClient) -> None:
    scim.user("ann", title="T")
    scim.user("bob", title="T")
    body = {
        "filter": 'title eq "t"',
        "sortBy": "userName",
        "sortOrder": "descending",
        "count": 1,
        "attributes": ["userName"],
    }
    answer = scim.post("/Users/.search", body, status=200)
    assert (answer["totalResults"], answer["Resources"][0]["userName"]) == (2, "bob")
    assert "title" not in answer["Resources"][0]


def test_versions_guard_against_lost_updates(scim: ScimClient) -> None:
    user = scim.user("ann")
    path = f"/Users/{user['id']}"
    first = {"If-Match": user["meta"]["version"]}
    scim.send("GET", path, status=304, headers={"If-None-Match": user["meta"]["version"]})
    scim.patch(path, {"op": "replace", "path": "title", "value": "T"}, headers=first)
    scim.patch(path, {"op": "replace", "path": "title", "value": "U"}, headers=first, status=412)
    scim.put(path, {"userName": "ann"}, headers=first, status=412)
    scim.delete(path, headers=first, status=412)
    assert scim.get(path, headers={"If-None-Match": 'W/"1"'})["title"] == "T"
    scim.delete(path, headers={"If-Match": "*"})


def test_a_change_that_changes_nothing_keeps_the_version(scim: ScimClient) -> None:
    user = scim.user("ann", title="T", emails=[{"value": "a@b.c", "type": "work"}])
    again = scim.patch(f"/Users/{user['id']}", {"op": "replace", "value": {"title": "T", "active": True}})
    assert again == user
    group = scim.group("G", user["id"])
    scim.patch(f"/Groups/{group['id']}", {"op": "add", "path": "members", "value": [{"value": user["id"]}]})
    assert scim.get(f"/Groups/{group['id']}") == group


def test_a_fault_in_the_last_operation_leaves_everything_as_it_was(scim: ScimClient) -> None:
    ann, bob = scim.user("ann"), scim.user("bob")
    group = scim.group("G", ann["id"])
    scim.patch(
        f"/Groups/{group['id']}",
        {"op": "replace", "path": "displayName", "value": "New"},
        {"op": "add", "path": "members", "value": [{"value": bob["id"]}, {"value": "u-000000000000"}]},
        status=400,
    )
    assert scim.get(f"/Groups/{group['id']}") == group
    scim.patch(
        f"/Users/{ann['id']}",
        {"op": "add", "path": "title", "value": "T"},
        {"op": "add", "path": "id", "value": "x"},
        status=400,
    )
    assert "title" not in scim.get(f"/Users/{ann['id']}")


def test_ic_5_what_was_made_by_hand_is_read_but_not_touched(scim: ScimClient, make: Make, space: Space) -> None:
    user, group = make.user(space, "eve", email="eve@acme.example"), make.group(space, "by-hand")
    read = scim.get(f"/Users/{user.id}")
    assert read["emails"] == [{"value": "eve@acme.example", "type": "work", "primary": True}]
    assert scim.post("/Users", {"userName": "EVE"}, status=409)["scimType"] == "uniqueness"
    assert "Manual" in scim.post("/Users", {"userName": "EVE"}, status=409)["detail"]
    for path, body in ((f"/Users/{user.id}", {"userName": "eve"}), (f"/Groups/{group.id}", {"displayName": "by-hand"})):
        assert "by hand" in scim.put(path, body, status=403)["detail"]
        scim.patch(path, {"op": "replace", "value": {"externalId": "x"}}, status=403)
        scim.delete(path, status=403)
    assert scim.get(f"/Users/{user.id}") == read


def test_ic_5_a_pushed_group_takes_pushed_users_only(scim: ScimClient, make: Make, space: Space) -> None:
    user = make.user(space, "eve")
    refused = scim.post("/Groups", {"displayName": "G", "members": [{"value": user.id}]}, status=400)
    assert refused["scimType"] == "invalidValue"
    assert scim.get("/Groups")["totalResults"] == 0


def test_deactivation_ends_the_sessions_of_the_user_at_once(scim: ScimClient, database: Database) -> None:
    user = scim.user("ann")
    with database.transaction() as session:
        later = clock.now() + timedelta(hours=1)
        session.add(SignIn(token_hash="t", kind=SignInKind.EMPLOYEE, user_id=user["id"], expires_at=later))
    scim.patch(f"/Users/{user['id']}", {"op": "Replace", "path": "active", "value": "False"})
    with database.transaction() as session:
        assert session.scalars(select(SignIn)).one().ended_at is not None


def test_last_use_is_noted_once_a_minute_and_reads_stay_reads(scim: ScimClient, database: Database) -> None:
    def last_used() -> Any:
        with database.transaction(write=False) as session:
            return session.scalars(select(ScimCredential.last_used_at)).one()

    assert last_used() is None
    scim.get("/Users")
    first = last_used()
    assert first is not None
    scim.get("/Users")
    scim.user("ann")
    assert last_used() == first
    with clock.shifted(timedelta(minutes=2)):
        scim.get("/Users", filter="nonsense", status=400)
    assert last_used() > first


def test_names_that_folding_makes_longer_are_kept_and_found(scim: ScimClient) -> None:
    name, address = "ß" * 256, "ß" * 120 + "@x.y"
    user = scim.user("ann", displayName=name, emails=[{"value": address}])
    group = scim.group("ß" * 128)
    assert [found["id"] for found in scim.found("/Users", f'displayName eq "{name}"')] == [user["id"]]
    assert [found["id"] for found in scim.found("/Groups", f'displayName eq "{group["displayName"]}"')] == [group["id"]]
    refused = scim.post("/Users", {"userName": "bob", "emails": [{"value": address}]}, status=409)
    assert refused["detail"].startswith("emails:")


def test_who_is_deleted_while_the_root_is_searched_is_left_out(scim: ScimClient, database: Database) -> None:
    for name in ("ann", "ben"):
        scim.user(name)
    acts = [lambda: session.execute(text("DELETE FROM users WHERE user_name = 'ann'"))]

    def listen(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if acts and "UNION ALL" in statement and "LIMIT" in statement:
            acts.pop()()

    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as session:
        event.listen(database.engine, "after_cursor_execute", listen)
        try:
            found = scim.get("/")["Resources"]
        finally:
            event.remove(database.engine, "after_cursor_execute", listen)
    assert not acts
    assert "ben" in [each["userName"] for each in found]
