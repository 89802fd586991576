"""Many changes in one request (RFC 7644 section 3.7)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import delete, func, select

from portal.core.access.models import Task, TaskType
from portal.core.access.syncs import synchronize
from portal.core.actor import SYSTEM
from portal.core.audit import AuditEvent, Result
from portal.core.database import Database
from portal.core.space.models import Space
from tests.support.make import Make
from tests.support.scim import ENTERPRISE, PATCH, ScimClient, make_secret

REQUEST = "urn:ietf:params:scim:api:messages:2.0:BulkRequest"
RESPONSE = "urn:ietf:params:scim:api:messages:2.0:BulkResponse"


def bulk(scim: ScimClient, *operations: Any, status: int = 200, **more: Any) -> Any:
    body = scim.post("/Bulk", {"schemas": [REQUEST], "Operations": list(operations), **more}, status=status)
    return body["Operations"] if status == 200 else body


def post(bulk_id: str, **data: Any) -> dict[str, Any]:
    kind = "Groups" if "displayName" in data and "userName" not in data else "Users"
    return {"method": "POST", "path": f"/{kind}", "bulkId": bulk_id, "data": data}


def statuses(outcomes: list[Any]) -> list[str]:
    return [outcome["status"] for outcome in outcomes]


def names(scim: ScimClient) -> list[str]:
    return [user["userName"] for user in scim.get("/Users")["Resources"]]


def test_the_service_says_what_it_takes(scim: ScimClient, app: Flask) -> None:
    assert scim.get("/ServiceProviderConfig")["bulk"] == {
        "supported": True,
        "maxOperations": 1000,
        "maxPayloadSize": app.config["MAX_CONTENT_LENGTH"],
    }


def test_each_method_is_done_and_answered_like_the_single_request(scim: ScimClient) -> None:
    bob, cyd, dan = (scim.user(name) for name in ("bob", "cyd", "dan"))
    group = scim.group("Team")
    operation = {"op": "add", "path": "members", "value": [{"value": bob["id"]}]}
    answer = scim.post(
        "/Bulk",
        {
            "schemas": [REQUEST],
            "Operations": [
                post("qwerty", userName="Alice"),
                {"method": "PUT", "path": f"/Users/{bob['id']}", "data": {"userName": "bob", "title": "T"}},
                {"method": "patch", "path": f"/Groups/{group['id']}", "data": {"Operations": [operation]}},
                {"method": "DELETE", "path": f"/Users/{cyd['id']}", "version": cyd["meta"]["version"]},
                {"method": "DELETE", "path": f"/Users/{dan['id']}", "version": 'W/"77"'},
            ],
        },
        status=200,
    )
    assert answer["schemas"] == [RESPONSE]
    made, put, patched, deleted, stale = answer["Operations"]
    alice = scim.found("/Users", 'userName eq "alice"')[0]
    location = alice["meta"]["location"]
    assert made == {
        "method": "POST",
        "bulkId": "qwerty",
        "status": "201",
        "location": location,
        "version": alice["meta"]["version"],
    }
    changed = scim.get(f"/Users/{bob['id']}")
    assert (changed["title"], put["status"], put["version"]) == ("T", "200", changed["meta"]["version"])
    team = scim.get(f"/Groups/{group['id']}")
    assert [member["value"] for member in team["members"]] == [bob["id"]]
    assert (patched["status"], patched["version"]) == ("200", team["meta"]["version"])
    assert deleted == {"method": "DELETE", "status": "204", "location": cyd["meta"]["location"]}
    assert (stale["status"], stale["location"], stale["response"]["status"]) == ("412", dan["meta"]["location"], "412")
    assert names(scim) == ["bob", "dan", "Alice"]


def test_a_group_is_made_with_members_made_in_the_same_request_also_further_down(scim: ScimClient) -> None:
    members = [{"type": "User", "value": f"bulkId:{name}"} for name in ("first", "second")]
    outcomes = bulk(
        scim,
        post("first", userName="ann"),
        post("team", displayName="Tour Guides", members=members),
        post("second", userName="bob", **{ENTERPRISE: {"manager": {"value": "bulkId:first"}}}),
        {
            "method": "PATCH",
            "path": "/Groups/bulkId:team",
            "data": {"schemas": [PATCH], "Operations": [{"op": "replace", "value": {"displayName": "Guides"}}]},
        },
        {"method": "DELETE", "path": "/Users/bulkId:first"},
    )
    assert statuses(outcomes) == ["201", "201", "201", "200", "204"]
    (group,), (bob,) = scim.get("/Groups")["Resources"], scim.get("/Users")["Resources"]
    assert (group["displayName"], [member["value"] for member in group["members"]]) == ("Guides", [bob["id"]])
    assert f"{bob[ENTERPRISE]['manager']['value']}" == outcomes[0]["location"].rsplit("/", 1)[1]
    assert outcomes[3]["location"] == group["meta"]["location"]


def test_operations_that_refer_to_each_other_in_a_circle_are_refused(scim: ScimClient) -> None:
    outcomes = bulk(
        scim,
        post("a", userName="ann", **{ENTERPRISE: {"manager": {"value": "bulkId:b"}}}),
        post("b", userName="bob", **{ENTERPRISE: {"manager": {"value": "bulkId:a"}}}),
        post("c", userName="cyd"),
    )
    assert statuses(outcomes) == ["409", "409", "201"]
    assert "circle" in outcomes[0]["response"]["detail"]
    assert "scimType" not in outcomes[0]["response"]
    assert names(scim) == ["cyd"]


def test_what_builds_on_a_failed_or_unknown_operation_fails_too(scim: ScimClient) -> None:
    outcomes = bulk(
        scim,
        post("bad", userName="a b"),
        post("g", displayName="G", members=[{"value": "bulkId:bad"}]),
        {"method": "DELETE", "path": "/Users/bulkId:nobody"},
    )
    assert statuses(outcomes) == ["400", "400", "400"]
    assert all(outcome["response"]["scimType"] == "invalidValue" for outcome in outcomes)
    assert not any("location" in outcome for outcome in outcomes)
    assert scim.get("/Groups")["totalResults"] == 0


def test_a_failing_operation_between_two_good_ones_changes_nothing(scim: ScimClient, database: Database) -> None:
    """The group is made before its members turn out to be unknown: its row and its audit event go."""
    outcomes = bulk(
        scim,
        post("1", userName="ann"),
        post("2", displayName="Half", members=[{"value": "u-nobody"}]),
        post("3", userName="ANN"),
        post("4", userName="bob"),
    )
    assert statuses(outcomes) == ["201", "400", "409", "201"]
    assert outcomes[2]["response"]["scimType"] == "uniqueness"
    assert names(scim) == ["ann", "bob"]
    assert scim.get("/Groups")["totalResults"] == 0
    with database.transaction(write=False) as session:
        counted = select(AuditEvent.action, AuditEvent.result, func.count()).where(AuditEvent.actor_kind == "scim")
        rows = session.execute(counted.group_by(AuditEvent.action, AuditEvent.result)).all()
        assert sorted(map(tuple, rows)) == [
            ("scim.create", Result.REFUSED, 2),
            ("user.create", Result.ACCEPTED, 2),
        ]


def test_the_tasks_of_a_failed_operation_are_neither_kept_nor_dispatched(
    scim: ScimClient, space: Space, make: Make, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first operation takes a member out, which queues a task, before the unknown one fails it."""
    ann, bob = scim.user("ann"), scim.user("bob")
    group = scim.group("Team", ann["id"])
    uin = make.account(space).uin
    with make.transaction() as session:
        synchronize(session, SYSTEM, space=space, accounts=[uin], groups=[group["id"]])
        session.execute(delete(Task))
    dispatched: list[str] = []
    monkeypatch.setattr(database, "dispatch", dispatched.extend)
    path = f"/Groups/{group['id']}"
    join = {"op": "add", "path": "members", "value": [{"value": bob["id"]}]}
    outcomes = bulk(
        scim,
        {"method": "PUT", "path": path, "data": {"displayName": "Team", "members": [{"value": "u-nobody"}]}},
        {"method": "PATCH", "path": path, "data": {"Operations": [join]}},
    )
    assert statuses(outcomes) == ["400", "200"]
    with database.transaction(write=False) as session:
        tasks = session.scalars(select(Task)).all()
        assert [task.type for task in tasks] == [TaskType.SYNC_USER_ADDED]
        assert dispatched == [task.id for task in tasks]
    assert len(scim.get(path)["members"]) == 2


