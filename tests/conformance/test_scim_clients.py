"""SCIM driven by programs that are not our code: the checks of scim2-tester, and scim2-client as a client."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING

import pytest
from flask import Flask, Response
from scim2_client.engines.wsgi import WSGISCIMClient
from scim2_models import PatchOp, PatchOperation, SearchRequest
from scim2_tester import Status, check_server

from tests.support.make import Make
from tests.support.scim import make_secret

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


def unknown_to_the_client_taken_out(app: Flask) -> WSGIApplication:
    """The client's models refuse `interopProfileConformant`, which a draft puts into the ServiceProviderConfig."""

    def wrapped(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        response = Response.from_app(app, environ)
        if environ["PATH_INFO"].endswith("/ServiceProviderConfig") and response.status_code == 200:
            body = response.get_json(force=True)
            assert body.pop("interopProfileConformant") is True
            response.set_data(json.dumps(body))
        return response(environ, start_response)

    return wrapped


@pytest.fixture(params=["tolerant", "strict"])
def client(app: Flask, make: Make, request: pytest.FixtureRequest) -> WSGISCIMClient:
    secret = make_secret(make, make.space("acme", scim_enabled=True), strict=request.param == "strict")
    known = unknown_to_the_client_taken_out(app) if request.param == "strict" else app
    return WSGISCIMClient(known, base_url="http://localhost/scim/v2", headers={"Authorization": f"Bearer {secret}"})


def test_scim2_tester_finds_no_failure(client: WSGISCIMClient) -> None:
    results = check_server(client)
    assert len(results) > 100
    failed = [
        f"{result.status.name} {result.title}: {result.reason}"
        for result in results
        if result.status not in (Status.SUCCESS, Status.COMPLIANT, Status.ACCEPTABLE)
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
