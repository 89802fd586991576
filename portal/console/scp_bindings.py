"""Where a service control policy is bound: the list, bind and unbind (SCP-3)."""

from __future__ import annotations

from typing import Any

from flask import flash, redirect, render_template, request, url_for
from flask_babel import ngettext

from portal.console import blueprint
from portal.console.picking import numbers, search_from_form
from portal.console.returning import back_url
from portal.console.scope import actor, organization
from portal.core.access.selection import Named
from portal.core.guardrails import bindings, policies, queries
from portal.core.guardrails.levels import Node
from portal.core.organization import queries as tree
from portal.web.forms import Form
from portal.web.listing import search_from_url
from portal.web.permissions import Permission, requires
from portal.web.transactions import db


@blueprint.get("/organization/policies/<policy_id>/bindings")
@requires(Permission.LIST_SCP_TARGETS)
def scp_bindings(policy_id: str) -> str:
    found = policies.get_policy(db(), organization(), policy_id)
    return render_template(
        "console/scp/bindings.html",
        policy=found,
        bound=queries.nodes_bound(db(), found),
        page=queries.bindings_page(db(), found, search_from_url("kind")),
        enabled=organization().scp_enabled,
    )


@blueprint.route("/organization/policies/<policy_id>/bind", methods=["GET", "POST"])
@requires(Permission.BIND_SCP)
def bind_scp(policy_id: str) -> Any:
    found, form = policies.get_policy(db(), organization(), policy_id), Form()
    if "bind" in request.form and form.validate_on_submit():
        done = form.attempt(lambda: bindings.bind(db(), actor(), organization=organization(), policy=found, **_nodes()))
        if done is not None:
            flash(ngettext("Bound to %(num)s more node.", "Bound to %(num)s more nodes.", len(done)), "good")
            return redirect(url_for("console.scp_bindings", policy_id=found.id), 303)
    page = tree.members_page(db(), organization(), search_from_form("account"))
    return render_template(
        "console/scp/bind.html",
        form=form,
        policy=found,
        root=tree.tree(db(), organization()),
        departments=_nodes()["departments"],
        page=page,
        members=[Named(str(row.uin), row.name) for row in tree.members_of(db(), organization(), _nodes()["accounts"])],
        bound=queries.bound_to(db(), found, [row.uin for row in page.rows]),
        enabled=organization().scp_enabled,
    ), form.status


@blueprint.route("/organization/policies/<policy_id>/unbind", methods=["GET", "POST"])
@requires(Permission.UNBIND_SCP)
def unbind_scp(policy_id: str) -> Any:
    found, form = policies.get_policy(db(), organization(), policy_id), Form()
    chosen = _nodes()
    nodes: list[Node] = [("department", number) for number in chosen["departments"]]
    nodes += [("account", number) for number in chosen["accounts"]]
    rows = queries.bindings_of(db(), found, nodes)
    back = back_url(url_for("console.scp_bindings", policy_id=found.id))
    if form.validate_on_submit() and form.attempt(
        lambda: bindings.unbind(db(), actor(), organization=organization(), policy=found, **chosen)
    ):
        done = ("%(name)s unbound from %(num)s node.", "%(name)s unbound from %(num)s nodes.")
        flash(ngettext(*done, len(rows), name=found.name), "good")
        return redirect(back, 303)
    return render_template("console/scp/unbind.html", form=form, policy=found, rows=rows, back=back), form.status


def _nodes() -> dict[str, list[int]]:
    """The departments and accounts that this request names."""
    return {"departments": numbers("department"), "accounts": numbers("account", most=10**18 - 1)}
