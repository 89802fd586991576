"""The organization and space of the signed-in administrator: every query of the console is scoped by them."""

from __future__ import annotations

from flask import redirect, url_for
from flask_login import current_user
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response

from portal.core.actor import Actor
from portal.core.organization.models import Organization
from portal.core.space.models import Space


class _Activate(HTTPException):
    """Sends an administrator of an organization without Identity Center to its activation page."""

    code = 302

    def get_response(self, *_args: object, **_kwargs: object) -> Response:
        return redirect(url_for("console.activate"))


def actor() -> Actor:
    found: Actor = current_user.actor
    return found


def organization() -> Organization:
    found: Organization = current_user.organization
    return found


def space() -> Space:
    found: Space | None = current_user.space
    if found is None:
        raise _Activate
    return found
