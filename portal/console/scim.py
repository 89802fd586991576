"""SCIM settings (IC-7): the switch, the address for the identity provider, and its credentials."""

from __future__ import annotations

import csv
import io
from datetime import timedelta
from typing import Any

from flask import current_app, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from wtforms import BooleanField, IntegerField, RadioField, SelectField
from wtforms.fields import SelectChoice
from wtforms.validators import InputRequired

from portal.console import blueprint
from portal.console.scope import actor, space
from portal.core import clock
from portal.core.directory import queries
from portal.core.directory.models import Source
from portal.core.errors import Invalid
from portal.core.limits import allowed
from portal.core.push import credentials, guard
from portal.core.push.models import CredentialType, ScimCredential
from portal.web.forms import Form
from portal.web.permissions import Permission, requires
from portal.web.transactions import db
from scim import exchange, oauth

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
    type = RadioField(
        _l("Type"),
        choices=[
            SelectChoice(CredentialType.BEARER_TOKEN, _l("Bearer token: sent with every request")),
            SelectChoice(
                CredentialType.CLIENT_CREDENTIALS,
                _l("Client credentials (OAuth 2.0): exchanged for access tokens"),
            ),
        ],
        default=CredentialType.BEARER_TOKEN,
    )
    token_minutes = IntegerField(_l("Access token lifetime"), [InputRequired()], default=credentials.SHORTEST_TOKEN)
    strict = BooleanField(_l("Strict"))

    def create(self) -> tuple[ScimCredential, str]:
        return credentials.create_credential(
            db(),
            actor(),
            space=space(),
            lifetime=self.span(),
            type=CredentialType(self.type.data),
            token_minutes=self.token_minutes.data,
            strict=self.strict.data,
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
        **_addresses(),
        credentials=credentials.credentials_of_space(db(), space()),
        most=allowed("scim_credentials_per_space"),
        guard=guard.state(db(), space()),
        least=guard.LEAST,
        pause=guard.pause_of(db(), space()),
        open_until=guard.open_until(guard.state(db(), space())),
        now=clock.now(),
        soon=clock.now() + credentials.EXPIRY_WARNING,
    )


@blueprint.route("/scim/switch", methods=["GET", "POST"])
@requires(Permission.UPDATE_SCIM_STATUS)
def switch_scim() -> Any:
    form = Form()
    if form.validate_on_submit():
        enabled = request.form.get("enabled") == "yes"
        credentials.set_scim_enabled(db(), actor(), space=space(), enabled=enabled)
        flash(_("SCIM is on.") if enabled else _("SCIM is off."), "good")
        return redirect(url_for("console.scim"), 303)
    pushed = queries.counts(db(), space(), source=Source.SCIM)
    return render_template("console/scim/switch.html", form=form, space=space(), pushed=pushed)


@blueprint.route("/scim/credentials/create", methods=["GET", "POST"])
@requires(Permission.CREATE_SCIM_CREDENTIAL)
def create_scim_credential() -> Any:
    """The secret stands on the answer to the POST and nowhere else, so no redirect."""
    form = CredentialForm()
    if form.validate_on_submit() and (made := form.attempt(form.create)):
        credential, secret = made
        shown = {"credential": credential, "secret": secret, "file": _file(credential, secret), **_addresses()}
        page = render_template("console/scim/created.html", space=space(), **shown)
        return page, {"Cache-Control": "no-store"}
    return render_template("console/scim/create.html", form=form), form.status


@blueprint.post("/scim/credentials/<credential_id>/switch")
@requires(Permission.UPDATE_SCIM_CREDENTIAL)
def switch_scim_credential(credential_id: str) -> Any:
    credential = credentials.get_credential(db(), space(), credential_id)
    enabled = request.form.get("enabled") == "yes"
    credentials.set_credential_enabled(db(), actor(), credential=credential, enabled=enabled)
    flash(_("The credential is enabled.") if enabled else _("The credential is disabled."), "good")
    return redirect(url_for("console.scim"), 303)


@blueprint.post("/scim/credentials/<credential_id>/strict")
@requires(Permission.UPDATE_SCIM_CREDENTIAL)
def hold_scim_credential(credential_id: str) -> Any:
    credential = credentials.get_credential(db(), space(), credential_id)
    strict = request.form.get("strict") == "yes"
    credentials.set_credential_strict(db(), actor(), credential=credential, strict=strict)
    flash(_("The credential is strict.") if strict else _("The credential is tolerant."), "good")
    return redirect(url_for("console.scim"), 303)


@blueprint.route("/scim/credentials/<credential_id>/delete", methods=["GET", "POST"])
@requires(Permission.DELETE_SCIM_CREDENTIAL)
def delete_scim_credential(credential_id: str) -> Any:
    credential = credentials.get_credential(db(), space(), credential_id)
    form = Form()
    if form.validate_on_submit():
        credentials.delete_credential(db(), actor(), credential=credential)
        flash(_("The credential is deleted."), "good")
        return redirect(url_for("console.scim"), 303)
    return render_template("console/scim/delete.html", form=form, credential=credential)


def _addresses() -> dict[str, str]:
    base = current_app.extensions["settings"].base_url
    return {"endpoint_url": base + exchange.PREFIX, "token_url": base + oauth.PATH}


def _file(credential: ScimCredential, secret: str) -> str:
    """What is shown once, as CSV, for a safe place (F50)."""
    named = {"scim_endpoint_url": _addresses()["endpoint_url"]}
    if credential.type == CredentialType.CLIENT_CREDENTIALS:
        named |= {"token_endpoint_url": _addresses()["token_url"], "client_id": credential.id, "client_secret": secret}
    else:
        named |= {"credential_id": credential.id, "secret": secret}
    text = io.StringIO()
    csv.writer(text).writerows([named.keys(), named.values()])
    return text.getvalue()
