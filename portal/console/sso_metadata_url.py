"""The identity provider's metadata by URL (IC-6): read now, shown, trusted, then read again by the worker."""

from __future__ import annotations

from typing import Any

from flask import current_app, flash, redirect, render_template, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_wtf.file import FileField
from wtforms import StringField, TextAreaField
from wtforms.validators import InputRequired, Length

from portal import refreshing
from portal.console import blueprint
from portal.console.scope import actor, space
from portal.console.sso_certificates import moments
from portal.core.federation import identity_provider
from portal.core.federation.identity_provider import TrustedIdentityProvider, set_identity_provider
from portal.fetching import Fetcher, from_settings
from portal.trust import from_address, trusted_certificates
from portal.web.forms import Form
from portal.web.permissions import Permission, requires
from portal.web.transactions import database, db, pause


class MetadataUrlForm(Form):
    metadata_url = StringField(_l("Address of the metadata"), [InputRequired(), Length(max=2048)])
    certificate_file = FileField(_l("Certificate that signs the metadata"))
    certificate = TextAreaField(_l("Or paste it"))

    def signed_by(self) -> str:
        file = self.certificate_file.data
        given = (file.read() if file else b"") or (self.certificate.data or "").strip()
        return "".join(one.pem for one in trusted_certificates(given)) if given else ""

    def read(self) -> tuple[TrustedIdentityProvider, bytes]:
        signed_by, url = self.signed_by(), (self.metadata_url.data or "").strip()
        pause()
        return refreshing.read(_fetcher(), url, signed_by)


class ReadForm(Form):
    """Hidden: what was read, to be read again."""

    document = TextAreaField()
    metadata_url = StringField()
    certificate = TextAreaField()

    def offer(self) -> TrustedIdentityProvider:
        url = self.metadata_url.data or ""
        _fetcher().check(url)
        return from_address(self.document.data or "", url=url, signed_by=self.certificate.data or "")


@blueprint.route("/sso/metadata-url", methods=["GET", "POST"])
@requires(Permission.SET_SSO)
def sso_metadata_url() -> Any:
    before = identity_provider.current(db(), space())
    form = MetadataUrlForm(
        metadata_url=before and before.metadata_url, certificate=before and before.metadata_certificates
    )
    if form.validate_on_submit() and (found := form.attempt(form.read)):
        return _keep(*found)
    return render_template("console/sso/metadata_url.html", form=form, space=space()), form.status


def _keep(offered: TrustedIdentityProvider, document: bytes) -> Any:
    """What to do with what was read: show it, and let somebody trust it."""
    encoding = "utf-16" if document[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    form = ReadForm(
        formdata=None,
        document=document.decode(encoding),
        metadata_url=offered.metadata_url,
        certificate=offered.metadata_certificates,
    )
    return render_template(
        "console/sso/metadata_read.html",
        form=form,
        idp=offered,
        before=identity_provider.current(db(), space()),
        space=space(),
        **moments(),
    )


@blueprint.post("/sso/metadata-url/confirm")
@requires(Permission.SET_SSO)
def trust_metadata_url() -> Any:
    form = ReadForm()
    offered = form.attempt(form.offer)
    if offered and form.attempt(lambda: set_identity_provider(db(), actor(), space=space(), idp=offered)):
        flash(_("The identity provider is set. Its metadata is read again every day."), "good")
        return redirect(url_for("console.sso"), 303)
    again = MetadataUrlForm(formdata=None)
    again.message = form.message or " ".join(error for errors in form.errors.values() for error in errors)
    return render_template("console/sso/metadata_url.html", form=again, space=space()), 400


@blueprint.post("/sso/metadata-url/refresh")
@requires(Permission.SET_SSO)
def refresh_metadata() -> Any:
    pause()
    outcome = refreshing.refresh(database, _fetcher(), space().id, actor=actor())
    if outcome is None:
        flash(_("Nothing was read: there is no address, or the metadata is being read in this moment."), "warn")
    elif outcome.problem:
        flash(_("The metadata was not read: %(reason)s", reason=outcome.problem), "bad")
    elif outcome.changed:
        flash(_("The metadata was read and what changed is trusted now."), "good")
    else:
        flash(_("The metadata was read. Nothing has changed."), "good")
    return redirect(url_for("console.sso"), 303)


def _fetcher() -> Fetcher:
    return current_app.extensions.get("fetcher") or from_settings(current_app.extensions["settings"])
