"""Deploy permission configurations without assigning anyone (IC-9): what and where, review; one task per pair.

A configuration's page opens it at deploy_accounts, an account's page at deploy_configurations; both lead on to
deploy_review -> submit -> the batch's progress.
"""

from __future__ import annotations

from typing import Any

from flask import redirect, render_template, request, url_for
from flask_babel import gettext as _

from portal.console import blueprint
from portal.console.organization import department_choices
from portal.console.picking import carried_accounts, is_whole, numbers, picked, search_from_form
from portal.console.returning import back_url
from portal.console.scope import actor, organization, space
from portal.core.access import deployments, preview, queries
from portal.core.access.selection import Selection
from portal.core.organization import queries as members
from portal.web.forms import Form
from portal.web.permissions import Permission, requires
from portal.web.transactions import db


@blueprint.route("/deploy/accounts", methods=["GET", "POST"])
@requires(Permission.DEPLOY)
def deploy_accounts() -> Any:
    return _accounts_step(picked(), Form())


@blueprint.route("/deploy/configurations", methods=["GET", "POST"])
@requires(Permission.DEPLOY)
def deploy_configurations() -> Any:
    return _configurations_step(picked(), Form())


@blueprint.route("/deploy/review", methods=["GET", "POST"])
@requires(Permission.DEPLOY)
def deploy_review() -> Any:
    chosen, form = picked(), Form()
    if not chosen.accounts:
        form.message = _("Select at least one account.")
        return _accounts_step(chosen, form)
    if not chosen.configurations:
        form.message = _("Select at least one permission configuration.") if "configurations" in request.form else ""
        return _configurations_step(chosen, form)
    return _review_step(chosen, form)


@blueprint.post("/deploy/submit")
@requires(Permission.DEPLOY)
def submit_deploy() -> Any:
    chosen, form = picked(), Form()
    if not chosen.accounts or not chosen.configurations:
        return deploy_review()
    if not is_whole(chosen, form):
        return _review_step(chosen, form)
    ids, uins = chosen.configuration_ids, chosen.uins
    batch_id = form.attempt(lambda: deployments.deploy(db(), actor(), space=space(), configurations=ids, accounts=uins))
    if batch_id is None:
        return _review_step(chosen, form)
    return redirect(url_for("console.batch", batch_id=batch_id, wizard="deploy", back=_back()), 303)


def _accounts_step(chosen: Selection, form: Form) -> Any:
    """The accounts of all departments, or of one and those below it."""
    department = [*numbers("department"), 0][0]
    search = search_from_form("account")
    return render_template(
        "console/deployments/deploy_accounts.html",
        form=form,
        picked=chosen,
        chosen=[] if "all" in request.values else chosen.accounts,
        page=members.members_page(db(), organization(), search, department or None, with_below=True),
        departments=department_choices(),
        department=str(department),
        back=_back(),
    ), form.status


def _configurations_step(chosen: Selection, form: Form) -> Any:
    return render_template(
        "console/deployments/deploy_configurations.html",
        form=form,
        picked=chosen,
        accounts=carried_accounts(chosen),
        page=queries.configurations_page(db(), space(), search_from_form("configuration")),
        back=_back(),
    ), form.status


def _review_step(chosen: Selection, form: Form) -> Any:
    return render_template(
        "console/deployments/deploy_review.html",
        form=form,
        picked=chosen,
        accounts=carried_accounts(chosen),
        preview=preview.deployments(db(), space(), chosen),
        back=_back(),
    ), form.status


def _back() -> str:
    return back_url(url_for("console.configurations"))
