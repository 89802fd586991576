"""The service provider's side of the sign-in: /saml/<space>/... towards the enterprise IdP."""

from __future__ import annotations

import hmac
from datetime import timedelta
from typing import Any

import structlog
from flask import Response, current_app, g, make_response, redirect, render_template, request, url_for
from flask.blueprints import BlueprintSetupState
from flask_babel import gettext as _

from portal import addresses
from portal.core import clock
from portal.core.federation import identity_provider, saml_keys, sign_ins
from portal.core.federation.identity_provider import TrustedIdentityProvider
from portal.core.federation.models import PendingSignIn, SignInPurpose
from portal.core.federation.sign_ins import SignInRefused
from portal.core.secrets import new_token
from portal.core.space import queries
from portal.core.space.models import Space
from portal.home import blueprint
from portal.home.posting import post_to
from portal.home.testing import take_answer
from portal.parties import our_side, their_side
from portal.settings import Settings
from portal.web import binding
from portal.web.observing import SIGN_INS_REFUSED
from portal.web.permissions import Permission, requires
from portal.web.sessions import EMPLOYEE_COOKIE, anonymous_actor, set_cookie
from portal.web.targets import own_path
from portal.web.transactions import database, db, refused
from saml.errors import SamlError
from saml.metadata import service_provider_metadata
from saml.service_provider import accept_response, authn_request, response_in_response_to

log = structlog.get_logger()


@blueprint.record_once
def _take_foreign_posts(state: BlueprintSetupState) -> None:
    """The IdP's form cannot carry our CSRF token; pending row, cookie and RelayState stand in for it."""
    state.app.extensions["csrf"].exempt(acs)


@blueprint.get("/saml/<space>/metadata")
@requires(Permission.PUBLIC)
def metadata(space: str) -> Response:
    found = queries.find(db(), space)
    provider = our_side(db(), found, _settings())
    return _document(service_provider_metadata(provider), f"{found.name}-service-provider.xml")


@blueprint.get("/saml/<space>/idp-metadata")
@requires(Permission.PUBLIC)
def idp_metadata(space: str) -> Response:
    """What is deployed into accounts, for those who want to compare it."""
    found = queries.find(db(), space)
    certificates = saml_keys.certificates(db(), found)
    document = addresses.issuer_metadata(_settings().base_url, found.name, certificates)
    return _document(document, f"{found.name}-identity-provider.xml")


@blueprint.get("/saml/<space>/login")
@requires(Permission.PUBLIC, writes=True)
def begin(space: str) -> Any:
    """Ask the enterprise IdP who this is; what was asked waits in the database."""
    found = queries.find(db(), space)
    target = own_path(request.args.get("next"), otherwise=url_for("home.portal"))
    idp = identity_provider.current(db(), found)
    if idp is None or not found.sso_enabled:
        return redirect(url_for("home.login", space=found.name))
    provider = our_side(db(), found, _settings())
    relay_token, binding_token = new_token(), new_token()
    asked = authn_request(provider, their_side(idp), relay_state=relay_token, now=clock.now())
    sign_ins.begin_sign_in(
        db(),
        space=found,
        request_id=asked.id,
        relay_token=relay_token,
        binding_token=binding_token,
        idp_entity_id=idp.entity_id,
        target=target,
        lifetime=timedelta(minutes=_settings().sign_in_minutes),
        replaces_token=request.cookies.get(EMPLOYEE_COOKIE),
    )
    if asked.form:
        response = make_response(post_to(idp.sso_url, asked.form, _("Continue to sign-in")))
    else:
        response = make_response(redirect(asked.url))
    binding.bind(response, found.name, [*binding.bound(), binding_token])
    return response