def test_a_change_that_fails_half_way_leaves_the_row_as_it_was_for_the_next_operation(scim: ScimClient) -> None:
    user, group = scim.user("ann"), scim.group("Team")
    path = f"/Groups/{group['id']}"
    replaced = {"displayName": "New", "members": [{"value": user["id"]}, {"value": "u-nobody"}]}
    patch = {"Operations": [{"op": "replace", "path": "externalId", "value": "e"}]}
    outcomes = bulk(
        scim,
        {"method": "PUT", "path": path, "data": replaced},
        {"method": "PATCH", "path": path, "data": patch, "version": group["meta"]["version"]},
    )
    assert statuses(outcomes) == ["400", "200"]
    found = scim.get(path)
    assert (found["displayName"], found["externalId"], "members" in found) == ("Team", "e", False)


def test_fail_on_errors_ends_the_work_and_keeps_what_was_done(scim: ScimClient) -> None:
    operations = [post(str(index), userName="a b" if index % 2 else f"user{index}") for index in range(6)]
    assert statuses(bulk(scim, *operations, failOnErrors=1)) == ["201", "400"]
    assert names(scim) == ["user0"]
    assert statuses(bulk(scim, *operations, failOnErrors=3)) == ["409", "400", "201", "400"]
    assert statuses(bulk(scim, *operations)) == ["409", "400", "409", "400", "201", "400"]


