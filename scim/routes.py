"""The HTTP edge of SCIM: one address for all spaces, the bearer credential tells which (RFC 7644 section 3).

A thin layer: one set of handlers for users and groups. Errors below /scim/ are SCIM errors, whoever raised them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import structlog
from flask import Blueprint, Flask, Response, current_app, g, request
from sqlalchemy import ColumnElement
from sqlalchemy.exc import IntegrityError, OperationalError

from portal.core.actor import Actor
from portal.core.errors import Error, Forbidden
from portal.core.push import credentials, guard
from portal.web.errors import render_errors_by
from portal.web.observing import SCIM_HELD_BACK
from portal.web.permissions import Permission, requires
from portal.web.transactions import afterwards, before_writing, database, db, refused
from scim import (
    bulk,
    casting,
    cursors,
    discovery,
    everything,
    filters,
    guarding,
    members,
    oauth,
    recording,
    resources,
    strict,
    throttle,
)
from scim.errors import ScimError, error_body, invalid_count, invalid_syntax, invalid_value, of_the_heart, taken
from scim.parsing import parse
from scim.projection import Projection, projection
from scim.redaction import plain
from scim.resources import KINDS, Door, Resources, Row
from scim.shaping import text

PREFIX = "/scim/v2"
LIST_SCHEMA = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
_JSON = ("application/scim+json", "application/json")
_MOST = 10**9
_ASKED = {
    name.lower(): name
    for name in ("attributes", "excludedAttributes", "filter", "sortBy", "sortOrder", "startIndex", "count", "cursor")
}

View = TypeVar("View", bound=Callable[..., Any])

log = structlog.get_logger()
blueprint = Blueprint("scim", __name__, url_prefix=PREFIX)


def _route(method: str, suffix: str = "") -> Callable[[View], View]:
    """One view for both: `kind` is Users or Groups."""

    def add(view: View) -> View:
        for kind in KINDS:
            blueprint.add_url_rule(f"/{kind}{suffix}", view_func=view, methods=[method], defaults={"kind": kind})
        return view

    return add


def setup_scim(app: Flask) -> None:
    app.register_blueprint(blueprint)
    app.extensions["csrf"].exempt(blueprint)
    app.register_error_handler(ScimError, _answer_error)
    render_errors_by(app, "/scim/", _render)
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


@_route("GET")
@requires(Permission.SCIM_CREDENTIAL)
def search(kind: str) -> Response:
    return _search(KINDS[kind], request.args)


@_route("POST", "/.search")
@requires(Permission.SCIM_CREDENTIAL)
def search_by_post(kind: str) -> Response:
    """The same question in a body (RFC 7644 section 3.4.3): filters hold personal data, URLs get logged."""
    return _search(KINDS[kind], _question())


@blueprint.get("/", endpoint="search_everything")
@blueprint.post("/.search", endpoint="search_everything_by_post")
@requires(Permission.SCIM_CREDENTIAL)
def search_everything() -> Response:
    """Users and groups in one list (RFC 7644 section 3.4.2.1)."""
    asked = request.args if request.method == "GET" else _question()
    if "cursor" in asked:
        raise invalid_value("Users and groups together come in pages by index: leave cursor out.")
    node = parse(asked["filter"], strict=g.scim.strict) if "filter" in asked else None
    if g.scim.strict:
        for found in KINDS.values():
            strict.check_search(found.type, asked)
            if node is not None:
                strict.check_filter(found.type, node)
    start, count = _page(asked)
    total, rows = everything.find(
        g.scim,
        node=node,
        sort_by=asked.get("sortBy", ""),
        descending=asked.get("sortOrder", "").lower() == "descending",
        start=start,
        count=count,
    )
    shown: dict[str, Any] = {}
    for found in KINDS.values():
        for each in _shown(found, [row for kind, row in rows if kind is found], _projection(found, asked)):
            shown[each["id"]] = each
    return _list([shown[row.id] for _, row in rows], total, startIndex=start)


def _question() -> dict[str, str]:
    body = {_ASKED.get(key.lower(), key): value for key, value in _body().items()}
    if g.scim.strict:
        strict.check_search_body(body)
    return {key: _text(key, value) for key, value in body.items() if value is not None}


def _page(asked: Mapping[str, str]) -> tuple[int, int]:
    """startIndex and count, within bounds."""
    start, count = _integer(asked, "startIndex", 1), _integer(asked, "count", discovery.DEFAULT_COUNT)
    return min(max(start, 1), _MOST), min(max(count, 0), discovery.MAX_COUNT)


def _condition(found: Resources, text: str) -> ColumnElement[bool]:
    node = parse(text, strict=g.scim.strict)
    if g.scim.strict:
        strict.check_filter(found.type, node)
    return filters.where(found.type, node)


def _search(found: Resources, asked: Mapping[str, str]) -> Response:
    if g.scim.strict:
        strict.check_search(found.type, asked)
    start, count = _page(asked)
    condition = _condition(found, asked["filter"]) if "filter" in asked else None
    wanted = _projection(found, asked)
    if "cursor" in asked:
        key = current_app.extensions["settings"].secret_key
        page = cursors.page(
            g.scim, found, asked=asked, projection=wanted, condition=condition, count=count, secret_key=key
        )
        return _list(_shown(found, page.rows, wanted), page.total, **page.links)
    descending = asked.get("sortOrder", "").lower() == "descending"
    order = filters.order_by(found.type, asked["sortBy"], descending=descending) if asked.get("sortBy") else None
    total, rows = resources.find(g.scim, found, wanted, condition=condition, order=order, start=start, count=count)
    return _list(_shown(found, rows, wanted), total, startIndex=start)


def _shown(found: Resources, rows: Sequence[Row], wanted: Projection) -> list[Any]:
    return found.shown(g.scim, rows, wanted) if rows else []


def _text(name: str, value: Any) -> str:
    return text(name, ",".join(map(str, value)) if isinstance(value, list) else str(value))


@_route("POST")
@requires(Permission.SCIM_CREDENTIAL)
def create(kind: str) -> Response:
    row = KINDS[kind].create(g.scim, _body())
    return _resource(KINDS[kind], row, 201)


@_route("GET", "/<row_id>")
@requires(Permission.SCIM_CREDENTIAL)
def read(kind: str, row_id: str) -> Response:
    found = KINDS[kind]
    wanted = _projection(found, request.args)
    row = resources.get(g.scim, found, row_id, wanted)
    if casting.names_version(request.headers.get("If-None-Match"), row):
        return _headed(Response(status=304, mimetype=_JSON[0]), found, row)
    (shown,) = found.shown(g.scim, [row], wanted)
    return _headed(_answer(shown), found, row)


@_route("PUT", "/<row_id>")
@requires(Permission.SCIM_CREDENTIAL)
def replace(kind: str, row_id: str) -> Response:
    row = _locked(KINDS[kind], row_id)
    KINDS[kind].replace(g.scim, row, _body())
    return _resource(KINDS[kind], row)


@_route("PATCH", "/<row_id>")
@requires(Permission.SCIM_CREDENTIAL)
def change(kind: str, row_id: str) -> Response:
    """A user comes back whole; a group does not (204), it may be big, unless certain attributes are asked for."""
    row = _locked(KINDS[kind], row_id)
    KINDS[kind].change(g.scim, row, _body())
    if kind == "Groups" and not request.args.keys() & {"attributes", "excludedAttributes"}:
        return _headed(Response(status=204, mimetype=_JSON[0]), KINDS[kind], row)
    return _resource(KINDS[kind], row)


@_route("DELETE", "/<row_id>")
@requires(Permission.SCIM_CREDENTIAL)
def delete(kind: str, row_id: str) -> Response:
    KINDS[kind].delete(g.scim, _locked(KINDS[kind], row_id))
    return Response(status=204, mimetype=_JSON[0])


@blueprint.post("/Bulk", endpoint="bulk")
@requires(Permission.SCIM_CREDENTIAL)
def change_many() -> Response:
    """200 also when operations failed: each one's outcome stands in the answer, and in the audit."""
    body = _body()
    guarding.lock_first(g.scim, "Bulk", request.method, request.get_data())
    members.lock_all(g.scim.session, g.scim.space.id, (), request.get_data(), and_above=True)
    outcomes = bulk.run(g.scim, body)
    recording.partly_failed(outcomes)
    for outcome in outcomes:
        if outcome.error:
            _note(outcome.error, f"scim.{bulk.VERBS.get(outcome.operation.method, 'bulk')}")
    return _answer({"schemas": [bulk.RESPONSE_SCHEMA], "Operations": [outcome.shown() for outcome in outcomes]})


