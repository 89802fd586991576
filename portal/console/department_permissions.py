"""What a department grants to its accounts: the tab of its page, and taking it away or granting what is missing."""

from __future__ import annotations

from typing import Any

from flask import flash, redirect, render_template, url_for
from flask_babel import gettext as _

from portal.console import blueprint
from portal.console.organization import DEPARTMENT, render_department
from portal.console.picking import numbers
from portal.console.scope import actor, organization, space
from portal.core.access import departments, queries
from portal.core.organization import queries as tree
from portal.web.forms import Form
from portal.web.listing import search_from_url
from portal.web.permissions import Permission, requires
from portal.web.transactions import db


@blueprint.get(f"{DEPARTMENT}/permissions")
@requires(Permission.LIST_AUTHORIZATIONS)
def department_permissions(department_id: int) -> str:
    path = [one.id for one in tree.path(db(), organization(), department_id)]
    page = queries.department_authorizations(db(), space(), department_id, path, search_from_url())
    return render_department(tree.department(db(), organization(), department_id), "permissions", page)


@blueprint.route(f"{DEPARTMENT}/permissions/remove", methods=["GET", "POST"])
@requires(Permission.DELETE_AUTHORIZATION)
def remove_department_permissions(department_id: int) -> Any:
    found, form = tree.department(db(), organization(), department_id), Form()
    back = url_for("console.department_permissions", department_id=found.id)
    chosen = queries.department_authorization_rows(db(), space(), numbers("authorization"))
    rows = [row for row in chosen if row.department_id == found.id]
    if not rows:
        flash(_("Select at least one authorization first."), "warn")
        return redirect(back, 303)
    if form.validate_on_submit():
        ids = [row.id for row in rows]
        batch_id = form.attempt(
            lambda: departments.revoke_departments(db(), actor(), space=space(), authorizations=ids)
        )
        if batch_id:
            return redirect(url_for("console.batch", batch_id=batch_id, wizard="revoke", back=back), 303)
        if batch_id is not None:
            flash(_("Removed. No account had any of it."), "good")
            return redirect(back, 303)
    return render_template(
        "console/organization/remove_permissions.html",
        form=form,
        department=found,
        rows=rows,
        effect=queries.effect_of_revoking(db(), found.id, [row.id for row in rows]),
        back=back,
    ), form.status


@blueprint.post(f"{DEPARTMENT}/permissions/repair")
@requires(Permission.CREATE_AUTHORIZATION)
def repair_department(department_id: int) -> Any:
    """Grant what is missing in accounts of the department."""
    found = tree.department(db(), organization(), department_id)
    back = url_for("console.department_permissions", department_id=found.id)
    batch_id = departments.repair(db(), actor(), space=space(), department=found)
    return redirect(url_for("console.batch", batch_id=batch_id, wizard="grant_roles", back=back), 303)
