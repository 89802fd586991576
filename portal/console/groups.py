"""User groups of the space (IC-4, IC-5)."""

from __future__ import annotations

from typing import Any

from flask import flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_babel import ngettext
from wtforms import StringField
from wtforms.validators import InputRequired, Length

from portal.console import blueprint
from portal.console.scope import actor, space
from portal.core.access import principals
from portal.core.access import queries as access
from portal.core.directory import adoption, groups, queries, sources, ways
from portal.core.directory.models import Group
from portal.web.forms import Form, many
from portal.web.listing import search_from_url
from portal.web.permissions import Permission, requires
from portal.web.transactions import db

TABS = ("users", "groups", "syncs", "permissions")


class GroupForm(Form):
    name = StringField(_l("Group name"), [InputRequired(), Length(max=128)])
    remarks = StringField(_l("Remarks"), [Length(max=1024)])


@blueprint.get("/groups", endpoint="groups")
@requires(Permission.LIST_GROUPS)
def groups_page() -> str:
    page = queries.groups_page(db(), space(), search_from_url("source"))
    return render_template("console/groups/list.html", page=page)


@blueprint.route("/groups/create", methods=["GET", "POST"])
@requires(Permission.CREATE_GROUP)
def create_group() -> Any:
    form = GroupForm()
    if form.validate_on_submit():
        fields = {"name": form.name.data, "remarks": form.remarks.data}
        created = form.attempt(lambda: groups.create_group(db(), actor(), space=space(), **fields))
        if created:
            flash(_("User group created."), "good")
            return redirect(url_for("console.group", group_id=created.id), 303)
    return render_template("console/groups/edit.html", form=form, group=None), form.status


@blueprint.get("/groups/<group_id>")
@requires(Permission.GET_GROUP)
def group(group_id: str) -> str:
    found = groups.get_group(db(), space(), group_id)
    tab = request.args.get("tab", TABS[0])
    shown = {
        "group": found,
        "read_only": sources.is_read_only(db(), found),
        "adoptable": adoption.is_possible(db(), space()),
    }
    return render_template("console/groups/details.html", **shown, **_tab(found, tab if tab in TABS else TABS[0]))


def _tab(found: Group, tab: str) -> dict[str, Any]:
    search = search_from_url()
    if tab == "groups":
        return {"tab": tab, "page": ways.groups_inside(db(), found, search)}
    if tab == "syncs":
        return {"tab": tab, "page": access.syncs_of_group(db(), space(), found, search)}
    if tab == "permissions":
        return {"tab": tab, "page": access.authorizations_of_group(db(), space(), found, search)}
    return {"tab": tab, "page": queries.users_of_group(db(), found, search)}


@blueprint.route("/groups/<group_id>/edit", methods=["GET", "POST"])
@requires(Permission.UPDATE_GROUP)
def edit_group(group_id: str) -> Any:
    found = groups.get_group(db(), space(), group_id)
    sources.check_source(db(), actor(), found)
    form = GroupForm(obj=found)
    if form.validate_on_submit():
        changes = {"name": form.name.data, "remarks": form.remarks.data}
        if form.attempt(lambda: groups.update_group(db(), actor(), group=found, **changes)):
            flash(_("Saved."), "good")
            return redirect(url_for("console.group", group_id=found.id), 303)
    return render_template("console/groups/edit.html", form=form, group=found), form.status


@blueprint.route("/groups/<group_id>/delete", methods=["GET", "POST"])
@requires(Permission.DELETE_GROUP)
def delete_group(group_id: str) -> Any:
    found = groups.get_group(db(), space(), group_id)
    form = Form()
    if form.validate_on_submit():
        groups.delete_group(db(), actor(), group=found)
        flash(_("User group %(name)s deleted.", name=found.name), "good")
        return redirect(url_for("console.groups"), 303)
    sources.check_source(db(), actor(), found)
    uses = principals.uses_of_group(db(), found)
    users = groups.member_count(db(), found)
    return render_template("console/groups/delete.html", form=form, group=found, uses=uses, users=users)


@blueprint.route("/groups/<group_id>/users", methods=["GET", "POST"])
@requires(Permission.ADD_USER_TO_GROUP)
def add_users_to_group(group_id: str) -> Any:
    found = groups.get_group(db(), space(), group_id)
    form = Form()
    chosen = many("user")
    if form.validate_on_submit() and form.has(chosen):
        joined = groups.add_members(db(), actor(), group=found, user_ids=chosen)
        flash(ngettext("%(num)s user added.", "%(num)s users added.", len(joined)), "good")
        return redirect(url_for("console.group", group_id=found.id), 303)
    sources.check_source(db(), actor(), found)
    page = queries.users_to_add(db(), found, search_from_url())
    return render_template(
        "console/groups/add_users.html", form=form, group=found, page=page, chosen=chosen
    ), form.status


@blueprint.post("/groups/<group_id>/users/remove")
@requires(Permission.REMOVE_USER_FROM_GROUP)
def remove_users_from_group(group_id: str) -> Any:
    found = groups.get_group(db(), space(), group_id)
    left = groups.remove_members(db(), actor(), group=found, user_ids=many("user"))
    flash(ngettext("%(num)s user removed.", "%(num)s users removed.", len(left)), "good")
    return redirect(url_for("console.group", group_id=found.id), 303)
