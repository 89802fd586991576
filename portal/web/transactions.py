"""One transaction per request: opened at the first use, committed below status 400, rolled back otherwise.

What was refused is audited all the same, in a short transaction of its own after the rollback.
"""

from __future__ import annotations

from typing import Any

from flask import Flask, Response, current_app, g, request
from sqlalchemy.orm import Session
from werkzeug.local import LocalProxy

from portal.core import audit
from portal.core.actor import Actor
from portal.core.database import Database

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})

database: Database = LocalProxy(lambda: current_app.extensions["database"])  # type: ignore[assignment]


def db() -> Session:
    """The session of this request."""
    if "db" not in g:
        view = current_app.view_functions.get(request.endpoint or "")
        writes = request.method not in _SAFE or getattr(view, "writes", False)
        g.db = database.session(write=writes)
    session: Session = g.db
    return session


def refused(actor: Actor, action: str, reason: str, **event: Any) -> None:
    """Audit a refused attempt: written when the request's transaction has ended without a commit."""
    g.setdefault("refusals", []).append((actor, action, {"reason": reason, **event}))


def setup_transactions(app: Flask, database: Database) -> None:
    app.extensions["database"] = database

    @app.before_request
    def read_body() -> None:
        """The whole request comes first: nobody shall hold the write lock while a body trickles in."""
        request.get_data(parse_form_data=True)

    @app.after_request
    def end(response: Response) -> Response:
        session = g.pop("db", None)
        if session is not None:
            try:
                if response.status_code < 400:
                    database.commit(session)
            finally:
                session.close()
        _write_refusals()
        return response

    @app.teardown_request
    def close(_error: BaseException | None) -> None:
        session = g.pop("db", None)
        if session is not None:
            session.close()


def _write_refusals() -> None:
    refusals = g.pop("refusals", [])
    if refusals:
        with database.transaction() as session:
            for actor, action, event in refusals:
                audit.record(session, actor, action, result=audit.Result.REFUSED, **event)
