"""One answer of an identity provider on its way to a verdict, and what is kept of it for administrators.

Kept as a row of recent sign-ins, and when refused in the audit trail, is what answers a request of ours, and what is
genuine (every check of the message passed) though nobody asked, that once per assertion. Anybody can ask and then post
what he likes: of a message without a trusted signature little is kept, and in each hour a bounded number. What anybody
can post at will fills nothing: the log and a counter tell of it.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import structlog
from flask import g, render_template, request
from sqlalchemy.orm import Session

from portal.core import audit, clock
from portal.core.federation import attempts, sign_ins
from portal.core.federation.identity_provider import TrustedIdentityProvider
from portal.core.federation.models import PendingSignIn, SignInPurpose
from portal.core.federation.sign_ins import SignInRefused, Vouched
from portal.home.trusting import Trust, settings
from portal.parties import their_side
from portal.web.observing import SIGN_INS_REFUSED
from portal.web.sessions import anonymous_actor
from portal.web.transactions import afterwards
from saml.errors import SamlError
from saml.judging import Judgement, judge_response
from saml.service_provider import Assertion

log = structlog.get_logger()

_MAY_NOT = ("unknown-user", "disabled-user", "not-created")


class Answer:
    """`pending`: what it answers, None when nobody asked."""

    def __init__(self, trust: Trust) -> None:
        self.trust = trust
        self.now = clock.now()
        self.skew = timedelta(seconds=settings().saml_clock_skew_seconds)
        self.saml_response = ""
        self.pending: PendingSignIn | None = None
        self.judgement: Judgement | None = None

    def judge(self, request_id: str | None) -> Assertion:
        """What the IdP asserts. Raises SamlError, or SignInRefused when there is no IdP to believe."""
        if self.trust.idp is None or not self.trust.space.sso_enabled:
            raise SignInRefused("sso-off", "SSO is switched off")
        judgement = self._judge(self.trust.idp, request_id)
        if judgement.assertion is None:
            raise judgement.refusal or SamlError("library", "nothing was accepted")
        return judgement.assertion

    def vouched(self, assertion: Assertion) -> Vouched:
        return Vouched(
            user_name=assertion.username,
            assertion_id=assertion.id,
            expires_at=assertion.not_on_or_after + self.skew,
            idp_entity_id=assertion.issuer,
            name_id=assertion.name_id,
            name_id_format=assertion.name_id_format,
            name_qualifier=assertion.name_qualifier,
            sp_name_qualifier=assertion.sp_name_qualifier,
            session_index=assertion.session_index,
            attributes=assertion.attributes,
        )

    def session_ends(self, assertion: Assertion) -> datetime:
        """The IdP can shorten a session, not lengthen it."""
        expires = self.now + timedelta(hours=settings().employee_session_hours)
        return min(expires, assertion.session_not_on_or_after or expires)

    def record_accepted(self, session: Session, user_name: str) -> None:
        """In the sign-in's own transaction: there is one exactly when there is the other."""
        self._record(session, accepted=True, user_name=user_name)

    def refuse(self, error: SamlError | SignInRefused) -> Any:
        """The page tells no reason, but to whom the IdP vouched for, that nobody of that name may enter."""
        space = self.trust.space
        reason = f"{error.reason}: {error.detail}"[:1000]
        log.warning("sign_in.refused", space=space.name, reason=reason)
        SIGN_INS_REFUSED.labels("employee", error.reason).inc()
        self._keep(error)
        page = render_template(
            "home/refused.html", space=space, may_not=error.reason in _MAY_NOT, reference=g.request_id
        )
        return page, 403

    def _judge(self, idp: TrustedIdentityProvider, request_id: str | None) -> Judgement:
        choices = self.trust.choices
        self.judgement = judge_response(
            self.trust.sp,
            their_side(idp),
            self.saml_response,
            request_id=request_id,
            now=self.now,
            skew=self.skew,
            username_attribute=choices.username_attribute,
            authenticated_after=self._asked_at() if choices.force_authn else None,
            encrypted_only=choices.encrypted_only,
        )
        return self.judgement

    def _asked_at(self) -> datetime:
        """When nobody asked: the authentication may be as old as if somebody had."""
        waited = timedelta(minutes=settings().sign_in_minutes)
        return (self.pending.expires_at if self.pending else self.now) - waited

    def _keep(self, error: SamlError | SignInRefused) -> None:
        """In a transaction of its own when the request's has been rolled back."""
        space, actor = self.trust.space, anonymous_actor(self.trust.space.organization_id)
        pending, idp = self.pending, self.trust.idp
        if pending and idp and self.judgement is None and pending.purpose != SignInPurpose.TEST:
            self._judge(idp, pending.request_id)  # refused before the message was looked at

        def write(session: Session) -> None:
            told = self._told(session, error)
            if told is not None:
                self._record(session, accepted=False, reason=told.reason, detail=told.detail)
                audit.record(
                    session,
                    actor,
                    "user.sign_in",
                    result=audit.Result.REFUSED,
                    reason=f"{told.reason}: {told.detail}"[:1000],
                    target_type="space",
                    target_id=space.id,
                    target_name=space.name,
                )

        afterwards(write)

    @property
    def _is_genuine(self) -> bool:
        """The identity provider has signed it, whatever else is wrong with it."""
        checks = self.judgement.checks if self.judgement else ()
        return any(check.code == "signature" and check.verdict == "passed" for check in checks)

    def _told(self, session: Session, error: SamlError | SignInRefused) -> SamlError | SignInRefused | None:
        """What is kept of a refusal, if anything: of strangers' too many in an hour only that they are."""
        if not self._is_kept(session):
            return None
        kept = 0 if self._is_genuine else attempts.of_strangers(session, self.trust.space)
        if kept < attempts.STRANGERS_PER_HOUR:
            return error
        if kept > attempts.STRANGERS_PER_HOUR:
            return None
        self.judgement = None
        return SignInRefused(
            "too-many", f"{kept} refusals without a trusted signature in this hour; this and more are in the log only"
        )

    def _is_kept(self, session: Session) -> bool:
        if self.pending is not None:
            return True
        if self.judgement is None or self.judgement.assertion is None:
            return False
        return sign_ins.first_told(session, self.trust.space, self.vouched(self.judgement.assertion))

    def _record(self, session: Session, *, accepted: bool, user_name: str = "", **words: str) -> None:
        judgement = self.judgement
        if judgement and judgement.assertion:
            user_name = user_name or judgement.assertion.username
        attempts.record(
            session,
            space=self.trust.space,
            accepted=accepted,
            purpose=self.pending.purpose if self.pending else SignInPurpose.SIGN_IN,
            checks=[(check.code, check.verdict, check.detail) for check in judgement.checks] if judgement else (),
            response=judgement.document if judgement else "",
            genuine=self._is_genuine,
            reference=g.request_id,
            user_name=user_name,
            idp_entity_id=self.trust.idp.entity_id if self.trust.idp else "",
            address=request.remote_addr or "",
            user_agent=request.headers.get("User-Agent", ""),
            **words,
        )
