"""Authorize a department (IC-12 for accounts that are there now and those that come later): users and groups, then
configurations, then review. `target` in the URL and the forms is the department.

/console/accounts or the department's page -> grant_departments -> _configurations -> _review -> submit -> the batch
"""

from __future__ import annotations

from typing import Any

from flask import flash, redirect, render_template, url_for
from flask_babel import gettext as _

from portal.console import blueprint
from portal.console.picking import is_whole, numbers, picked, search_from_form
from portal.console.scope import actor, organization, space
from portal.core.access import departments, preview_departments, queries
from portal.core.access.selection import Selection
from portal.core.directory import queries as directory
from portal.core.organization import queries as tree
from portal.core.organization.models import Department
from portal.web.forms import Form
from portal.web.permissions import Permission, requires
from portal.web.transactions import db


@blueprint.route("/grant-departments", methods=["GET", "POST"])
@requires(Permission.CREATE_AUTHORIZATION)
def grant_departments() -> Any:
    return _principals_step(_target(), picked(), Form())


@blueprint.route("/grant-departments/configurations", methods=["GET", "POST"])
@requires(Permission.CREATE_AUTHORIZATION)
def grant_departments_configurations() -> Any:
    target, chosen, form = _target(), picked(), Form()
    if not chosen.principals:
        form.message = _("Select at least one user or user group.")
        return _principals_step(target, chosen, form)
    return _configurations_step(target, chosen, form)


@blueprint.route("/grant-departments/review", methods=["GET", "POST"])
@requires(Permission.CREATE_AUTHORIZATION)
def grant_departments_review() -> Any:
    target, chosen, form = _target(), picked(), Form()
    if not chosen.principals:
        return grant_departments_configurations()
    if not chosen.configurations:
        form.message = _("Select at least one permission configuration.")
        return _configurations_step(target, chosen, form)
    return _review_step(target, chosen, form)


@blueprint.post("/grant-departments/submit")
@requires(Permission.CREATE_AUTHORIZATION)
def submit_grant_departments() -> Any:
    target, chosen, form = _target(), picked(), Form()
    if not chosen.principals or not chosen.configurations:
        return grant_departments_review()
    if not is_whole(chosen, form):
        return _review_step(target, chosen, form)
    batch_id = form.attempt(
        lambda: departments.grant_departments(
            db(),
            actor(),
            space=space(),
            departments=[target.id],
            users=chosen.user_ids,
            groups=chosen.group_ids,
            configurations=chosen.configuration_ids,
        )
    )
    if batch_id is None:
        return _review_step(target, chosen, form)
    back = url_for("console.department_permissions", department_id=target.id)
    if not batch_id:
        flash(_("Granted. There is no account in %(name)s yet; each that comes gets it.", name=target.name), "good")
        return redirect(back, 303)
    return redirect(url_for("console.batch", batch_id=batch_id, wizard="grant_roles", back=back), 303)


def _target() -> Department:
    return tree.department(db(), organization(), [*numbers("target"), 0][0])


def _shown(target: Department, chosen: Selection, form: Form) -> dict[str, Any]:
    return {
        "wizard": "grant_departments",
        "target": target,
        "form": form,
        "picked": chosen,
        "accounts": [("target", str(target.id))],
    }


def _principals_step(target: Department, chosen: Selection, form: Form) -> Any:
    return render_template(
        "console/grant_roles/principals.html",
        **_shown(target, chosen, form),
        users=directory.users_page(db(), space(), search_from_form("user")),
        groups=directory.groups_page(db(), space(), search_from_form("group")),
    ), form.status


def _configurations_step(target: Department, chosen: Selection, form: Form) -> Any:
    return render_template(
        "console/grant_roles/configurations.html",
        **_shown(target, chosen, form),
        page=queries.configurations_page(db(), space(), search_from_form("configuration")),
    ), form.status


def _review_step(target: Department, chosen: Selection, form: Form) -> Any:
    return render_template(
        "console/grant_departments/review.html",
        **_shown(target, chosen, form),
        preview=preview_departments.authorizations(db(), space(), target.id, chosen),
    ), form.status
