"""The HTTP edge of SCIM: one address for all spaces, the bearer credential tells which (RFC 7644 section 3).

A thin layer: one set of handlers for users and groups. Errors below /scim/ are SCIM errors, whoever raised them.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import structlog
from flask import Flask, Response, current_app, g, request
from sqlalchemy.exc import IntegrityError, OperationalError

from portal.core.actor import Actor
from portal.core.directory.drafts import Otherwise
from portal.core.directory.moving import Seen
from portal.core.errors import Error, Forbidden
from portal.core.push import credentials, guard
from portal.web.errors import render_errors_by
from portal.web.observing import SCIM_HELD_BACK
from portal.web.permissions import Permission, requires
from portal.web.transactions import afterwards, before_writing, database, db, refused
from scim import bulk, casting, guarding, members, moving, recording, resources, throttle
from scim.errors import ScimError, error_body, of_the_heart, taken
from scim.exchange import MEDIA_TYPE, PREFIX, Answer, answer, blueprint, body, projection_of, route
from scim.redaction import plain
from scim.resources import KINDS, Door, Resources, Row

log = structlog.get_logger()


def setup_scim(app: Flask) -> None:
    importlib.import_module("scim.searching")  # the other routes
    app.register_blueprint(blueprint)
    app.extensions["csrf"].exempt(blueprint)
    app.register_error_handler(ScimError, _answer_error)
    render_errors_by(app, "/scim", _render)
    throttle.setup_throttle(app)
    recording.setup_recording(app, PREFIX)


@blueprint.before_request
def authenticate() -> None:
    """The secret comes as a bearer token; Okta sends a wrong one without the word Bearer."""
    words = request.headers.get("Authorization", "").split()
    secret = words[1] if len(words) == 2 and words[0].lower() == "bearer" else ""
    if not secret:
        raise throttle.refusal("A SCIM credential is needed as a bearer token.")
    try:
        with before_writing() as connection:
            opened = credentials.space_of_secret(connection, secret)
    except Forbidden as error:
        raise throttle.refusal(error.message) from None
    organization_id = opened.space.organization_id
    actor = Actor("scim", opened.credential_id, "SCIM", organization_id, request.remote_addr or "", g.request_id)
    base = current_app.extensions["settings"].base_url + PREFIX
    g.scim = Door(db(), actor, opened.space, base, strict=opened.strict)
    recording.opened(opened.space.id, opened.credential_id)
    throttle.check(opened.credential_id)
    if credentials.use_is_due(opened.last_used_at):
        g.scim_use = opened.credential_id


@blueprint.teardown_request
def note_use(_error: BaseException | None) -> None:
    """After the answer, in a transaction of its own, so that a GET stays a reader."""
    credential_id = g.pop("scim_use", None)
    if credential_id is not None:
        try:
            with database.transaction() as session:
                credentials.note_use(session, credential_id)
        except OperationalError:
            log.warning("scim.use_not_noted", credential=credential_id)


@route("POST")
@requires(Permission.SCIM_CREDENTIAL)
def create(kind: str) -> Response:
    row = KINDS[kind].create(g.scim, body())
    return _resource(KINDS[kind], row, 201)


@route("GET", "/<row_id>")
@requires(Permission.SCIM_CREDENTIAL)
def read(kind: str, row_id: str) -> Response:
    found = KINDS[kind]
    wanted = projection_of(found, request.args)
    row = resources.get(g.scim, found, row_id, wanted)
    if casting.names_version(request.headers.get("If-None-Match"), row):
        return _headed(Answer(status=304, mimetype=MEDIA_TYPE), found, row)
    (shown,) = found.shown(g.scim, [row], wanted)
    return _headed(answer(shown), found, row)


@route("PUT", "/<row_id>")
@requires(Permission.SCIM_CREDENTIAL)
def replace(kind: str, row_id: str) -> Response:
    sent = body()
    row = _changed(KINDS[kind], row_id, lambda row: KINDS[kind].replace(g.scim, row, sent))
    return _resource(KINDS[kind], row)


@route("PATCH", "/<row_id>")
@requires(Permission.SCIM_CREDENTIAL)
def change(kind: str, row_id: str) -> Response:
    """A user comes back whole; a group does not (204), it may be big, unless certain attributes are asked for."""
    sent = body()
    whole = kind == "Users" or bool(request.args.keys() & {"attributes", "excludedAttributes"})
    if not whole and (group := moving.moved(g.scim, row_id, sent, if_match=request.headers.get("If-Match"))):
        return _headed(Answer(status=204, mimetype=MEDIA_TYPE), KINDS[kind], group)
    row = _changed(KINDS[kind], row_id, lambda row: KINDS[kind].change(g.scim, row, sent))
    if not whole:
        return _headed(Answer(status=204, mimetype=MEDIA_TYPE), KINDS[kind], row)
    return _resource(KINDS[kind], row)


@route("DELETE", "/<row_id>")
@requires(Permission.SCIM_CREDENTIAL)
def delete(kind: str, row_id: str) -> Response:
    KINDS[kind].delete(g.scim, _locked(KINDS[kind], row_id))
    return Answer(status=204, mimetype=MEDIA_TYPE)


@blueprint.post("/Bulk", endpoint="bulk")
@requires(Permission.SCIM_CREDENTIAL)
def change_many() -> Response:
    """200 also when operations failed: each one's outcome stands in the answer, and in the audit."""
    sent = body()
    guarding.lock_first(g.scim, "Bulk", request.method, request.get_data())
    members.lock_all(g.scim.session, g.scim.space.id, (), request.get_data(), and_above=True)
    outcomes = bulk.run(g.scim, sent)
    recording.partly_failed(outcomes)
    for outcome in outcomes:
        if outcome.error:
            _note(outcome.error, f"scim.{bulk.VERBS.get(outcome.operation.method, 'bulk')}")
    return answer({"schemas": [bulk.RESPONSE_SCHEMA], "Operations": [outcome.shown() for outcome in outcomes]})


