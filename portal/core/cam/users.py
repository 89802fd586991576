"""Verbs on the users of one account, and their passwords (CAM-1, CAM-4, IC-14)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import Select, delete, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from portal.core import audit, clock, limits
from portal.core.actor import Actor
from portal.core.cam import access_keys, queries
from portal.core.cam.models import CamGroupMember, CamSession, CamUser, HolderType
from portal.core.cam.policies import attach, attach_exactly, check_manager, detach, detach_all
from portal.core.errors import Conflict, Invalid, NotFound
from portal.core.federation.models import SignIn
from portal.core.organization.models import Organization
from portal.core.secrets import hash_password
from portal.core.text import fold

SUB_USER = "SubUser"
SYNCHRONIZED = "CICUser"

RESCUE = "organization:SetExternalSAMLIdentityProvider"
"""Who may do this can repair the sign-in of a whole organization: one such person must always be left."""

_NAME = re.compile(r"[A-Za-z0-9+=,.@_-]{1,128}")
_PASSWORD_LENGTH = range(8, 129)  # NIST SP 800-63B 5.1.1.1: length counts, no rules of composition


def find_cam_user(session: Session, account_uin: int, name: str) -> CamUser | None:
    """By name, without case as everywhere."""
    return session.scalar(select(CamUser).where(CamUser.account_uin == account_uin, CamUser.name_key == fold(name)))


def get_cam_user(session: Session, account_uin: int, uin: int, *, lock: bool = False) -> CamUser:
    """The account's user of that number. With `lock` nobody else changes it until the end. Raises NotFound."""
    statement = select(CamUser).where(CamUser.account_uin == account_uin, CamUser.uin == uin)
    found = session.scalar(statement.with_for_update(key_share=True) if lock else statement)
    if found is None:
        raise NotFound("There is no such CAM user in this account.")
    return found


def user_arn(account_uin: int, user_uin: int) -> str:
    """How policies name a CAM user."""
    return f"qcs::cam::uin/{account_uin}:uin/{user_uin}"


def create_cam_user(
    session: Session,
    actor: Actor,
    *,
    account_uin: int,
    name: str,
    password: str | None = None,
    policies: Sequence[str] = (),
    remark: str = "",
) -> CamUser:
    """A user of the account itself. Raises Invalid (name, password, policies), Conflict (name taken), LimitReached."""
    if find_cam_user(session, account_uin, name):
        raise Conflict(f"There is already a CAM user named {name} in this account.", field="name")
    user = _add(session, account_uin, name, remark=remark, password_hash=_hashed(password))
    attach_exactly(session, account_uin=account_uin, holder_type=HolderType.USER, holder_id=user.uin, names=policies)
    _record(session, actor, "cam_user.create", user, policies=sorted(set(policies)))
    return user


def set_password(session: Session, actor: Actor, *, cam_user: CamUser, password: str) -> None:
    """Unlocks the user and ends the sign-ins made with the former password. Raises Invalid, Forbidden."""
    check_manager(f"The CAM user {cam_user.name}", cam_user.managed_by, None)
    cam_user.password_hash = _hashed(password)
    cam_user.failed_sign_ins, cam_user.locked_until = 0, None
    _end_sign_ins(session, cam_user)
    session.flush()
    _record(session, actor, "cam_user.set_password", cam_user)


def password_hash_of(session: Session, *, account_uin: int, name: str) -> str | None:
    """What the password of a CAM user of an admin account is to be compared with; None when nobody is called so."""
    return session.scalar(_signing_in(account_uin, name).with_only_columns(CamUser.password_hash))


def count_sign_in(
    session: Session, *, account_uin: int, name: str, proven: str | None, attempts: int, lock_minutes: int
) -> CamUser | None:
    """The CAM user who may come in, else None: unknown, locked, wrong look alike.

    `proven` is the hash that the password matched, None for a wrong one. To compare them takes long and happens
    outside of a transaction, so what was proven must still be the password here. `attempts` wrong ones in a row lock
    the user for `lock_minutes`. The caller commits after a None as well: that is how the attempts are counted.
    """
    user = session.scalar(_signing_in(account_uin, name).with_for_update(of=CamUser))
    if user is None or (user.locked_until is not None and user.locked_until > clock.now()):
        return None
    right = proven is not None and proven == user.password_hash
    if right:
        user.failed_sign_ins, user.locked_until = 0, None
    else:
        user.failed_sign_ins += 1
        if user.failed_sign_ins >= attempts:
            user.failed_sign_ins, user.locked_until = 0, clock.now() + timedelta(minutes=lock_minutes)
    session.flush()
    return user if right else None


