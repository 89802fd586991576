"""The guard of the SCIM push (IC-7): let a paused push through, keep the users, set the share."""

from __future__ import annotations

from typing import Any

from flask import flash, redirect, render_template, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from wtforms import IntegerField
from wtforms.validators import InputRequired, NumberRange

from portal.console import blueprint
from portal.console.scope import actor, space
from portal.core.push import guard
from portal.web.forms import Form
from portal.web.permissions import Permission, requires
from portal.web.transactions import db


class GuardForm(Form):
    percent = IntegerField(_l("Share of the users, in percent"), [InputRequired(), NumberRange(0, 100)])


@blueprint.route("/scim/guard", methods=["GET", "POST"])
@requires(Permission.UPDATE_SCIM_GUARD)
def edit_guard() -> Any:
    form = GuardForm(obj=guard.state(db(), space()))
    if form.validate_on_submit():
        guard.update_guard(db(), actor(), space=space(), percent=form.percent.data or 0)
        flash(_("Saved."), "good")
        return redirect(url_for("console.scim"), 303)
    return render_template("console/scim/guard.html", form=form, least=guard.LEAST), form.status


@blueprint.route("/scim/guard/open", methods=["GET", "POST"])
@requires(Permission.RELEASE_SCIM_GUARD)
def open_guard() -> Any:
    form = Form()
    if form.validate_on_submit():
        guard.open_guard(db(), actor(), space=space())
        flash(_("The push is let through for 24 hours. The identity provider sends again what was held back."), "good")
        return redirect(url_for("console.scim"), 303)
    return render_template("console/scim/open_guard.html", form=form, pause=guard.pause_of(db(), space()))


@blueprint.post("/scim/guard/reset")
@requires(Permission.RELEASE_SCIM_GUARD)
def reset_guard() -> Any:
    guard.reset_guard(db(), actor(), space=space())
    flash(_("Deletions and deactivations are counted anew from now on."), "good")
    return redirect(url_for("console.scim"), 303)
