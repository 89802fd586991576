"""Remove everything first: from the dialog that refuses a deletion, and back to it when the tasks are done."""

from __future__ import annotations

from typing import Any

from flask import flash, redirect, render_template, url_for
from flask_babel import gettext as _
from flask_login import current_user

from portal.console import blueprint
from portal.console.picking import picked
from portal.console.returning import back_url
from portal.console.scope import actor, space
from portal.core.access import queries
from portal.core.access.queries.removal import Removal, Scope, removal
from portal.core.access.removal import remove_everything as remove
from portal.core.limits import allowed
from portal.web.forms import Form
from portal.web.permissions import Permission, requires
from portal.web.transactions import db


@blueprint.route("/remove-everything", methods=["GET", "POST"])
@requires(Permission.DELETE_AUTHORIZATION)
def remove_everything() -> Any:
    """Of the `user`, `group`, `configuration` and `account` named: what goes, then one batch."""
    chosen, form, back = picked(), Form(), back_url(url_for("console.overview"))
    of: dict[str, Any] = {
        "users": chosen.user_ids,
        "groups": chosen.group_ids,
        "configurations": chosen.configuration_ids,
        "accounts": chosen.uins,
    }
    found = removal(db(), Scope(space(), **of))
    if found.nothing:
        flash(_("Nothing is left to be removed."), "good")
        return redirect(back, 303)
    lacking = [right for right in rights_for(found) if not current_user.may(right)]
    if form.validate_on_submit():
        if lacking:
            form.message = _("Your policies in the admin account do not allow %(action)s.", action=lacking[0])
        else:
            batch_id = form.attempt(lambda: remove(db(), actor(), space=space(), **of))
            if batch_id is not None and queries.batch(db(), space(), batch_id).total:
                return redirect(url_for("console.batch", batch_id=batch_id, wizard="remove", back=back), 303)
            if batch_id is not None:
                flash(_("Removed. Nothing stood in accounts."), "good")
                return redirect(back, 303)
    return render_template(
        "console/removal/review.html",
        form=form,
        picked=chosen,
        removal=found,
        lacking=lacking,
        most=allowed("triples_per_batch"),
        back=back,
        here=url_for(
            "console.remove_everything",
            user=chosen.user_ids,
            group=chosen.group_ids,
            configuration=chosen.configuration_ids,
            account=chosen.uins,
            back=back,
        ),
    ), form.status


def rights_for(found: Removal) -> list[Permission]:
    """Those of the single actions."""
    needed = [
        (found.authorizations.total + found.departments.total, Permission.DELETE_AUTHORIZATION),
        (found.syncs.total + found.strays.total, Permission.DELETE_SYNC),
        (found.deployments.total, Permission.UNDEPLOY),
        (found.memberships.total, Permission.REMOVE_USER_FROM_GROUP),
        (found.policies.total, Permission.REMOVE_CONFIGURATION_POLICY),
    ]
    return [right for number, right in needed if number]
