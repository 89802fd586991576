"""The tree of departments with their member accounts (ORG-2, DEP, MEM)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_babel import ngettext
from flask_login import current_user
from werkzeug.wrappers import Response
from wtforms import SelectField, StringField, TextAreaField
from wtforms.validators import InputRequired, Length

from portal.console import blueprint
from portal.console.scope import actor, organization
from portal.core.access import queries as access
from portal.core.access.queries.removal import Scope, removal
from portal.core.organization import departments, members, names, queries
from portal.core.organization.models import Department
from portal.core.paging import Page
from portal.web.forms import Form, many
from portal.web.listing import search_from_url
from portal.web.permissions import Permission, requires
from portal.web.transactions import db

DEPARTMENT = "/organization/departments/<int(max=2147483647):department_id>"
_MEMBER = "/organization/members/<int(max=999999999999999999):uin>"


class DepartmentForm(Form):
    name = StringField(_l("Department name"), [InputRequired(), Length(max=names.DEPARTMENT_NAME_LENGTH)])
    description = TextAreaField(_l("Description"), [Length(max=names.DESCRIPTION_LENGTH)])


class NewDepartmentForm(DepartmentForm):
    parent = SelectField(_l("Below"), validate_choice=False)


class MemberForm(Form):
    name = StringField(_l("Member name"), [InputRequired(), Length(max=names.MEMBER_NAME_LENGTH)])


class NewMemberForm(MemberForm):
    department = SelectField(_l("Department"), validate_choice=False)


class MoveForm(Form):
    department = SelectField(_l("To department"), validate_choice=False)


@blueprint.get("/organization", endpoint="organization")
@requires(Permission.DESCRIBE_DEPARTMENTS)
def organization_page() -> str:
    chosen = _department(request.args.get("department"))
    below = request.args.get("below", "" if "department" in request.args else "1") == "1"
    page = queries.members_page(db(), organization(), search_from_url("joined_by"), chosen.id, below)
    return render_department(chosen, "below" if below else "here", page)


def render_department(chosen: Department, tab: str, page: Page[Any]) -> str:
    tree = queries.tree(db(), organization())
    return render_template(
        "console/organization/organization.html",
        organization=organization(),
        tree=tree,
        path=queries.path(db(), organization(), chosen.id),
        node=next(node for node in queries.flat(tree) if node.id == chosen.id),
        department=chosen,
        tab=tab,
        page=page,
    )


@blueprint.route("/organization/departments/create", methods=["GET", "POST"])
@requires(Permission.ADD_DEPARTMENT)
def create_department() -> Any:
    form = NewDepartmentForm(parent=request.args.get("parent"))
    form.parent.choices = department_choices()
    if form.validate_on_submit():
        made = form.attempt(
            lambda: departments.create_department(
                db(),
                actor(),
                organization=organization(),
                parent=_department(form.parent.data),
                name=form.name.data,
                description=form.description.data or "",
            )
        )
        if made:
            flash(_("Department %(name)s created.", name=made.name), "good")
            return _to_department(made.id)
    return render_template("console/organization/department.html", form=form, department=None), form.status


@blueprint.route(f"{DEPARTMENT}/edit", methods=["GET", "POST"])
@requires(Permission.UPDATE_DEPARTMENT)
def edit_department(department_id: int) -> Any:
    found = queries.department(db(), organization(), department_id)
    form = DepartmentForm(obj=found)
    if form.validate_on_submit() and form.attempt(
        lambda: departments.update_department(
            db(),
            actor(),
            organization=organization(),
            department=found,
            name=form.name.data,
            description=form.description.data or "",
        )
    ):
        flash(_("Saved."), "good")
        return _to_department(found.id)
    return render_template("console/organization/department.html", form=form, department=found), form.status


@blueprint.route(f"{DEPARTMENT}/delete", methods=["GET", "POST"])
@requires(Permission.DELETE_DEPARTMENT)
def delete_department(department_id: int) -> Any:
    found = queries.department(db(), organization(), department_id)
    form = Form()
    if form.validate_on_submit():
        departments.delete_department(db(), actor(), organization=organization(), department=found)
        flash(_("Department %(name)s deleted.", name=found.name), "good")
        return _to_department(found.parent_id)
    return render_template("console/organization/delete_department.html", form=form, department=found)


@blueprint.route("/organization/members/create", methods=["GET", "POST"])
@requires(Permission.CREATE_MEMBER)
def create_member() -> Any:
    form = NewMemberForm(department=request.args.get("department"))
    form.department.choices = department_choices()
    if form.validate_on_submit():
        department = _department(form.department.data)
        granted, _names = access.granted_in(db(), department.id)
        if granted and not _reviewed(department):
            return _member_form(form)
        made = form.attempt(
            lambda: members.create_member(
                db(), actor(), organization=organization(), department=department, name=form.name.data
            )
        )
        if made:
            flash(_("Member account %(name)s created: %(uin)s", name=made.name, uin=made.uin), "good")
            if granted:
                return redirect(url_for("console.account", uin=made.uin), 303)
            return _to_department(department.id)
    return _member_form(form)


def _member_form(form: NewMemberForm) -> Any:
    """Says what the account will get in the department that is chosen; for another one it comes back to be reviewed."""
    place = _department(form.department.data)
    granted, names = access.granted_in(db(), place.id)
    return render_template(
        "console/organization/member.html", form=form, member=None, place=place, granted=granted, names=names
    ), form.status


def _reviewed(department: Department) -> bool:
    """Whether the page that was sent said what being in this department means."""
    return request.form.get("reviewed") == str(department.id)


@blueprint.route(f"{_MEMBER}/edit", methods=["GET", "POST"])
@requires(Permission.UPDATE_MEMBER)
def edit_member(uin: int) -> Any:
    found = queries.member(db(), organization(), uin)
    form = MemberForm(obj=found)
    if form.validate_on_submit() and form.attempt(
        lambda: members.rename_member(db(), actor(), organization=organization(), uin=uin, name=form.name.data)
    ):
        flash(_("Saved."), "good")
        return _to_department(found.department_id)
    return render_template("console/organization/member.html", form=form, member=found), form.status


@blueprint.route("/organization/members/move", methods=["GET", "POST"])
@requires(Permission.MOVE_MEMBER)
def move_members() -> Any:
    rows = queries.members_of(db(), organization(), _chosen())
    form = MoveForm()
    form.department.choices = department_choices()
    if form.validate_on_submit():
        target = _department(form.department.data)
        change = access.change_by_moving(db(), [row.uin for row in rows if row.department_id != target.id], target.id)
        if change and not _reviewed(target):
            return render_template("console/organization/move.html", form=form, rows=rows, target=target, change=change)
        moved = form.attempt(_on_chosen(members.move_members, department=target))
        if moved is not None:
            if moved.rows:
                flash(ngettext("%(num)s member moved.", "%(num)s members moved.", len(moved.rows)), "good")
            else:
                flash(_("Nothing to move: all of them are in %(name)s already.", name=target.name), "good")
            if moved.batch_id:
                back = url_for("console.organization", department=target.id)
                return redirect(url_for("console.batch", batch_id=moved.batch_id, back=back), 303)
            return _to_department(target.id)
    return render_template("console/organization/move.html", form=form, rows=rows), form.status


@blueprint.route("/organization/members/remove", methods=["GET", "POST"])
@requires(Permission.DELETE_MEMBER)
def remove_members() -> Any:
    """Without the admin account, which stays, with whatever stands in it."""
    chosen = queries.members_of(db(), organization(), _chosen())
    rows = [row for row in chosen if row.uin != organization().admin_uin]
    form = Form()
    if form.validate_on_submit() and form.attempt(_on_chosen(members.remove_members)):
        flash(ngettext("%(num)s member removed.", "%(num)s members removed.", len(rows)), "good")
        return _to_department(rows[0].department_id)
    held = removal(db(), Scope(current_user.space, accounts=[row.uin for row in rows])) if current_user.space else None
    staying = [row.name for row in chosen if row not in rows]
    return render_template(
        "console/organization/remove.html", form=form, rows=rows, staying=staying, removal=held
    ), form.status


def _on_chosen(verb: Callable[..., Any], **fields: Any) -> Callable[[], Any]:
    return lambda: verb(db(), actor(), organization=organization(), uins=_chosen(), **fields)


def _chosen() -> list[int]:
    return [_number(value) for value in many("member")]


def _number(text: str) -> int:
    """An account's number as it came; one that no database has for anything else, so that it is not found."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else 0


def _department(department_id: str | None) -> Department:
    """That of the organization with this id; Root for none."""
    if not department_id:
        return queries.root(db(), organization())
    number = _number(department_id)
    return queries.department(db(), organization(), number if number < 2**31 else 0)


def department_choices() -> list[tuple[str, str]]:
    nodes = queries.flat(queries.tree(db(), organization()))
    return [(str(node.id), "\N{NO-BREAK SPACE}" * 4 * node.depth + node.name) for node in nodes]


def _to_department(department_id: int | None) -> Response:
    return redirect(url_for("console.organization", department=department_id), 303)
