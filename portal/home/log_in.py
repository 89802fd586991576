"""Logging in to an account is a SAML sign-on from here to there (IC-17), decided at that moment."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from flask import current_app
from flask_babel import gettext as _
from flask_login import current_user

from portal import addresses
from portal.clouds import sites
from portal.clouds.sites import SignOn
from portal.core import audit, clock
from portal.core.access import authorizations, sessions, syncs
from portal.core.federation import saml_keys
from portal.core.organization.models import Account
from portal.home import UIN, blueprint
from portal.home.posting import post_to
from portal.settings import Settings
from portal.web.permissions import Permission, requires
from portal.web.transactions import db
from saml.issuing import issue_response


@blueprint.post(f"/home/accounts/{UIN}/roles/<configuration_id>/login")
@requires(Permission.EMPLOYEE)
def log_in_with_role(uin: int, configuration_id: str) -> Any:
    user = current_user.user
    entry = authorizations.entry(db(), user, account_uin=uin, configuration_id=configuration_id)
    lasting = timedelta(seconds=entry.deployment.session_duration)
    sign_on = sites.sign_on_as_role(
        entry.account,
        base_url=_settings().base_url,
        role=entry.deployment.role_name,
        provider=entry.deployment.provider_name,
        user=user,
        duration=lasting,
    )
    _remember(entry.account, configuration_id, lasting)
    _record(entry.account, role=entry.deployment.role_name)
    return _post(entry.account, sign_on, lasting, relay_state=entry.configuration.relay_state)


@blueprint.post(f"/home/accounts/{UIN}/user/login")
@requires(Permission.EMPLOYEE)
def log_in_with_user(uin: int) -> Any:
    entry = syncs.user_entry(db(), current_user.user, account_uin=uin)
    name = entry.synced_user.cam_user_name
    lasting = timedelta(hours=_settings().employee_session_hours)
    sign_on = sites.sign_on_as_user(entry.account, base_url=_settings().base_url, user=current_user.user, name=name)
    _remember(entry.account, None, lasting)
    _record(entry.account, cam_user=name)
    return _post(entry.account, sign_on, lasting)


def _post(account: Account, sign_on: SignOn, lasting: timedelta, *, relay_state: str = "") -> str:
    """Whatever the account itself allows, no session outlasts what was remembered of it here."""
    settings, space, now = _settings(), current_user.space, clock.now()
    private_key, certificate = saml_keys.signing_key(db(), space, secret_key=settings.secret_key)
    response = issue_response(
        issuer=addresses.issuer(settings.base_url, space.name),
        recipient=sign_on.acs_url,
        audience=sign_on.audience,
        name_id=sign_on.name_id,
        name_id_format=sign_on.name_id_format,
        attributes=sign_on.attributes,
        in_response_to=None,
        private_key=private_key,
        certificate=certificate,
        now=now,
        lifetime=sessions.ANSWER_LIFETIME,
        session_not_on_or_after=now + sessions.ANSWER_LIFETIME + lasting,
    )
    fields = {"SAMLResponse": response} | ({"RelayState": relay_state} if relay_state else {})
    return post_to(sign_on.acs_url, fields, _("Continue to %(account)s", account=account.name))


def _remember(account: Account, configuration_id: str | None, lasting: timedelta) -> None:
    sessions.remember(
        db(), user=current_user.user, account_uin=account.uin, configuration_id=configuration_id, lasting=lasting
    )


def _record(account: Account, **details: str) -> None:
    audit.record(
        db(),
        current_user.actor,
        "account.log_in",
        target_type="account",
        target_id=account.uin,
        target_name=account.name,
        account_uin=account.uin,
        details=details,
    )


def _settings() -> Settings:
    settings: Settings = current_app.extensions["settings"]
    return settings
