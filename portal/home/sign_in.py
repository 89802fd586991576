"""The way to the enterprise IdP: what is asked, and by which browser, waits in the database for the answer (acs)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from flask import abort, make_response, redirect, request, url_for
from flask_babel import gettext as _

from portal.core import clock
from portal.core.federation import sign_ins
from portal.core.secrets import new_token
from portal.core.space import queries
from portal.home import blueprint
from portal.home.posting import post_to
from portal.home.trusting import read_trust, settings
from portal.parties import their_side
from portal.web import binding
from portal.web.permissions import Permission, requires
from portal.web.sessions import EMPLOYEE_COOKIE
from portal.web.targets import own_path
from portal.web.transactions import db
from saml.service_provider import authn_request


@blueprint.get("/saml/<space>/login")
@requires(Permission.PUBLIC, writes=True)
def begin(space: str) -> Any:
    """Ask the enterprise IdP who this is."""
    if not binding.is_navigation():
        abort(400)
    trust = read_trust(db(), queries.find(db(), space))
    if trust.idp is None or not trust.space.sso_enabled:
        return redirect(url_for("home.login", space=trust.space.name))
    relay_token, binding_token = new_token(), new_token()
    asked = authn_request(
        trust.sp,
        their_side(trust.idp),
        relay_state=relay_token,
        now=clock.now(),
        force_authn=trust.choices.force_authn,
    )
    sign_ins.begin_sign_in(
        db(),
        space=trust.space,
        request_id=asked.id,
        relay_token=relay_token,
        binding_token=binding_token,
        idp_entity_id=trust.idp.entity_id,
        target=own_path(request.args.get("next"), otherwise=url_for("home.portal")),
        lifetime=timedelta(minutes=settings().sign_in_minutes),
        replaces_token=request.cookies.get(EMPLOYEE_COOKIE),
    )
    page = post_to(asked.url, asked.form, _("Continue to sign-in")) if asked.form else redirect(asked.url)
    response = make_response(page)
    binding.bind(response, trust.space.name, [*binding.bound(), binding_token])
    return response
