"""Temporary sessions in one account, opened by SAML (CAM-1, IC-17)."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import delete, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from portal.core import audit, clock
from portal.core.actor import Actor
from portal.core.cam.models import CamRole, CamSeenAssertion, CamSession, CamUser
from portal.core.errors import Forbidden
from portal.core.secrets import hash_token, new_token


def open_session(
    session: Session,
    actor: Actor,
    *,
    principal: CamRole | CamUser,
    session_name: str,
    provider_name: str,
    source_identity: str = "",
    duration: timedelta,
    assertion_id: str,
    assertion_expires: datetime,
) -> tuple[CamSession, str]:
    """The session of a role or CAM user, and its token, which is kept only as a hash.

    The assertion is remembered until `assertion_expires`. Raises Forbidden when the account took it before.
    """
    _use_once(session, principal.account_uin, assertion_id, assertion_expires)
    token, now = new_token(), clock.now()
    opened = CamSession(
        token_hash=hash_token(token),
        account_uin=principal.account_uin,
        role_id=principal.id if isinstance(principal, CamRole) else None,
        user_uin=principal.uin if isinstance(principal, CamUser) else None,
        session_name=session_name,
        provider_name=provider_name,
        source_identity=source_identity,
        started_at=now,
        expires_at=now + duration,
    )
    session.add(opened)
    session.flush()
    _record(session, actor, "account.sign_in", opened, principal)
    return opened, token


def principal_of(session: Session, opened: CamSession) -> CamRole | CamUser:
    """Whose rights the session has. Sessions go with their role or user, so that it is always there."""
    if opened.role_id is not None:
        return session.get_one(CamRole, opened.role_id)
    return session.get_one(CamUser, opened.user_uin)


def end_session(session: Session, actor: Actor, *, opened: CamSession) -> None:
    opened.ended_at = clock.now()
    session.flush()
    _record(session, actor, "account.sign_out", opened, principal_of(session, opened))


def end_sessions_of(
    session: Session, actor: Actor, *, account_uin: int, source_identity: str, role: CamRole | None, manager: str
) -> None:
    """All that this person has open in the account as `role`, or as anything that `manager` manages there (None)."""
    wanted = (
        CamSession.role_id == role.id
        if role
        else or_(
            CamSession.role_id.in_(select(CamRole.id).where(CamRole.managed_by == manager)),
            CamSession.user_uin.in_(select(CamUser.uin).where(CamUser.managed_by == manager)),
        )
    )
    found = session.scalars(
        select(CamSession)
        .where(
            CamSession.account_uin == account_uin,
            CamSession.source_identity == source_identity,
            CamSession.ended_at.is_(None),
            CamSession.expires_at > clock.now(),
            wanted,
        )
        .order_by(CamSession.id)
        .with_for_update()
    ).all()
    for opened in found:
        end_session(session, actor, opened=opened)


def _use_once(session: Session, account_uin: int, assertion_id: str, expires_at: datetime) -> None:
    """The unique key decides, so that of two posts at the same moment one is refused. Forgets expired ids."""
    expired = (CamSeenAssertion.account_uin == account_uin, CamSeenAssertion.expires_at <= clock.now())
    session.execute(delete(CamSeenAssertion).where(*expired))
    seen = CamSeenAssertion(account_uin=account_uin, assertion_id=assertion_id, expires_at=expires_at)
    try:
        with session.begin_nested():
            session.add(seen)
    except IntegrityError:
        raise Forbidden(f"The assertion {assertion_id} was used before.") from None


def _record(session: Session, actor: Actor, action: str, opened: CamSession, principal: CamRole | CamUser) -> None:
    audit.record(
        session,
        actor,
        action,
        target_type="cam_role" if isinstance(principal, CamRole) else "cam_user",
        target_id=principal.id if isinstance(principal, CamRole) else principal.uin,
        target_name=principal.name,
        account_uin=opened.account_uin,
        details={"session": opened.id, "provider": opened.provider_name},
    )
