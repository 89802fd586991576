"""Configure CAM role synchronization (IC-12): users and groups, then configurations, then review; one task per triple.

/console/accounts -> grant_roles -> grant_roles_configurations -> grant_roles_review -> submit -> the batch's progress
"""

from __future__ import annotations

from typing import Any

from flask import flash, redirect, render_template, url_for
from flask_babel import gettext as _

from portal.console import blueprint
from portal.console.picking import carried_accounts, is_whole, picked, search_from_form
from portal.console.scope import actor, space
from portal.core.access import authorizations, preview, queries
from portal.core.access.selection import Selection
from portal.core.directory import queries as directory
from portal.web.forms import Form
from portal.web.permissions import Permission, requires
from portal.web.transactions import db


@blueprint.route("/grant-roles", methods=["GET", "POST"])
@requires(Permission.CREATE_AUTHORIZATION)
def grant_roles() -> Any:
    chosen = picked()
    if not chosen.accounts:
        flash(_("Select at least one account first."), "warn")
        return redirect(url_for("console.accounts"), 303)
    return _principals_step(chosen, Form())


@blueprint.route("/grant-roles/configurations", methods=["GET", "POST"])
@requires(Permission.CREATE_AUTHORIZATION)
def grant_roles_configurations() -> Any:
    chosen, form = picked(), Form()
    if not chosen.accounts:
        return grant_roles()
    if not chosen.principals:
        form.message = _("Select at least one user or user group.")
        return _principals_step(chosen, form)
    return _configurations_step(chosen, form)


@blueprint.route("/grant-roles/review", methods=["GET", "POST"])
@requires(Permission.CREATE_AUTHORIZATION)
def grant_roles_review() -> Any:
    chosen, form = picked(), Form()
    if not chosen.accounts or not chosen.principals:
        return grant_roles_configurations()
    if not chosen.configurations:
        form.message = _("Select at least one permission configuration.")
        return _configurations_step(chosen, form)
    return _review_step(chosen, form)


@blueprint.post("/grant-roles/submit")
@requires(Permission.CREATE_AUTHORIZATION)
def submit_grant_roles() -> Any:
    chosen, form = picked(), Form()
    if not chosen.triples:
        return grant_roles_review()
    if not is_whole(chosen, form):
        return _review_step(chosen, form)
    batch_id = form.attempt(
        lambda: authorizations.grant(
            db(),
            actor(),
            space=space(),
            accounts=chosen.uins,
            users=chosen.user_ids,
            groups=chosen.group_ids,
            configurations=chosen.configuration_ids,
        )
    )
    if batch_id is None:
        return _review_step(chosen, form)
    return redirect(url_for("console.batch", batch_id=batch_id, wizard="grant_roles"), 303)


def _principals_step(chosen: Selection, form: Form) -> Any:
    return render_template(
        "console/grant_roles/principals.html",
        form=form,
        picked=chosen,
        accounts=carried_accounts(chosen),
        users=directory.users_page(db(), space(), search_from_form("user")),
        groups=directory.groups_page(db(), space(), search_from_form("group")),
    ), form.status


def _configurations_step(chosen: Selection, form: Form) -> Any:
    return render_template(
        "console/grant_roles/configurations.html",
        form=form,
        picked=chosen,
        accounts=carried_accounts(chosen),
        page=queries.configurations_page(db(), space(), search_from_form("configuration")),
    ), form.status


def _review_step(chosen: Selection, form: Form) -> Any:
    return render_template(
        "console/grant_roles/review.html",
        form=form,
        picked=chosen,
        accounts=carried_accounts(chosen),
        preview=preview.roles(db(), space(), chosen),
    ), form.status
