"""RFC 7644 section 3.7: the examples of bulk requests and what the text demands of them."""

from __future__ import annotations

from typing import Any

from flask import Flask

from tests.support.scim import ScimClient
from tests.support.scim_examples import BULK, BULK_RESPONSE, ENTERPRISE, ERROR, GROUP, PATCH, USER


def send(scim: ScimClient, *operations: dict[str, Any], **more: Any) -> list[dict[str, Any]]:
    answer = scim.post("/Bulk", {"schemas": [BULK], "Operations": list(operations), **more}, status=200)
    assert answer["schemas"] == [BULK_RESPONSE]
    found: list[dict[str, Any]] = answer["Operations"]
    return found


def alice(bulk_id: str = "qwerty", name: str = "Alice") -> dict[str, Any]:
    return {"method": "POST", "path": "/Users", "bulkId": bulk_id, "data": {"schemas": [USER], "userName": name}}


def id_of(outcome: dict[str, Any]) -> str:
    return str(outcome["location"]).rpartition("/")[2]


def test_3_7_1_operations_that_refer_to_each_other_in_a_circle_are_a_conflict(scim: ScimClient) -> None:
    """The server may stop after it failed to resolve them, and answer 409."""

    def group(bulk_id: str, name: str, other: str) -> dict[str, Any]:
        members = [{"type": "Group", "value": f"bulkId:{other}"}]
        data = {"schemas": [GROUP], "displayName": name, "members": members}
        return {"method": "POST", "path": "/Groups", "bulkId": bulk_id, "data": data}

    outcomes = send(scim, group("qwerty", "Group A", "ytrewq"), group("ytrewq", "Group B", "qwerty"))
    for outcome in outcomes:
        assert outcome["status"] == "409"
        assert (outcome["response"]["schemas"], outcome["response"]["status"]) == ([ERROR], "409")
    assert scim.get("/Groups")["totalResults"] == 0


def test_3_7_2_a_group_with_a_member_that_the_same_request_makes(scim: ScimClient) -> None:
    data = {
        "schemas": [GROUP],
        "displayName": "Tour Guides",
        "members": [{"type": "User", "value": "bulkId:qwerty"}],
    }
    user, group = send(scim, alice(), {"method": "POST", "path": "/Groups", "bulkId": "ytrewq", "data": data})
    for outcome, bulk_id, kind in ((user, "qwerty", "Users"), (group, "ytrewq", "Groups")):
        assert outcome == {
            "location": f"http://localhost/scim/v2/{kind}/{id_of(outcome)}",
            "method": "POST",
            "bulkId": bulk_id,
            "version": 'W/"1"' if kind == "Users" else outcome["version"],
            "status": "201",
        }
    read = scim.get(f"/Groups/{id_of(group)}")
    assert (read["members"][0]["value"], read["meta"]["version"]) == (id_of(user), group["version"])


def test_3_7_2_the_manager_may_be_made_in_the_same_request(scim: ScimClient) -> None:
    employee = alice("2", "Bob")
    employee["data"][ENTERPRISE] = {"employeeNumber": "11250", "manager": {"value": "bulkId:1"}}
    manager, bob = send(scim, alice("1"), employee)
    assert scim.get(f"/Users/{id_of(bob)}")[ENTERPRISE]["manager"]["value"] == id_of(manager)


def test_3_7_3_create_replace_change_and_delete_in_one_request(scim: ScimClient) -> None:
    bob, dave, eve = (scim.user(name) for name in ("Bob", "Dave", "Eve"))
    outcomes = send(
        scim,
        alice(),
        {
            "method": "PUT",
            "path": f"/Users/{bob['id']}",
            "version": bob["meta"]["version"],
            "data": {"schemas": [USER], "userName": "Bob", "title": "Boss"},
        },
        {
            "method": "PATCH",
            "path": f"/Users/{dave['id']}",
            "version": dave["meta"]["version"],
            "data": {
                "schemas": [PATCH],
                "Operations": [
                    {"op": "remove", "path": "nickName"},
                    {"op": "add", "path": "userName", "value": "Dave2"},
                ],
            },
        },
        {"method": "DELETE", "path": f"/Users/{eve['id']}", "version": eve["meta"]["version"]},
        failOnErrors=1,
    )
    assert [(each["method"], each["status"]) for each in outcomes] == [
        *(("POST", "201"), ("PUT", "200"), ("PATCH", "200"), ("DELETE", "204")),
    ]
    assert [each["location"] for each in outcomes[1:]] == [each["meta"]["location"] for each in (bob, dave, eve)]
    assert "version" not in outcomes[3]
    assert [user["userName"] for user in scim.get("/Users")["Resources"]] == ["Bob", "Dave2", "Alice"]


def test_3_7_3_errors_stand_at_their_operation(scim: ScimClient) -> None:
    """The last example: invalid syntax, a stale version, something that is gone, and what has no location."""
    bob = scim.user("Bob")
    broken, stale, gone, taken = send(
        scim,
        {"method": "POST", "path": "/Users", "bulkId": "qwerty", "data": "no object"},
        {"method": "PUT", "path": f"/Users/{bob['id']}", "version": 'W/"77"', "data": {"userName": "Bob"}},
        {"method": "DELETE", "path": "/Users/u-000000000000"},
        alice("asdf", "BOB"),
    )
    for outcome, status, scim_type in (
        (broken, "400", "invalidSyntax"),
        (stale, "412", None),
        (gone, "404", None),
        (taken, "409", "uniqueness"),
    ):
        assert outcome["status"] == outcome["response"]["status"] == status
        assert outcome["response"]["schemas"] == [ERROR]
        assert outcome["response"].get("scimType") == scim_type
    assert (broken["bulkId"], "location" in broken, "location" in taken) == ("qwerty", False, False)
    assert stale["location"] == bob["meta"]["location"]


def test_3_7_3_fail_on_errors_stops_and_tells_what_was_tried(scim: ScimClient) -> None:
    bad = {"method": "POST", "path": "/Users", "bulkId": "bad", "data": {"userName": "a b"}}
    assert [each["status"] for each in send(scim, alice(), bad, alice("2", "Bob"), failOnErrors=1)] == ["201", "400"]
    assert [user["userName"] for user in scim.get("/Users")["Resources"]] == ["Alice"]


def test_3_7_4_limits(scim: ScimClient, app: Flask) -> None:
    limits = scim.get("/ServiceProviderConfig")["bulk"]
    many = [alice(str(number), f"u{number}") for number in range(limits["maxOperations"] + 1)]
    error = scim.post("/Bulk", {"schemas": [BULK], "Operations": many}, status=413)
    assert (error["status"], error["scimType"]) == ("413", "tooMany")
    assert str(limits["maxOperations"]) in error["detail"]
    big = {"schemas": [BULK], "Operations": [alice(name="x" * limits["maxPayloadSize"])]}
    error = scim.post("/Bulk", big, status=413)
    assert str(limits["maxPayloadSize"]) in error["detail"]
    assert scim.get("/Users")["totalResults"] == 0
