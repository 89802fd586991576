"""Users of the space (IC-3, IC-5)."""

from __future__ import annotations

from typing import Any

from flask import flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_babel import ngettext
from wtforms import FieldList, FormField, StringField
from wtforms import Form as PlainForm
from wtforms.validators import Length

from portal.console import blueprint
from portal.console.scope import actor, space
from portal.core.access import principals
from portal.core.access import queries as access
from portal.core.directory import adoption, groups, queries, sources, users
from portal.core.directory.models import User
from portal.core.limits import allowed
from portal.web.forms import Form, many
from portal.web.listing import search_from_url
from portal.web.permissions import Permission, requires
from portal.web.transactions import db

TABS = ("groups", "security", "syncs", "permissions")


class UserFields(PlainForm):
    user_name = StringField(_l("Username"), [Length(max=64)])
    display_name = StringField(_l("Display name"), [Length(max=256)])
    family_name = StringField(_l("Last name"), [Length(max=64)])
    given_name = StringField(_l("First name"), [Length(max=64)])
    email = StringField(_l("Email"), [Length(max=128)])
    remarks = StringField(_l("Remarks"), [Length(max=1024)])


class CreateUsers(Form):
    rows = FieldList(FormField(UserFields), min_entries=1, max_entries=10)


class EditUser(Form):
    display_name = StringField(_l("Display name"), [Length(max=256)])
    family_name = StringField(_l("Last name"), [Length(max=64)])
    given_name = StringField(_l("First name"), [Length(max=64)])
    email = StringField(_l("Email"), [Length(max=128)])
    remarks = StringField(_l("Remarks"), [Length(max=1024)])


@blueprint.get("/users", endpoint="users")
@requires(Permission.LIST_USERS)
def users_page() -> str:
    page = queries.users_page(db(), space(), search_from_url("status", "source"))
    return render_template("console/users/list.html", page=page)


@blueprint.route("/users/create", methods=["GET", "POST"])
@requires(Permission.CREATE_USER)
def create_users() -> Any:
    form = CreateUsers()
    most = allowed("users_created_at_once")
    if "add" in request.form and len(form.rows) < most:
        form.rows.append_entry()
    elif form.validate_on_submit():
        wanted = [row for row in form.rows if any(row.data.values())]
        if len({name.split("-")[1] for name in request.form if name.startswith("rows-")}) > most:
            form.message = _("Up to %(most)s users are created at a time.", most=most)
        elif not wanted:
            form.message = _("A username is needed.")
        elif form.attempt_each(wanted, lambda data: users.create_user(db(), actor(), space=space(), **data)):
            flash(_("%(count)s users created.", count=len(wanted)) if len(wanted) > 1 else _("User created."), "good")
            return redirect(url_for("console.users"), 303)
    return render_template("console/users/create.html", form=form, most=most), form.status


@blueprint.get("/users/<user_id>")
@requires(Permission.GET_USER)
def user(user_id: str) -> str:
    found = users.get_user(db(), space(), user_id)
    tab = request.args.get("tab", TABS[0])
    shown = {
        "user": found,
        "read_only": sources.is_read_only(db(), found),
        "adoptable": adoption.is_possible(db(), space()),
    }
    return render_template("console/users/details.html", **shown, **_tab(found, tab if tab in TABS else TABS[0]))


def _tab(found: User, tab: str) -> dict[str, Any]:
    search = search_from_url()
    if tab == "groups":
        return {"tab": tab, "page": queries.groups_of_user(db(), found, search)}
    if tab == "syncs":
        return {"tab": tab, "page": access.syncs_of_user(db(), space(), found, search)}
    if tab == "permissions":
        return {"tab": tab, "page": access.authorizations_of_user(db(), space(), found, search)}
    return {"tab": tab}


@blueprint.route("/users/<user_id>/edit", methods=["GET", "POST"])
@requires(Permission.UPDATE_USER)
def edit_user(user_id: str) -> Any:
    found = users.get_user(db(), space(), user_id)
    sources.check_source(db(), actor(), found)
    form = EditUser(obj=found)
    if form.validate_on_submit():
        changes = {name: field.data for name, field in form._fields.items() if name != "csrf_token"}
        if form.attempt(lambda: users.update_user(db(), actor(), user=found, **changes)):
            flash(_("Saved."), "good")
            return redirect(url_for("console.user", user_id=found.id), 303)
    return render_template("console/users/edit.html", form=form, user=found), form.status


@blueprint.post("/users/<user_id>/status")
@requires(Permission.UPDATE_USER_STATUS)
def set_user_status(user_id: str) -> Any:
    found = users.get_user(db(), space(), user_id)
    enabled = request.form.get("enabled") == "yes"
    users.set_enabled(db(), actor(), user=found, enabled=enabled)
    ended = _("Login disabled. Sessions in the portal are ended; those inside accounts end within moments, by tasks.")
    flash(_("Login enabled.") if enabled else ended, "good")
    return redirect(url_for("console.user", user_id=found.id, tab="security"), 303)


@blueprint.route("/users/<user_id>/delete", methods=["GET", "POST"])
@requires(Permission.DELETE_USER)
def delete_user(user_id: str) -> Any:
    found = users.get_user(db(), space(), user_id)
    form = Form()
    if form.validate_on_submit():
        users.delete_user(db(), actor(), user=found)
        flash(_("User %(name)s deleted.", name=found.user_name), "good")
        return redirect(url_for("console.users"), 303)
    sources.check_source(db(), actor(), found)
    uses = principals.uses_of_user(db(), found)
    joined = queries.groups_of_user(db(), found, search_from_url()).total
    return render_template("console/users/delete.html", form=form, user=found, uses=uses, joined=joined)


@blueprint.route("/users/<user_id>/groups", methods=["GET", "POST"])
@requires(Permission.ADD_USER_TO_GROUP)
def add_user_to_groups(user_id: str) -> Any:
    found = users.get_user(db(), space(), user_id)
    form = Form()
    chosen = many("group")
    if form.validate_on_submit() and form.has(chosen):
        for group_id in chosen:
            group = groups.get_group(db(), space(), group_id)
            groups.add_members(db(), actor(), group=group, user_ids=[found.id])
        flash(ngettext("Added to %(num)s user group.", "Added to %(num)s user groups.", len(chosen)), "good")
        return redirect(url_for("console.user", user_id=found.id), 303)
    page = queries.groups_to_join(db(), found, search_from_url())
    return render_template(
        "console/users/add_to_groups.html", form=form, user=found, page=page, chosen=chosen
    ), form.status


@blueprint.post("/users/<user_id>/groups/<group_id>/leave")
@requires(Permission.REMOVE_USER_FROM_GROUP)
def leave_group(user_id: str, group_id: str) -> Any:
    found = users.get_user(db(), space(), user_id)
    group = groups.get_group(db(), space(), group_id)
    groups.remove_members(db(), actor(), group=group, user_ids=[found.id])
    flash(_("Removed from %(name)s.", name=group.name), "good")
    return redirect(url_for("console.user", user_id=found.id), 303)