@blueprint.route("/Me", endpoint="me", methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
@requires(Permission.SCIM_CREDENTIAL)
def not_offered() -> Response:
    """RFC 7644 section 3.11: what a server does not do, it answers with 501."""
    raise ScimError(501, "This server knows no /Me: a credential is not a user.")


def _changed(found: Resources, row_id: str, change: Callable[[Any], None]) -> Row:
    """A user is locked only when somebody else changes it in the same moment."""
    if found is KINDS["Users"]:
        try:
            row: Row = resources.draft(g.scim, row_id, if_match=request.headers.get("If-Match"))
            change(recording.touched(row))
            return row
        except (Otherwise, guarding.HeldBack):  # nobody is held back for what was so a moment ago
            g.scim.session.rollback()
    row = _locked(found, row_id)
    change(row)
    return row


def _locked(found: Resources, row_id: str) -> Row:
    guarding.lock_first(g.scim, found.type.endpoint.strip("/"), request.method, request.get_data())
    if found is KINDS["Groups"]:
        above = request.method == "DELETE"
        members.lock_all(g.scim.session, g.scim.space.id, [row_id], request.get_data(), and_above=above)
    return recording.touched(resources.locked(g.scim, found, row_id, if_match=request.headers.get("If-Match")))


def _resource(found: Resources, row: Row, status: int = 200) -> Response:
    (shown,) = found.shown(g.scim, [row], projection_of(found, request.args), fresh=status == 201)
    return _headed(answer(shown, status), found, row)


def _headed(response: Response, found: Resources, row: Row | Seen) -> Response:
    recording.touched(row)
    response.headers["Location"] = casting.location(found.type, row, g.scim.base)
    response.headers["ETag"] = casting.etag(row)
    return response


def _answer_error(error: ScimError) -> Response:
    if "scim" in g and not recording.reads() and error.status != 429:
        _note(error, f"scim.{request.endpoint or ''}".replace("scim.scim.", "scim."))
    response = answer(error_body(error), error.status)
    if error.status == 401:
        given = ', error="invalid_token"' if "Authorization" in request.headers else ""
        response.headers["WWW-Authenticate"] = f'Bearer realm="SCIM"{given}'
    if error.status == 503:
        response.headers["Retry-After"] = guarding.RETRY_AFTER if isinstance(error, guarding.HeldBack) else "5"
    return response


def _note(error: ScimError, action: str) -> None:
    """A refused change, as an audit event; what the guard held back also pauses the push."""
    actor = g.scim.actor
    if not isinstance(error, guarding.HeldBack):
        return refused(actor, action, plain(error.detail))
    SCIM_HELD_BACK.inc()
    held = {"space_id": error.space_id, "user_id": error.user_id, "user_name": error.user_name}
    return afterwards(lambda session: guard.hold(session, actor, reason=error.detail, **held))


def _render(status: int, message: str, error: Exception) -> Response:
    """What the rest of the house would answer as a page."""
    if isinstance(error, IntegrityError):
        return _answer_error(taken())
    return _answer_error(of_the_heart(error) if isinstance(error, Error) else ScimError(status, message))
