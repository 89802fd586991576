"""Groups inside groups by SCIM: kept as pushed, flattened for everything else, never turned into users."""

from __future__ import annotations

from typing import Any

import pytest

from portal.core.limits import Limits, set_limits
from portal.core.space.models import Space
from tests.support.make import Make
from tests.support.scim import ScimClient


def members(scim: ScimClient, group_id: str) -> list[str]:
    return [member["value"] for member in scim.get(f"/Groups/{group_id}").get("members", [])]


def joined(scim: ScimClient, user_id: str) -> dict[str, str]:
    return {group["display"]: group["type"] for group in scim.get(f"/Users/{user_id}").get("groups", [])}


def test_a_group_holds_users_and_groups_and_says_which_is_which(scim: ScimClient) -> None:
    ann, bob = scim.user("ann", displayName="Ann")["id"], scim.user("bob")["id"]
    inner = scim.group("Platform", bob)
    whole = scim.post(
        "/Groups",
        {
            "displayName": "Engineers",
            "members": [{"value": inner["id"], "type": "Group", "$ref": inner["meta"]["location"]}, {"value": ann}],
        },
    )
    base = inner["meta"]["location"].rpartition("/Groups/")[0]
    expected = [
        {"value": ann, "$ref": f"{base}/Users/{ann}", "type": "User", "display": "Ann"},
        {"value": inner["id"], "$ref": f"{base}/Groups/{inner['id']}", "type": "Group", "display": "Platform"},
    ]
    assert whole["members"] == expected
    assert scim.get(f"/Groups/{whole['id']}")["members"] == expected
    assert scim.get("/Groups", filter='displayName eq "engineers"')["Resources"][0]["members"] == expected
    assert scim.get("/Users")["totalResults"] == 2
    assert joined(scim, ann) == {"Engineers": "direct"}
    assert joined(scim, bob) == {"Platform": "direct", "Engineers": "indirect"}


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "Add", "path": "members", "value": [{"value": "ID"}]},
        {"op": "add", "path": "members", "value": {"value": "ID", "type": "Group"}},
        {"op": "add", "value": {"members": [{"$ref": "https://idp.example/scim/v2/Groups/ID"}]}},
        {"op": "replace", "path": "members", "value": [{"value": "ID", "$ref": None}]},
        {"op": "replace", "value": {"members": [{"value": "ID", "type": "group"}]}},
    ],
)
def test_a_group_comes_into_a_group_by_every_shape_of_patch(scim: ScimClient, operation: dict[str, Any]) -> None:
    bob = scim.user("bob")["id"]
    inner, outer = scim.group("Inner", bob)["id"], scim.group("Outer")["id"]
    scim.patch(f"/Groups/{outer}", _filled(operation, inner))
    assert members(scim, outer) == [inner]
    assert joined(scim, bob) == {"Inner": "direct", "Outer": "indirect"}


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "Remove", "path": "members", "value": [{"$ref": None, "value": "ID"}]},
        {"op": "remove", "path": 'members[value eq "ID"]'},
        {"op": "replace", "path": "members", "value": [{"value": "ANN"}]},
        {"op": "replace", "value": {"members": [{"value": "ANN"}]}},
    ],
)
def test_a_group_goes_out_of_a_group_by_every_shape_of_patch(scim: ScimClient, operation: dict[str, Any]) -> None:
    ann, bob = scim.user("ann")["id"], scim.user("bob")["id"]
    inner = scim.group("Inner", bob)["id"]
    outer = scim.group("Outer", inner, ann)["id"]
    scim.patch(f"/Groups/{outer}", _filled(operation, inner, ann))
    assert members(scim, outer) == [ann]
    assert members(scim, inner) == [bob]
    assert joined(scim, bob) == {"Inner": "direct"}


def _filled(value: Any, inner: str, ann: str = "") -> Any:
    if isinstance(value, str):
        return value.replace("ID", inner).replace("ANN", ann)
    if isinstance(value, dict):
        return {key: _filled(part, inner, ann) for key, part in value.items()}
    return [_filled(part, inner, ann) for part in value] if isinstance(value, list) else value


def test_put_replaces_both_kinds_and_without_members_keeps_both(scim: ScimClient) -> None:
    ann, bob = scim.user("ann")["id"], scim.user("bob")["id"]
    one, two = scim.group("One", bob)["id"], scim.group("Two", bob)["id"]
    outer = scim.group("Outer", one, ann)["id"]
    scim.put(f"/Groups/{outer}", {"displayName": "Outer", "members": [{"value": two}, {"value": bob}]})
    assert members(scim, outer) == [bob, two]
    assert joined(scim, ann) == {}
    assert joined(scim, bob)["Outer"] == "direct"
    scim.put(f"/Groups/{outer}", {"displayName": "Outer again"})
    assert members(scim, outer) == [bob, two]


