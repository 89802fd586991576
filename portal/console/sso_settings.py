"""How employees sign in (IC-6, IC-16): the choices of a space, what each costs and what it needs."""

from __future__ import annotations

from typing import Any

from flask import flash, redirect, render_template, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from wtforms import BooleanField, HiddenField, RadioField, StringField
from wtforms.fields import SelectChoice
from wtforms.validators import Length

from portal.console import blueprint
from portal.console.scope import actor, space
from portal.core.errors import Invalid
from portal.core.federation import identity_provider, saml_settings, sp_keys
from portal.core.federation.models import KeyStage, NameCase, UnknownUsers
from portal.core.federation.saml_keys import by_stage
from portal.core.federation.saml_settings import Choices
from portal.web.forms import Form
from portal.web.permissions import Permission, requires
from portal.web.transactions import db


class SettingsForm(Form):
    """`seen`: the digest of the settings that the page showed."""

    seen = HiddenField()
    sign_requests = BooleanField(_l("Sign the requests that send employees to the identity provider"))
    force_authn = BooleanField(_l("Ask the identity provider to authenticate anew at every sign-in"))
    encrypted_only = BooleanField(_l("Take encrypted assertions only"))
    single_logout = BooleanField(_l("Single logout"))
    idp_initiated = BooleanField(_l("Let employees start at the identity provider"))
    name_from = RadioField(
        _l("User name"),
        choices=[
            SelectChoice("name_id", _l("The NameID")),
            SelectChoice("attribute", _l("An attribute of the assertion")),
        ],
        default="name_id",
    )
    username_attribute = StringField(_l("Name of the attribute"), [Length(max=256)])
    name_case = RadioField(
        _l("Upper and lower case in user names"),
        choices=[
            SelectChoice(NameCase.IGNORED, _l("Makes no difference")),
            SelectChoice(NameCase.EXACT, _l("Has to be the same as here")),
        ],
    )
    unknown_users = RadioField(
        _l("Who has no user here"),
        choices=[
            SelectChoice(UnknownUsers.REFUSE, _l("Is refused")),
            SelectChoice(UnknownUsers.CREATE, _l("Gets a user at the first sign-in")),
        ],
    )

    def choose(self) -> bool:
        by_attribute = self.name_from.data == "attribute"
        attribute = (self.username_attribute.data or "").strip()
        if by_attribute and not attribute:
            raise Invalid(_("Say which attribute, or choose the NameID."), field="username_attribute")
        choices = Choices(
            **{name: getattr(self, name).data for name in ("sign_requests", "force_authn", "encrypted_only")},
            single_logout=self.single_logout.data,
            idp_initiated=self.idp_initiated.data,
            username_attribute=attribute if by_attribute else "",
            name_case=NameCase(self.name_case.data),
            unknown_users=UnknownUsers(self.unknown_users.data),
        )
        saml_settings.choose(db(), actor(), space=space(), choices=choices, seen=self.seen.data or "")
        return True


@blueprint.route("/sso/settings", methods=["GET", "POST"])
@requires(Permission.SET_SSO)
def sso_settings() -> Any:
    form = _form()
    if form.validate_on_submit() and form.attempt(form.choose):
        flash(_("The settings are saved. They hold from the next sign-in on."), "good")
        return redirect(url_for("console.sso"), 303)
    if form.is_submitted() and form.seen.data != saml_settings.digest(saml_settings.of(db(), space())):
        form = _form(message=form.message, formdata=None)
    page = render_template(
        "console/sso/settings.html",
        form=form,
        space=space(),
        has_key=KeyStage.CURRENT in by_stage(db(), space(), sp_keys.USE),
        idp=identity_provider.current(db(), space()),
    )
    return page, form.status


def _form(*, message: str = "", **given: Any) -> SettingsForm:
    """As things are chosen now, or as they were sent."""
    chosen = saml_settings.of(db(), space())
    name_from = "attribute" if chosen.username_attribute else "name_id"
    form = SettingsForm(obj=chosen, name_from=name_from, seen=saml_settings.digest(chosen), **given)
    form.message = message
    return form
