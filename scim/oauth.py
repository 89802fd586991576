"""The OAuth 2.0 token endpoint for SCIM clients (RFC 6749 section 4.4): client credentials for an access token.

    request -> form checked: a body of its own, each parameter once, one way of authentication
            -> Authlib: grant, client authentication (client_secret_basic, client_secret_post), scope
            -> core: a token, stored hashed, audited

One address for all spaces: the client tells which. Errors are those of RFC 6749 section 5.2. Who sends wrong secrets
for a client is held up for a minute, by client and address (in each process), so that nobody locks a client out from
elsewhere.
"""

from __future__ import annotations

from math import ceil
from time import time
from typing import Any

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749 import ClientCredentialsGrant, ClientMixin
from authlib.oauth2.rfc6749.errors import (
    InvalidClientError,
    InvalidRequestError,
    InvalidScopeError,
    UnsupportedGrantTypeError,
)
from flask import Blueprint, Flask, Response, current_app, g, jsonify, request
from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter

from portal.core.actor import Actor
from portal.core.errors import Forbidden
from portal.core.push import tokens
from portal.core.push.models import ScimCredential
from portal.core.space.models import Space
from portal.web.errors import render_errors_by
from portal.web.permissions import Permission, requires
from portal.web.transactions import db, refused

PATH = "/oauth/token"
SCOPE = "scim"
WRONG_SECRETS = RateLimitItemPerMinute(10)
_FORM = "application/x-www-form-urlencoded"
_LONGEST = 1024
_METHODS = ["client_secret_basic", "client_secret_post"]
_DESCRIPTIONS = {
    UnsupportedGrantTypeError: "grant_type is client_credentials.",
    InvalidScopeError: "scope is scim, or left out.",
    InvalidClientError: "The client id or the client secret is wrong, or missing.",
}

blueprint = Blueprint("oauth", __name__)


def setup_oauth(app: Flask) -> None:
    server = AuthorizationServer(app, query_client=_client, save_token=lambda _token, _request: None)
    server.scopes_supported = [SCOPE]
    server.register_token_generator("default", _issue)
    server.register_grant(_Grant)
    server.handle_error_response = lambda _request, error: _refuse(error)
    app.extensions["oauth"] = server
    app.extensions["oauth_limiter"] = FixedWindowRateLimiter(MemoryStorage())
    app.register_blueprint(blueprint)
    app.extensions["csrf"].exempt(blueprint)
    render_errors_by(app, "/oauth/", lambda status, _message, _error: _of_http(status))


@blueprint.post(PATH)
@requires(Permission.SCIM_CREDENTIAL)
def token() -> Response:
    _check_form()
    answer: Response = current_app.extensions["oauth"].create_token_response()
    return answer


class _Client(ClientMixin):  # type: ignore[misc]
    """A SCIM credential as Authlib sees it."""

    def __init__(self, credential: ScimCredential, space: Space) -> None:
        self.credential = credential
        self.space = space
        address = request.remote_addr or ""
        self.attempts = (credential.id, address)
        self.actor = Actor("scim", credential.id, "SCIM", space.organization_id, address, g.get("request_id", ""))

    def check_client_secret(self, client_secret: str) -> bool:
        return tokens.is_secret_of(self.credential, client_secret)

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return method in _METHODS

    def check_grant_type(self, grant_type: str) -> bool:
        return bool(grant_type == _Grant.GRANT_TYPE)


class _Grant(ClientCredentialsGrant):  # type: ignore[misc]
    TOKEN_ENDPOINT_AUTH_METHODS = _METHODS


def _client(client_id: str) -> _Client | None:
    found = tokens.find_client(db(), client_id)
    if found is None:
        return None
    client = g.oauth_client = _Client(*found)
    if not _limiter().test(WRONG_SECRETS, *client.attempts):
        raise OAuth2Error("Too many wrong secrets.", error="temporarily_unavailable", status_code=429)
    return client


def _issue(*, client: _Client, **_rest: Any) -> dict[str, Any]:
    """Stored already where it is made, so that Authlib has nothing to save."""
    try:
        token, lifetime = tokens.issue_token(db(), client.actor, credential=client.credential, space=client.space)
    except Forbidden as error:
        raise OAuth2Error(error.message, error="invalid_client", status_code=401) from None
    seconds = int(lifetime.total_seconds())
    return {"access_token": token, "token_type": "Bearer", "expires_in": seconds, "scope": SCOPE}


def _check_form() -> None:
    """What Authlib lets pass: parameters in the address, given twice or very long, and two ways of authentication."""
    if request.mimetype != _FORM and (request.mimetype or request.content_length):
        raise InvalidRequestError(f"The body is {_FORM}.")
    if request.args:
        raise InvalidRequestError("Parameters stand in the body, not in the address.")
    for name in request.form:
        if len(request.form.getlist(name)) > 1:
            raise InvalidRequestError("A parameter is given twice.")
        if len(request.form[name]) > _LONGEST:
            raise InvalidRequestError(f"A parameter has at most {_LONGEST} characters.")
    by_header = _basic_name() if "Authorization" in request.headers else ""
    if not by_header and not request.form.get("client_secret"):
        raise InvalidClientError
    if by_header and ("client_secret" in request.form or request.form.get("client_id", by_header) != by_header):
        raise InvalidRequestError("The client authenticates in one way: by header or in the body.")
    if not request.form.get("grant_type"):
        raise InvalidRequestError("grant_type is missing.")


def _basic_name() -> str:
    try:
        basic = request.authorization
    except ValueError:  # no ASCII
        basic = None
    if basic is None or basic.type != "basic" or not basic.username:
        raise InvalidClientError
    return basic.username


@blueprint.errorhandler(OAuth2Error)
def _refuse(error: OAuth2Error) -> Response:
    """Audited when it concerns a client of ours: nobody shall fill the audit with names that do not exist."""
    description = _DESCRIPTIONS.get(type(error), error.description)
    wrong = isinstance(error, InvalidClientError)
    response = _answer(error.error, description, 401 if wrong else error.status_code)
    client: _Client | None = g.get("oauth_client")
    if client is None:
        return response
    if wrong:
        _limiter().hit(WRONG_SECRETS, *client.attempts)
    if response.status_code == 429:
        again = _limiter().get_window_stats(WRONG_SECRETS, *client.attempts).reset_time
        response.headers["Retry-After"] = str(max(1, ceil(again - time())))
    else:
        name = client.credential.id
        target = {"target_type": "scim_credential", "target_id": name, "target_name": name}
        refused(client.actor, "scim_token.issue", description, **target)
    return response


def _of_http(status: int) -> Response:
    """What the rest of the house would answer as a page."""
    name, description = ("server_error", "Try again later.") if status >= 500 else ("invalid_request", "")
    return _answer(name, description, status)


def _answer(error: str, description: str, status: int) -> Response:
    response = jsonify({"error": error} | ({"error_description": description} if description else {}))
    response.status_code = status
    response.headers["Cache-Control"] = "no-store"
    if status == 401:
        response.headers["WWW-Authenticate"] = 'Basic realm="SCIM"'
    return response


def _limiter() -> FixedWindowRateLimiter:
    limiter: FixedWindowRateLimiter = current_app.extensions["oauth_limiter"]
    return limiter