def test_what_is_not_there_is_named_and_made_by_nobody(scim: ScimClient, make: Make, space: Space) -> None:
    ann = scim.user("ann")["id"]
    outer = scim.group("Outer", ann)["id"]
    manual, stranger = make.group(space, "by-hand"), make.group(make.space(), "elsewhere")
    for unknown in ("g-000000000000", stranger.id):
        body = scim.patch(
            f"/Groups/{outer}", {"op": "add", "path": "members", "value": [{"value": unknown}]}, status=400
        )
        assert body["scimType"] == "invalidValue"
        assert unknown in body["detail"]
    by_hand = [{"op": "add", "path": "members", "value": [{"value": manual.id}]}]
    assert "from SCIM only" in scim.patch(f"/Groups/{outer}", *by_hand, status=400)["detail"]
    assert "made by hand" in scim.patch(f"/Groups/{manual.id}", *by_hand, status=403)["detail"]
    assert members(scim, outer) == [ann]
    assert scim.get("/Users")["totalResults"] == 1


def test_in_a_circle_everybody_is_in_every_group_and_comes_out_again(scim: ScimClient) -> None:
    """Directories allow circles, so an IdP may push one."""
    ids = [scim.user(name)["id"] for name in ("ann", "bob", "cara")]
    a, b, c = (scim.group(name, user_id)["id"] for name, user_id in zip("ABC", ids, strict=True))
    for outer, inner in ((a, b), (b, c), (c, a), (a, a)):
        scim.patch(f"/Groups/{outer}", {"op": "add", "path": "members", "value": [{"value": inner}]})
    assert members(scim, a) == [ids[0], a, b]
    assert [sorted(joined(scim, user_id)) for user_id in ids] == [["A", "B", "C"]] * 3
    scim.patch(f"/Groups/{a}", {"op": "remove", "path": f'members[value eq "{ids[0]}"]'})
    assert joined(scim, ids[0]) == {}
    scim.patch(f"/Groups/{b}", {"op": "remove", "path": f'members[value eq "{c}"]'})
    assert [sorted(joined(scim, user_id)) for user_id in ids] == [[], ["A", "B", "C"], ["C"]]


def test_a_deleted_group_takes_along_what_it_gave_and_nothing_else(scim: ScimClient) -> None:
    ann, bob = scim.user("ann")["id"], scim.user("bob")["id"]
    inner = scim.group("Inner", ann, bob)["id"]
    other = scim.group("Other", bob)["id"]
    middle = scim.group("Middle", inner)["id"]
    top = scim.group("Top", middle, other)["id"]
    version = scim.get(f"/Groups/{middle}")["meta"]["version"]
    scim.delete(f"/Groups/{inner}")
    assert (joined(scim, ann), sorted(joined(scim, bob))) == ({}, ["Other", "Top"])
    assert members(scim, middle) == []
    assert scim.get(f"/Groups/{middle}", headers={"If-None-Match": version})["meta"]["version"] != version
    assert members(scim, top) == [other, middle]


def test_the_version_changes_with_the_members_that_are_shown(scim: ScimClient) -> None:
    ann = scim.user("ann")["id"]
    inner = scim.group("Inner")["id"]
    outer = scim.group("Outer")["id"]

    def versions() -> list[str]:
        return [scim.get(f"/Groups/{group_id}")["meta"]["version"] for group_id in (inner, outer)]

    before = versions()
    nest = {"op": "add", "path": "members", "value": [{"value": inner}]}
    scim.patch(f"/Groups/{outer}", nest)
    nested = versions()
    assert (nested[0] == before[0], nested[1] == before[1]) == (True, False)
    scim.patch(f"/Groups/{outer}", nest)
    assert versions() == nested
    scim.patch(f"/Groups/{inner}", {"op": "add", "path": "members", "value": [{"value": ann}]})
    assert (versions()[0] == nested[0], versions()[1] == nested[1]) == (False, True)


