"""What Okta sends (facts F1 to F10 of its suites and of its catalogue and custom apps), request by request."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask

from portal.core.space.models import Space
from tests.support.make import Make
from tests.support.scim import ScimClient, make_secret

JSON = {"Content-Type": "application/json"}
OKTA = {
    "Content-Type": "application/scim+json; charset=utf-8",
    "Accept-Charset": "utf-8",
    "Accept": "application/scim+json",
}
RUSTAM = {
    "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
    "userName": "test.user@okta.local",
    "name": {"givenName": "Test", "familyName": "User"},
    "emails": [{"primary": True, "value": "test.user@okta.local", "type": "work"}],
    "displayName": "Test User",
    "locale": "en-US",
    "externalId": "00ujl29u0le5T6Aj10h7",
    "groups": [],
    "password": "1mz050nq",
    "active": True,
}


@pytest.fixture
def space(make: Make) -> Space:
    return make.space("acme", scim_enabled=True)


@pytest.fixture
def okta(app: Flask, make: Make, space: Space) -> ScimClient:
    return ScimClient(app, make_secret(make, space), content_type="application/scim+json; charset=utf-8")


def test_ic_7_okta_spec_suite(okta: ScimClient) -> None:
    first = okta.post("/Users", RUSTAM, headers=JSON)

    listed = okta.get("/Users", count=1, startIndex=1, headers=OKTA)
    assert listed["schemas"] == ["urn:ietf:params:scim:api:messages:2.0:ListResponse"]
    assert (listed["itemsPerPage"], listed["startIndex"], listed["totalResults"]) == (1, 1, 1)
    (user,) = listed["Resources"]
    assert user["id"]
    assert user["name"] == {"givenName": "Test", "familyName": "User"}
    assert user["userName"] == "test.user@okta.local"
    assert user["active"] is True
    assert user["emails"][0]["value"] == "test.user@okta.local"
    assert okta.get(f"/Users/{user['id']}") == user

    missing = okta.get("/Users/u-000000000000", status=404)
    assert missing["schemas"] == ["urn:ietf:params:scim:api:messages:2.0:Error"]
    assert missing["detail"]
    nobody = okta.get("/Users", filter='userName eq "nobody@okta.local"', startIndex=1, count=100)
    assert (nobody["totalResults"], nobody["Resources"]) == (0, [])

    assert "password" not in first
    assert first["externalId"] == RUSTAM["externalId"]
    assert okta.post("/Users", RUSTAM, status=409, headers=JSON)["scimType"] == "uniqueness"
    assert okta.found("/Users", 'userName eq "TEST.USER@okta.local"') == [user]
    assert okta.get("/Groups")["totalResults"] == 0


def test_okta_sends_a_bad_token_without_the_word_bearer(okta: ScimClient) -> None:
    refused = okta.get("/Users", status=401, headers={"Authorization": okta.secret[:-1]})
    assert refused["schemas"] == ["urn:ietf:params:scim:api:messages:2.0:Error"]
    assert refused["status"] == "401"
    assert refused["detail"]
    assert okta.response.headers["WWW-Authenticate"].startswith("Bearer")


def test_okta_custom_app_puts_the_whole_user_back_to_deactivate_and_reactivate(okta: ScimClient) -> None:
    user = okta.post("/Users", RUSTAM)
    for change in ({"displayName": "Renamed"}, {"active": False}, {"active": True}, {"active": False}):
        user = okta.get(f"/Users/{user['id']}")
        answer = okta.put(f"/Users/{user['id']}", {**user, **change, "groups": []})
        assert answer == {**user, **change, "meta": answer["meta"]}
    assert okta.found("/Users", 'userName eq "test.user@okta.local"')[0]["active"] is False


def test_okta_catalogue_app_patches_active_without_a_path(okta: ScimClient) -> None:
    user = okta.post("/Users", RUSTAM)
    for active in (False, True):
        answer = okta.patch(f"/Users/{user['id']}", {"op": "replace", "value": {"active": active}})
        assert answer["active"] is active
    okta.patch(f"/Users/{user['id']}", {"op": "replace", "value": {"password": "new one"}})


def test_okta_imports_in_steps_whose_order_does_not_change(okta: ScimClient) -> None:
    names = [f"user{number:03}" for number in range(7)]
    ids = [okta.user(name)["id"] for name in reversed(names)]
    okta.patch(f"/Users/{ids[0]}", {"op": "replace", "value": {"title": "changed since"}})
    seen: list[Any] = []
    for start in (1, 4, 7):
        page = okta.get("/Users", startIndex=start, count=3)
        assert (page["startIndex"], page["totalResults"]) == (start, 7)
        seen += [user["id"] for user in page["Resources"]]
    assert seen == ids


def test_okta_pushes_a_group(okta: ScimClient) -> None:
    ann, bob = okta.user("ann")["id"], okta.user("bob")["id"]
    group = okta.post(
        "/Groups", {"schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "displayName": "Push", "members": []}
    )
    path = f"/Groups/{group['id']}"
    okta.patch(path, {"op": "replace", "value": {"id": group["id"], "displayName": "Renamed"}})
    okta.patch(
        path,
        {"op": "add", "path": "members", "value": [{"value": ann, "display": "ann"}, {"value": bob, "display": "bob"}]},
        {"op": "replace", "value": {"id": group["id"], "displayName": "Renamed"}},
    )
    okta.patch(path, {"op": "remove", "path": f'members[value eq "{ann}"]'})
    read = okta.get(path)
    assert read["displayName"] == "Renamed"
    assert [member["value"] for member in read["members"]] == [bob]
    okta.patch(path, {"op": "replace", "path": "members", "value": [{"value": ann}]})
    okta.patch(path, {"op": "replace", "value": {"members": [{"value": ann}, {"value": bob}]}})
    assert [member["value"] for member in okta.get(path)["members"]] == [ann, bob]
    assert okta.get(f"/Users/{ann}")["groups"][0]["display"] == "Renamed"
    okta.put(path, {"displayName": "Put", "members": [{"value": bob}]})
    assert [member["value"] for member in okta.get(path)["members"]] == [bob]
    okta.delete(path)
    okta.get(path, status=404)
    assert "groups" not in okta.get(f"/Users/{bob}")
