"""The token endpoint for SCIM clients (RFC 6749 sections 4.4, 5.1, 5.2), and what a token is good for."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from portal.core import clock
from portal.core.actor import SYSTEM
from portal.core.audit import AuditEvent, Result
from portal.core.database import Database
from portal.core.push import credentials, tokens
from portal.core.push.models import ScimAccessToken
from portal.core.secrets import hash_token
from portal.core.space.models import Space
from tests.support.make import Make
from tests.support.scim import OAuthClient, ScimClient, make_client, make_secret
from tests.support.statements import statements

FORM = "application/x-www-form-urlencoded"


@pytest.fixture
def space(make: Make) -> Space:
    return make.space("acme", scim_enabled=True)


@pytest.fixture
def client(app: Flask, make: Make, space: Space) -> OAuthClient:
    return make_client(app, make, space)


def refused(response: TestResponse, status: int, error: str) -> dict[str, Any]:
    assert (response.status_code, response.get_json()["error"]) == (status, error)
    assert response.headers["Cache-Control"] == "no-store"
    assert ("WWW-Authenticate" in response.headers) is (status == 401)
    assert response.get_json().get("error_description", "x").isascii()
    return dict(response.get_json())


@pytest.mark.parametrize("way", ["basic", "post"])
@pytest.mark.parametrize("scope", [{}, {"scope": "scim"}, {"scope": ""}])
def test_ic_7_a_token_for_client_credentials_opens_the_space(
    app: Flask, client: OAuthClient, way: str, scope: dict[str, str]
) -> None:
    answer = client.ask(way=way, **scope)
    assert answer.status_code == 200
    assert answer.content_type == "application/json"
    assert (answer.headers["Cache-Control"], answer.headers["Pragma"]) == ("no-store", "no-cache")
    body = answer.get_json()
    assert body.keys() == {"access_token", "token_type", "expires_in", "scope"}
    assert (body["token_type"], body["expires_in"], body["scope"]) == ("Bearer", 3600, "scim")
    scim = ScimClient(app, body["access_token"])
    assert scim.user("ann")["userName"] == "ann"
    assert scim.get("/Users")["totalResults"] == 1


def test_token_and_secret_are_stored_hashed(client: OAuthClient, database: Database) -> None:
    token = client.token()
    with database.transaction() as session:
        kept = session.scalars(select(ScimAccessToken)).one()
        assert kept.token_hash == hash_token(token)
        said = [str(vars(event)) for event in session.scalars(select(AuditEvent))]
    assert not any(token in text or client.secret in text for text in said)


def test_a_client_secret_is_no_bearer_token_and_a_bearer_secret_no_client_secret(
    app: Flask, make: Make, space: Space, client: OAuthClient
) -> None:
    error = ScimClient(app, client.secret).get("/Users", status=401)
    assert "client secret" in error["detail"]
    secret = make_secret(make, space)
    with make.transaction() as session:
        bearer = credentials.credentials_of_space(session, space)[-1]
    refused(OAuthClient(app, bearer.id, secret).ask(), 401, "invalid_client")
    ScimClient(app, secret).get("/Users")


def change(make: Make, client: OAuthClient, space: Space, what: str, *, back: bool = False) -> None:
    with make.transaction() as session:
        found = session.get_one(Space, space.id)
        if what == "switched off":
            credentials.set_scim_enabled(session, SYSTEM, space=found, enabled=back)
            return
        credential = credentials.get_credential(session, found, client.id)
        if what == "disabled":
            credentials.set_credential_enabled(session, SYSTEM, credential=credential, enabled=back)
        else:
            credentials.delete_credential(session, SYSTEM, credential=credential)


@pytest.mark.parametrize("what", ["disabled", "switched off", "deleted"])
def test_a_token_ends_at_once_with_its_credential(
    app: Flask, make: Make, space: Space, client: OAuthClient, what: str
) -> None:
    scim = ScimClient(app, client.token())
    change(make, client, space, what)
    scim.get("/Users", status=401)
    assert scim.response.headers["WWW-Authenticate"] == 'Bearer realm="SCIM", error="invalid_token"'
    reason = refused(client.ask(), 401, "invalid_client")["error_description"]
    assert what in reason or what == "deleted"
    if what == "deleted":
        return
    change(make, client, space, what, back=True)
    scim.get("/Users", status=401 if what == "disabled" else 200)
    ScimClient(app, client.token()).get("/Users")


def test_a_token_lives_as_long_as_said_and_never_longer_than_its_credential(
    app: Flask, make: Make, space: Space
) -> None:
    client = make_client(app, make, space, token_minutes=360, lifetime=timedelta(hours=8))
    assert client.ask().get_json()["expires_in"] == 360 * 60
    scim = ScimClient(app, client.token())
    with clock.shifted(timedelta(minutes=359)):
        scim.get("/Users")
        assert client.ask().get_json()["expires_in"] <= 121 * 60
        late = ScimClient(app, client.token())
    with clock.shifted(timedelta(minutes=361)):
        assert "token has expired" in scim.get("/Users", status=401)["detail"]
        late.get("/Users")
    with clock.shifted(timedelta(hours=8, seconds=1)):
        assert "credential has expired" in late.get("/Users", status=401)["detail"]
        assert "expired" in refused(client.ask(), 401, "invalid_client")["error_description"]


def test_expired_tokens_go_and_of_a_hundred_live_ones_the_oldest(
    app: Flask, client: OAuthClient, database: Database
) -> None:
    def kept() -> int:
        with database.transaction(write=False) as session:
            return session.scalar(select(func.count()).select_from(ScimAccessToken)) or 0

    first = client.token()
    with clock.shifted(timedelta(seconds=5)):
        second = client.token()
    with clock.shifted(timedelta(seconds=10)):
        for _ in range(tokens.MOST - 1):
            last = client.token()
        assert kept() == tokens.MOST
        ScimClient(app, first).get("/Users", status=401)
        for token in (second, last):
            ScimClient(app, token).get("/Users")
    with clock.shifted(timedelta(hours=2)):
        client.token()
        assert kept() == 1


BASIC = "Basic " + base64.b64encode(b"scimcred-000000000000:x").decode()
ODD = "Basic " + base64.b64encode(b"a%00b:c%00").decode()


@pytest.mark.parametrize(
    ("form", "header", "error"),
    [
        ({"grant_type": "client_credentials"}, "", (401, "invalid_client")),
        ({"grant_type": "client_credentials"}, BASIC, (401, "invalid_client")),
        ({"grant_type": "client_credentials"}, "Basic nonsense", (401, "invalid_client")),
        ({"grant_type": "client_credentials"}, "Basic /////w==", (401, "invalid_client")),
        ({"grant_type": "client_credentials"}, "Basic \u00c3", (401, "invalid_client")),
        ({"grant_type": "client_credentials"}, ODD, (401, "invalid_client")),
        ({"grant_type": "client_credentials"}, "Bearer x", (401, "invalid_client")),
        ({"grant_type": "client_credentials", "client_id": "x", "client_secret": "x"}, "", (401, "invalid_client")),
        ({"grant_type": "client_credentials", "client_id": "nobody"}, "", (401, "invalid_client")),
        ({"grant_type": "client_credentials", "client_secret": "x"}, BASIC, (400, "invalid_request")),
        ({"grant_type": "client_credentials", "client_id": "other"}, BASIC, (400, "invalid_request")),
        ({}, BASIC, (400, "invalid_request")),
        ({"grant_type": "password", "username": "a", "password": "b"}, BASIC, (400, "unsupported_grant_type")),
        ({"grant_type": "authorization_code\u00e4\""}, BASIC, (400, "unsupported_grant_type")),
        ({"grant_type": ["client_credentials", "client_credentials"]}, BASIC, (400, "invalid_request")),
        ({"grant_type": "client_credentials", "scope": ["scim", "scim"]}, BASIC, (400, "invalid_request")),
        ({"grant_type": "client_credentials", "other": "x" * 1025}, BASIC, (400, "invalid_request")),
        ({"grant_type": "client_credentials", "other": "a\0b"}, BASIC, (400, "invalid_request")),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_the_words_of_the_rfc(
    app: Flask, space: Space, form: dict[str, Any], header: str, error: tuple[int, str]
) -> None:
    headers = {"Authorization": header} if header else {}
    refused(app.test_client().post("/oauth/token", data=form, headers=headers), *error)


def test_a_scope_that_is_none_of_ours(client: OAuthClient) -> None:
    for scope in ("admin", "scim admin"):
        refused(client.ask(scope=scope), 400, "invalid_scope")
    assert client.ask(scope="scim scim").get_json()["scope"] == "scim"


def test_parameters_stand_in_a_form_and_the_method_is_post(app: Flask, client: OAuthClient) -> None:
    http = app.test_client()
    given = {"grant_type": "client_credentials", "client_id": client.id, "client_secret": client.secret}
    refused(http.post("/oauth/token", json=given), 400, "invalid_request")
    refused(http.post("/oauth/token", data=given, content_type="multipart/form-data"), 400, "invalid_request")
    refused(http.post("/oauth/token", query_string=given, content_type=FORM), 400, "invalid_request")
    refused(http.get("/oauth/token", query_string=given), 405, "invalid_request")
    refused(http.get("/oauth/elsewhere"), 404, "invalid_request")
    too_much = b"grant_type=" + b"x" * app.config["MAX_CONTENT_LENGTH"]
    refused(http.post("/oauth/token", data=too_much, content_type=FORM), 413, "invalid_request")


def test_wrong_secrets_hold_up_their_address_and_nobody_else(app: Flask, make: Make, client: OAuthClient) -> None:
    neighbour = make_client(app, make, make.space("other", scim_enabled=True))
    wrong = OAuthClient(app, client.id, "wrong")
    for _ in range(10):
        refused(wrong.ask(), 401, "invalid_client")
    for held in (wrong, client):
        answer = held.ask()
        refused(answer, 429, "temporarily_unavailable")
        assert 1 <= int(answer.headers["Retry-After"]) <= 60
    neighbour.token()
    client.address = "192.0.2.7"
    client.token()


def test_aud_1_tokens_are_audited_and_refusals_of_clients_that_exist(
    app: Flask, client: OAuthClient, database: Database, space: Space
) -> None:
    def events(result: Result) -> Sequence[AuditEvent]:
        with database.transaction(write=False) as session:
            statement = select(AuditEvent).where(AuditEvent.action == "scim_token.issue", AuditEvent.result == result)
            return session.scalars(statement).all()

    client.token()
    (issued,) = events(Result.ACCEPTED)
    assert (issued.actor_kind, issued.actor_id, issued.target_id) == ("scim", client.id, client.id)
    assert issued.organization_id == space.organization_id
    OAuthClient(app, client.id, "wrong").ask()
    client.ask(scope="admin")
    OAuthClient(app, "scimcred-000000000000", "wrong").ask()
    assert [event.reason.split()[0] for event in events(Result.REFUSED)] == ["The", "scope"]


def test_a_token_costs_no_statement_more_than_a_bearer_secret(
    app: Flask, make: Make, space: Space, client: OAuthClient, database: Database
) -> None:
    counts = []
    for secret in (client.token(), make_secret(make, space)):
        scim = ScimClient(app, secret)
        scim.get("/Users")
        with statements(database) as issued:
            scim.get("/Users/u-000000000000", status=404)
        counts.append(len(issued))
    assert counts[0] == counts[1]
