"""What Microsoft Entra sends (facts F11 to F22: with and without its feature flag, its validator, its collection)."""

from __future__ import annotations

import uuid

import pytest
from flask import Flask

from portal.core.space.models import Space
from tests.support.make import Make
from tests.support.scim import ENTERPRISE, ScimClient, make_secret

FOREIGN = "http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group"


@pytest.fixture
def space(make: Make) -> Space:
    return make.space("acme", scim_enabled=True)


@pytest.fixture
def entra(app: Flask, make: Make, space: Space) -> ScimClient:
    return ScimClient(app, make_secret(make, space))


def test_test_connection_asks_for_a_random_name_and_gets_an_empty_list(entra: ScimClient) -> None:
    for form in (
        f'userName eq "{uuid.uuid4()}"',
        f'externalId eq "{uuid.uuid4()}"',
        f'emails[type eq "work"].value eq "{uuid.uuid4()}"',
    ):
        assert entra.get("/Users", filter=form)["totalResults"] == 0
    blanks_as_plus = entra.get("/Users/?filter=userName+eq+%22nobody%22")
    assert blanks_as_plus["Resources"] == []


def test_create_with_texts_for_booleans_and_capitalised_keys(entra: ScimClient) -> None:
    user = entra.post(
        "/Users",
        {
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User", ENTERPRISE],
            "externalId": "ext",
            "UserName": "ann@acme.example",
            "active": "True",
            "displayName": "Ann",
            "emails": [{"Primary": "True", "type": "work", "value": "ann@acme.example"}],
            "meta": {"resourceType": "User"},
            "roles": [],
            "misspelled": 1,
            ENTERPRISE: {"employeeNumber": 701984},
        },
    )
    assert user["active"] is True
    assert user["emails"] == [{"primary": True, "type": "work", "value": "ann@acme.example"}]
    assert user[ENTERPRISE] == {"employeeNumber": "701984"}
    assert "misspelled" not in user
    assert entra.found("/Users", f"{ENTERPRISE}:employeeNumber eq 701984") == [user]
    assert entra.found("/Users", 'emails[type eq "work"].value eq "ANN@acme.example"') == [user]
    assert entra.found("/Users", "userName eq ann@acme.example") == [user]
    assert (
        entra.put(f"/Users/{user['id']}", {"userName": "ann@acme.example", "titleOfUser": "x"})["userName"]
        == "ann@acme.example"
    )


def test_one_operation_per_attribute(entra: ScimClient) -> None:
    user = entra.user("ann", active=True)
    after = entra.patch(
        f"/Users/{user['id']}",
        {"op": "Replace", "path": "active", "value": "False"},
        {"op": "Add", "path": "name.givenName", "value": "Ann"},
        {"op": "Add", "path": 'emails[type eq "work"].value', "value": "ann@acme.example"},
        {"op": "Replace", "path": 'addresses[type eq "work"].streetAddress', "value": "Street 1"},
        {"op": "Add", "path": 'phoneNumbers[type eq "mobile"].value', "value": "+49 (0) 123-45"},
        {"op": "Add", "path": f"{ENTERPRISE}:department", "value": "IT", "name": "department"},
        {"op": "Add", "path": 'roles[primary eq "True"].value', "value": "admin"},
    )
    assert after["active"] is False
    assert after["name"] == {"givenName": "Ann"}
    assert after["emails"] == [{"type": "work", "value": "ann@acme.example"}]
    assert after["addresses"] == [{"type": "work", "streetAddress": "Street 1"}]
    assert after["phoneNumbers"] == [{"type": "mobile", "value": "+49 (0) 123-45"}]
    assert after[ENTERPRISE] == {"department": "IT"}
    assert after["roles"] == [{"primary": True, "value": "admin"}]
    assert entra.get(f"/Users/{user['id']}") == after


def test_with_the_feature_flag_one_replace_with_dotted_keys_and_urns(entra: ScimClient) -> None:
    user = entra.user("ann")
    after = entra.patch(
        f"/Users/{user['id']}",
        {
            "op": "replace",
            "value": {"name.familyName": "B", "active": False, f"{ENTERPRISE}:department": "IT", "displayName": "A B"},
        },
    )
    assert (after["name"]["familyName"], after[ENTERPRISE]["department"], after["displayName"]) == ("B", "IT", "A B")


def test_null_update_leaves_nothing_behind(entra: ScimClient) -> None:
    for nothing in ("", None):
        user = entra.user(
            f"u{uuid.uuid4()}",
            title="T",
            name={"givenName": "G"},
            emails=[{"type": "work", "value": f"{uuid.uuid4()}@x.y"}],
        )
        entra.patch(
            f"/Users/{user['id']}",
            {"op": "Replace", "path": "title", "value": nothing},
            {"op": "Replace", "path": "name.givenName", "value": nothing},
            {"op": "Replace", "path": 'emails[type eq "work"].value', "value": nothing},
        )
        after = entra.get(f"/Users/{user['id']}")
        assert after.keys() & {"title", "name", "emails"} == set()


