"""What authentik's SCIM provider sends (goauthentik/authentik, authentik/providers/scim/clients: base, users, groups).

It reads the ServiceProviderConfig first and acts on it: PATCH for groups where there is PATCH, one operation a member,
at most bulk.maxOperations a request; without a config it PUTs. What exists already it finds by userName or displayName.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.scim import PATCH, ScimClient
from tests.support.scim_examples import GROUP, USER

UID = "9d8e0b1c2a3f4e5d6c7b8a9f0e1d2c3b4a5f6e7d8c9b0a1f2e3d4c5b6a7f8e9d"


@pytest.fixture
def authentik(scim: ScimClient) -> ScimClient:
    scim.content_type = "application/scim+json"
    return scim


def user(name: str, **more: Any) -> dict[str, Any]:
    """The default property mapping."""
    return {
        "schemas": [USER],
        "externalId": f"{UID}-{name}",
        "userName": name,
        "name": {"formatted": f"{name} Smith", "givenName": name, "familyName": "Smith"},
        "displayName": f"{name} Smith",
        "photos": [{"value": "https://sso.example/a.png", "type": "photo"}],
        "locale": "en_US",
        "active": True,
        "emails": [{"value": f"{name}@acme.example", "type": "other", "primary": True}],
        **more,
    }


def members(scim: ScimClient, path: str) -> list[str]:
    return [member["value"] for member in scim.get(path).get("members", [])]


def test_it_reads_the_configuration_first(authentik: ScimClient) -> None:
    config = authentik.get("/ServiceProviderConfig")
    assert (config["patch"]["supported"], config["filter"]["supported"]) == (True, True)
    assert config["bulk"]["maxOperations"] >= 1  # the size of a chunk of operations


def test_life_of_a_user(authentik: ScimClient) -> None:
    created = authentik.post("/Users", user("ann"))
    assert created["externalId"] == f"{UID}-ann"
    assert authentik.post("/Users", user("ann"), status=409)["scimType"] == "uniqueness"
    found = authentik.get("/Users", filter='userName eq "ann"')["Resources"]
    assert [each["id"] for each in found] == [created["id"]]
    after = authentik.put(f"/Users/{created['id']}", user("ann", id=created["id"], active=False, photos=[]))
    assert (after["active"], "photos" in after) == (False, False)
    authentik.delete(f"/Users/{created['id']}")


def test_a_group_is_made_without_members_who_then_come_one_operation_each(authentik: ScimClient) -> None:
    ids = [authentik.post("/Users", user(f"u{number}"))["id"] for number in range(4)]
    group = authentik.post("/Groups", {"schemas": [GROUP], "displayName": "Team", "externalId": UID})
    path = f"/Groups/{group['id']}"
    authentik.patch(path, *({"op": "add", "path": "members", "value": [{"value": each}]} for each in ids))
    assert members(authentik, path) == ids
    authentik.patch(path, *({"op": "remove", "path": "members", "value": [{"value": each}]} for each in ids[:2]))
    assert members(authentik, path) == ids[2:]


def test_a_group_that_exists_is_found_by_its_name(authentik: ScimClient) -> None:
    body = {"schemas": [GROUP], "displayName": "Team A&B", "externalId": UID}
    group = authentik.post("/Groups", body)
    authentik.post("/Groups", body, status=409)
    found = authentik.get("/Groups?filter=displayName+eq+%22Team+A%26B%22")["Resources"]
    assert [each["id"] for each in found] == [group["id"]]


def test_a_group_is_changed_by_a_replace_without_a_path_that_holds_its_id_and_keeps_its_members(
    authentik: ScimClient,
) -> None:
    ann = authentik.post("/Users", user("ann"))["id"]
    group = authentik.group("Team", ann)
    path = f"/Groups/{group['id']}"
    value = {"schemas": [GROUP], "id": group["id"], "displayName": "Renamed", "externalId": UID}
    body = {"schemas": [PATCH], "Operations": [{"op": "replace", "value": value}]}
    authentik.send("PATCH", path, body, status=204)
    authentik.patch(  # the compatibility mode for AWS
        path,
        {"op": "replace", "path": "displayName", "value": "Renamed"},
        {"op": "replace", "path": "externalId", "value": UID},
    )
    after = authentik.get(path)
    assert (after["displayName"], after["externalId"], members(authentik, path)) == ("Renamed", UID, [ann])


def test_a_group_by_put_as_where_patch_is_not_known(authentik: ScimClient) -> None:
    ann = authentik.post("/Users", user("ann"))["id"]
    path = f"/Groups/{authentik.group('Team')['id']}"
    authentik.put(path, {"schemas": [GROUP], "displayName": "Team", "externalId": UID, "members": [{"value": ann}]})
    assert members(authentik, path) == [ann]


def test_it_discovers_all_groups_page_by_page(authentik: ScimClient) -> None:
    names = {authentik.group(f"Group {number}")["displayName"] for number in range(3)}
    first = authentik.get("/Groups")
    assert {each["displayName"] for each in first["Resources"]} == names
    assert authentik.get("/Groups", startIndex=first["totalResults"] + 1)["Resources"] == []
