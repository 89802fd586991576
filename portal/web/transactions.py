"""One transaction per request: opened at the first use, committed below status 400, rolled back otherwise.

What was refused is audited all the same, in a short transaction of its own after the rollback.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import structlog
from flask import Flask, Response, current_app, g, request
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session
from werkzeug.local import LocalProxy

from portal.core import audit
from portal.core.actor import Actor
from portal.core.database import Database

log = structlog.get_logger()

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})

database: Database = LocalProxy(lambda: current_app.extensions["database"])  # type: ignore[assignment]


def db() -> Session:
    """The session of this request."""
    session: Session | None = g.get("db")
    if session is None:
        session = g.db = current_app.extensions["database"].session(write=_writes())
    return session


def pause() -> None:
    """End the request's transaction before something that takes time outside; the next `db()` begins another."""
    session = g.pop("db", None)
    if session is not None:
        try:
            database.commit(session)
        finally:
            session.close()


def _writes() -> bool:
    view = current_app.view_functions.get(request.endpoint or "")
    return request.method not in _SAFE or getattr(view, "writes", False)


@contextmanager
def before_writing() -> Iterator[Connection]:
    """For the question who asks: before it is answered nobody shall hold SQLite's write lock, nor wait for it."""
    if _writes() and database.engine.dialect.name == "sqlite":
        with database.reading() as connection:
            yield connection
    else:
        yield db().connection()


def refused(actor: Actor, action: str, reason: str, **event: Any) -> None:
    """Audit a refused attempt: written when the request's transaction has ended without a commit."""
    result = audit.Result.REFUSED
    afterwards(lambda session: audit.record(session, actor, action, result=result, reason=reason, **event))


def afterwards(write: Callable[[Session], None]) -> None:
    """`write` in a short transaction of its own when the request's has ended, whatever came of it."""
    g.setdefault("afterwards", []).append(write)


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
                if response.status_code < 400 and (_writes() or _has_work(session)):
                    database.commit(session)
            finally:
                session.close()
        try:
            _write_afterwards()
        except OperationalError:
            if response.status_code < 500:
                raise
            log.warning("request.refusals_not_written", status=response.status_code)
        return response

    @app.teardown_request
    def close(_error: BaseException | None) -> None:
        session = g.pop("db", None)
        if session is not None:
            session.close()


def _has_work(session: Session) -> bool:
    """Most who only read have nothing to commit, and there is no transaction to end."""
    return bool(session.new or session.dirty or session.deleted or session.info.get("queued"))


def _write_afterwards() -> None:
    writes = g.pop("afterwards", [])
    if writes:
        with database.transaction() as session:
            for write in writes:
                write(session)
