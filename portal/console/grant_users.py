"""Configure CAM user synchronization (IC-14): users and groups, basic information, review; one task per pair.

/console/accounts -> grant_users -> grant_users_basics -> grant_users_review -> submit -> the batch's progress
"""

from __future__ import annotations

from typing import Any

from flask import flash, redirect, render_template, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from wtforms import RadioField, SelectChoice, TextAreaField
from wtforms.validators import Length

from portal.console import blueprint
from portal.console.picking import carried_accounts, is_whole, picked, search_from_form
from portal.console.scope import actor, space
from portal.core.access import preview_users, syncs
from portal.core.access.models import DeletionStrategy, DuplicationStrategy
from portal.core.access.selection import Selection
from portal.core.directory import queries as directory
from portal.web.forms import Form
from portal.web.permissions import Permission, requires
from portal.web.transactions import db

DELETION_CHOICES = [
    SelectChoice(DeletionStrategy.KEEP.value, _l("Save: the CAM users stay when the synchronization is deleted")),
    SelectChoice(
        DeletionStrategy.DELETE.value, _l("Delete: the CAM users are deleted together with the synchronization")
    ),
]
CONFLICT_CHOICES = [
    SelectChoice(DuplicationStrategy.KEEP_BOTH.value, _l("Save both: the new CAM user gets the suffix _cic")),
    SelectChoice(
        DuplicationStrategy.TAKE_OVER.value,
        _l("Replace: the existing CAM user is taken over and becomes the synchronized one"),
    ),
]


class SyncBasics(Form):
    description = TextAreaField(_l("Description"), [Length(max=1024)])
    duplication_strategy = RadioField(
        _l("Conflict policy"), choices=CONFLICT_CHOICES, default=DuplicationStrategy.KEEP_BOTH.value
    )
    deletion_strategy = RadioField(_l("Delete policy"), choices=DELETION_CHOICES, default=DeletionStrategy.KEEP.value)


@blueprint.route("/grant-users", methods=["GET", "POST"])
@requires(Permission.CREATE_SYNC)
def grant_users() -> Any:
    chosen = picked()
    if not chosen.accounts:
        flash(_("Select at least one account first."), "warn")
        return redirect(url_for("console.accounts"), 303)
    return _principals_step(chosen, SyncBasics())


@blueprint.route("/grant-users/basics", methods=["GET", "POST"])
@requires(Permission.CREATE_SYNC)
def grant_users_basics() -> Any:
    chosen, form = picked(), SyncBasics()
    if not chosen.accounts:
        return grant_users()
    if not chosen.principals:
        form.message = _("Select at least one user or user group.")
        return _principals_step(chosen, form)
    return _step("basics", chosen, form)


@blueprint.post("/grant-users/review")
@requires(Permission.CREATE_SYNC)
def grant_users_review() -> Any:
    chosen, form = picked(), SyncBasics()
    if not chosen.pairs:
        return grant_users_basics()
    if not form.validate_on_submit():
        return _step("basics", chosen, form)
    return _review_step(chosen, form)


@blueprint.post("/grant-users/submit")
@requires(Permission.CREATE_SYNC)
def submit_grant_users() -> Any:
    chosen, form = picked(), SyncBasics()
    if not chosen.pairs or not form.validate_on_submit():
        return grant_users_review()
    if not is_whole(chosen, form):
        return _review_step(chosen, form)
    batch_id = form.attempt(
        lambda: syncs.synchronize(
            db(),
            actor(),
            space=space(),
            accounts=chosen.uins,
            users=chosen.user_ids,
            groups=chosen.group_ids,
            description=form.description.data or "",
            duplication_strategy=DuplicationStrategy(form.duplication_strategy.data),
            deletion_strategy=DeletionStrategy(form.deletion_strategy.data),
        )
    )
    if batch_id is None:
        return _review_step(chosen, form)
    return redirect(url_for("console.batch", batch_id=batch_id, wizard="grant_users"), 303)


def _principals_step(chosen: Selection, form: Form) -> Any:
    users = directory.users_page(db(), space(), search_from_form("user"))
    groups = directory.groups_page(db(), space(), search_from_form("group"))
    return _step("principals", chosen, form, users=users, groups=groups)


def _review_step(chosen: Selection, form: Form) -> Any:
    strategy = form["duplication_strategy"].data
    return _step("review", chosen, form, preview=preview_users.synchronizations(db(), space(), chosen, strategy))


def _step(name: str, chosen: Selection, form: Form, **rows: Any) -> Any:
    return render_template(
        f"console/grant_users/{name}.html", form=form, picked=chosen, accounts=carried_accounts(chosen), **rows
    ), form.status
