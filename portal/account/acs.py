"""The account's assertion consumer service: a signed response comes in, a session of this account begins."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from typing import Any

import structlog
from flask import abort, current_app, g, make_response, redirect, render_template, request
from flask.blueprints import BlueprintSetupState
from flask_login import current_user

from portal.account import UIN, blueprint
from portal.account.speaker import Speaker, hear
from portal.core import clock
from portal.core.actor import Actor
from portal.core.cam import queries, sessions
from portal.core.cam.models import CamRole, CamSession
from portal.core.errors import Forbidden
from portal.core.organization.models import Account
from portal.settings import Settings
from portal.web.observing import SIGN_INS_REFUSED
from portal.web.permissions import Permission, requires
from portal.web.sessions import ACCOUNT_COOKIE, anonymous_actor, set_cookie
from portal.web.transactions import db, refused
from saml.errors import SamlError

log = structlog.get_logger()

_BELOW = re.compile(r"/[A-Za-z0-9/_-]*(\?[!-~]*)?")


@blueprint.record_once
def _take_foreign_posts(state: BlueprintSetupState) -> None:
    """The response is posted from another site, where nobody has a form token of ours; its signature is the proof."""
    state.app.extensions["csrf"].exempt(acs)


@blueprint.post(f"{UIN}/saml/acs")
@requires(Permission.PUBLIC)
def acs(uin: int) -> Any:
    """Refused is refused: one page for all reasons, the reason in the log.

    In the audit trail, too, when an identity provider of the account did sign it (Forbidden): what anybody can post at
    will (SamlError) shall not fill the trail.
    """
    account = db().get(Account, uin)
    if account is None:
        abort(404)
    actor = anonymous_actor(queries.organization_of(db(), uin))
    try:
        opened, token = _sign_in(account, actor)
    except (SamlError, Forbidden) as error:
        reason = str(error)[:1000]
        log.warning("account.sign_in.refused", account=uin, reason=reason)
        SIGN_INS_REFUSED.labels("account", error.reason if isinstance(error, SamlError) else "forbidden").inc()
        if isinstance(error, Forbidden):
            about = {"target_type": "account", "target_id": uin, "target_name": account.name, "account_uin": uin}
            refused(actor, "account.sign_in", reason, **about)
        return render_template("account/refused.html", reference=g.request_id), 403
    response = make_response(redirect(_target(uin), 303))
    set_cookie(response, ACCOUNT_COOKIE, token, path=f"/accounts/{uin}", expires=opened.expires_at)
    return response


def _sign_in(account: Account, actor: Actor) -> tuple[CamSession, str]:
    settings: Settings = current_app.extensions["settings"]
    fields = request.form.getlist("SAMLResponse")
    if len(fields) != 1:
        raise SamlError("encoding", f"{len(fields)} fields SAMLResponse instead of one")
    skew = timedelta(seconds=settings.saml_clock_skew_seconds)
    speaker = hear(db(), account.uin, fields[0], base_url=settings.base_url, skew=skew)
    person = replace(actor, kind="employee", id=speaker.name, name=speaker.name)
    if current_user.is_authenticated:
        sessions.end_session(db(), person, opened=current_user.session)
    return sessions.open_session(
        db(),
        person,
        principal=speaker.principal,
        session_name=speaker.name,
        provider_name=speaker.provider.name,
        source_identity=speaker.source_identity,
        duration=_duration(speaker, settings),
        assertion_id=speaker.assertion.id,
        assertion_expires=speaker.assertion.not_on_or_after,
    )


def _duration(speaker: Speaker, settings: Settings) -> timedelta:
    """A role's own setting; a CAM user stays as long as in the portal. Never longer than the response allows."""
    if isinstance(speaker.principal, CamRole):
        configured = timedelta(seconds=speaker.principal.session_duration)
    else:
        configured = timedelta(hours=settings.employee_session_hours)
    latest = speaker.assertion.session_not_on_or_after
    return min(configured, latest - clock.now()) if latest else configured


def _target(uin: int) -> str:
    """Where RelayState points when that is a page of this account, else its first page."""
    home, wanted = f"/accounts/{uin}", request.form.get("RelayState", "")
    return wanted if wanted.startswith(home) and _BELOW.fullmatch(wanted.removeprefix(home)) else home
