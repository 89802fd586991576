"""RFC 7644 sections 3.3, 3.5, 3.6, 3.12 to 3.14: creating, replacing, patching, deleting, errors and versions."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.scim import ScimClient
from tests.support.scim_examples import CREATED_BY_CLIENT, ENTERPRISE, ERROR, FULL, PATCH


@pytest.fixture
def barbara(scim: ScimClient) -> str:
    """The path of a user with everything."""
    return f"/Users/{scim.post('/Users', FULL)['id']}"


def test_3_3_create(scim: ScimClient) -> None:
    user = scim.post("/Users", CREATED_BY_CLIENT)
    assert scim.response.headers["Location"] == user["meta"]["location"]
    assert scim.response.headers["ETag"] == user["meta"]["version"]
    assert user == {
        **CREATED_BY_CLIENT,
        "id": user["id"],
        "active": True,
        "meta": {
            "resourceType": "User",
            "created": user["meta"]["created"],
            "lastModified": user["meta"]["created"],
            "location": f"http://localhost/scim/v2/Users/{user['id']}",
            "version": 'W/"1"',
        },
    }
    refused = scim.post("/Users", CREATED_BY_CLIENT, status=409)
    assert (refused["schemas"], refused["status"], refused["scimType"]) == ([ERROR], "409", "uniqueness")


def test_3_5_1_put_replaces_what_may_be_written_and_passes_over_the_rest(scim: ScimClient, barbara: str) -> None:
    before = scim.get(barbara)
    sent = {
        "schemas": before["schemas"],
        "id": "2819c223-7f76-453a-919d-413861904646",
        "userName": "bjensen",
        "externalId": "bjensen",
        "name": {"formatted": "Ms. Barbara J Jensen III", "familyName": "Jensen", "givenName": "Barbara"},
        "roles": [],
        "emails": [{"value": "bjensen@example.com"}, {"value": "babs@jensen.org"}],
        "groups": [{"value": "e9e30dba"}],
        "meta": {"resourceType": "Group"},
    }
    after = scim.put(barbara, sent)
    assert scim.response.headers["Location"] == after["meta"]["location"]
    assert after["id"] == before["id"]
    assert after["meta"]["resourceType"] == "User"
    written = ("schemas", "userName", "externalId", "name", "emails")
    assert {key: after[key] for key in written} == {key: sent[key] for key in written}
    assert after.keys() == {*written, "id", "active", "meta"}
    assert scim.get(barbara) == after
    scim.put("/Users/u-000000000000", sent, status=404)


# Section 3.5.2: PATCH


def test_3_5_2_1_add_a_member(scim: ScimClient) -> None:
    babs, james = scim.user("babs")["id"], scim.user("james")["id"]
    path = f"/Groups/{scim.group('Tour Guides', james)['id']}"
    value = [{"display": "Babs Jensen", "$ref": f"https://example.com/v2/Users/{babs}", "value": babs}]
    scim.patch(path, {"op": "add", "path": "members", "value": value})
    assert [member["value"] for member in scim.get(path)["members"]] == [babs, james]
    version = scim.response.headers["ETag"]
    scim.patch(path, {"op": "add", "path": "members", "value": value})  # already there: nothing changes
    assert scim.response.headers["ETag"] == version


def test_3_5_2_1_add_without_a_path(scim: ScimClient) -> None:
    path = f"/Users/{scim.user('bjensen')['id']}"
    value = {"emails": [{"value": "babs@jensen.org", "type": "home"}], "nickname": "Babs"}
    after = scim.patch(path, {"op": "add", "value": value})
    assert (after["emails"], after["nickName"]) == (value["emails"], "Babs")
    more = scim.patch(path, {"op": "add", "path": "emails", "value": {"value": "b@example.com", "type": "work"}})
    assert more["emails"] == [*after["emails"], {"value": "b@example.com", "type": "work"}]


def test_3_5_2_2_remove_one_member_all_members_and_some_entries(scim: ScimClient, barbara: str) -> None:
    babs, james = scim.user("babs")["id"], scim.user("james")["id"]
    path = f"/Groups/{scim.group('Tour Guides', babs, james)['id']}"
    scim.patch(path, {"op": "remove", "path": f'members[value eq "{babs}"]'})
    assert [member["value"] for member in scim.get(path)["members"]] == [james]
    scim.patch(path, {"op": "remove", "path": "members"})
    assert "members" not in scim.get(path)
    after = scim.patch(barbara, {"op": "remove", "path": 'emails[type eq "work" and value ew "example.com"]'})
    assert after["emails"] == [{"value": "babs@jensen.org", "type": "home"}]
    assert "emails" not in scim.patch(barbara, {"op": "remove", "path": "emails"})
    # a selection that fits nothing, and what is not there: the end is reached already
    version = scim.patch(barbara, {"op": "remove", "path": 'ims[type eq "xmpp"]'})["meta"]["version"]
    assert scim.patch(barbara, {"op": "remove", "path": "emails"})["meta"]["version"] == version


def test_3_5_2_2_and_3_5_2_3_members_are_exchanged(scim: ScimClient) -> None:
    babs, james, kim = (scim.user(name)["id"] for name in ("babs", "james", "kim"))
    path = f"/Groups/{scim.group('Tour Guides', babs)['id']}"
    new = [{"display": "Babs Jensen", "value": babs}, {"display": "James Smith", "value": james}]
    scim.patch(path, {"op": "remove", "path": "members"}, {"op": "add", "path": "members", "value": new})
    assert [member["value"] for member in scim.get(path)["members"]] == [babs, james]
    scim.patch(path, {"op": "replace", "path": "members", "value": [{"value": kim}, {"value": babs}]})
    assert [member["value"] for member in scim.get(path)["members"]] == [babs, kim]
    scim.patch(
        path,
        {"op": "remove", "path": f'members[value eq "{babs}"]'},
        {"op": "add", "path": "members", "value": [{"value": james}]},
    )
    assert [member["value"] for member in scim.get(path)["members"]] == [james, kim]


def test_3_5_2_3_replace_one_entry_a_part_of_it_and_without_a_path(scim: ScimClient, barbara: str) -> None:
    address = {
        "type": "work",
        "streetAddress": "911 Universal City Plaza",
        "locality": "Hollywood",
        "region": "CA",
        "postalCode": "91608",
        "country": "US",
        "formatted": "911 Universal City Plaza\nHollywood, CA 91608 US",
        "primary": True,
    }
    after = scim.patch(barbara, {"op": "replace", "path": 'addresses[type eq "work"]', "value": address})
    assert after["addresses"] == [address, FULL["addresses"][1]]
    street = 'addresses[type eq "work"].streetAddress'
    after = scim.patch(barbara, {"op": "replace", "path": street, "value": "1010 Broadway Ave"})
    assert after["addresses"][0] == {**address, "streetAddress": "1010 Broadway Ave"}
    emails = [
        {"value": "bjensen@example.com", "type": "work", "primary": True},
        {"value": "babs@jensen.org", "type": "home"},
    ]
    after = scim.patch(barbara, {"op": "replace", "value": {"emails": emails, "nickname": "Babs"}})
    assert (after["emails"], after["nickName"]) == (emails, "Babs")


def test_3_5_2_a_new_primary_takes_the_mark_from_the_old_one(scim: ScimClient, barbara: str) -> None:
    new = {"value": "b@new.example", "type": "other", "primary": True}
    after = scim.patch(barbara, {"op": "add", "path": "emails", "value": [new]})
    assert [entry.get("primary", False) for entry in after["emails"]] == [False, False, True]


def test_3_5_2_operations_are_done_in_order_and_all_or_none(scim: ScimClient, barbara: str) -> None:
    before = scim.get(barbara)
    refused = scim.patch(
        barbara,
        {"op": "replace", "path": "title", "value": "first"},
        {"op": "replace", "path": "title", "value": "second"},
        {"op": "replace", "path": "id", "value": "third"},
        status=400,
    )
    assert refused["scimType"] == "mutability"
    assert scim.get(barbara) == before
    after = scim.patch(
        barbara,
        {"op": "replace", "path": "title", "value": "first"},
        {"op": "replace", "path": "title", "value": "second"},
    )
    assert after["title"] == "second"


FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"op": "remove"}, "noTarget"),
    ({"op": "replace", "path": "emails[type eq", "value": "x"}, "invalidPath"),
    ({"op": "replace", "path": "emails[type xx 1]", "value": "x"}, "invalidFilter"),
    ({"op": "replace", "path": "noSuch", "value": "x"}, "invalidPath"),
    ({"op": "replace", "path": "title[value eq 1]", "value": "x"}, "invalidPath"),
    ({"op": "replace", "path": 'ims[value co "x"]', "value": {"value": "y"}}, "noTarget"),
    ({"op": "replace", "path": "id", "value": "x"}, "mutability"),
    ({"op": "add", "path": "groups", "value": [{"value": "x"}]}, "mutability"),
    ({"op": "replace", "path": "meta.created", "value": "2020-01-01T00:00:00Z"}, "mutability"),
    ({"op": "remove", "path": "userName"}, "mutability"),
    ({"op": "replace", "path": "userName", "value": ""}, "invalidValue"),
    ({"op": "replace", "path": "active", "value": "perhaps"}, "invalidValue"),
    ({"op": "add", "path": "title"}, "invalidValue"),
    ({"op": "replace", "value": "x"}, "invalidValue"),
    ({"op": "move", "path": "title", "value": "x"}, "invalidSyntax"),
    ({"path": "title", "value": "x"}, "invalidSyntax"),
]


def test_3_12_each_fault_of_a_patch_has_its_scim_type(scim: ScimClient, barbara: str) -> None:
    before = scim.get(barbara)
    for operation, scim_type in FAULTS:
        refused = scim.patch(barbara, operation, status=400)
        assert (refused["schemas"], refused["status"], refused["scimType"]) == ([ERROR], "400", scim_type), operation
        assert refused["detail"]
    for body in ({}, {"schemas": [PATCH]}, {"Operations": []}, {"Operations": {}}, {"Operations": [7]}):
        assert scim.send("PATCH", barbara, body, status=400)["scimType"] == "invalidSyntax"
    assert scim.get(barbara) == before


def test_3_12_other_errors_have_the_same_body_and_their_headers(scim: ScimClient) -> None:
    for method, path, body, status in (
        ("GET", "/Users/u-000000000000", None, 404),
        ("GET", "/Nothing", None, 404),
        ("PUT", "/Users", {}, 405),
        ("GET", "/Me", None, 501),
        ("POST", "/Users", b"{", 400),
    ):
        error = scim.send(method, path, body, status=status)
        assert (error["schemas"], error["status"]) == ([ERROR], str(status))
        assert error["detail"]
    error = scim.get("/Users", status=401, headers={"Authorization": "Bearer wrong"})
    assert error["status"] == "401"
    assert scim.response.headers["WWW-Authenticate"].startswith("Bearer")


def test_3_6_delete(scim: ScimClient) -> None:
    user = scim.user("bjensen", **{ENTERPRISE: {"department": "Tours"}})
    path, group = f"/Users/{user['id']}", f"/Groups/{scim.group('Tour Guides', user['id'])['id']}"
    assert scim.delete(path) is None
    for method, body in (("GET", None), ("PUT", {"userName": "bjensen"}), ("DELETE", None)):
        assert scim.send(method, path, body, status=404)["status"] == "404"
    scim.patch(path, {"op": "add", "path": "title", "value": "x"}, status=404)
    assert scim.get("/Users")["totalResults"] == 0
    assert "members" not in scim.get(group)
    scim.user("bjensen")  # section 3.6: no conflict with what is gone


def test_3_14_versions(scim: ScimClient) -> None:
    user = scim.user("bjensen")
    path, first = f"/Users/{user['id']}", user["meta"]["version"]
    assert first.startswith('W/"')
    scim.get(path, headers={"If-None-Match": first}, status=304)
    assert scim.response.headers["ETag"] == first
    assert scim.response.data == b""
    scim.get(path, headers={"If-None-Match": f'"other", {first}'}, status=304)
    scim.get(path, headers={"If-None-Match": "*"}, status=304)
    title = {"op": "add", "path": "title", "value": "T"}
    second = scim.patch(path, title, headers={"If-Match": first})["meta"]["version"]
    assert scim.response.headers["ETag"] == second != first
    scim.get(path, headers={"If-None-Match": first})
    for method, body in (
        ("PUT", {"userName": "bjensen"}),
        ("PATCH", {"Operations": [{"op": "remove", "path": "title"}]}),
        ("DELETE", None),
    ):
        error = scim.send(method, path, body, status=412, headers={"If-Match": first})
        assert (error["schemas"], error["status"]) == ([ERROR], "412")
    assert scim.get(path)["title"] == "T"
    scim.put(path, {"userName": "bjensen"}, headers={"If-Match": second.removeprefix("W/")})
    scim.delete(path, headers={"If-Match": "*"})
