"""A space with SCIM on, and a client that speaks to it like an IdP."""

from __future__ import annotations

import json
from typing import Any

from flask import Flask
from werkzeug.test import TestResponse

from portal.core.actor import SYSTEM
from portal.core.push import credentials
from portal.core.push.models import CredentialType
from portal.core.space.models import Space
from tests.support.make import Make

ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"


def make_secret(make: Make, space: Space, *, strict: bool = False) -> str:
    with make.transaction() as session:
        return credentials.create_credential(session, SYSTEM, space=space, strict=strict)[1]


def switch(make: Make, space: Space, *, on: bool) -> None:
    """The switch of the space's SCIM door."""
    with make.transaction() as session:
        credentials.set_scim_enabled(session, SYSTEM, space=session.get_one(Space, space.id), enabled=on)


class ScimClient:
    """`scim.post("/Users", {...}, status=201)` gives the decoded body; the last answer is in `scim.response`."""

    def __init__(self, app: Flask, secret: str, *, content_type: str = "application/scim+json") -> None:
        self.client = app.test_client()
        self.secret = secret
        self.content_type = content_type
        self.response: TestResponse

    def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        status: int = 200,
        headers: dict[str, str] | None = None,
        **query: Any,
    ) -> Any:
        named = {"Authorization": f"Bearer {self.secret}", "Content-Type": self.content_type, **(headers or {})}
        options = {} if body is None else {"data": body if isinstance(body, bytes) else _json(body)}
        self.response = self.client.open(
            f"/scim/v2{path}", method=method, headers=named, query_string=query or None, **options
        )
        text = self.response.get_data(as_text=True)
        assert self.response.status_code == status, f"{method} {path}: {self.response.status_code} {text[:600]}"
        if text:
            assert self.response.content_type == "application/scim+json", self.response.content_type
        return self.response.get_json(force=True) if text else None

    def get(self, path: str, **options: Any) -> Any:
        return self.send("GET", path, **options)

    def post(self, path: str, body: Any, *, status: int = 201, **options: Any) -> Any:
        return self.send("POST", path, body, status=status, **options)

    def put(self, path: str, body: Any, **options: Any) -> Any:
        return self.send("PUT", path, body, **options)

    def delete(self, path: str, *, status: int = 204, **options: Any) -> Any:
        return self.send("DELETE", path, status=status, **options)

    def patch(self, path: str, *operations: dict[str, Any], **options: Any) -> Any:
        options.setdefault("status", 204 if path.startswith("/Groups") else 200)
        return self.send("PATCH", path, {"schemas": [PATCH], "Operations": list(operations)}, **options)

    def user(self, user_name: str, **attributes: Any) -> Any:
        return self.post("/Users", {"userName": user_name, **attributes})

    def group(self, name: str, *members: str) -> Any:
        return self.post("/Groups", {"displayName": name, "members": [{"value": member} for member in members]})

    def found(self, path: str, filter: str) -> list[Any]:
        return self.get(path, filter=filter)["Resources"]  # type: ignore[no-any-return]


def _json(body: Any) -> bytes:
    return json.dumps(body).encode()


class OAuthClient:
    """Client credentials, and the form that asks for a token with them."""

    def __init__(self, app: Flask, client_id: str, secret: str) -> None:
        self.client = app.test_client()
        self.id = client_id
        self.secret = secret
        self.address = "192.0.2.1"

    def ask(self, *, way: str = "basic", **form: Any) -> TestResponse:
        form = {"grant_type": "client_credentials", **form}
        options: dict[str, Any] = {"environ_overrides": {"REMOTE_ADDR": self.address}}
        if way == "basic":
            return self.client.post("/oauth/token", data=form, auth=(self.id, self.secret), **options)
        named = {"client_id": self.id, "client_secret": self.secret}
        return self.client.post("/oauth/token", data=form | named, **options)

    def token(self) -> str:
        answer = self.ask()
        assert answer.status_code == 200, answer.get_data(as_text=True)
        return str(answer.get_json()["access_token"])


def make_client(app: Flask, make: Make, space: Space, **options: Any) -> OAuthClient:
    with make.transaction() as session:
        kind = CredentialType.CLIENT_CREDENTIALS
        credential, secret = credentials.create_credential(session, SYSTEM, space=space, type=kind, **options)
        return OAuthClient(app, credential.id, secret)
