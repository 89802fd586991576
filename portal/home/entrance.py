"""The way in: choose the space, its login page."""

from __future__ import annotations

from typing import Any

from flask import redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_login import current_user

from portal.core.errors import NotFound
from portal.core.federation import identity_provider
from portal.core.space import queries
from portal.home import blueprint
from portal.web.permissions import Permission, requires
from portal.web.targets import own_path
from portal.web.transactions import db


@blueprint.get("/")
@requires(Permission.PUBLIC)
def index() -> Any:
    if current_user.is_authenticated:
        return redirect(url_for("home.portal"))
    return redirect(url_for("home.choose_space"))


@blueprint.get("/login")
@requires(Permission.PUBLIC)
def choose_space() -> Any:
    """Asks for the space by name; an installation with one space asks nothing."""
    name = request.args.get("space", "").strip().lower()
    target = own_path(request.args.get("next"), otherwise="")
    only = queries.only_space(db())
    if only is not None and not name:
        return redirect(url_for("home.login", space=only.name, next=target or None))
    if not name:
        return render_template("home/choose_space.html", name="", target=target, message="")
    try:
        space = queries.find(db(), name)
    except NotFound:
        message = _("There is no space of this name. Your administrator knows your login address.")
        page = render_template("home/choose_space.html", name=name[:64], target=target, message=message)
        return page, 404
    return redirect(url_for("home.login", space=space.name, next=target or None))


@blueprint.get("/login/<space>")
@requires(Permission.PUBLIC)
def login(space: str) -> Any:
    """The user login URL (IC-2): one button that leads to the enterprise IdP."""
    found = queries.find(db(), space)
    target = own_path(request.args.get("next"), otherwise="")
    if current_user.is_authenticated and current_user.space.id == found.id:
        return redirect(target or url_for("home.portal"))
    ready = found.sso_enabled and identity_provider.current(db(), found) is not None
    return render_template("home/login.html", space=found, target=target, ready=ready)
