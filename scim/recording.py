"""Every request goes into the SCIM log (IC-7), at the price that it is worth.

    a success         a line that a thread writes a second later, many at once (log_buffer), when the transaction has
                      ended well: it is logged when it is true, and a GET stays a reader. The audit of a change is
                      part of its transaction; this is the diary beside it
    a failure         a line with its body, after the rollback, together with the refused attempt in the audit
    a stranger        a few lines a minute at most, and only where one space can be meant

A request whose credential was not proven is logged without its body. 429 too is logged a few times a minute only.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any, TypeVar
from urllib.parse import unquote_plus

import structlog
from flask import Flask, Response, current_app, g, request
from sqlalchemy.exc import SQLAlchemyError

from portal.core import clock
from portal.core.push import requests
from portal.core.push.requests import Line
from portal.web.transactions import afterwards, database
from scim.bulk import Outcome
from scim.log_buffer import LogBuffer
from scim.redaction import described, plain, redacted, without_secrets
from scim.throttle import throttle

log = structlog.get_logger()

LINES_OF_AN_ADDRESS = 5
LINES_OF_STRANGERS = 60
LINES_OF_A_CREDENTIAL = 60
LINES_OF_429 = 5
_REASONS = 5
_NAMES = ("username", "displayname")

Row = TypeVar("Row", bound=Any)


def setup_recording(app: Flask, prefix: str) -> None:
    """Runs before the transaction of the request ends, because it is registered after it."""
    settings, database = app.extensions["settings"], app.extensions["database"]
    app.extensions["scim_log"] = LogBuffer(database, threaded=settings.environment != "test")

    @app.after_request
    def note(response: Response) -> Response:
        path = request.path
        if path == prefix or path.startswith(prefix + "/"):
            _note(response)
        return response

    @app.teardown_request
    def keep(_error: BaseException | None) -> None:
        line = g.pop("scim_success", None)
        if line is not None:
            _buffer().add(line)


def _buffer() -> LogBuffer:
    buffer: LogBuffer = current_app.extensions["scim_log"]
    return buffer


def opened(space_id: str, credential_id: str) -> None:
    """The credential is proven: what follows is logged in its space."""
    g.scim_line = {"space_id": space_id, "credential_id": credential_id}


def touched(row: Row) -> Row:
    """What the request is about, as it was called before: a failed transaction cannot be asked any more."""
    if "scim_line" in g:
        g.scim_line |= {"target_id": row.id, "target_name": row.user_name if row.id.startswith("u-") else row.name}
    return row


def partly_failed(outcomes: Sequence[Outcome]) -> None:
    """A bulk request is answered with 200 whatever came of its operations."""
    failed = [(outcome, outcome.error) for outcome in outcomes if outcome.error]
    if failed:
        reasons = [f"{it.operation.method} {it.operation.path}: {e.status} {e.detail}" for it, e in failed[:_REASONS]]
        more = [f"and {len(failed) - _REASONS} more"] if len(failed) > _REASONS else []
        told = f"{len(failed)} of {len(outcomes)} operations failed. " + "; ".join([*reasons, *more])
        g.scim_line |= {"failed": True, "detail": plain(told), "scim_type": failed[0][1].scim_type}


def _note(response: Response) -> None:
    g.pop("scim_success", None)  # a commit that failed comes by here a second time
    opened: dict[str, Any] | None = g.get("scim_line")
    if response.status_code >= 400:
        line = _failure(response, opened)
        if line is not None:
            afterwards(lambda session: _buffer().write(session, line))
    elif opened is not None:
        g.scim_success = _line(response, opened, _body() if opened.get("failed") else None)


def reads() -> bool:
    return request.method in ("GET", "HEAD", "OPTIONS") or request.path.endswith("/.search")


def _failure(response: Response, opened: dict[str, Any] | None) -> Line | None:
    error = response.get_json(force=True, silent=True)
    error = error if isinstance(error, dict) else {}
    told = {"failed": True, "detail": plain(str(error.get("detail", ""))), "scim_type": error.get("scimType", "")}
    if opened is not None:
        if response.status_code == 429 and throttle().wait_here(LINES_OF_429, "429", opened["credential_id"]):
            return None
        return _line(response, {**_sent_target(), **opened, **told}, _body())
    try:
        whose = _whose()
    except SQLAlchemyError:
        log.warning("scim.request_not_logged", status=response.status_code)
        return None
    return _line(response, {**whose, **told}, None) if whose else None


def _whose() -> dict[str, Any] | None:
    """The space that a request without a proven credential is logged in; None when it is to be logged nowhere."""
    secret = request.headers.get("Authorization", "").split()[-1:]
    address = request.remote_addr or ""
    with database.transaction(write=False) as session:
        owner = requests.owner_of_secret(session, secret[0]) if secret else None
        if owner is not None:
            known = {"space_id": owner[0], "credential_id": owner[1]}
            return None if throttle().wait_here(LINES_OF_A_CREDENTIAL, "refused", owner[1]) else known
        if throttle().wait_here(LINES_OF_AN_ADDRESS, "stranger", address):
            return None
        if throttle().wait_here(LINES_OF_STRANGERS, "strangers"):
            return None
        only = requests.only_space(session)
    log.warning("scim.credential_unknown", address=address, path=request.path[:256])
    return {"space_id": only} if only else None


def _sent_target() -> dict[str, str]:
    """Of what was not found or not made: the id in the path, the name in the body."""
    target = {"target_id": str((request.view_args or {}).get("row_id", ""))}
    try:
        sent = json.loads(request.get_data()) if request.method in ("POST", "PUT") else None
    except (ValueError, RecursionError):
        return target
    if isinstance(sent, dict):
        names = {key.lower(): value for key, value in sent.items() if isinstance(value, str)}
        target["target_name"] = next((names[name] for name in _NAMES if name in names), "")
    return target


def _body() -> str | None:
    body = request.get_data()
    if not body and request.content_length:
        return described(request.content_length, request.mimetype)  # a form, read as such
    return redacted(body, request.mimetype) or None


def _line(response: Response, known: dict[str, Any], body: str | None = None) -> Line:
    asked = request._get_current_object()  # type: ignore[attr-defined]
    query = f"?{unquote_plus(asked.query_string.decode(errors='replace'))}" if asked.query_string else ""
    return Line(
        at=clock.now(),
        method=asked.method,
        path=without_secrets(asked.path + query),
        status=response.status_code,
        milliseconds=round((time.perf_counter() - g.started) * 1000, 1),
        request_id=g.get("request_id", ""),
        address=asked.remote_addr or "",
        client=asked.headers.get("User-Agent", ""),
        body=body,
        **known,
    )
