"""Service control policies (SCP-1, SCP-2): the feature on and off, the policies, one policy, its end."""

from __future__ import annotations

import json
from typing import Any

from flask import flash, redirect, render_template, url_for
from flask_babel import gettext as _
from flask_babel import ngettext

from portal.console import blueprint
from portal.console.scope import actor, organization
from portal.core.guardrails import policies, queries
from portal.core.text import storable
from portal.web.forms import Form
from portal.web.listing import search_from_url
from portal.web.permissions import Permission, requires
from portal.web.transactions import db


@blueprint.get("/organization/policies")
@requires(Permission.LIST_SCP)
def scp_list() -> str:
    return render_template(
        "console/scp/list.html",
        organization=organization(),
        counts=queries.counts(db(), organization()),
        page=queries.policies_page(db(), organization(), search_from_url("type")),
    )


@blueprint.route("/organization/policies/enable", methods=["GET", "POST"])
@requires(Permission.ENABLE_SCP)
def enable_scp() -> Any:
    form = Form()
    if form.validate_on_submit():
        bound = form.attempt(lambda: policies.enable(db(), actor(), organization=organization()))
        if bound is not None:
            flash(
                ngettext(
                    "Service control policies are on: FullQcloudAccess is bound to %(num)s node.",
                    "Service control policies are on: FullQcloudAccess is bound to %(num)s nodes.",
                    bound,
                ),
                "good",
            )
            return redirect(url_for("console.scp_list"), 303)
    counts = queries.counts(db(), organization())
    return render_template("console/scp/enable.html", form=form, counts=counts), form.status


@blueprint.route("/organization/policies/disable", methods=["GET", "POST"])
@requires(Permission.DISABLE_SCP)
def disable_scp() -> Any:
    form = Form()
    if form.validate_on_submit():
        dropped = form.attempt(lambda: policies.disable(db(), actor(), organization=organization()))
        if dropped is not None:
            flash(
                ngettext(
                    "Service control policies are off: %(num)s binding removed.",
                    "Service control policies are off: %(num)s bindings removed.",
                    dropped,
                ),
                "good",
            )
            return redirect(url_for("console.scp_list"), 303)
    counts = queries.counts(db(), organization())
    return render_template("console/scp/disable.html", form=form, counts=counts), form.status


@blueprint.get("/organization/policies/<policy_id>")
@requires(Permission.GET_SCP)
def scp(policy_id: str) -> str:
    found = policies.get_policy(db(), organization(), policy_id)
    return render_template("console/scp/basic.html", policy=found, bound=queries.nodes_bound(db(), found))


@blueprint.get("/organization/policies/<policy_id>/syntax")
@requires(Permission.GET_SCP)
def scp_syntax(policy_id: str) -> str:
    found = policies.get_policy(db(), organization(), policy_id)
    document = json.dumps(json.loads(found.document), indent=2, ensure_ascii=False)
    bound = queries.nodes_bound(db(), found)
    return render_template("console/scp/syntax.html", policy=found, bound=bound, document=storable(document))


@blueprint.route("/organization/policies/<policy_id>/delete", methods=["GET", "POST"])
@requires(Permission.DELETE_SCP)
def delete_scp(policy_id: str) -> Any:
    found = policies.get_policy(db(), organization(), policy_id)
    if Form().validate_on_submit():
        policies.delete_policy(db(), actor(), policy=found)
        flash(_("Service control policy %(name)s deleted.", name=found.name), "good")
        return redirect(url_for("console.scp_list"), 303)
    return render_template("console/scp/delete.html", policy=found, bound=queries.nodes_bound(db(), found))
