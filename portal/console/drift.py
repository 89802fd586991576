"""Drift: what stands in the accounts and should not, or should and does not; check, repair, let it be repaired."""

from __future__ import annotations

from typing import Any

from flask import current_app, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import ngettext

from portal.console import blueprint
from portal.console.picking import numbers
from portal.console.returning import back_url
from portal.console.scope import actor, space
from portal.core.drift import queries, repairs
from portal.web.listing import search_from_url
from portal.web.permissions import Permission, requires
from portal.web.transactions import db


@blueprint.get("/drift")
@requires(Permission.LIST_DRIFT)
def drift() -> str:
    return render_template(
        "console/drift/list.html",
        space=space(),
        totals=queries.totals(db(), space()),
        page=queries.accounts_page(db(), space(), search_from_url("state", "kind")),
        hours=current_app.extensions["settings"].drift_check_hours,
    )


@blueprint.get("/drift/<int(max=999999999999999999):uin>")
@requires(Permission.LIST_DRIFT)
def account_drift(uin: int) -> str:
    """`X-Fragment` asks only for the part that changes while the account is checked or repaired."""
    template = "console/drift/_account.html" if "X-Fragment" in request.headers else "console/drift/account.html"
    return render_template(
        template,
        row=queries.account_row(db(), space(), uin),
        page=queries.differences_page(db(), space(), uin, search_from_url("kind")),
        repair=queries.last_repair(db(), space(), uin),
    )


@blueprint.post("/drift/repair")
@requires(Permission.REPAIR_DRIFT)
def repair_drift() -> Any:
    """The chosen accounts, or `all` that differ."""
    back = back_url(url_for("console.drift"))
    chosen = queries.differing(db(), space()) if "all" in request.form else _chosen()
    if not chosen:
        return _nothing(_("Nothing differs any more.") if "all" in request.form else _("Select at least one account."))
    batch_id = repairs.repair(db(), actor(), space=space(), accounts=chosen)
    return redirect(url_for("console.batch", batch_id=batch_id, back=back), 303)


@blueprint.post("/drift/check")
@requires(Permission.CHECK_DRIFT)
def check_drift() -> Any:
    """The chosen accounts, or `all`."""
    chosen = queries.all_accounts(db(), space()) if "all" in request.form else _chosen()
    if not chosen:
        return _nothing(_("Select at least one account."))
    count = repairs.check_now(db(), actor(), space=space(), accounts=chosen)
    flash(ngettext("%(num)s account is checked now.", "%(num)s accounts are checked now.", count), "good")
    return redirect(back_url(url_for("console.drift")), 303)


@blueprint.post("/drift/automatic")
@requires(Permission.UPDATE_DRIFT)
def switch_drift_repairs() -> Any:
    enabled = request.form.get("enabled") == "yes"
    repairs.set_repairs(db(), actor(), space=space(), enabled=enabled)
    on = _("Differences are repaired by themselves: those known now after the next check of their account.")
    flash(on if enabled else _("Differences are only shown."), "good")
    return redirect(url_for("console.drift"), 303)


def _chosen() -> list[int]:
    return numbers("account", most=10**18 - 1)


def _nothing(text: str) -> Any:
    flash(text, "warn")
    return redirect(back_url(url_for("console.drift")), 303)