def _signing_in(account_uin: int, name: str) -> Select[CamUser]:
    return (
        select(CamUser)
        .join(Organization, Organization.admin_uin == CamUser.account_uin)
        .where(CamUser.account_uin == account_uin, CamUser.name_key == fold(name))
    )


def synchronize_cam_user(
    session: Session, actor: Actor, *, account_uin: int, name: str, remark: str, keep_both: bool, manager: str
) -> CamUser:
    """The CAM user that stands for the user `name` of the space `manager`, made when there is none (IC-14).

    A user of the account with that name is kept and ours gets the suffix `_cic`, or it is taken over: then it
    loses policies, groups and password, because a synchronized user has no permission. Raises Invalid when
    the last administrator would be lost that way or the names are taken, Forbidden when another space holds
    the user.
    """
    ours = session.scalar(
        select(CamUser).where(
            CamUser.account_uin == account_uin,
            CamUser.managed_by == manager,
            CamUser.managed_for == fold(name),
        )
    )
    taken = None if ours else find_cam_user(session, account_uin, name)
    if ours:
        user, action = ours, "cam_user.update"
    elif taken and not keep_both:
        _take_over(session, taken, manager)
        user, action = taken, "cam_user.take_over"
    else:
        new_name = f"{name}_cic" if taken else name
        if taken and find_cam_user(session, account_uin, new_name):
            raise Invalid(f"The account has CAM users named {name} and {new_name} already.", field="name")
        user, action = _add(session, account_uin, new_name), "cam_user.create"
    changed = not ours or user.remark != remark
    user.type, user.managed_by, user.managed_for, user.remark = SYNCHRONIZED, manager, fold(name), remark
    session.flush()
    if changed:
        _record(session, actor, action, user, managed_by=manager)
    return user


def release_cam_user(session: Session, actor: Actor, *, cam_user: CamUser, manager: str) -> None:
    """The user stays as one of the account's own, with what it was granted there (IC-14, deletion policy Keep).

    The portal opens it no longer, so the sessions that it opened end.
    """
    check_manager(f"The CAM user {cam_user.name}", cam_user.managed_by, manager)
    _end_sign_ins(session, cam_user)
    cam_user.type, cam_user.managed_by, cam_user.managed_for = SUB_USER, None, None
    session.flush()
    _record(session, actor, "cam_user.release", cam_user)


def grant_policies(session: Session, actor: Actor, *, cam_user: CamUser, names: Sequence[str]) -> list[str]:
    """Grant preset policies (CAM-2), to a synchronized user as well: what it may is up to the account (IC-14).

    The names of those that are new; what the user has already stays. Raises Invalid, LimitReached, NotFound.
    """
    if not names:
        raise Invalid("Choose at least one preset policy.", field="policies")
    get_cam_user(session, cam_user.account_uin, cam_user.uin, lock=True)
    new = attach(
        session,
        account_uin=cam_user.account_uin,
        holder_type=HolderType.USER,
        holder_id=cam_user.uin,
        names=names,
    )
    if new:
        _record(session, actor, "cam_user.grant_policies", cam_user, policies=new)
    return new


def withdraw_policy(session: Session, actor: Actor, *, cam_user: CamUser, name: str) -> CamUser:
    """Withdraw a policy that the user holds itself (CAM-2); those of its groups stay.

    Raises NotFound, Invalid when the organization would lose its last administrator.
    """
    last = _administrators(session, cam_user.account_uin) == [cam_user.uin]
    get_cam_user(session, cam_user.account_uin, cam_user.uin, lock=True)
    with session.begin_nested():
        if not detach(session, holder_type=HolderType.USER, holder_id=cam_user.uin, name=name):
            raise NotFound(f"The CAM user {cam_user.name} does not hold a policy {name[:128]} itself.")
        if last and not _administrators(session, cam_user.account_uin):
            raise _last_administrator(cam_user)
    _record(session, actor, "cam_user.withdraw_policy", cam_user, policies=[name])
    return cam_user


