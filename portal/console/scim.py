"""SCIM settings (IC-7): the switch, the address for the identity provider, and its credentials."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from flask import current_app, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from wtforms import IntegerField, SelectField
from wtforms.fields import SelectChoice
from wtforms.validators import InputRequired

from portal.console import blueprint
from portal.console.scope import actor, space
from portal.core import clock
from portal.core.errors import Invalid
from portal.core.federation import scim_credentials
from portal.core.limits import allowed
from portal.web.forms import Form
from portal.web.permissions import Permission, requires
from portal.web.transactions import db

_UNITS = {"hours": timedelta(hours=1), "days": timedelta(days=1), "years": timedelta(days=365)}


class CredentialForm(Form):
    lifetime = IntegerField(_l("Lifetime"), [InputRequired()], default=1)
    unit = SelectField(
        _l("Unit"),
        choices=[
            SelectChoice("hours", _l("hours")),
            SelectChoice("days", _l("days")),
            SelectChoice("years", _l("years")),
        ],
        default="years",
    )

    def span(self) -> timedelta:
        amount = self.lifetime.data or 0
        if not 0 < amount < 1_000_000:
            raise Invalid(_("A SCIM credential lives between 1 hour and 99 years."), field="lifetime")
        return amount * _UNITS[self.unit.data]


@blueprint.get("/scim", endpoint="scim")
@requires(Permission.LIST_SCIM_CREDENTIALS)
def scim_page() -> str:
    return render_template(
        "console/scim/scim.html",
        space=space(),
        endpoint_url=_endpoint_url(),
        credentials=scim_credentials.credentials_of_space(db(), space()),
        most=allowed("scim_credentials_per_space"),
        now=clock.now(),
        soon=clock.now() + scim_credentials.EXPIRY_WARNING,
    )


@blueprint.route("/scim/switch", methods=["GET", "POST"])
@requires(Permission.UPDATE_SCIM_STATUS)
def switch_scim() -> Any:
    form = Form()
    if form.validate_on_submit():
        enabled = request.form.get("enabled") == "yes"
        scim_credentials.set_scim_enabled(db(), actor(), space=space(), enabled=enabled)
        flash(_("SCIM is on.") if enabled else _("SCIM is off."), "good")
        return redirect(url_for("console.scim"), 303)
    return render_template("console/scim/switch.html", form=form, space=space())


@blueprint.route("/scim/credentials/create", methods=["GET", "POST"])
@requires(Permission.CREATE_SCIM_CREDENTIAL)
def create_scim_credential() -> Any:
    """The secret stands on the answer to the POST and nowhere else, so no redirect."""
    form = CredentialForm()
    if form.validate_on_submit():
        made = form.attempt(
            lambda: scim_credentials.create_credential(db(), actor(), space=space(), lifetime=form.span())
        )
        if made:
            credential, secret = made
            page = "console/scim/created.html"
            shown = {"credential": credential, "secret": secret, "space": space(), "endpoint_url": _endpoint_url()}
            return render_template(page, **shown), {"Cache-Control": "no-store"}
    return render_template("console/scim/create.html", form=form), form.status


@blueprint.post("/scim/credentials/<credential_id>/switch")
@requires(Permission.UPDATE_SCIM_CREDENTIAL)
def switch_scim_credential(credential_id: str) -> Any:
    credential = scim_credentials.get_credential(db(), space(), credential_id)
    enabled = request.form.get("enabled") == "yes"
    scim_credentials.set_credential_enabled(db(), actor(), credential=credential, enabled=enabled)
    flash(_("The credential is enabled.") if enabled else _("The credential is disabled."), "good")
    return redirect(url_for("console.scim"), 303)


@blueprint.route("/scim/credentials/<credential_id>/delete", methods=["GET", "POST"])
@requires(Permission.DELETE_SCIM_CREDENTIAL)
def delete_scim_credential(credential_id: str) -> Any:
    credential = scim_credentials.get_credential(db(), space(), credential_id)
    form = Form()
    if form.validate_on_submit():
        scim_credentials.delete_credential(db(), actor(), credential=credential)
        flash(_("The credential is deleted."), "good")
        return redirect(url_for("console.scim"), 303)
    return render_template("console/scim/delete.html", form=form, credential=credential)


def _endpoint_url() -> str:
    return f"{current_app.extensions['settings'].base_url}/scim/v2"
