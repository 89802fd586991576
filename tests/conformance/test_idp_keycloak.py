"""What the SCIM clients for Keycloak send: mitodl/keycloak-scim (ScimClient, UserAdapter, GroupAdapter) and scim-for-
keycloak, both on SCIM-SDK (PatchBuilder, PatchRequestOperation; issues 404 and, of scim-for-keycloak, 172).

They create, PUT or PATCH whole lists of members, delete, and import by listing. Keycloak itself has no client.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.scim import PATCH, ScimClient
from tests.support.scim_examples import GROUP, USER

KEYCLOAK_ID = "4d3c6f6e-0f3e-4d1a-9f2e-5d8f7b2c1a00"


@pytest.fixture
def keycloak(scim: ScimClient) -> ScimClient:
    scim.content_type = "application/json"
    return scim


def user(name: str, **more: Any) -> dict[str, Any]:
    return {
        "schemas": [USER],
        "externalId": f"{KEYCLOAK_ID}-{name}",
        "userName": name,
        "displayName": name.title(),
        "name": {"familyName": "Smith", "givenName": name.title()},
        "emails": [{"value": f"{name}@acme.example"}],
        "active": True,
        "roles": [],
        **more,
    }


def members(scim: ScimClient, path: str) -> list[str]:
    return [member["value"] for member in scim.get(path).get("members", [])]


def test_life_of_a_user_by_put(keycloak: ScimClient) -> None:
    created = keycloak.post("/Users", user("ann"))
    assert created["id"]
    path = f"/Users/{created['id']}"
    meta = {"location": f"Users/{created['id']}"}
    after = keycloak.put(path, user("ann", id=created["id"], active=False, roles=[{"value": "admin"}], meta=meta))
    assert (after["active"], after["roles"], after["id"]) == (False, [{"value": "admin"}], created["id"])
    assert after["externalId"] == f"{KEYCLOAK_ID}-ann"
    keycloak.delete(path)
    assert keycloak.get("/Users")["totalResults"] == 0


def test_life_of_a_user_by_patch_sends_active_as_text(keycloak: ScimClient) -> None:
    path = f"/Users/{keycloak.post('/Users', user('ann'))['id']}"
    after = keycloak.patch(
        path,
        {"path": "active", "op": "replace", "value": "false"},
        {"path": "userName", "op": "replace", "value": "ann2"},
        {"path": "displayName", "op": "replace", "value": "Ann Two"},
    )
    assert (after["active"], after["userName"], after["displayName"]) == (False, "ann2", "Ann Two")


def test_a_group_by_put_is_emptied_by_an_empty_list(keycloak: ScimClient) -> None:
    ann, bob = (keycloak.post("/Users", user(name))["id"] for name in ("ann", "bob"))
    body = {"schemas": [GROUP], "externalId": KEYCLOAK_ID, "displayName": "Team"}
    sent = [{"value": each, "type": "User", "$ref": f"Users/{each}"} for each in (ann, bob)]
    path = f"/Groups/{keycloak.post('/Groups', {**body, 'members': sent})['id']}"
    assert members(keycloak, path) == [ann, bob]
    keycloak.put(path, {**body, "members": sent[:1]})
    assert members(keycloak, path) == [ann]
    keycloak.put(path, {**body, "members": []})
    assert members(keycloak, path) == []


def test_a_group_by_patch_replaces_all_members_or_removes_the_attribute(keycloak: ScimClient) -> None:
    ann, bob = (keycloak.post("/Users", user(name))["id"] for name in ("ann", "bob"))
    path = f"/Groups/{keycloak.post('/Groups', {'schemas': [GROUP], 'displayName': 'Team'})['id']}"
    rest = [
        {"op": "replace", "path": "displayName", "value": "Team 2"},
        {"op": "replace", "path": "externalId", "value": KEYCLOAK_ID},
    ]
    value = [{"value": each, "type": "User"} for each in (ann, bob)]
    keycloak.patch(path, {"path": "members", "op": "replace", "value": value}, *rest)
    assert members(keycloak, path) == [ann, bob]
    assert keycloak.get(path)["externalId"] == KEYCLOAK_ID
    keycloak.patch(path, {"path": "members", "op": "remove", "value": None}, *rest)
    assert members(keycloak, path) == []


def test_values_that_the_client_library_wraps_in_text_or_in_a_list(keycloak: ScimClient) -> None:
    ann, bob = (keycloak.post("/Users", user(name))["id"] for name in ("ann", "bob"))
    path = f"/Groups/{keycloak.post('/Groups', {'schemas': [GROUP], 'displayName': 'Team'})['id']}"
    for value in (
        json.dumps([{"value": ann}, {"value": bob}]),  # value(String)
        [json.dumps({"value": ann}), json.dumps({"value": bob})],  # values(List<String>)
    ):
        keycloak.patch(path, {"path": "members", "op": "replace", "value": value})
        assert members(keycloak, path) == [ann, bob]
        keycloak.patch(path, {"path": f'members[value eq "{bob}"]', "op": "remove"})
        assert members(keycloak, path) == [ann]
    whole = {"schemas": [GROUP], "externalId": KEYCLOAK_ID, "displayName": "example/developers"}
    for value in (json.dumps(whole), [whole]):  # the reconcile branch; valueNode(JsonNode)
        keycloak.send(
            "PATCH", path, {"schemas": [PATCH], "Operations": [{"op": "replace", "value": value}]}, status=204
        )
        after = keycloak.get(path)
        assert (after["displayName"], after["externalId"]) == ("example/developers", KEYCLOAK_ID)
    assert keycloak.patch(f"/Users/{ann}", {"op": "replace", "path": "active", "value": [False]})["active"] is False


def test_import_lists_everything(keycloak: ScimClient) -> None:
    keycloak.post("/Users", user("ann"))
    keycloak.post("/Groups", {"schemas": [GROUP], "displayName": "Team"})
    for path in ("/Users", "/Groups"):
        listed = keycloak.get(path)
        assert listed["totalResults"] == len(listed["Resources"]) == 1
        assert listed["Resources"][0]["id"]
