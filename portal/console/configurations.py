"""Permission configurations (IC-8): list, create in two steps, details with preset policies and deployments, delete."""

from __future__ import annotations

from typing import Any

from flask import flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_babel import ngettext
from wtforms import SelectChoice, SelectField, StringField, TextAreaField
from wtforms.validators import DataRequired, Length

from portal.console import blueprint
from portal.console.scope import actor, space
from portal.core.access import configurations, queries
from portal.core.access.models import Configuration
from portal.core.access.queries.removal import Scope, removal
from portal.core.cam import presets
from portal.core.paging import Search
from portal.web.forms import Form, many
from portal.web.listing import search_from_url
from portal.web.permissions import Permission, requires
from portal.web.templating import duration
from portal.web.transactions import db

TABS = ("policies", "deployments")
DURATIONS = (900, 1800, 3600, 5400, 7200, 10800, 14400, 21600, 28800, 36000, 43200)


class EditConfiguration(Form):
    description = TextAreaField(_l("Description"), [Length(max=1024)])
    session_duration = SelectField(_l("Session duration"), coerce=int, default=3600)
    relay_state = StringField(_l("Relay state"), [Length(max=512)])

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        current = kwargs["obj"].session_duration if kwargs.get("obj") else 3600
        lengths = sorted({*DURATIONS, current})
        self.session_duration.choices = [SelectChoice(one, duration(one).striptags()) for one in lengths]


class CreateConfiguration(EditConfiguration):
    name = StringField(_l("Permission configuration name"), [DataRequired(_l("Enter a name.")), Length(max=112)])


@blueprint.get("/configurations", endpoint="configurations")
@requires(Permission.LIST_CONFIGURATIONS)
def configurations_page() -> str:
    page = queries.configurations_page(db(), space(), search_from_url())
    return render_template("console/configurations/list.html", page=page)


@blueprint.route("/configurations/create", methods=["GET", "POST"])
@requires(Permission.CREATE_CONFIGURATION)
def create_configuration() -> Any:
    """Step 1. A POST comes back from step 2 with everything typed and chosen."""
    return render_template("console/configurations/create.html", form=CreateConfiguration(), chosen=many("policy"))


@blueprint.post("/configurations/create/policies")
@requires(Permission.CREATE_CONFIGURATION)
def choose_policies() -> Any:
    """Step 2, when step 1 would be accepted."""
    form = CreateConfiguration()
    if not form.validate_on_submit() or not _acceptable(form):
        return render_template("console/configurations/create.html", form=form, chosen=many("policy")), 400
    return _policies_step(form)


@blueprint.post("/configurations/create/finish")
@requires(Permission.CREATE_CONFIGURATION)
def finish_configuration() -> Any:
    form = CreateConfiguration()
    made = form.attempt(lambda: _create(form, many("policy"))) if form.validate_on_submit() else None
    if made is None:
        return _policies_step(form)
    flash(_("Permission configuration %(name)s created.", name=made.name), "good")
    return redirect(url_for("console.configuration", configuration_id=made.id), 303)


def _policies_step(form: Form) -> Any:
    text = request.form.get("policy_q", "").strip()
    return render_template(
        "console/configurations/choose.html", form=form, chosen=many("policy"), text=text, found=presets.search(text)
    ), form.status


def _create(form: Form, policies: Any) -> Configuration:
    values = {name: form[name].data for name in ("name", "description", "session_duration", "relay_state")}
    return configurations.create_configuration(db(), actor(), space=space(), policies=policies, **values)


def _acceptable(form: Form) -> bool:
    """Make it and take it back: the verb's own rules, said at the step where they can be mended."""
    trial = db().begin_nested()
    made = form.attempt(lambda: _create(form, ()))
    trial.rollback()
    return made is not None


