"""Errors as answers, mapped once: a page with a plain sentence and a reference number; the log gets the detail.

Doors that speak another language than HTML register a renderer for their path (`/scim/`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import structlog
from flask import Flask, current_app, g, make_response, render_template, request
from flask_babel import gettext as _
from flask_login import AnonymousUserMixin, current_user
from flask_wtf.csrf import CSRFError
from sqlalchemy.exc import IntegrityError, OperationalError, SQLAlchemyError
from sqlalchemy.orm.exc import StaleDataError
from werkzeug.exceptions import HTTPException

from portal.core.errors import Error, Forbidden
from portal.core.guardrails.access import AccessDecision
from portal.web.transactions import refused

log = structlog.get_logger()

Renderer = Callable[[int, str, Exception], Any]


def render_errors_by(app: Flask, path: str, renderer: Renderer) -> None:
    """Errors below `path` are answered by `renderer(status, message, error)`."""
    app.extensions.setdefault("error_renderers", {})[path] = renderer


def setup_errors(app: Flask) -> None:
    app.extensions.setdefault("error_renderers", {})

    @app.errorhandler(Error)
    def of_the_heart(error: Error) -> Any:
        if request.method not in ("GET", "HEAD") or isinstance(error, Forbidden):
            _audit(error)
        return _answer(error.status, error.message, error)

    @app.errorhandler(CSRFError)
    def forged(error: CSRFError) -> Any:
        return _answer(
            400, _("This form is too old or came from elsewhere. Go back, reload the page and try again."), error
        )

    @app.errorhandler(HTTPException)
    def of_http(error: HTTPException) -> Any:
        cause = getattr(error, "original_exception", None)
        if cause is not None:  # raised after the view, by a commit for example
            return unexpected(cause)
        status = error.code or 500
        messages = {
            403: _("You may not open this page."),
            404: _("There is nothing at this address, or it is not yours to see."),
            405: _("This address does not take this kind of request."),
            413: _("That is too large. The limit is %(size)s bytes.", size=app.config["MAX_CONTENT_LENGTH"]),
        }
        if status < 400:
            return error
        answer = _answer(status, messages.get(status, _("The request could not be understood.")), error)
        if status == 405 and error.get_response().headers.get("Allow"):
            answer.headers["Allow"] = error.get_response().headers["Allow"]
        return answer

    @app.errorhandler(Exception)
    def unexpected(error: Exception) -> Any:
        _do_without_database()
        if isinstance(error, (IntegrityError, StaleDataError)):
            log.warning("request.overtaken", path=request.path, exc_info=error)
            return _answer(409, _("Somebody changed this at the same moment. Reload the page and try again."), error)
        log.error("request.failed", path=request.path, exc_info=error)
        if _is_overtaken(error):
            return _answer(503, _("Two changes came at the same moment. Try again in a moment."), error)
        if isinstance(error, OperationalError):
            return _answer(503, _("The database does not answer. Try again in a moment."), error)
        return _answer(
            500, _("Something went wrong on our side. The administrator finds it in the log by the reference."), error
        )


def _is_overtaken(error: Exception) -> bool:
    """PostgreSQL ended one of two transactions that waited for each other (SQLSTATE, appendix A of its manual)."""
    return getattr(getattr(error, "orig", None), "sqlstate", None) in ("40001", "40P01")


def _audit(error: Error) -> None:
    if current_user and current_user.is_authenticated:
        action = request.endpoint or request.path
        refused(
            current_user.actor, action, error.message, details={"method": request.method, "path": request.path[:256]}
        )


def _answer(status: int, message: str, error: Exception) -> Any:
    for path, renderer in app_renderers().items():
        if request.path.startswith(path):
            return renderer(status, message, error)
    return make_response(_page(status, message, getattr(error, "decision", None)), status)


def _page(status: int, message: str, decision: AccessDecision | None) -> str:
    values = {"status": status, "message": message, "decision": decision, "reference": g.get("request_id", "")}
    try:
        return render_template("layout/error.html", **values)
    except SQLAlchemyError:
        _do_without_database()
        return render_template("layout/error.html", **values)


def _do_without_database() -> None:
    """Every page asks who is signed in: this one shall not ask a database that fails, nor a transaction that has."""
    g._login_user = AnonymousUserMixin()  # where Flask-Login keeps whom it has loaded
    session = g.pop("db", None)
    if session is not None:
        session.close()


def app_renderers() -> dict[str, Renderer]:
    renderers: dict[str, Renderer] = current_app.extensions["error_renderers"]
    return renderers
