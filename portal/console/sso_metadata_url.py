"""The identity provider's metadata by URL (IC-6): read now, kept to be tested and trusted, read again by the worker."""

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
from portal.core.federation import identity_provider, offers
from portal.core.federation.identity_provider import TrustedIdentityProvider
from portal.core.federation.refreshes import Settled
from portal.fetching import Fetcher, from_settings
from portal.trust import trusted_certificates
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

    def read(self) -> TrustedIdentityProvider:
        signed_by, url = self.signed_by(), (self.metadata_url.data or "").strip()
        pause()
        return refreshing.read(_fetcher(), url, signed_by)


@blueprint.route("/sso/metadata-url", methods=["GET", "POST"])
@requires(Permission.SET_SSO)
def sso_metadata_url() -> Any:
    before = identity_provider.current(db(), space())
    form = MetadataUrlForm(
        metadata_url=before and before.metadata_url, certificate=before and before.metadata_certificates
    )
    if form.validate_on_submit() and (found := form.attempt(form.read)):
        offers.offer(db(), actor(), space=space(), idp=found)
        return redirect(url_for("console.sso_offer"), 303)
    return render_template("console/sso/metadata_url.html", form=form, space=space()), form.status


@blueprint.post("/sso/metadata-url/refresh")
@requires(Permission.SET_SSO)
def refresh_metadata() -> Any:
    pause()
    outcome = refreshing.refresh(database, _fetcher(), space().id, actor=actor())
    if outcome is None:
        flash(_("Nothing was read: there is no address."), "warn")
    elif outcome.problem:
        flash(_("The metadata was not read: %(reason)s", reason=outcome.problem), "bad")
    elif outcome.settled is Settled.TRUSTED:
        flash(_("The metadata was read and what changed is trusted now."), "good")
    elif outcome.settled is Settled.WAITS:
        flash(_("The metadata names another login address. The new data waits to be tested and trusted."), "warn")
    else:
        flash(_("The metadata was read. Nothing has changed."), "good")
    return redirect(url_for("console.sso"), 303)


def _fetcher() -> Fetcher:
    return current_app.extensions.get("fetcher") or from_settings(current_app.extensions["settings"])