def test_filters_see_members_as_they_are_shown(scim: ScimClient) -> None:
    ann, bob = scim.user("ann", displayName="Ann")["id"], scim.user("bob")["id"]
    inner = scim.group("Straße", bob)["id"]
    outer = scim.group("Outer", inner, ann)["id"]
    scim.group("Empty")
    cases = {
        f'members eq "{inner}"': [outer],
        f'members.value eq "{inner}"': [outer],
        f'id eq "{outer}" and members eq "{inner}"': [outer],
        f'members eq "{bob}"': [inner],
        f'id eq "{outer}" and members eq "{bob}"': [],
        'members[type eq "Group"]': [outer],
        'members.type eq "group"': [outer],
        'members[type eq "User"]': [inner, outer],
        'members[type eq "Group" and display sw "strasse"]': [outer],
        'members.display eq "ann"': [outer],
        f'members[type eq "User" and value eq "{inner}"]': [],
        "members pr": [inner, outer],
    }
    for text, expected in cases.items():
        assert [group["id"] for group in scim.found("/Groups", text)] == expected, text
    assert [user["id"] for user in scim.found("/Users", 'groups.type eq "indirect"')] == [bob]
    assert [user["id"] for user in scim.found("/Users", 'groups[type eq "indirect" and display eq "outer"]')] == [bob]
    assert [user["id"] for user in scim.found("/Users", 'not (groups.type eq "indirect")')] == [ann]


def test_bulk_makes_groups_inside_groups_in_whatever_order_they_come(scim: ScimClient) -> None:
    def post(path: str, name: str, **data: Any) -> dict[str, Any]:
        return {"method": "POST", "path": path, "bulkId": name, "data": data}

    body = {
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
        "Operations": [
            post("/Groups", "outer", displayName="Outer", members=[{"value": "bulkId:inner", "type": "Group"}]),
            post("/Groups", "inner", displayName="Inner", members=[{"value": "bulkId:ann"}]),
            post("/Users", "ann", userName="ann"),
        ],
    }
    done = scim.post("/Bulk", body, status=200)["Operations"]
    assert [each["status"] for each in done] == ["201"] * 3
    outer, inner, ann = (each["location"].rpartition("/")[2] for each in done)
    assert members(scim, outer) == [inner]
    assert joined(scim, ann) == {"Inner": "direct", "Outer": "indirect"}
    undo = [
        {
            "method": "PATCH",
            "path": f"/Groups/{outer}",
            "data": {"Operations": [{"op": "remove", "path": f'members[value eq "{inner}"]'}]},
        },
        {"method": "DELETE", "path": f"/Groups/{inner}"},
    ]
    done = scim.post("/Bulk", body | {"Operations": undo}, status=200)["Operations"]
    assert [each["status"] for each in done] == ["200", "204"]
    assert (members(scim, outer), joined(scim, ann)) == ([], {})


def test_discovery_names_both_kinds(scim: ScimClient) -> None:
    group = scim.get("/Schemas/urn:ietf:params:scim:schemas:core:2.0:Group")
    parts = {sub["name"]: sub for each in group["attributes"] for sub in each.get("subAttributes", ())}
    assert parts["type"]["canonicalValues"] == ["User", "Group"]
    assert parts["$ref"]["referenceTypes"] == ["User", "Group"]
    user = scim.get("/Schemas/urn:ietf:params:scim:schemas:core:2.0:User")
    (groups,) = (each for each in user["attributes"] if each["name"] == "groups")
    assert {"canonicalValues": ["direct", "indirect"]}.items() <= groups["subAttributes"][-1].items()


def test_a_group_holds_as_many_groups_as_the_limit_says(scim: ScimClient) -> None:
    ids = [scim.group(f"G{number}")["id"] for number in range(4)]
    outer = scim.group("Outer")["id"]
    set_limits(Limits(groups_per_group=2))
    try:
        scim.put(f"/Groups/{outer}", {"displayName": "Outer", "members": [{"value": each} for each in ids[:2]]})
        more = {"op": "add", "path": "members", "value": [{"value": ids[2]}]}
        assert "groups_per_group" in scim.patch(f"/Groups/{outer}", more, status=403)["detail"]
        scim.put(f"/Groups/{outer}", {"displayName": "Outer", "members": [{"value": each} for each in ids[2:]]})
    finally:
        set_limits(Limits())
    assert members(scim, outer) == ids[2:]


def test_a_deleted_user_is_in_no_group_and_only_those_that_named_it_change(scim: ScimClient) -> None:
    ann = scim.user("ann")["id"]
    inner = scim.group("Inner", ann)["id"]
    outer = scim.group("Outer", inner)["id"]
    before = {each["id"]: each["meta"]["version"] for each in scim.get("/Groups")["Resources"]}
    scim.delete(f"/Users/{ann}")
    after = {each["id"]: each["meta"]["version"] for each in scim.get("/Groups")["Resources"]}
    assert [group_id for group_id in (inner, outer) if before[group_id] != after[group_id]] == [inner]
    assert (members(scim, inner), members(scim, outer)) == ([], [inner])
