"""Create and edit a service control policy in two steps: content, then name and description (SCP-2)."""

from __future__ import annotations

from typing import Any

from flask import flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from wtforms import StringField, TextAreaField
from wtforms.validators import DataRequired, Length

from portal.console import blueprint
from portal.console.scope import actor, organization
from portal.console.scp_editor import Editor, begin, choices, hints, press, received
from portal.core.errors import Forbidden
from portal.core.guardrails import policies, queries
from portal.core.guardrails.models import PolicyType, ServiceControlPolicy
from portal.web.forms import Form
from portal.web.permissions import Permission, requires
from portal.web.transactions import db


class NameForm(Form):
    name = StringField(_l("Policy name"), [DataRequired(_l("Enter a name.")), Length(max=128)])
    description = TextAreaField(_l("Description"), [Length(max=1024)])


@blueprint.route("/organization/policies/create", methods=["GET", "POST"])
@requires(Permission.CREATE_SCP)
def create_scp() -> Any:
    return _content_step(None)


@blueprint.post("/organization/policies/create/finish")
@requires(Permission.CREATE_SCP)
def finish_scp() -> Any:
    form = NameForm()
    values = {"name": form.name.data, "description": form.description.data or ""}
    made = (
        form.attempt(
            lambda: policies.create_policy(db(), actor(), organization=organization(), document=_document(), **values)
        )
        if form.validate_on_submit()
        else None
    )
    if made is None:
        return _name_step(None, form)
    flash(_("Service control policy %(name)s created. Bind it to have an effect.", name=made.name), "good")
    return redirect(url_for("console.scp", policy_id=made.id), 303)


@blueprint.route("/organization/policies/<policy_id>/edit", methods=["GET", "POST"])
@requires(Permission.UPDATE_SCP)
def edit_scp(policy_id: str) -> Any:
    return _content_step(_custom(policy_id))


@blueprint.post("/organization/policies/<policy_id>/edit/finish")
@requires(Permission.UPDATE_SCP)
def finish_edit_scp(policy_id: str) -> Any:
    found, form = _custom(policy_id), NameForm()
    values = {"name": form.name.data, "description": form.description.data or ""}
    done = (
        form.attempt(lambda: policies.update_policy(db(), actor(), policy=found, document=_document(), **values))
        if form.validate_on_submit()
        else None
    )
    if done is None:
        return _name_step(found, form)
    flash(_("Saved."), "good")
    return redirect(url_for("console.scp", policy_id=found.id), 303)


def _content_step(policy: ServiceControlPolicy | None) -> Any:
    """Step 1. Every button of the editor posts to it; `next` goes on when the grammar takes the content."""
    button = request.form.get("do", "refresh")
    if request.method == "GET":
        return _content_page(policy, begin(policy.document if policy else ""))
    if button == "back":
        editor = Editor(False, _document())
        if request.form.get("mode") == "visual":
            editor.open_visual()
        return _content_page(policy, editor)
    editor = received(request.form)
    if button != "next":
        press(editor, button)
        return _content_page(policy, editor)
    if not editor.check():
        return _content_page(policy, editor), 400
    return _name_step(policy, NameForm(formdata=None, data=_named(policy)), editor.document)


def _content_page(policy: ServiceControlPolicy | None, editor: Editor) -> str:
    return render_template("console/scp/content.html", policy=policy, editor=editor, named=_named(policy), **choices())


def _name_step(policy: ServiceControlPolicy | None, form: NameForm, document: str = "") -> Any:
    """Step 2."""
    document = document or _document()
    return render_template(
        "console/scp/name.html",
        policy=policy,
        form=form,
        document=document,
        hints=hints(document),
        bound=queries.nodes_bound(db(), policy) if policy else 0,
    ), form.status


def _named(policy: ServiceControlPolicy | None) -> dict[str, str]:
    """Name and description as typed at step 2 before, else those of the policy."""
    if policy and "name" not in request.form:
        return {"name": policy.name, "description": policy.description}
    return {name: request.form.get(name, "") for name in ("name", "description")}


def _document() -> str:
    return request.form.get("document", "").replace("\r\n", "\n")


def _custom(policy_id: str) -> ServiceControlPolicy:
    found = policies.get_policy(db(), organization(), policy_id)
    if found.type == PolicyType.SYSTEM:
        raise Forbidden(_("%(name)s is a system policy and cannot be changed.", name=found.name))
    return found
