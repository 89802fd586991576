"""A test sign-in (IC-6): a real round trip with data that waits or is in force, at whose end nobody is signed in.

What is tried is kept in the target of the pending request, so that the answer counts for exactly that data.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy.orm import Session

from portal.core import audit, clock
from portal.core.actor import Actor
from portal.core.federation import attempts, identity_provider, offers, sign_ins
from portal.core.federation.attempts import CheckRow
from portal.core.federation.identity_provider import TrustedIdentityProvider
from portal.core.federation.models import IdentityProvider, PendingSignIn, SignInAttempt, SignInPurpose
from portal.core.space.models import Space

_TRIED = "tried"
"""A line among the checks of an attempt that says what was tried."""


class Which(enum.StrEnum):
    """Whose data is tried: what waits, or what is in force."""

    OFFER = "offer"
    TRUSTED = "trusted"


@dataclass(frozen=True)
class Trial:
    which: Which
    digest: str
    actor_id: str
    actor_name: str

    @property
    def text(self) -> str:
        return json.dumps([self.which, self.digest, self.actor_id, self.actor_name])


def trial_of(pending: PendingSignIn) -> Trial:
    which, digest, actor_id, actor_name = json.loads(pending.target)
    return Trial(Which(which), digest, actor_id, actor_name)


def begin(
    session: Session,
    actor: Actor,
    *,
    space: Space,
    which: Which,
    idp: TrustedIdentityProvider,
    request_id: str,
    relay_token: str,
    binding_token: str,
    lifetime: timedelta,
) -> None:
    """Remember that `actor` asked `idp`, which is the data of `which` as it stands now."""
    pending = sign_ins.begin_sign_in(
        session,
        space=space,
        request_id=request_id,
        relay_token=relay_token,
        binding_token=binding_token,
        idp_entity_id=idp.entity_id,
        target=Trial(which, offers.digest(idp), actor.id[:64], actor.name[:64]).text,
        lifetime=lifetime,
    )
    pending.purpose = SignInPurpose.TEST
    session.flush()


def finish(
    session: Session,
    actor: Actor,
    *,
    space: Space,
    trial: Trial,
    idp: TrustedIdentityProvider | None,
    checks: Iterable[tuple[str, str, str]],
    reason: str,
    detail: str = "",
    response: str = "",
    user_name: str = "",
    user_agent: str = "",
) -> SignInAttempt:
    """Keep what came of it; no `reason` means that it passed. The data that was tried then counts as tested, if it
    still is what waits or is in force."""
    if idp is not None and not reason:
        _mark(session, space, trial, idp)
    audit.record(
        session,
        actor,
        "sso.test",
        target_type="space",
        target_id=space.id,
        target_name=space.name,
        result=audit.Result.REFUSED if reason else audit.Result.ACCEPTED,
        reason=f"{reason}: {detail}"[:1000] if reason else "",
        details={"which": trial.which, "entity_id": idp.entity_id if idp else "", "user_name": user_name},
    )
    return attempts.record(
        session,
        space=space,
        accepted=not reason,
        purpose=SignInPurpose.TEST,
        checks=[(_TRIED, "passed", f"{trial.which} {trial.digest}"), *checks],
        response=response,
        reason=reason,
        detail=detail,
        reference=actor.request_id,
        user_name=user_name,
        idp_entity_id=idp.entity_id if idp else "",
        address=actor.address,
        user_agent=user_agent,
    )


def told(attempt: SignInAttempt) -> tuple[list[CheckRow], Which | None, str]:
    """The checks of an attempt, and of a test, which data it tried and that data's digest."""
    checks = attempts.checks_of(attempt)
    tried = next((check for check in checks if check.code == _TRIED), None)
    if tried is None:
        return checks, None, ""
    which, _blank, digest = tried.detail.partition(" ")
    return [check for check in checks if check.code != _TRIED], Which(which), digest


def _mark(session: Session, space: Space, trial: Trial, idp: TrustedIdentityProvider) -> None:
    if trial.which == Which.OFFER:
        offers.mark_tested(session, space=space, idp=idp)
        return
    row = session.get(IdentityProvider, space.id, with_for_update=True, populate_existing=True)
    now_trusted = identity_provider.current(session, space)
    if row is not None and now_trusted is not None and offers.digest(now_trusted) == offers.digest(idp):
        row.tested_at = clock.now()
        session.flush()
