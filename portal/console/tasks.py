"""Tasks (IC-15): the list, the live progress of what one action started, retry and cancel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from flask import flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import ngettext

from portal.console import blueprint
from portal.console.returning import back_url
from portal.console.scope import actor, space
from portal.core import clock
from portal.core.access import canceling, queries, tasks
from portal.core.access.models import CANCELABLE
from portal.core.errors import NotFound
from portal.web.listing import search_from_url
from portal.web.permissions import Permission, requires
from portal.web.transactions import db

WIZARDS = ("grant_roles", "grant_users", "deploy", "redeploy", "undeploy", "revoke", "remove")


@blueprint.get("/tasks", endpoint="tasks")
@requires(Permission.LIST_TASKS)
def tasks_page() -> str:
    page = queries.tasks_page(db(), space(), search_from_url("status", "type", "account", "principal"))
    return render_template("console/tasks/list.html", page=page, now=clock.now(), CANCELABLE=CANCELABLE)


@blueprint.get("/tasks/batches/<batch_id>")
@requires(Permission.LIST_TASKS)
def batch(batch_id: str) -> str:
    """The last step of the wizard that started it; `X-Fragment` asks only for the part that changes."""
    progress = queries.batch(db(), space(), batch_id)
    if not progress.total:
        raise NotFound(_("There is no such task."))
    asked = search_from_url("status")
    filters = {**(asked.filters or {}), "batch": batch_id}
    page = queries.tasks_page(db(), space(), replace(asked, sort=asked.sort or "number", filters=filters))
    wizard = request.args.get("wizard", "")
    template = "console/tasks/_progress.html" if "X-Fragment" in request.headers else "console/tasks/batch.html"
    return render_template(
        template,
        batch=progress,
        page=page,
        now=progress.now,
        CANCELABLE=CANCELABLE,
        wizard=wizard if wizard in WIZARDS else "",
        back=back_url(url_for("console.accounts") if wizard else url_for("console.tasks")),
    )


@blueprint.post("/tasks/batches/<batch_id>/retry")
@requires(Permission.RETRY_TASK)
def retry_batch(batch_id: str) -> Any:
    count, refused = tasks.retry_batch(db(), actor(), space=space(), batch_id=batch_id)
    if count:
        flash(ngettext("%(num)s task runs again.", "%(num)s tasks run again.", count), "good")
    _tell(refused, _("cannot run again"))
    return redirect(back_url(url_for("console.batch", batch_id=batch_id)), 303)


@blueprint.post("/tasks/batches/<batch_id>/cancel")
@requires(Permission.CANCEL_TASK)
def cancel_batch(batch_id: str) -> Any:
    outcome = canceling.cancel_batch(db(), actor(), space=space(), batch_id=batch_id)
    if outcome.done:
        flash(ngettext("%(num)s task is canceled.", "%(num)s tasks are canceled.", outcome.done), "good")
    _tell(outcome.refused, _("was not canceled"))
    return redirect(back_url(url_for("console.batch", batch_id=batch_id)), 303)


@blueprint.post("/tasks/<task_id>/cancel")
@requires(Permission.CANCEL_TASK)
def cancel_task(task_id: str) -> Any:
    found = tasks.get_task(db(), space(), task_id)
    canceling.cancel(db(), actor(), space=space(), task=found)
    flash(_("The task is canceled."), "good")
    return redirect(back_url(url_for("console.batch", batch_id=found.batch_id)), 303)


@blueprint.post("/tasks/<task_id>/retry")
@requires(Permission.RETRY_TASK)
def retry_task(task_id: str) -> Any:
    found = tasks.get_task(db(), space(), task_id)
    tasks.retry(db(), actor(), space=space(), task=found)
    flash(_("The task runs again."), "good")
    return redirect(back_url(url_for("console.batch", batch_id=found.batch_id)), 303)


def _tell(refused: Sequence[tuple[int, str]], what: str) -> None:
    """Number and reason of the first few."""
    for number, reason in refused[:5]:
        flash(_("Task %(number)s %(what)s: %(reason)s", number=number, what=what, reason=reason), "warn")
    if len(refused) > 5:
        flash(_("And %(count)s more.", count=len(refused) - 5), "warn")