def test_manager_is_set_changed_and_removed_as_bare_text(entra: ScimClient) -> None:
    boss, other, user = entra.user("boss")["id"], entra.user("other")["id"], f"/Users/{entra.user('ann')['id']}"
    path = f"{ENTERPRISE}:manager"
    assert entra.patch(user, {"op": "Add", "path": path, "value": boss})[ENTERPRISE]["manager"]["value"] == boss
    assert entra.found("/Users", f'{path}.value eq "{boss}"')[0]["userName"] == "ann"
    assert entra.patch(user, {"op": "Replace", "path": path, "value": other})[ENTERPRISE]["manager"]["value"] == other
    assert ENTERPRISE not in entra.patch(user, {"op": "Replace", "path": path, "value": ""})


def test_life_of_a_group(entra: ScimClient) -> None:
    ann, bob = entra.user("ann")["id"], entra.user("bob")["id"]
    created = entra.post(
        "/Groups",
        {
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group", FOREIGN],
            "displayName": "Engineers & Söhne",
            "externalId": "8aa1a0c0",
            "meta": {"resourceType": "Group"},
        },
    )
    path = f"/Groups/{created['id']}"
    (found,) = entra.get("/Groups", excludedAttributes="members", filter='displayName eq "engineers & söhne"')[
        "Resources"
    ]
    assert found["id"] == created["id"]
    entra.patch(
        path, {"op": "Add", "path": "members", "value": [{"$ref": None, "value": ann}, {"$ref": None, "value": bob}]}
    )
    assert entra.response.data == b""
    assert "members" not in entra.get(path, excludedAttributes="members")
    assert entra.found("/Groups", f'id eq "{created["id"]}" and members eq "{ann}"')[0]["id"] == created["id"]
    entra.patch(path, {"op": "Remove", "path": "members", "value": [{"$ref": None, "value": ann}]})
    assert [member["value"] for member in entra.get(path)["members"]] == [bob]
    assert entra.found("/Groups", f'id eq "{created["id"]}" and members eq "{ann}"') == []
    entra.patch(path, {"op": "Replace", "path": "displayName", "value": "Renamed"})
    entra.post("/Groups", {"displayName": "RENAMED"}, status=409)
    entra.delete(path)
    assert entra.found("/Groups", 'displayName eq "Renamed"') == []


def test_a_deleted_name_is_free_at_once(entra: ScimClient) -> None:
    user = entra.user("ann", externalId="e1")
    entra.delete(f"/Users/{user['id']}")
    for method in ("GET", "DELETE"):
        entra.send(method, f"/Users/{user['id']}", status=404)
    entra.send(
        "PATCH",
        f"/Users/{user['id']}",
        {"Operations": [{"op": "replace", "path": "active", "value": True}]},
        status=404,
    )
    assert entra.user("ann", externalId="e1")["id"] != user["id"]


def test_paging_by_five_echoes_the_start_that_was_asked(entra: ScimClient) -> None:
    for number in range(11):
        entra.user(f"user{number}")
    for start, size in ((1, 5), (6, 5), (11, 1), (16, 0)):
        page = entra.get("/Users", startIndex=start, count=5)
        assert (page["startIndex"], page["itemsPerPage"], page["totalResults"]) == (start, size, 11)


def test_projections(entra: ScimClient) -> None:
    user = entra.user(
        "ann", displayName="Ann", emails=[{"type": "work", "value": "a@b.c"}], **{ENTERPRISE: {"department": "IT"}}
    )
    path = f"/Users/{user['id']}"
    assert entra.get(path, attributes='userName,emails[type eq "work"]').keys() == {
        "schemas",
        "id",
        "userName",
        "emails",
    }
    assert entra.get(path, attributes="EMAILS.value")["emails"] == [{"value": "a@b.c"}]
    assert entra.get(path, attributes=f"{ENTERPRISE}:department")[ENTERPRISE] == {"department": "IT"}
    without = entra.get(path, excludedAttributes=f"emails.type,meta,id,{ENTERPRISE}")
    assert without.keys() == {"schemas", "id", "userName", "displayName", "active", "emails"}
    assert without["emails"] == [{"value": "a@b.c"}]
    assert entra.post("/Users?attributes=userName", {"userName": "bob", "displayName": "B"}).keys() == {
        "schemas",
        "id",
        "userName",
    }
