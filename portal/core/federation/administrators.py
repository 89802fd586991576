"""Sign-in sessions of administrators: CAM users of the admin account of an organization (IC-1, IC-18)."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from sqlalchemy import delete, or_, select
from sqlalchemy.orm import Session

from portal.core import audit, clock
from portal.core.actor import Actor
from portal.core.cam.models import CamUser
from portal.core.federation import sign_ins
from portal.core.federation.models import SignIn, SignInKind
from portal.core.organization.models import Organization
from portal.core.space.models import Space


def organization_of(session: Session, account: str) -> Organization | None:
    """What an administrator types to say where: the name of the space, or the number of the admin account."""
    found = session.scalar(
        select(Organization).join(Space, Space.organization_id == Organization.id).where(Space.name == account)
    )
    if found is None and account.isascii() and account.isdigit() and len(account) <= 18:
        found = session.scalar(select(Organization).where(Organization.admin_uin == int(account)))
    return found


def usual_account(session: Session) -> str:
    """What that is in an installation with one organization, so that nobody has to type it; else empty."""
    found = session.execute(
        select(Organization.admin_uin, Space.name).outerjoin(Space, Space.organization_id == Organization.id).limit(2)
    ).all()
    return str(found[0].name or found[0].admin_uin) if len(found) == 1 else ""


def sign_in_administrator(
    session: Session,
    actor: Actor,
    *,
    cam_user: CamUser,
    organization: Organization,
    expires_at: datetime,
    user_agent: str = "",
) -> tuple[SignIn, str]:
    """A session of an administrator whose password was right, and the token for its cookie."""
    session.execute(
        delete(SignIn).where(
            SignIn.cam_user_uin == cam_user.uin,
            or_(SignIn.ended_at.is_not(None), SignIn.expires_at <= clock.now()),
        )
    )
    sign_in, token = sign_ins.start(
        session,
        kind=SignInKind.ADMINISTRATOR,
        cam_user_uin=cam_user.uin,
        expires_at=expires_at,
        address=actor.address,
        user_agent=user_agent,
    )
    _record(session, actor, "administrator.sign_in", cam_user, organization)
    return sign_in, token


def sign_out_administrator(
    session: Session, actor: Actor, *, sign_in: SignIn, cam_user: CamUser, organization: Organization
) -> None:
    """Ends this one session."""
    sign_ins.end(session, sign_in.token_hash)
    _record(session, actor, "administrator.sign_out", cam_user, organization)


def _record(session: Session, actor: Actor, action: str, cam_user: CamUser, organization: Organization) -> None:
    audit.record(
        session,
        replace(actor, kind="administrator", id=str(cam_user.uin), name=cam_user.name),
        action,
        target_type="cam_user",
        target_id=cam_user.uin,
        target_name=cam_user.name,
        account_uin=cam_user.account_uin,
        organization_id=organization.id,
    )
