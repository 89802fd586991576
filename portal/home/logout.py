"""Signing out: this browser's session here, first and always, then that at the IdP where single logout is set up.

Sessions inside accounts run to their end: they belong to the accounts, and the pages say so.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from flask import current_app, make_response, redirect, render_template, url_for
from flask_babel import gettext as _
from flask_login import current_user

from portal.core import clock
from portal.core.federation import logouts, sign_ins
from portal.core.federation.models import SignIn
from portal.core.secrets import new_token
from portal.core.space import queries
from portal.home import blueprint
from portal.home.arriving import forget_arrival
from portal.home.posting import pass_on
from portal.home.trusting import Trust, read_trust, settings
from portal.parties import their_side
from portal.web.permissions import Permission, requires
from portal.web.sessions import EMPLOYEE_COOKIE, Employee
from portal.web.transactions import db
from saml.bindings import Outgoing
from saml.logout import Name, logout_request
from saml.xml import NAME_ID_UNSPECIFIED


@blueprint.post("/logout")
@requires(Permission.PUBLIC)
def logout() -> Any:
    """Ends this browser's session record and no other."""
    employee = current_user._get_current_object()
    if not isinstance(employee, Employee):
        response = make_response(redirect(url_for("home.choose_space"), 303))
        forget_arrival(response)
        return response
    sign_ins.sign_out(db(), employee.actor, sign_in=employee.sign_in, user=employee.user)
    asked = _ask_idp(read_trust(db(), employee.space), employee.sign_in)
    if asked is None:
        response = make_response(redirect(url_for("home.signed_out", space=employee.space.name), 303))
    else:
        explanation = _("You are signed out of the portal. The sign-in page of your company signs you out there, too.")
        response = make_response(pass_on(asked, _("Continue"), explanation))
    response.delete_cookie(
        EMPLOYEE_COOKIE, secure=current_app.config["SESSION_COOKIE_SECURE"], httponly=True, samesite="Lax"
    )
    forget_arrival(response)
    return response


@blueprint.get("/login/<space>/signed-out")
@requires(Permission.PUBLIC)
def signed_out(space: str) -> Any:
    return render_template("home/signed_out.html", space=queries.find(db(), space), idp="not-asked")


def _ask_idp(trust: Trust, sign_in: SignIn) -> Outgoing | None:
    """A request to end the IdP's session; None where there is nothing to ask, or nobody to ask it of any more."""
    idp, choices = trust.idp, trust.choices
    if idp is None or not idp.slo_url or not trust.sp.keys or not choices.single_logout:
        return None
    if not sign_in.name_id or sign_in.idp_entity_id != idp.entity_id:
        return None
    relay_token = new_token()
    name = Name(
        sign_in.name_id,
        sign_in.name_id_format or NAME_ID_UNSPECIFIED,
        sign_in.name_qualifier,
        sign_in.sp_name_qualifier,
    )
    asked = logout_request(
        trust.sp,
        their_side(idp),
        name=name,
        session_indexes=(sign_in.session_index,) if sign_in.session_index else (),
        relay_state=relay_token,
        now=clock.now(),
    )
    logouts.begin(
        db(),
        space=trust.space,
        request_id=asked.id,
        relay_token=relay_token,
        idp_entity_id=idp.entity_id,
        lifetime=timedelta(minutes=settings().sign_in_minutes),
    )
    return asked
