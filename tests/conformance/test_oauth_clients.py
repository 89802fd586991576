"""The token endpoint asked by programs that are not our code, over a socket: Authlib's session and plain requests."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import requests
from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from flask import Flask
from scim2_client.engines.wsgi import WSGISCIMClient
from werkzeug.serving import make_server

from tests.support.make import Make
from tests.support.scim import OAuthClient, make_client


@pytest.fixture
def client(app: Flask, make: Make) -> OAuthClient:
    return make_client(app, make, make.space("acme", scim_enabled=True))


@pytest.fixture
def url(app: Flask) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("way", ["client_secret_basic", "client_secret_post"])
@pytest.mark.parametrize("scope", ["scim", None])
def test_authlib_gets_a_token_and_reads_users_with_it(
    url: str, client: OAuthClient, way: str, scope: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")
    with OAuth2Session(client.id, client.secret, scope=scope, token_endpoint_auth_method=way) as session:
        token = session.fetch_token(f"{url}/oauth/token", grant_type="client_credentials")
        assert (token["token_type"], token["expires_in"], token["scope"]) == ("Bearer", 3600, "scim")
        assert token["expires_at"] > 0
        answer = session.get(f"{url}/scim/v2/Users")
        assert (answer.status_code, answer.json()["totalResults"]) == (200, 0)


def test_authlib_understands_a_refusal(url: str, client: OAuthClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")
    with OAuth2Session(client.id, "wrong") as session, pytest.raises(OAuthError, match="invalid_client"):
        session.fetch_token(f"{url}/oauth/token", grant_type="client_credentials")


def test_requests_with_basic_and_with_the_secret_in_the_form(url: str, client: OAuthClient) -> None:
    form = {"grant_type": "client_credentials"}
    named = {"client_id": client.id, "client_secret": client.secret}
    for answer in (
        requests.post(f"{url}/oauth/token", data=form, auth=(client.id, client.secret), timeout=10),
        requests.post(f"{url}/oauth/token", data=form | named, timeout=10),
    ):
        assert answer.status_code == 200, answer.text
        bearer = {"Authorization": f"Bearer {answer.json()['access_token']}"}
        assert requests.get(f"{url}/scim/v2/Users", headers=bearer, timeout=10).status_code == 200


def test_scim2_client_works_with_a_token(app: Flask, client: OAuthClient) -> None:
    headers = {"Authorization": f"Bearer {client.token()}"}
    scim = WSGISCIMClient(app, base_url="http://localhost/scim/v2", headers=headers)
    scim.discover()
    user_model = scim.get_resource_model("User")
    user = scim.create(user_model(user_name="bjensen"))
    assert scim.query(user_model, user.id).user_name == "bjensen"
    schemes = scim.provider.config.authentication_schemes
    assert [(each.type, bool(each.spec_uri)) for each in schemes] == [("oauthbearertoken", True), ("oauth2", True)]
