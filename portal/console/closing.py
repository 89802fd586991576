"""Closing the organization (ORG-3), after its name was typed; then everybody is signed out."""

from __future__ import annotations

from typing import Any

from flask import redirect, render_template, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from wtforms import StringField
from wtforms.validators import InputRequired, Length

from portal.console import blueprint
from portal.console.scope import actor, organization
from portal.console.sign_in import COOKIE_PATH
from portal.core.organization.closing import close_organization as close
from portal.core.organization.closing import obstacles
from portal.web.forms import Form
from portal.web.permissions import Permission, requires
from portal.web.sessions import ADMIN_COOKIE
from portal.web.transactions import db


class CloseForm(Form):
    name = StringField(_l("Name of the organization"), [InputRequired(), Length(max=64)])


@blueprint.route("/organization/close", methods=["GET", "POST"])
@requires(Permission.CLOSE_ORGANIZATION)
def close_organization() -> Any:
    found, form = organization(), CloseForm()
    if form.validate_on_submit():
        if form.name.data.strip() != found.name:
            form.name.errors = [_("This is not the name of the organization.")]
        elif form.attempt(lambda: close(db(), actor(), organization=found)):
            response = redirect(url_for("console.closed"), 303)
            response.delete_cookie(ADMIN_COOKIE, path=COOKIE_PATH)
            return response
    return render_template(
        "console/organization/close.html", form=form, organization=found, obstacles=obstacles(db(), found)
    ), form.status


@blueprint.get("/closed")
@requires(Permission.PUBLIC)
def closed() -> str:
    return render_template("console/organization/closed.html")
