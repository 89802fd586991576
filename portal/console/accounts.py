"""Multi-account authorization (IC-12) and the page of one account with its three tabs (IC-13)."""

from __future__ import annotations

from typing import Any

from flask import redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_login import current_user

from portal.console import blueprint
from portal.console.scope import actor, organization, space
from portal.core.access import authorizations, departments, queries
from portal.core.access.selection import held_by
from portal.core.drift import queries as drift
from portal.core.errors import Forbidden
from portal.core.organization import queries as members
from portal.core.organization.queries import MemberRow
from portal.web.forms import Form, many
from portal.web.listing import search_from_url
from portal.web.permissions import Permission, requires
from portal.web.transactions import db

TABS = ("authorizations", "deployments", "syncs")


@blueprint.get("/accounts")
@requires(Permission.LIST_AUTHORIZATIONS)
def accounts() -> str:
    """`configuration`, `user` and `group` in the URL are handed on to the wizards, where they are selected already."""
    root = members.tree(db(), organization())
    nodes = {node.id: node for node in members.flat(root)}
    node = nodes.get(request.args.get("department", root.id, type=int), root)
    page = members.members_page(db(), organization(), search_from_url(), node.id, with_below=True)
    return render_template(
        "console/accounts/list.html",
        root=root,
        node=node,
        open={one.id for one in members.path(db(), organization(), node.id)},
        page=page,
        everything="all" in request.args,
    )


@blueprint.get("/accounts/<int(max=999999999999999999):uin>")
@requires(Permission.LIST_AUTHORIZATIONS)
def account(uin: int) -> str:
    member = members.member(db(), organization(), uin)
    tab = request.args.get("tab") if request.args.get("tab") in TABS else TABS[0]
    missing = queries.missing(db(), [uin]) if tab == "authorizations" else []
    found = drift.account_row(db(), space(), uin) if current_user.may(Permission.LIST_DRIFT) else None
    return render_template(
        "console/accounts/details.html",
        account=member,
        tab=tab,
        missing=missing,
        drift=found,
        **_tab(member, tab),
    )


@blueprint.post("/accounts/<int(max=999999999999999999):uin>/permissions/repair")
@requires(Permission.CREATE_AUTHORIZATION)
def repair_account(uin: int) -> Any:
    """Grant what departments grant and is missing in the account."""
    member, back = members.member(db(), organization(), uin), url_for("console.account", uin=uin)
    batch_id = departments.repair(db(), actor(), space=space(), account_uin=member.uin)
    return redirect(url_for("console.batch", batch_id=batch_id, wizard="grant_roles", back=back), 303)


def _tab(member: MemberRow, tab: str | None) -> dict[str, Any]:
    search = search_from_url("status")
    if tab == "deployments":
        outdated = queries.count_outdated(db(), space(), account_uin=member.uin)
        return {"page": queries.deployments_of_account(db(), space(), member.uin, search), "outdated": outdated}
    if tab == "syncs":
        return {"page": queries.syncs_of_account(db(), space(), member.uin, search)}
    return {"page": queries.authorizations_of_account(db(), space(), member.uin, search)}


@blueprint.route(
    "/accounts/<int(max=999999999999999999):uin>/permissions/<principal_id>/remove", methods=["GET", "POST"]
)
@requires(Permission.DELETE_AUTHORIZATION)
def remove_permissions(uin: int, principal_id: str) -> Any:
    """Which of its permission configurations a user or group loses in this account."""
    member = members.member(db(), organization(), uin)
    held = held_by(db(), space(), account_uin=uin, principal_id=principal_id)
    form, back = Form(), url_for("console.account", uin=uin)
    undeploy_last = "undeploy_last" in request.form
    if undeploy_last and not current_user.may(Permission.UNDEPLOY):
        message = _("Your policies in the admin account do not allow %(action)s.", action=Permission.UNDEPLOY)
        raise Forbidden(message, decision=current_user.decide(Permission.UNDEPLOY))
    chosen = [one.id for one in held if str(one.id) in many("authorization")]
    if form.validate_on_submit():
        if not chosen:
            form.message = _("Select at least one permission configuration.")
        else:
            batch_id = form.attempt(
                lambda: authorizations.revoke(
                    db(),
                    actor(),
                    space=space(),
                    authorizations=chosen,
                    undeploy_last=undeploy_last,
                )
            )
            if batch_id is not None:
                return redirect(url_for("console.batch", batch_id=batch_id, wizard="revoke", back=back), 303)
    return render_template(
        "console/accounts/remove.html", form=form, account=member, held=held, chosen=chosen, back=back
    ), form.status
