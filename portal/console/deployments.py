"""The wizards that redeploy (IC-10) and undeploy (IC-11), opened from a configuration's or an account's page."""

from __future__ import annotations

from typing import Any

from flask import flash, redirect, render_template, request, url_for
from flask_babel import gettext as _

from portal.console import blueprint
from portal.console.picking import numbers
from portal.console.returning import back_url
from portal.console.scope import actor, space
from portal.core import limits
from portal.core.access import deployments, queries
from portal.core.access.rows import DeploymentRow
from portal.core.errors import NotFound
from portal.web.forms import Form
from portal.web.listing import search_from_url
from portal.web.permissions import Permission, requires
from portal.web.transactions import db


@blueprint.route("/deployments/redeploy", methods=["GET", "POST"])
@requires(Permission.DEPLOY)
def redeploy() -> Any:
    """Step 1 confirms, the POST starts step 2: the progress of the batch."""
    form, back = Form(), back_url(url_for("console.configurations"))
    rows = queries.deployment_rows(db(), space(), numbers("deployment"))
    if not rows:
        flash(_("Select at least one deployment first."), "warn")
        return redirect(back, 303)
    if form.validate_on_submit():
        ids = [row.id for row in rows]
        batch_id = form.attempt(lambda: deployments.redeploy(db(), actor(), space=space(), deployments=ids))
        if batch_id is not None:
            return redirect(url_for("console.batch", batch_id=batch_id, wizard="redeploy", back=back), 303)
    return render_template("console/deployments/redeploy.html", form=form, rows=rows, back=back), form.status


@blueprint.route("/deployments/redeploy-outdated", methods=["GET", "POST"])
@requires(Permission.DEPLOY)
def redeploy_outdated() -> Any:
    """The same for all that require it: everywhere, or of one `configuration` or in one `account`."""
    form, back = Form(), back_url(url_for("console.configurations"))
    wanted: dict[str, Any] = {
        "configuration_id": request.values.get("configuration", ""),
        "account_uin": next(iter(numbers("account", most=10**18 - 1)), None),
    }
    total = queries.count_outdated(db(), space(), **wanted)
    if not total:
        flash(_("Nothing requires redeployment (any more)."), "good")
        return redirect(back, 303)
    if form.validate_on_submit():
        batch_id = form.attempt(lambda: deployments.redeploy_outdated(db(), actor(), space=space(), **wanted))
        if batch_id is not None:
            return redirect(url_for("console.batch", batch_id=batch_id, wizard="redeploy", back=back), 303)
    refusal = limits.refusal("triples_per_batch", total, what="deployments in one batch")
    page = queries.outdated_deployments(db(), space(), search_from_url(), **wanted)
    return render_template(
        "console/deployments/redeploy_outdated.html", form=form, page=page, refusal=refusal, back=back, **wanted
    ), form.status


@blueprint.route("/deployments/<int(max=2147483647):deployment_id>/undeploy", methods=["GET", "POST"])
@requires(Permission.UNDEPLOY)
def undeploy(deployment_id: int) -> Any:
    """Step 1 lists who loses access, step 2 says what is taken out of the account; its POST starts step 3."""
    row = _row(deployment_id)
    form, back = Form(), back_url(url_for("console.account", uin=row.account_uin, tab="deployments"))
    found = deployments.get_deployment(db(), space(), deployment_id)
    if form.validate_on_submit():
        batch_id = form.attempt(lambda: deployments.undeploy(db(), actor(), space=space(), deployment=found))
        if batch_id is not None:
            return redirect(url_for("console.batch", batch_id=batch_id, wizard="undeploy", back=back), 303)
    page = queries.authorizations_of_deployment(db(), space(), found, search_from_url())
    places = queries.granting_departments(db(), row.account_uin, configuration_id=row.configuration_id)
    step = 2 if request.values.get("step") == "2" and not places else 1
    return render_template(
        "console/deployments/undeploy.html", form=form, row=row, page=page, step=step, back=back, places=places
    ), form.status


def _row(deployment_id: int) -> DeploymentRow:
    rows = queries.deployment_rows(db(), space(), [deployment_id])
    if not rows:
        raise NotFound(_("There is no such deployment."))
    return rows[0]
