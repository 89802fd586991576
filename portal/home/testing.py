"""The answer to a test sign-in: judged to the end, kept, shown in the console. Nobody is signed in (IC-6)."""

from __future__ import annotations

import hmac
from dataclasses import replace
from datetime import timedelta
from typing import Any

from flask import current_app, g, make_response, redirect, request, url_for

from portal.core import clock
from portal.core.actor import Actor
from portal.core.federation import candidates, identity_provider, offers, saml_settings, trials
from portal.core.federation.identity_provider import TrustedIdentityProvider
from portal.core.federation.models import PendingSignIn
from portal.core.federation.saml_settings import Choices
from portal.core.federation.sign_ins import SignInRefused
from portal.core.federation.trials import Trial, Which
from portal.core.space.models import Space
from portal.parties import our_side, their_side
from portal.settings import Settings
from portal.trust import as_offered
from portal.web import binding
from portal.web.transactions import db
from saml.display import readable
from saml.judging import Judgement, judge_response

PASSED, FAILED, NOT_REACHED = "passed", "failed", "not-reached"


def take_answer(space: Space, pending: PendingSignIn, saml_response: str) -> Any:
    """To the page that shows the verdict. The administrator's cookie does not come with this cross-site POST, but
    with the GET that follows; the number of the attempt says nothing to anybody else.

    SignInRefused when another browser began the test: what it brings is not shown to whoever that was.
    """
    if binding.bound_but(pending.binding_hash, binding.TEST) is None:
        raise SignInRefused("other-browser", "this browser did not begin the test")
    relay_states = request.form.getlist("RelayState")
    if len(relay_states) != 1 or not hmac.compare_digest(relay_states[0].encode(), pending.relay_token.encode()):
        raise SignInRefused("relay-state", "the RelayState is not the one that was sent")
    trial = trials.trial_of(pending)
    idp = _tried(space, trial)
    actor = _administrator(space, trial)
    outcome = (
        _judged(space, actor, pending, idp, saml_response) if idp else _CHANGED | {"response": readable(saml_response)}
    )
    attempt = trials.finish(
        db(),
        actor,
        space=space,
        trial=trial,
        idp=idp,
        user_agent=request.headers.get("User-Agent", ""),
        **outcome,
    )
    response = make_response(redirect(url_for("console.sso_test", attempt_id=attempt.id), 303))
    binding.bind(response, space.name, [], binding.TEST)
    return response


_CHANGED: dict[str, Any] = {
    "checks": (),
    "reason": "data-changed",
    "detail": "the data that was to be tested was changed or removed in the meantime",
}


def _tried(space: Space, trial: Trial) -> TrustedIdentityProvider | None:
    """The data that was asked with, None if it is not there any more."""
    if trial.which == Which.TRUSTED:
        idp = identity_provider.current(db(), space)
    else:
        row = offers.waiting(db(), space)
        idp = as_offered(row) if row else None
    return idp if idp is not None and offers.digest(idp) == trial.digest else None


def _judged(
    space: Space, actor: Actor, pending: PendingSignIn, idp: TrustedIdentityProvider, saml_response: str
) -> dict[str, Any]:
    settings: Settings = current_app.extensions["settings"]
    choices = saml_settings.of(db(), space)
    asked_at = pending.expires_at - timedelta(minutes=settings.sign_in_minutes)
    judgement = judge_response(
        our_side(db(), space, settings),
        their_side(idp),
        saml_response,
        request_id=pending.request_id,
        now=clock.now(),
        skew=timedelta(seconds=settings.saml_clock_skew_seconds),
        username_attribute=choices.username_attribute,
        authenticated_after=asked_at if choices.force_authn else None,
        encrypted_only=choices.encrypted_only,
    )
    return {"response": judgement.document, **_told(space, actor, choices, judgement)}


def _told(space: Space, actor: Actor, choices: Choices, judgement: Judgement) -> dict[str, Any]:
    """Every check; the last is whether somebody of that name may enter."""
    checks: list[tuple[str, str, str]] = [(check.code, check.verdict, check.detail) for check in judgement.checks]
    if judgement.assertion is None:
        refusal = judgement.refusal
        reason, detail = (refusal.reason, refusal.detail) if refusal else ("", "")
        return {"checks": [*checks, ("user", NOT_REACHED, "")], "reason": reason, "detail": detail}
    found = candidates.candidate(
        db(),
        actor,
        space=space,
        choices=choices,
        name=judgement.assertion.username,
        attributes=judgement.assertion.attributes,
    )
    user = ("user", FAILED if found.reason else PASSED, found.detail)
    told = found.detail if found.reason else ""
    return {"checks": [*checks, user], "reason": found.reason, "detail": told, "user_name": found.name}


def _administrator(space: Space, trial: Trial) -> Actor:
    """Who began the test, in the browser that brings the answer."""
    anonymous = Actor("administrator", trial.actor_id, trial.actor_name, space.organization_id)
    return replace(anonymous, address=request.remote_addr or "", request_id=g.request_id)
