"""Handing a user or a user group over to SCIM (IC-5), after a page that says what that means."""

from __future__ import annotations

from typing import Any

from flask import flash, redirect, render_template, url_for
from flask_babel import gettext as _
from flask_babel import ngettext

from portal.console import blueprint
from portal.console.scope import actor, space
from portal.core.access import principals
from portal.core.access import queries as access
from portal.core.directory import adoption, groups, users
from portal.web.forms import Form
from portal.web.permissions import Permission, requires
from portal.web.transactions import db


@blueprint.route("/users/<user_id>/adopt", methods=["GET", "POST"])
@requires(Permission.ADOPT_USER)
def adopt_user(user_id: str) -> Any:
    found = users.get_user(db(), space(), user_id)
    form = Form()
    if form.validate_on_submit() and form.attempt(lambda: adoption.adopt_user(db(), actor(), user=found)) is not None:
        flash(_("%(name)s is handed over to SCIM.", name=found.user_name), "good")
        return redirect(url_for("console.user", user_id=found.id), 303)
    left = sorted(db().scalars(adoption.groups_to_leave(found)), key=lambda group: group.name_key)
    shown = {"form": form, "user": found, "groups": left, "lost": access.lost_by_leaving(db(), found)}
    return render_template("console/users/adopt.html", **shown, uses=principals.uses_of_user(db(), found)), form.status


@blueprint.route("/groups/<group_id>/adopt", methods=["GET", "POST"])
@requires(Permission.ADOPT_GROUP)
def adopt_group(group_id: str) -> Any:
    found = groups.get_group(db(), space(), group_id)
    form = Form()
    if form.validate_on_submit():
        count = form.attempt(lambda: adoption.adopt_group(db(), actor(), group=found))
        if count is not None:
            with_users = ngettext("%(num)s user", "%(num)s users", count)
            flash(_("%(name)s is handed over to SCIM with %(users)s.", name=found.name, users=with_users), "good")
            return redirect(url_for("console.group", group_id=found.id), 303)
    names, elsewhere = adoption.in_other_groups(db(), found)
    shown = {
        "form": form,
        "group": found,
        "count": groups.member_count(db(), found),
        "uses": principals.uses_of_group(db(), found),
    }
    return render_template("console/groups/adopt.html", **shown, names=names, elsewhere=elsewhere), form.status