@blueprint.route("/Me", endpoint="me", methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
@requires(Permission.SCIM_CREDENTIAL)
def not_offered() -> Response:
    """RFC 7644 section 3.11: what a server does not do, it answers with 501."""
    raise ScimError(501, "This server knows no /Me: a credential is not a user.")


@blueprint.get("/ServiceProviderConfig")
@requires(Permission.SCIM_CREDENTIAL)
def service_provider_config() -> Response:
    settings = current_app.extensions["settings"]
    return _answer(
        discovery.service_provider_config(
            g.scim.base,
            max_body_bytes=settings.max_body_bytes,
            token_url=settings.base_url + oauth.PATH,
            strict=g.scim.strict,
        )
    )


@blueprint.get("/ResourceTypes", defaults={"name": ""})
@blueprint.get("/ResourceTypes/<name>")
@requires(Permission.SCIM_CREDENTIAL)
def resource_types(name: str) -> Response:
    return _documents(discovery.resource_types(g.scim.base), name)


@blueprint.get("/Schemas", defaults={"name": ""})
@blueprint.get("/Schemas/<name>")
@requires(Permission.SCIM_CREDENTIAL)
def schemas(name: str) -> Response:
    return _documents(discovery.schemas(g.scim.base), name)


def _documents(documents: list[discovery.Document], name: str) -> Response:
    if "filter" in request.args:
        raise ScimError(403, "Discovery documents cannot be filtered.")
    if not name:
        return _list(documents, len(documents), startIndex=1)
    found = next((document for document in documents if document["id"].lower() == name.lower()), None)
    if found is None:
        raise ScimError(404, f"There is no document {name[:128]!r}.")
    return _answer(found)


def _body() -> Mapping[str, Any]:
    if request.mimetype not in _JSON and (request.mimetype or g.scim.strict):
        raise ScimError(415, f"The body is {_JSON[0]} or {_JSON[1]}.")
    pairs = strict.no_name_twice if g.scim.strict else None
    try:
        body = json.loads(request.get_data(), parse_constant=_no_constant, object_pairs_hook=pairs)
    except (ValueError, RecursionError):
        raise invalid_syntax("The body is not JSON.") from None
    if not isinstance(body, dict):
        raise invalid_syntax("The body is a JSON object.")
    return body


def _no_constant(name: str) -> None:
    raise ValueError(name)


def _integer(asked: Mapping[str, str], name: str, default: int) -> int:
    digits = asked.get(name, "").strip()
    if not digits:
        return default
    if not re.fullmatch(r"[+-]?[0-9]{1,18}", digits):
        detail = f"{name} is a whole number."  # RFC 9865 section 2.1 has a name of its own for it
        raise invalid_count(detail) if name == "count" and "cursor" in asked else invalid_value(detail)
    return int(digits)


def _projection(found: Resources, asked: Mapping[str, str]) -> Projection:
    if g.scim.strict:
        strict.check_projection(asked)
    return projection(found.type, asked.get("attributes", ""), asked.get("excludedAttributes", ""))


def _locked(found: Resources, row_id: str) -> Row:
    guarding.lock_first(g.scim, found.type.endpoint.strip("/"), request.method, request.get_data())
    if found is KINDS["Groups"]:
        above = request.method == "DELETE"
        members.lock_all(g.scim.session, g.scim.space.id, [row_id], request.get_data(), and_above=above)
    return recording.touched(resources.locked(g.scim, found, row_id, if_match=request.headers.get("If-Match")))


def _resource(found: Resources, row: Row, status: int = 200) -> Response:
    (shown,) = found.shown(g.scim, [row], _projection(found, request.args), fresh=status == 201)
    return _headed(_answer(shown, status), found, row)


def _headed(response: Response, found: Resources, row: Row) -> Response:
    recording.touched(row)
    response.headers["Location"] = casting.location(found.type, row, g.scim.base)
    response.headers["ETag"] = casting.etag(row)
    return response


def _list(shown: list[Any], total: int, **place: int | str) -> Response:
    """`place`: startIndex of a page by index; nextCursor and previousCursor of one by cursor."""
    body = {"schemas": [LIST_SCHEMA], "totalResults": total, **place, "itemsPerPage": len(shown)}
    return _answer(body | {"Resources": shown})


def _answer(body: Mapping[str, Any], status: int = 200) -> Response:
    return Response(json.dumps(body, ensure_ascii=False, separators=(",", ":")), status, mimetype=_JSON[0])


def _answer_error(error: ScimError) -> Response:
    if "scim" in g and not recording.reads() and error.status != 429:
        _note(error, f"scim.{request.endpoint or ''}".replace("scim.scim.", "scim."))
    response = _answer(error_body(error), error.status)
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