@blueprint.post("/saml/<space>/acs")
@requires(Permission.PUBLIC)
def acs(space: str) -> Any:
    """Judge the IdP's answer. Refused is refused: the page tells no reason, but to whom the IdP vouched for, that
    nobody of that name may enter. The reason is in the log.

    In the audit trail, too, once it answers a request of ours: what anybody can post at will shall not fill the trail.
    """
    with database.transaction(write=False) as session:
        found = queries.find(session, space)
    pending = None
    try:
        saml_response = _only_field("SAMLResponse")
        pending = _take_out(found, response_in_response_to(saml_response))
        if pending.purpose == SignInPurpose.TEST:
            return take_answer(found, pending, saml_response)
        return _accept(found, pending, saml_response)
    except (SamlError, SignInRefused) as error:
        return _refuse(found, error, audited=pending is not None)


def _refuse(space: Space, error: SamlError | SignInRefused, *, audited: bool) -> Any:
    reason = f"{error.reason}: {error.detail}"[:1000]
    log.warning("sign_in.refused", space=space.name, reason=reason)
    SIGN_INS_REFUSED.labels("employee", error.reason).inc()
    if audited:
        actor = anonymous_actor(space.organization_id)
        refused(actor, "user.sign_in", reason, target_type="space", target_id=space.id, target_name=space.name)
    may_not = error.reason in ("unknown-user", "disabled-user")
    return render_template("home/refused.html", space=space, may_not=may_not, reference=g.request_id), 403


def _accept(space: Space, pending: PendingSignIn, saml_response: str) -> Response:
    left = binding.bound_but(pending.binding_hash)
    if left is None:
        raise SignInRefused("other-browser", "this browser did not ask for the sign-in")
    if not hmac.compare_digest(_only_field("RelayState").encode(), pending.relay_token.encode()):
        raise SignInRefused("relay-state", "the RelayState is not the one that was sent")
    idp = identity_provider.current(db(), space)
    if idp is None or not space.sso_enabled:
        raise SignInRefused("sso-off", "SSO is switched off")
    if idp.entity_id != pending.idp_entity_id:
        raise SignInRefused("idp-changed", f"asked {pending.idp_entity_id}, now {idp.entity_id} is set")
    response = _sign_in(space, idp, pending, saml_response)
    binding.bind(response, space.name, left)
    return response


def _take_out(space: Space, request_id: str | None) -> PendingSignIn:
    """In a transaction of its own, so that the request is used up even when the answer is refused."""
    if request_id is None:
        raise SignInRefused("unsolicited", "the response answers no request")
    with database.transaction() as session:
        pending = sign_ins.take_pending(session, space=space, request_id=request_id)
    if pending is None:
        raise SignInRefused("no-such-request", f"{request_id} was not asked, is answered, or is too old")
    return pending


def _sign_in(space: Space, idp: TrustedIdentityProvider, pending: PendingSignIn, saml_response: str) -> Response:
    settings, now = _settings(), clock.now()
    skew = timedelta(seconds=settings.saml_clock_skew_seconds)
    assertion = accept_response(
        our_side(db(), space, settings),
        their_side(idp),
        saml_response,
        request_id=pending.request_id,
        now=now,
        skew=skew,
    )
    expires = now + timedelta(hours=settings.employee_session_hours)
    if assertion.session_not_on_or_after:
        expires = min(expires, assertion.session_not_on_or_after)
    _row, token = sign_ins.finish_sign_in(
        db(),
        anonymous_actor(space.organization_id),
        space=space,
        pending=pending,
        name_id=assertion.name_id,
        assertion_id=assertion.id,
        assertion_expires=assertion.not_on_or_after + skew,
        session_expires=expires,
        user_agent=request.headers.get("User-Agent", ""),
    )
    response = make_response(redirect(pending.target, 303))
    set_cookie(response, EMPLOYEE_COOKIE, token, path="/", expires=expires)
    return response


def _only_field(name: str) -> str:
    values = request.form.getlist(name)
    if len(values) != 1:
        raise SignInRefused("form", f"{len(values)} fields {name}")
    return values[0]


def _document(xml: str, name: str) -> Response:
    response = Response(xml, content_type="application/samlmetadata+xml; charset=utf-8")
    if "download" in request.args:
        response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def _settings() -> Settings:
    settings: Settings = current_app.extensions["settings"]
    return settings
