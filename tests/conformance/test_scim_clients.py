"""SCIM driven by programs that are not our code: the checks of scim2-tester, and scim2-client as a client."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from flask import Flask
from scim2_client.engines.wsgi import WSGISCIMClient
from scim2_models import PatchOp, PatchOperation, SearchRequest
from scim2_tester import Status, check_server

from tests.support.make import Make
from tests.support.scim import make_secret

# RFC 7644 section 3.4.3 lets a server refuse to search several resource types at once; the tester then skips.
MAY_BE_SKIPPED = {"search_with_attributes"}


@pytest.fixture
def client(app: Flask, make: Make) -> Iterator[WSGISCIMClient]:
    secret = make_secret(make, make.space("acme", scim_enabled=True))
    return WSGISCIMClient(app, base_url="http://localhost/scim/v2", headers={"Authorization": f"Bearer {secret}"})


def test_scim2_tester_finds_no_failure(client: WSGISCIMClient) -> None:
    results = check_server(client)
    assert len(results) > 100
    failed = [
        f"{result.status.name} {result.title}: {result.reason}"
        for result in results
        if result.status not in (Status.SUCCESS, Status.COMPLIANT, Status.ACCEPTABLE)
        and not (result.status == Status.SKIPPED and result.title in MAY_BE_SKIPPED)
    ]
    assert failed == []


def test_scim2_client_creates_finds_changes_and_deletes(client: WSGISCIMClient) -> None:
    client.discover()
    user_model, group_model = client.get_resource_model("User"), client.get_resource_model("Group")
    user = client.create(user_model(user_name="bjensen", display_name="Babs", name={"given_name": "Barbara"}))
    group = client.create(group_model(display_name="Tours", members=[{"value": user.id}]))
    assert client.query(user_model, user.id).groups[0].value == group.id

    found = client.query(user_model, query_parameters=SearchRequest(filter='name.givenName eq "barbara"', count=10))
    assert [each.id for each in found.resources] == [user.id]

    user.display_name = "Barbara"
    assert client.replace(user).display_name == "Barbara"
    operation = PatchOperation(op=PatchOperation.Op.replace_, path="active", value=False)
    assert client.modify(user_model, user.id, PatchOp[user_model](operations=[operation])).active is False

    client.delete(group_model, group.id)
    client.delete(user_model, user.id)
    assert client.query(user_model).total_results == 0