def delete_cam_user(session: Session, actor: Actor, *, cam_user: CamUser, manager: str | None) -> None:
    """Ends its sessions too. Raises Forbidden for a user that is not `manager`'s, Invalid while it has access keys."""
    check_manager(f"The CAM user {cam_user.name}", cam_user.managed_by, manager)
    get_cam_user(session, cam_user.account_uin, cam_user.uin, lock=True)
    access_keys.check_none(session, cam_user)
    detach_all(session, holder_type=HolderType.USER, holder_id=cam_user.uin)
    session.delete(cam_user)
    session.flush()
    _record(session, actor, "cam_user.delete", cam_user)


def _add(
    session: Session, account_uin: int, name: str, *, remark: str = "", password_hash: str | None = None
) -> CamUser:
    if not _NAME.fullmatch(name):
        raise Invalid("A CAM user name has 1 to 128 letters, digits and the characters + = , . @ - _", field="name")
    count = session.scalar(select(func.count()).where(CamUser.account_uin == account_uin)) or 0
    limits.check("cam_users_per_account", count + 1, what="CAM users in one account")
    user = CamUser(account_uin=account_uin, name=name, name_key=fold(name), remark=remark, password_hash=password_hash)
    session.add(user)
    try:
        session.flush()
    except IntegrityError as error:  # made by somebody else in this moment
        raise Conflict(f"There is already a CAM user named {name} in this account.", field="name") from error
    return user


def _take_over(session: Session, user: CamUser, manager: str) -> None:
    if user.managed_by == manager:
        raise Invalid(
            f"The CAM user {user.name} stands for another user of this space. Synchronize with Save Both.",
            field="name",
        )
    check_manager(f"The CAM user {user.name}", user.managed_by, None)
    _check_not_last_administrator(session, user)
    get_cam_user(session, user.account_uin, user.uin, lock=True)  # a grant under way comes before or not at all
    detach_all(session, holder_type=HolderType.USER, holder_id=user.uin)
    session.execute(delete(CamGroupMember).where(CamGroupMember.user_uin == user.uin))
    user.password_hash, user.failed_sign_ins, user.locked_until = None, 0, None
    _end_sign_ins(session, user)


def _check_not_last_administrator(session: Session, user: CamUser) -> None:
    if _administrators(session, user.account_uin) == [user.uin]:
        raise _last_administrator(user)


def _last_administrator(user: CamUser) -> Invalid:
    """Nobody could sign in to the console any more, so nobody could undo it."""
    return Invalid(
        f"{user.name} is the last administrator of the organization: make another administrator first.",
        field="name",
    )


def _administrators(session: Session, account_uin: int) -> list[int]:
    """Who of an admin account can sign in to the console and repair the sign-in; nobody of any other account.

    Holds the organization, so that of two administrators each cannot take the other for the one who is left.
    """
    runs = select(Organization.id).where(Organization.admin_uin == account_uin).with_for_update(key_share=True)
    if session.scalar(runs) is None:
        return []
    held = queries.grants_of_users(session, account_uin, CamUser.password_hash.is_not(None))
    return [
        uin for uin, grants in held.items() if queries.allows(queries.named(grants), RESCUE, account_uin=account_uin)
    ]


def _end_sign_ins(session: Session, user: CamUser) -> None:
    for table, whose in ((SignIn, SignIn.cam_user_uin), (CamSession, CamSession.user_uin)):
        session.execute(update(table).where(whose == user.uin, table.ended_at.is_(None)).values(ended_at=clock.now()))


def _hashed(password: str | None) -> str | None:
    if password is not None and len(password) not in _PASSWORD_LENGTH:
        raise Invalid("A password has 8 to 128 characters.", field="password")
    return None if password is None else hash_password(password)


def _record(session: Session, actor: Actor, action: str, user: CamUser, **details: object) -> None:
    audit.record(
        session,
        actor,
        action,
        target_type="cam_user",
        target_id=user.uin,
        target_name=user.name,
        account_uin=user.account_uin,
        details=details,
    )
