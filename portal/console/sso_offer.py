"""Identity provider data that waits (IC-6): test it, trust it, or discard it. Until trusted it changes nothing."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from flask import current_app, flash, make_response, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from wtforms import BooleanField, HiddenField

from portal.console import blueprint
from portal.console.scope import actor, space
from portal.console.sso_preview import moments, preview
from portal.core import clock
from portal.core.errors import NotFound
from portal.core.federation import attempts, identity_provider, offers, saml_settings, trials
from portal.core.federation.identity_provider import TrustedIdentityProvider
from portal.core.federation.models import IdentityProvider
from portal.core.federation.trials import Which
from portal.core.secrets import new_token
from portal.parties import our_side, their_side
from portal.settings import Settings
from portal.trust import as_offered
from portal.web import binding
from portal.web.forms import Form
from portal.web.headers import allow_form_chain
from portal.web.permissions import Permission, requires
from portal.web.transactions import db
from saml.service_provider import AuthnRequest, ServiceProvider, authn_request


class TrustForm(Form):
    """`seen`: the digest of the data that the page showed."""

    seen = HiddenField()
    untested = BooleanField(_l("Yes, trust it untested"))


@blueprint.get("/sso/offer")
@requires(Permission.GET_SSO)
def sso_offer() -> Any:
    if offers.waiting(db(), space()) is None:
        return redirect(url_for("console.sso"), 303)
    return _offer_page(TrustForm(formdata=None))


@blueprint.post("/sso/offer/trust")
@requires(Permission.SET_SSO)
def trust_offer() -> Any:
    form = TrustForm()
    if form.validate() and form.attempt(lambda: _trust(form)):
        flash(_("The identity provider is trusted."), "good")
        return redirect(url_for("console.sso"), 303)
    return _offer_page(form)


@blueprint.post("/sso/offer/discard")
@requires(Permission.SET_SSO)
def discard_offer() -> Any:
    offers.withdraw(db(), actor(), space=space())
    flash(_("Discarded. Nothing that employees use has changed."), "good")
    return redirect(url_for("console.sso"), 303)


@blueprint.post("/sso/tests")
@requires(Permission.SET_SSO)
def begin_sso_test() -> Any:
    """A page with a link, because our content policy lets no form lead elsewhere by way of a redirect."""
    which = Which.TRUSTED if request.form.get("which") == Which.TRUSTED else Which.OFFER
    idp = _data(which)
    provider = our_side(db(), space(), _settings())
    asked, binding_token = _ask(which, idp, provider)
    if asked.form:
        allow_form_chain(idp.sso_url)
    names = {"asked": asked, "idp": idp, "provider": provider, "minutes": _settings().sign_in_minutes}
    response = make_response(render_template("console/sso/test_begin.html", which=which, **names))
    binding.bind(response, space().name, [binding_token], binding.TEST)
    return response


def _ask(which: Which, idp: TrustedIdentityProvider, provider: ServiceProvider) -> tuple[AuthnRequest, str]:
    """What goes to the identity provider, and the token that this browser keeps until the answer comes."""
    relay_token, binding_token = new_token(), new_token()
    force = saml_settings.of(db(), space()).force_authn
    asked = authn_request(provider, their_side(idp), relay_state=relay_token, now=clock.now(), force_authn=force)
    trials.begin(
        db(),
        actor(),
        space=space(),
        which=which,
        idp=idp,
        request_id=asked.id,
        relay_token=relay_token,
        binding_token=binding_token,
        lifetime=timedelta(minutes=_settings().sign_in_minutes),
    )
    return asked, binding_token


def _settings() -> Settings:
    settings: Settings = current_app.extensions["settings"]
    return settings


def _data(which: Which) -> TrustedIdentityProvider:
    if which == Which.TRUSTED:
        found = identity_provider.current(db(), space())
    else:
        row = offers.waiting(db(), space())
        found = as_offered(row) if row else None
    if found is None:
        raise NotFound(_("There is no identity provider data to test."))
    return found


def _trust(form: TrustForm) -> IdentityProvider:
    return offers.accept(
        db(),
        actor(),
        space=space(),
        idp=_data(Which.OFFER),
        seen=form.seen.data or "",
        untested=form.untested.data,
    )


def _offer_page(form: TrustForm) -> Any:
    row = offers.waiting(db(), space())
    if row is None:
        raise NotFound(form.message)
    idp = as_offered(row)
    form.seen.data = offers.digest(idp)
    page = render_template(
        "console/sso/offer.html",
        form=form,
        offer=row,
        space=space(),
        last=attempts.last_test(db(), space(), since=row.offered_at),
        **preview(idp, identity_provider.current(db(), space()), sso_on=space().sso_enabled),
        **moments(),
    )
    return page, form.status
