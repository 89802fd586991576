"""User synchronizations (IC-14): list, details, edit, delete; failed events and their retry with another policy."""

from __future__ import annotations

from typing import Any

from flask import flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from wtforms import RadioField, TextAreaField
from wtforms.validators import Length

from portal.console import blueprint
from portal.console.grant_users import CONFLICT_CHOICES, DELETION_CHOICES
from portal.console.returning import back_url
from portal.console.scope import actor, space
from portal.core.access import queries, sync_events, syncs
from portal.core.access.models import DeletionStrategy
from portal.core.access.queries.sync_events import MAKING
from portal.core.access.rows import SyncRow
from portal.core.errors import NotFound
from portal.web.forms import Form
from portal.web.listing import search_from_url
from portal.web.permissions import Permission, requires
from portal.web.transactions import db


class EditSync(Form):
    description = TextAreaField(_l("Description"), [Length(max=1024)])
    deletion_strategy = RadioField(_l("Delete policy"), choices=DELETION_CHOICES)


class RetryEvent(Form):
    policy = RadioField()


@blueprint.get("/syncs", endpoint="syncs")
@requires(Permission.LIST_SYNCS)
def syncs_page() -> str:
    """`tab=events` are the failed ones of all, those of synchronizations that are gone included."""
    failed = queries.count_failed_events(db(), space())
    if request.args.get("tab") == "events":
        page: Any = queries.failed_events(db(), space(), search_from_url())
        return render_template("console/syncs/events.html", page=page, failed=failed)
    page = queries.syncs_page(db(), space(), search_from_url("status", "events"))
    return render_template("console/syncs/list.html", page=page, failed=failed)


@blueprint.get("/syncs/<sync_id>")
@requires(Permission.LIST_SYNCS)
def sync(sync_id: str) -> str:
    found = syncs.get_sync(db(), space(), sync_id)
    page = queries.users_of_sync(db(), space(), found, search_from_url())
    events = queries.failed_events(db(), space(), search_from_url(prefix="event_"), sync_id)
    return render_template("console/syncs/details.html", row=_row(sync_id), page=page, events=events)


@blueprint.route("/syncs/events/<task_id>/retry", methods=["GET", "POST"])
@requires(Permission.UPDATE_SYNC)
def retry_sync_event(task_id: str) -> Any:
    """Whoever runs it again says with which policy: the conflict policy or the delete policy, as the event needs."""
    found = sync_events.get_event(db(), space(), task_id)
    makes = found.type in MAKING
    form = RetryEvent(data={"policy": str(sync_events.policy_of(db(), found))})
    form.policy.choices = CONFLICT_CHOICES if makes else DELETION_CHOICES
    form.policy.label.text = _("Conflict policy") if makes else _("Delete policy")
    back = back_url(url_for("console.syncs", tab="events"))
    if form.validate_on_submit():
        policy = form.policy.data
        if form.attempt(lambda: sync_events.retry_event(db(), actor(), space=space(), task=found, policy=policy)):
            return redirect(url_for("console.batch", batch_id=found.batch_id, back=back), 303)
    return render_template("console/syncs/retry.html", form=form, event=found, back=back), form.status


@blueprint.route("/syncs/<sync_id>/edit", methods=["GET", "POST"])
@requires(Permission.UPDATE_SYNC)
def edit_sync(sync_id: str) -> Any:
    found = syncs.get_sync(db(), space(), sync_id)
    form = EditSync(data={"description": found.description, "deletion_strategy": str(found.deletion_strategy)})
    if form.validate_on_submit():
        description, deletion = form.description.data or "", DeletionStrategy(form.deletion_strategy.data)
        changed = form.attempt(
            lambda: [syncs.update_sync(db(), actor(), sync=found, description=description, deletion_strategy=deletion)]
        )
        if changed:
            flash(_("Saved."), "good")
            return redirect(url_for("console.sync", sync_id=found.id), 303)
    return render_template("console/syncs/edit.html", form=form, row=_row(sync_id)), form.status


@blueprint.route("/syncs/<sync_id>/delete", methods=["GET", "POST"])
@requires(Permission.DELETE_SYNC)
def delete_sync(sync_id: str) -> Any:
    found = syncs.get_sync(db(), space(), sync_id)
    form, back = Form(), back_url(url_for("console.syncs"))
    row = _row(sync_id)
    if form.validate_on_submit():
        batch_id = form.attempt(lambda: syncs.delete_sync(db(), actor(), sync=found))
        if batch_id is not None:
            return redirect(url_for("console.batch", batch_id=batch_id, back=back), 303)
    return render_template("console/syncs/delete.html", form=form, row=row, back=back), form.status


def _row(sync_id: str) -> SyncRow:
    row = queries.sync_row(db(), space(), sync_id)
    if row is None:
        raise NotFound(_("There is no such user synchronization."))
    return row
