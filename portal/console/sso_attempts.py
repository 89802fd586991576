"""Recent sign-ins and tests (IC-6): what the identity provider answered, each check, and what to change."""

from __future__ import annotations

from flask import current_app, render_template, request
from flask_babel import gettext as _

from portal import addresses
from portal.console import blueprint
from portal.console.scope import space
from portal.core import clock
from portal.core.errors import NotFound
from portal.core.federation import attempts, candidates, identity_provider, offers, remedies, saml_settings, trials
from portal.core.federation.identity_provider import TrustedIdentityProvider
from portal.core.federation.models import SignInAttempt, SignInPurpose
from portal.core.federation.remedies import Value
from portal.core.federation.trials import Which
from portal.settings import Settings
from portal.trust import as_offered
from portal.web.permissions import Permission, requires
from portal.web.transactions import db

NUMBER = "<int(max=9223372036854775807):attempt_id>"
RESULTS = {"accepted": True, "refused": False}
ALGORITHM = "RSA-SHA256, http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"
NAME_ID_FORMAT = "urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified"


@blueprint.get("/sso/sign-ins")
@requires(Permission.GET_SSO)
def sso_sign_ins() -> str:
    reference = request.args.get("reference", "").strip()[:64]
    result = request.args.get("result", "")
    page = attempts.attempts_of_space(
        db(),
        space(),
        accepted=RESULTS.get(result),
        reference=reference,
        before=_number("before"),
        after=_number("after"),
    )
    days = _settings().sign_in_log_days
    return render_template("console/sso/sign_ins.html", page=page, reference=reference, result=result, days=days)


@blueprint.get(f"/sso/sign-ins/{NUMBER}")
@requires(Permission.GET_SSO)
def sso_sign_in(attempt_id: int) -> str:
    return _attempt_page(attempts.get_attempt(db(), space(), attempt_id))


@blueprint.get(f"/sso/tests/{NUMBER}")
@requires(Permission.GET_SSO)
def sso_test(attempt_id: int) -> str:
    attempt = attempts.get_attempt(db(), space(), attempt_id)
    if attempt.purpose != SignInPurpose.TEST:
        raise NotFound(_("This was no test."))
    return _attempt_page(attempt)


def _attempt_page(attempt: SignInAttempt) -> str:
    checks, which, digest = trials.told(attempt)
    trusted, row = identity_provider.current(db(), space()), offers.waiting(db(), space())
    waiting = as_offered(row) if row else None
    tried = waiting if which == Which.OFFER else trusted
    same = tried is not None and offers.digest(tried) == digest
    return render_template(
        "console/sso/attempt.html",
        attempt=attempt,
        checks=checks,
        questions=remedies.QUESTIONS,
        faults=remedies.faults(attempt.reason, attempt.detail, checks),
        values=_values(attempt, tried),
        which=which,
        digest=digest,
        same=same,
        space=space(),
        user=candidates.user_named(db(), space(), attempt.user_name) if attempt.user_name else None,
    )


def _values(attempt: SignInAttempt, idp: TrustedIdentityProvider | None) -> dict[Value, list[str]]:
    """What remedies ask to type or to compare."""
    provider = addresses.service_provider(_settings().base_url, space().name)
    return {
        Value.ACS_URL: [provider.acs_url],
        Value.ENTITY_ID: [provider.entity_id],
        Value.IDP_ENTITY_ID: [idp.entity_id] if idp else [],
        Value.FINGERPRINTS: [one.fingerprint for one in idp.certificates] if idp else [],
        Value.ATTRIBUTE: [saml_settings.of(db(), space()).username_attribute],
        Value.CLOCK: [clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")],
        Value.ALGORITHM: [ALGORITHM],
        Value.NAME_ID_FORMAT: [NAME_ID_FORMAT],
        Value.USER_NAME: [attempt.user_name],
    }


def _number(name: str) -> int | None:
    number = request.args.get(name, type=int)
    return number if number is not None and 0 < number < 2**63 else None


def _settings() -> Settings:
    settings: Settings = current_app.extensions["settings"]
    return settings
