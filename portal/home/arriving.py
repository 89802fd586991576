"""The last step of a sign-in that the IdP started: its session waits until we see whom it would displace.

The answer comes as a cross-site POST, which does not bring the cookie of the session that this browser has; the step
after it is a navigation of our own, which does. Nobody is displaced by the same person's next session, nor where there
is none; another person's stays until somebody presses a button of ours. A session that waits for the button, or that
came a while ago, waits for it from then on, even when nobody is signed in any more; signing out ends it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from flask import Response, current_app, make_response, redirect, render_template, request, url_for
from flask_login import current_user

from portal.core import clock
from portal.core.directory.models import User
from portal.core.federation import sign_ins
from portal.core.federation.models import SignIn
from portal.core.secrets import hash_token
from portal.core.space import queries
from portal.core.space.models import Space
from portal.home import blueprint
from portal.home.trusting import settings
from portal.web.permissions import Permission, requires
from portal.web.sessions import EMPLOYEE_COOKIE, anonymous_actor, set_cookie
from portal.web.targets import own_path
from portal.web.transactions import db

ARRIVAL_COOKIE = "portal_arrival"
_ASKED = ".asked"
_AT_ONCE = timedelta(minutes=1)
"""The redirect that follows the answer of the IdP takes no longer."""


def set_arrival(response: Response, token: str) -> None:
    """Lax: it goes with the redirect that follows. To every page, so that signing out finds it."""
    lasting = settings().sign_in_minutes * 60 if token else 0
    response.set_cookie(
        ARRIVAL_COOKIE,
        token,
        path="/",
        max_age=lasting,
        secure=current_app.config["SESSION_COOKIE_SECURE"],
        httponly=True,
        samesite="Lax",
    )


@blueprint.get("/saml/<space>/arrive")
@requires(Permission.PUBLIC, writes=True)
def arrive(space: str) -> Any:
    found = queries.find(db(), space)
    arrived, target = _arrived(found), _target()
    if arrived is None:
        return redirect(url_for("home.login", space=found.name, next=target))
    sign_in, user = arrived
    if not _must_ask(sign_in, user):
        return _enter(sign_in, target)
    response = make_response(render_template("home/arrive.html", space=found, user=user, target=target))
    set_arrival(response, f"{_token()}{_ASKED}")
    return response


@blueprint.post("/saml/<space>/arrive")
@requires(Permission.PUBLIC)
def choose(space: str) -> Any:
    """The answer to the question of that page: who shall be signed in here."""
    found = queries.find(db(), space)
    arrived = _arrived(found)
    if arrived is None:
        return redirect(url_for("home.login", space=found.name), 303)
    sign_in, user = arrived
    if "stay" not in request.form:
        return _enter(sign_in, _target())
    sign_ins.sign_out(db(), anonymous_actor(found.organization_id), sign_in=sign_in, user=user)
    response = make_response(redirect(url_for("home.index"), 303))
    set_arrival(response, "")
    return response


def forget_arrival(response: Response) -> None:
    """Who signs out leaves nobody waiting to come in."""
    if token := _token():
        sign_ins.end(db(), hash_token(token))
        set_arrival(response, "")


def _arrived(space: Space) -> tuple[SignIn, User] | None:
    token = _token()
    return sign_ins.waiting(db(), space, token) if token else None


def _must_ask(sign_in: SignIn, user: User) -> bool:
    if current_user.is_authenticated:
        return bool(current_user.user.id != user.id)
    asked = request.cookies.get(ARRIVAL_COOKIE, "").endswith(_ASKED)
    return asked or sign_in.started_at + _AT_ONCE < clock.now()


def _token() -> str:
    return request.cookies.get(ARRIVAL_COOKIE, "").removesuffix(_ASKED)


def _enter(sign_in: SignIn, target: str) -> Response:
    before = request.cookies.get(EMPLOYEE_COOKIE, "")
    token = _token()
    if before and before != token:
        sign_ins.end(db(), hash_token(before))
    response = make_response(redirect(target, 303))
    set_cookie(response, EMPLOYEE_COOKIE, token, path="/", expires=sign_in.expires_at)
    set_arrival(response, "")
    return response


def _target() -> str:
    return own_path(request.values.get("next"), otherwise=url_for("home.portal"))
