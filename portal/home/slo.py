"""Where logout messages of the IdP come in, by HTTP-Redirect or HTTP-POST: its requests, and its answers to ours.

All of them are signed, or nothing happens. Answers go where the IdP's metadata says, never where a message says. Who
may not be here at all learns nothing: a name that nobody has is answered as one that somebody has.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import structlog
from flask import g, redirect, render_template, request
from flask.blueprints import BlueprintSetupState
from flask_babel import gettext as _

from portal.core import clock
from portal.core.federation import logouts
from portal.core.federation.sign_ins import SignInRefused
from portal.core.space.models import Space
from portal.home import blueprint
from portal.home.posting import pass_on
from portal.home.trusting import Trust, only_field, settings, trust_of
from portal.parties import their_side
from portal.web.observing import SIGN_INS_REFUSED
from portal.web.permissions import Permission, requires
from portal.web.sessions import anonymous_actor
from portal.web.transactions import db
from saml.errors import SamlError
from saml.logout import (
    Posted,
    Redirected,
    accept_logout_request,
    accept_logout_response,
    logout_response,
)
from saml.parties import IdentityProvider

log = structlog.get_logger()


@blueprint.record_once
def _take_foreign_posts(state: BlueprintSetupState) -> None:
    """The IdP's form cannot carry our CSRF token; its signature stands in for it."""
    state.app.extensions["csrf"].exempt(slo)


@blueprint.route("/saml/<space>/slo", methods=["GET", "POST"])
@requires(Permission.PUBLIC, writes=True)
def slo(space: str) -> Any:
    trust = trust_of(space)
    try:
        if trust.idp is None:
            raise SignInRefused("sso-off", "no identity provider is set")
        idp = their_side(trust.idp)
        return _answered(trust, idp) if "SAMLResponse" in request.values else _asked(trust, idp)
    except (SamlError, SignInRefused) as error:
        return _refuse(trust.space, error)


def _asked(trust: Trust, idp: IdentityProvider) -> Any:
    """The IdP ends sessions of ours."""
    asked = accept_logout_request(trust.sp, idp, _received("SAMLRequest"), now=clock.now(), skew=_skew())
    logouts.end_by_name(
        db(),
        anonymous_actor(trust.space.organization_id),
        space=trust.space,
        idp_entity_id=idp.entity_id,
        request_id=asked.id,
        expires_at=asked.not_on_or_after + _skew(),
        name_id=asked.name.name_id,
        session_indexes=asked.session_indexes,
    )
    if not idp.slo_url:
        return render_template("home/signed_out.html", space=trust.space, idp="ended")
    answer = logout_response(trust.sp, idp, in_response_to=asked.id, relay_state=asked.relay_state, now=clock.now())
    if not answer.form:
        return redirect(answer.url, 303)
    return pass_on(answer, _("Continue"), _("You are signed out of the portal."))


def _answered(trust: Trust, idp: IdentityProvider) -> Any:
    """What the IdP says to a request of ours. The session here ended before it was asked."""
    received = _received("SAMLResponse")
    pending = logouts.take(db(), space=trust.space, relay_token=request.values.get("RelayState", ""))
    if pending is None or pending.idp_entity_id != idp.entity_id:
        raise SignInRefused("no-such-request", "no logout was asked for, it is answered, or it is too old")
    answer = accept_logout_response(
        trust.sp, idp, received, request_id=pending.request_id, now=clock.now(), skew=_skew()
    )
    log.info("logout.answered", space=trust.space.name, success=answer.success, status=answer.status)
    outcome = "ended" if answer.success else "partial" if answer.partial else "failed"
    return render_template("home/signed_out.html", space=trust.space, idp=outcome)


def _received(name: str) -> Redirected | Posted:
    if request.method == "GET":
        return Redirected(request.query_string)
    return Posted(only_field(name), request.form.get("RelayState"))


def _refuse(space: Space, error: SamlError | SignInRefused) -> Any:
    """To the log only: anybody can post here."""
    log.warning("logout.refused", space=space.name, reason=f"{error.reason}: {error.detail}"[:1000])
    SIGN_INS_REFUSED.labels("logout", error.reason).inc()
    return render_template("home/logout_refused.html", space=space, reference=g.request_id), 403


def _skew() -> timedelta:
    return timedelta(seconds=settings().saml_clock_skew_seconds)
