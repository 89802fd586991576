"""Access keys of CAM users: what programs sign their calls with. Who has one is not deleted (IC-14)."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from portal.core import audit, limits
from portal.core.actor import Actor
from portal.core.cam.models import CamAccessKey, CamUser
from portal.core.errors import Invalid, NotFound
from portal.core.secrets import hash_token, new_token


def keys_of(session: Session, cam_user: CamUser) -> Sequence[CamAccessKey]:
    """Oldest first."""
    mine = CamAccessKey.user_uin == cam_user.uin
    return session.scalars(select(CamAccessKey).where(mine).order_by(CamAccessKey.created_at, CamAccessKey.id)).all()


def create_access_key(session: Session, actor: Actor, *, cam_user: CamUser) -> tuple[CamAccessKey, str]:
    """The key and its secret, which is kept hashed and cannot be read again. Raises LimitReached, NotFound."""
    locked = select(CamUser.uin).where(CamUser.uin == cam_user.uin).with_for_update(key_share=True)
    if session.scalar(locked) is None:
        raise NotFound("There is no such CAM user in this account.")
    limits.check("access_keys_per_user", count(session, cam_user) + 1, what="access keys of one CAM user")
    secret = new_token()
    key = CamAccessKey(
        id=f"AKID{secrets.token_hex(16)}",
        account_uin=cam_user.account_uin,
        user_uin=cam_user.uin,
        secret_hash=hash_token(secret),
    )
    session.add(key)
    session.flush()
    _record(session, actor, "cam_access_key.create", cam_user, key)
    return key, secret


def delete_access_key(session: Session, actor: Actor, *, cam_user: CamUser, key_id: str) -> None:
    """Raises NotFound."""
    key = session.get(CamAccessKey, key_id)
    if key is None or key.user_uin != cam_user.uin:
        raise NotFound(f"The CAM user {cam_user.name} has no such access key.")
    session.delete(key)
    session.flush()
    _record(session, actor, "cam_access_key.delete", cam_user, key)


def check_none(session: Session, cam_user: CamUser) -> None:
    """Raises Invalid when programs may still use the CAM user."""
    if number := count(session, cam_user):
        keys = "an access key" if number == 1 else f"{number} access keys"
        raise Invalid(f"The CAM user {cam_user.name} has {keys} and is not deleted. Delete what it has in the account.")


def count(session: Session, cam_user: CamUser) -> int:
    return session.scalar(select(func.count()).where(CamAccessKey.user_uin == cam_user.uin)) or 0


def _record(session: Session, actor: Actor, action: str, cam_user: CamUser, key: CamAccessKey) -> None:
    audit.record(
        session,
        actor,
        action,
        target_type="cam_user",
        target_id=cam_user.uin,
        target_name=cam_user.name,
        account_uin=cam_user.account_uin,
        details={"access_key": key.id},
    )