@blueprint.get("/configurations/<configuration_id>")
@requires(Permission.GET_CONFIGURATION)
def configuration(configuration_id: str) -> str:
    found = configurations.get_configuration(db(), space(), configuration_id)
    tab = request.args.get("tab") if request.args.get("tab") in TABS else TABS[0]
    search = search_from_url("status")
    shown: dict[str, Any] = {"configuration": found, "tab": tab, "preset": presets.find}
    if tab == "policies":
        shown["page"] = queries.policies_of_configuration(db(), found, search)
    else:
        shown["page"] = queries.deployments_of_configuration(db(), space(), found, search)
        shown["outdated"] = queries.count_outdated(db(), space(), configuration_id=found.id)
    return render_template("console/configurations/details.html", **shown)


@blueprint.route("/configurations/<configuration_id>/edit", methods=["GET", "POST"])
@requires(Permission.UPDATE_CONFIGURATION)
def edit_configuration(configuration_id: str) -> Any:
    found = configurations.get_configuration(db(), space(), configuration_id)
    form = EditConfiguration(obj=found)
    if form.validate_on_submit():
        values = {name: form[name].data for name in ("description", "session_duration", "relay_state")}
        if form.attempt(lambda: configurations.update_configuration(db(), actor(), configuration=found, **values)):
            flash(_("Saved."), "good")
            return redirect(url_for("console.configuration", configuration_id=found.id), 303)
    return render_template("console/configurations/edit.html", form=form, configuration=found), form.status


@blueprint.route("/configurations/<configuration_id>/policies/add", methods=["GET", "POST"])
@requires(Permission.ADD_CONFIGURATION_POLICY)
def add_policies(configuration_id: str) -> Any:
    found = configurations.get_configuration(db(), space(), configuration_id)
    form, chosen = Form(), many("policy")
    if "add" in request.form and form.validate_on_submit():
        if not chosen:
            form.message = _("Select at least one preset policy.")
        elif form.attempt(lambda: [configurations.add_policies(db(), actor(), configuration=found, names=chosen)]):
            flash(ngettext("%(num)s preset policy added.", "%(num)s preset policies added.", len(chosen)), "good")
            return redirect(url_for("console.configuration", configuration_id=found.id), 303)
    text = request.form.get("policy_q", "").strip()
    has = {row.name for row in queries.policies_of_configuration(db(), found, Search(size=1000)).rows}
    offered = [preset for preset in presets.search(text) if preset.name not in has]
    return render_template(
        "console/configurations/add.html", form=form, configuration=found, chosen=chosen, text=text, found=offered
    ), form.status


@blueprint.route("/configurations/<configuration_id>/policies/<name>/remove", methods=["GET", "POST"])
@requires(Permission.REMOVE_CONFIGURATION_POLICY)
def remove_policy(configuration_id: str, name: str) -> Any:
    found = configurations.get_configuration(db(), space(), configuration_id)
    form = Form()
    if form.validate_on_submit():
        configurations.remove_policy(db(), actor(), configuration=found, name=name)
        flash(_("Preset policy %(name)s removed.", name=name), "good")
        return redirect(url_for("console.configuration", configuration_id=found.id), 303)
    deployed = queries.deployments_of_configuration(db(), space(), found, search_from_url()).total
    return render_template(
        "console/configurations/remove_policy.html", configuration=found, name=name, deployed=deployed
    )


@blueprint.route("/configurations/<configuration_id>/delete", methods=["GET", "POST"])
@requires(Permission.DELETE_CONFIGURATION)
def delete_configuration(configuration_id: str) -> Any:
    found = configurations.get_configuration(db(), space(), configuration_id)
    if Form().validate_on_submit():
        configurations.delete_configuration(db(), actor(), configuration=found)
        flash(_("Permission configuration %(name)s deleted.", name=found.name), "good")
        return redirect(url_for("console.configurations"), 303)
    held = removal(db(), Scope(space(), configurations=[found.id]))
    return render_template("console/configurations/delete.html", configuration=found, removal=held)