@pytest.mark.parametrize(
    ("operation", "status"),
    [
        ({"method": "GET", "path": "/Users"}, "400"),
        ({"path": "/Users"}, "400"),
        ({"method": "POST", "path": "/Users", "data": {"userName": "x"}}, "400"),
        ({"method": "POST", "path": "/Users", "bulkId": "1"}, "400"),
        ({"method": "POST", "path": "/Users", "bulkId": "1", "data": [1]}, "400"),
        ({"method": "POST", "path": "/Users/u-1", "bulkId": "1", "data": {}}, "405"),
        ({"method": "DELETE", "path": "/Users"}, "405"),
        ({"method": "DELETE", "path": "/Users/u-1"}, "404"),
        ({"method": "POST", "path": "/Me", "bulkId": "1", "data": {}}, "404"),
        ({"method": "POST", "path": "/Bulk", "bulkId": "1", "data": {}}, "404"),
        ({"method": "POST", "bulkId": "1", "data": {}}, "404"),
    ],
)
def test_an_operation_that_makes_no_sense_fails_alone(scim: ScimClient, operation: Any, status: str) -> None:
    outcomes = bulk(scim, operation, post("good", userName="ann"))
    assert statuses(outcomes) == [status, "201"]
    assert outcomes[0]["response"]["status"] == status


def test_a_request_that_makes_no_sense_is_refused_as_a_whole(scim: ScimClient) -> None:
    deep: Any = "x"
    for _ in range(60):
        deep = [deep]
    good = post("1", userName="ann")
    for body in (
        {},
        {"Operations": {}},
        {"Operations": ["x"]},
        {"Operations": [good, good]},
        {"Operations": [good], "failOnErrors": 0},
        {"Operations": [good], "failOnErrors": "1"},
        {"Operations": [good, post("2", userName="x", emails=deep)]},
        {"Operations": [good, {"method": 1}]},
        {"Operations": [good, {"method": "POST", "path": "/Users", "bulkId": "\ud800"}]},
    ):
        assert scim.post("/Bulk", body, status=400)["scimType"] in ("invalidSyntax", "invalidValue")
    assert names(scim) == []


def test_more_than_the_limits_allow_is_413_and_changes_nothing(scim: ScimClient, app: Flask) -> None:
    operations = [post(str(index), userName=f"user{index}") for index in range(1001)]
    refused = bulk(scim, *operations, status=413)
    assert (refused["scimType"], refused["status"]) == ("tooMany", "413")
    assert "1000" in refused["detail"]
    big = bulk(scim, post("1", userName="ann", title="x" * app.config["MAX_CONTENT_LENGTH"]), status=413)
    assert str(app.config["MAX_CONTENT_LENGTH"]) in big["detail"]
    assert names(scim) == []


def test_a_bulk_request_needs_a_credential_and_stays_in_its_space(scim: ScimClient, app: Flask, make: Make) -> None:
    ScimClient(app, "wrong").post("/Bulk", {"Operations": []}, status=401)
    stranger = ScimClient(app, make_secret(make, make.space(scim_enabled=True)))
    user = scim.user("ann")
    assert statuses(bulk(stranger, {"method": "DELETE", "path": f"/Users/{user['id']}"})) == ["404"]
    assert names(scim) == ["ann"]
    assert bulk(scim) == []


def test_who_is_overtaken_by_another_request_loses_one_operation_and_not_the_others(
    scim: ScimClient, app: Flask
) -> None:
    def send(number: int) -> list[str]:
        operations = [post(str(index), userName=name) for index, name in enumerate((f"a{number}", "ann", f"b{number}"))]
        return statuses(bulk(ScimClient(app, scim.secret), *operations))

    with ThreadPoolExecutor(4) as pool:
        answers = sorted(pool.map(send, range(4)))
    assert answers == [["201", "201", "201"], *[["201", "409", "201"]] * 3]
    assert scim.get("/Users")["totalResults"] == 9


def test_two_that_make_the_same_users_in_opposite_order_wait_or_are_told_to_come_again(
    scim: ScimClient, app: Flask
) -> None:
    users = [post(f"b{number}", userName=f"user{number}") for number in range(40)]

    def send(operations: list[Any]) -> tuple[int, str | None]:
        client = ScimClient(app, scim.secret)
        answer = client.client.post(
            "/scim/v2/Bulk", json={"Operations": operations}, headers={"Authorization": f"Bearer {scim.secret}"}
        )
        return answer.status_code, answer.headers.get("Retry-After")

    with ThreadPoolExecutor() as pool:
        answers = list(pool.map(send, [users, users[::-1]]))
    assert set(answers) <= {(200, None), (503, "5")}
    assert (200, None) in answers
    assert len(names(scim)) == 40
