"""Our own keys towards the identity provider (IC-6): made when needed, rolled over with two of them published."""

from __future__ import annotations

from typing import Any

from flask import Response, current_app, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _

from portal import addresses
from portal.console import blueprint
from portal.console.scope import actor, space
from portal.console.signing_key import StepForm
from portal.core import clock
from portal.core.errors import Invalid, NotFound
from portal.core.federation import saml_keys, sp_keys
from portal.core.federation.certificates import EXPIRY_WARNING
from portal.core.federation.models import KeyStage, SamlKey
from portal.web.permissions import Permission, requires
from portal.web.transactions import db
from saml.keys import make_key_pair, read_certificate

ORDER = (KeyStage.CURRENT, KeyStage.NEXT, KeyStage.PREVIOUS)


@blueprint.get("/sso/keys")
@requires(Permission.GET_SSO)
def sso_keys() -> str:
    keys = saml_keys.by_stage(db(), space(), sp_keys.USE)
    return render_template(
        "console/sso/keys.html",
        space=space(),
        keys=[(keys[stage], read_certificate(keys[stage].certificate)) for stage in ORDER if stage in keys],
        stages=set(keys),
        standing=sp_keys.standing(db(), space()),
        metadata_url=addresses.service_provider(current_app.extensions["settings"].base_url, space().name).entity_id,
        needed_by=sp_keys.needed_by(db(), space()),
        now=clock.now(),
        soon=clock.now() + EXPIRY_WARNING,
    )


@blueprint.get("/sso/keys/<int:key_id>/certificate")
@requires(Permission.GET_SSO)
def sso_key_certificate(key_id: int) -> Response:
    key = db().get(SamlKey, key_id)
    if key is None or key.space_id != space().id or key.use != sp_keys.USE:
        raise NotFound("There is no such key.")
    disposition = f"attachment; filename={space().name}-sp-{key.id}.pem"
    return Response(key.certificate, mimetype="application/x-pem-file", headers={"Content-Disposition": disposition})


@blueprint.post("/sso/keys")
@requires(Permission.SET_SSO)
def change_sso_keys() -> Any:
    """One step of the way of a key; `step` says which, `standing` what the page showed."""
    step = request.form.get("step", "")
    seen = StepForm().seen
    if step == "make":
        sp_keys.make(db(), actor(), space=space(), seen=seen, **_new_pair())
        return _done(_("The key is made and in use. Let the identity provider read our metadata."))
    if step == "publish":
        sp_keys.publish(db(), actor(), space=space(), seen=seen, **_new_pair())
        return _done(_("The new key is published. Let the identity provider read our metadata again."))
    if step == "switch":
        sp_keys.switch(db(), actor(), space=space(), seen=seen)
        return _done(_("The new key is in use. The old one still opens what is encrypted for it."))
    if step == "retire":
        sp_keys.retire(db(), actor(), space=space(), seen=seen)
        return _done(_("The key is removed."))
    raise Invalid("There is no such step.", field="step")


@blueprint.route("/sso/keys/remove", methods=["GET", "POST"])
@requires(Permission.SET_SSO)
def remove_sso_key() -> Any:
    form = StepForm()
    if form.validate_on_submit() and form.attempt(lambda: _removed(form.seen)):
        return _done(_("The key is removed. Let the identity provider read our metadata again."))
    keys = saml_keys.by_stage(db(), space(), sp_keys.USE)
    if KeyStage.CURRENT not in keys:
        return redirect(url_for("console.sso_keys"))
    certificate = read_certificate(keys[KeyStage.CURRENT].certificate)
    needed_by = sp_keys.needed_by(db(), space())
    page = render_template(
        "console/sso/remove_key.html",
        form=form,
        standing=sp_keys.standing(db(), space()),
        space=space(),
        certificate=certificate,
        needed_by=needed_by,
    )
    return page, form.status


def _removed(seen: str) -> bool:
    sp_keys.remove(db(), actor(), space=space(), seen=seen)
    return True


def _new_pair() -> dict[str, str]:
    private_key, certificate = make_key_pair(f"Identity Center {space().name} SP", now=clock.now())
    secret_key = current_app.extensions["settings"].secret_key
    return {"private_key": private_key, "certificate": certificate, "secret_key": secret_key}


def _done(words: str) -> Any:
    flash(words, "good")
    return redirect(url_for("console.sso_keys"), 303)
