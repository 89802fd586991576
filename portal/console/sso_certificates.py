"""The certificates with which the identity provider signs (IC-6): several at once, so that it can roll over."""

from __future__ import annotations

from typing import Any

from flask import flash, redirect, render_template, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_wtf.file import FileField
from wtforms import TextAreaField

from portal.console import blueprint
from portal.console.scope import actor, space
from portal.console.sso_preview import moments
from portal.core.errors import Invalid
from portal.core.federation import certificates, identity_provider
from portal.core.limits import allowed
from portal.trust import trusted_certificates
from portal.web.forms import Form
from portal.web.permissions import Permission, requires
from portal.web.transactions import db


class CertificateForm(Form):
    certificate_file = FileField(_l("Certificate file"))
    certificate = TextAreaField(_l("Or paste it"))

    def add(self) -> int:
        file = self.certificate_file.data
        given = (file.read() if file else b"") or self.certificate.data
        if not given:
            raise Invalid(_("Choose a certificate file or paste the certificate."), field="certificate")
        found = trusted_certificates(given)
        certificates.add(db(), actor(), space=space(), certificates=found)
        return len(found)


@blueprint.get("/sso/certificates")
@requires(Permission.GET_SSO)
def sso_certificates() -> str:
    return render_template(
        "console/sso/certificates.html",
        idp=identity_provider.current(db(), space()),
        certificates=certificates.of_space(db(), space()),
        most=allowed("idp_certificates_per_space"),
        **moments(),
    )


@blueprint.route("/sso/certificates/add", methods=["GET", "POST"])
@requires(Permission.SET_SSO)
def add_sso_certificate() -> Any:
    form = CertificateForm()
    if form.validate_on_submit() and (count := form.attempt(form.add)):
        words = _("The certificate is trusted from now on.") if count == 1 else _("The certificates are trusted now.")
        flash(words, "good")
        return redirect(url_for("console.sso_certificates"), 303)
    idp = identity_provider.current(db(), space())
    return render_template("console/sso/add_certificate.html", form=form, idp=idp), form.status


@blueprint.route("/sso/certificates/<certificate_id>/remove", methods=["GET", "POST"])
@requires(Permission.SET_SSO)
def remove_sso_certificate(certificate_id: str) -> Any:
    certificate = certificates.get_certificate(db(), space(), certificate_id)
    form = Form()
    if form.validate_on_submit() and form.attempt(lambda: _removed(certificate)):
        flash(_("The certificate is trusted no more."), "good")
        return redirect(url_for("console.sso_certificates"), 303)
    page = render_template(
        "console/sso/remove_certificate.html",
        form=form,
        certificate=certificate,
        idp=identity_provider.current(db(), space()),
        others=certificates.others(db(), space(), certificate),
        is_valid=certificates.is_valid,
        **moments(),
    )
    return page, form.status


def _removed(certificate: Any) -> bool:
    certificates.remove(db(), actor(), space=space(), certificate=certificate)
    return True
