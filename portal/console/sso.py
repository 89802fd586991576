"""SSO settings (IC-6): the switch, what the identity provider needs from us, and what we believe about it.

metadata file or typed values -> read with suspicion -> preview with what changes -> kept, to be tested (sso_offer)
"""

from __future__ import annotations

from typing import Any

from flask import current_app, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_wtf.file import FileField, FileRequired
from wtforms import BooleanField, StringField, TextAreaField
from wtforms.validators import InputRequired, Length

from portal import addresses
from portal.console import blueprint
from portal.console.scope import actor, space
from portal.console.sso_maintenance import maintenance
from portal.console.sso_preview import moments, preview
from portal.core.errors import Invalid
from portal.core.federation import identity_provider, offers
from portal.core.federation.identity_provider import TrustedIdentityProvider
from portal.core.space import spaces
from portal.core.space.models import Space
from portal.trust import by_hand, from_metadata
from portal.web.forms import Form
from portal.web.permissions import Permission, requires
from portal.web.transactions import db


class MetadataForm(Form):
    metadata = FileField(_l("Metadata file"), [FileRequired(_l("Choose the metadata file of the identity provider."))])

    def offer(self) -> TrustedIdentityProvider:
        return from_metadata(self.metadata.data.read())


class ManualForm(Form):
    entity_id = StringField(_l("Entity ID"), [InputRequired(), Length(max=1024)])
    sso_url = StringField(_l("Login address"), [InputRequired(), Length(max=2048)])
    certificate_file = FileField(_l("Certificate file"))
    certificate = TextAreaField(_l("Certificate"))

    def offer(self) -> TrustedIdentityProvider:
        file = self.certificate_file.data
        certificate = (file.read() if file else b"") or self.certificate.data
        if not certificate:
            raise Invalid(_("Choose a certificate file or paste the certificate."), field="certificate")
        return by_hand(entity_id=self.entity_id.data, sso_url=self.sso_url.data, certificate=certificate)


class ConfirmForm(Form):
    """Hidden: what was read, to be read again."""

    metadata = TextAreaField()
    entity_id = StringField()
    sso_url = StringField()
    certificate = TextAreaField()

    def offer(self) -> TrustedIdentityProvider:
        if self.metadata.data:
            return from_metadata(self.metadata.data)
        return by_hand(
            entity_id=self.entity_id.data or "",
            sso_url=self.sso_url.data or "",
            certificate=self.certificate.data or "",
        )


class SwitchForm(Form):
    enabled = StringField()
    untested = BooleanField(_l("Yes, switch it on untested"))


@blueprint.get("/sso", endpoint="sso")
@requires(Permission.GET_SSO)
def sso_page() -> str:
    base_url = current_app.extensions["settings"].base_url
    return render_template(
        "console/sso/sso.html",
        space=space(),
        provider=addresses.service_provider(base_url, space().name),
        login_url=addresses.login_url(base_url, space().name),
        idp=identity_provider.current(db(), space()),
        offer=offers.waiting(db(), space()),
        care=maintenance(),
        **moments(),
    )


@blueprint.route("/sso/switch", methods=["GET", "POST"])
@requires(Permission.SET_SSO)
def switch_sso() -> Any:
    form = SwitchForm()
    enabled = form.enabled.data == "yes"
    if form.validate_on_submit() and form.attempt(lambda: _switch(enabled=enabled, untested=form.untested.data)):
        flash(_("SSO is on.") if enabled else _("SSO is off."), "good")
        return redirect(url_for("console.sso"), 303)
    idp = identity_provider.current(db(), space())
    return render_template("console/sso/switch.html", form=form, space=space(), idp=idp), form.status


def _switch(*, enabled: bool, untested: bool) -> Space:
    return spaces.set_sso_enabled(db(), actor(), space=space(), enabled=enabled, untested=untested)


@blueprint.route("/sso/identity-provider", methods=["GET", "POST"])
@requires(Permission.SET_SSO)
def configure_identity_provider() -> Any:
    manual = request.args.get("method") == "manual"
    before = identity_provider.current(db(), space())
    form: MetadataForm | ManualForm = ManualForm(obj=before) if manual else MetadataForm()
    if form.validate_on_submit() and (offered := form.attempt(form.offer)):
        page = preview(offered, before, sso_on=space().sso_enabled)
        return render_template("console/sso/preview.html", form=_confirmation(form, offered), **page, **moments())
    return _configure_page(form, manual=manual)


@blueprint.post("/sso/identity-provider/confirm")
@requires(Permission.SET_SSO)
def offer_identity_provider() -> Any:
    form = ConfirmForm()
    offered = form.attempt(form.offer)
    if offered and form.attempt(lambda: offers.offer(db(), actor(), space=space(), idp=offered)):
        flash(_("Kept. Nothing that employees use has changed yet."), "good")
        return redirect(url_for("console.sso_offer"), 303)
    form.message = form.message or " ".join(error for errors in form.errors.values() for error in errors)
    return _configure_page(MetadataForm(formdata=None), manual=False, message=form.message)


def _configure_page(form: MetadataForm | ManualForm, *, manual: bool, message: str = "") -> Any:
    form.message = message or form.message
    page = render_template("console/sso/identity_provider.html", form=form, manual=manual, space=space())
    return page, form.status


def _confirmation(form: MetadataForm | ManualForm, offered: TrustedIdentityProvider) -> ConfirmForm:
    if isinstance(form, ManualForm):
        pem = offered.certificates[0].pem
        return ConfirmForm(formdata=None, entity_id=offered.entity_id, sso_url=offered.sso_url, certificate=pem)
    form.metadata.data.seek(0)
    document = form.metadata.data.read()
    encoding = "utf-16" if document[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    return ConfirmForm(formdata=None, metadata=document.decode(encoding))
