"""What OneLogin, JumpCloud, Google Workspace and PingOne send, as far as it is public.

OneLogin: the log in goauthentik/authentik issue 11249 (old schema names, a question mark or an ampersand with nothing
behind it, no user agent) and the notes of django-scim2's adapters (emails as one object). JumpCloud: the fixtures of
Paul-E/scim-v2-rust and public set-up guides (a test user is made on activation, one operation an attribute, removal
with a value). Google Workspace: public set-up guides (count=1 as a probe, users only, suspended = active false,
deletion at the end). PingOne: its documentation of SCIM stores (users found by a filter of one's choice, PUT or PATCH,
members replaced or merged).
"""

from __future__ import annotations

from typing import Any

from tests.support.scim import PATCH, ScimClient
from tests.support.scim_examples import ENTERPRISE, GROUP, USER

ANN = {
    "schemas": [USER, ENTERPRISE],
    "userName": "ann@acme.example",
    "name": {"givenName": "Ann", "familyName": "Smith", "formatted": "Ann Smith"},
    "displayName": "Ann Smith",
    "emails": [{"value": "ann@acme.example", "type": "work", "primary": True}],
    "active": True,
}


def members(scim: ScimClient, path: str) -> list[str]:
    return [member["value"] for member in scim.get(path).get("members", [])]


# OneLogin


def test_onelogin_finds_puts_and_adds_to_groups(scim: ScimClient) -> None:
    headers = {"User-Agent": "", "Content-Type": "application/scim+json"}
    scim.get("/ServiceProviderConfig", headers=headers)
    assert scim.get("/Users?filter=userName+eq+%22ann@acme.example%22&", headers=headers)["Resources"] == []
    old = ["urn:scim:schemas:core:2.0", "urn:scim:schemas:extension:enterprise:2.0"]
    mail = {"value": "ann@acme.example", "type": "work", "primary": True}
    sent = {**ANN, "schemas": old, "emails": mail}
    created = scim.post("/Users?", sent, headers=headers)
    assert (created["emails"], created["schemas"]) == ([mail], [USER])
    found = scim.get("/Users?filter=userName+eq+%22ann@acme.example%22&", headers=headers)["Resources"]
    assert [each["id"] for each in found] == [created["id"]]
    changed = {**sent, "name": {"familyName": " User 01", "givenName": "AAA Test"}}
    after = scim.put(f"/Users/{created['id']}?", changed, headers=headers)
    assert after["name"]["givenName"] == "AAA Test"
    assert scim.get("/Groups?", headers=headers)["totalResults"] == 0
    path = f"/Groups/{scim.group('Engineers')['id']}"
    for op, expected in (("add", [created["id"]]), ("remove", [])):
        operation = {"op": op, "path": "members", "value": [{"value": created["id"]}]}
        scim.send("PATCH", f"{path}?", {"schemas": [PATCH], "Operations": [operation]}, headers=headers, status=204)
        assert members(scim, path) == expected
    off = {"schemas": [PATCH], "Operations": [{"op": "replace", "value": {"active": False}}]}
    assert scim.send("PATCH", f"/Users/{created['id']}?", off, headers=headers)["active"] is False


# JumpCloud


def test_jumpcloud_tests_the_connection_with_a_user_of_its_own(scim: ScimClient) -> None:
    assert scim.get("/Users", count=1)["totalResults"] == 0
    test_user = scim.post("/Users", {**ANN, "userName": "test.user@acme.example", "externalId": "65f0c1"})
    path = f"/Users/{test_user['id']}"
    assert scim.found("/Users", 'userName eq "test.user@acme.example"') == [test_user]
    assert scim.put(path, {**ANN, "userName": "test.user@acme.example", "active": False})["active"] is False
    group = scim.post("/Groups", {"schemas": [GROUP], "displayName": "test", "members": []})
    scim.delete(f"/Groups/{group['id']}")
    scim.delete(path)


def test_jumpcloud_changes_one_attribute_an_operation_and_members_by_value(scim: ScimClient) -> None:
    ann = scim.post("/Users", ANN)["id"]
    after = scim.patch(
        f"/Users/{ann}",
        {"op": "replace", "path": "name.givenName", "value": "John"},
        {"op": "replace", "path": "name.familyName", "value": "Doe"},
        {"op": "replace", "path": "active", "value": False},
    )
    assert (after["name"]["givenName"], after["name"]["familyName"], after["active"]) == ("John", "Doe", False)
    bob = scim.user("bob")["id"]
    path = f"/Groups/{scim.group('Team', bob)['id']}"
    scim.patch(path, {"op": "add", "path": "members", "value": [{"value": ann}]})
    assert members(scim, path) == [ann, bob]
    scim.patch(path, {"op": "remove", "path": "members", "value": [{"value": ann}]})
    assert members(scim, path) == [bob]


# Google Workspace


def test_google_pushes_users_only_suspends_and_deletes(scim: ScimClient) -> None:
    assert scim.get("/Users?count=1")["itemsPerPage"] == 0
    assert scim.get("/Users", filter='userName eq "ann@acme.example"', startIndex=1, count=1)["totalResults"] == 0
    body: dict[str, Any] = {
        **ANN,
        "externalId": "103857439857439857439",
        "phoneNumbers": [{"value": "+49 30 1", "type": "work"}],
        "addresses": [{"type": "work", "formatted": "Street 1"}],
        ENTERPRISE: {"department": "IT", "manager": {"value": "boss@acme.example"}},
    }
    user = scim.post("/Users", body, headers={"Content-Type": "application/json; charset=UTF-8"})
    path = f"/Users/{user['id']}"
    assert user[ENTERPRISE]["manager"]["value"] == "boss@acme.example"
    assert scim.patch(path, {"op": "replace", "path": "active", "value": False})["active"] is False
    assert scim.patch(path, {"op": "replace", "value": {"active": True}})["active"] is True
    assert scim.put(path, {**body, "id": user["id"], "active": False})["active"] is False
    scim.delete(path)
    scim.get(path, status=404)


# PingOne


def test_pingone_finds_by_name_or_mail_and_replaces_or_merges_members(scim: ScimClient) -> None:
    user = scim.post("/Users", {**ANN, "externalId": "p1-1"})
    for wanted in (
        'userName eq "ann@acme.example"',
        'emails[type eq "work"].value eq "ann@acme.example"',
        'emails.value eq "ann@acme.example"',
        'externalId eq "p1-1"',
    ):
        assert [each["id"] for each in scim.found("/Users", wanted)] == [user["id"]], wanted
    scim.put(f"/Users/{user['id']}", {**ANN, "externalId": "p1-1", "title": "T"})
    bob = scim.user("bob")["id"]
    group = scim.post("/Groups", {"schemas": [GROUP], "displayName": "Team", "members": [{"value": bob}]})
    path = f"/Groups/{group['id']}"
    scim.patch(path, {"op": "add", "path": "members", "value": [{"value": user["id"], "display": "ann"}]})
    assert members(scim, path) == [user["id"], bob]
    scim.put(path, {"schemas": [GROUP], "displayName": "Team", "members": [{"value": user["id"]}]})
    assert members(scim, path) == [user["id"]]
