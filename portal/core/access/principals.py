"""What hangs on a user or group here, and taking it away when the IdP deletes one (IC-5)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from portal.core import audit
from portal.core.access import sessions
from portal.core.access.models import (
    Authorization,
    DeletionStrategy,
    DepartmentAuthorization,
    PrincipalType,
    SyncedUser,
    SyncStatus,
    UserSync,
)
from portal.core.access.picking import Principal
from portal.core.access.queries.shared import in_groups_of
from portal.core.access.syncs import queue_per_account
from portal.core.actor import Actor
from portal.core.directory.models import Group, Membership, User
from portal.core.organization.models import Member


def uses_of_user(session: Session, user: User) -> list[str]:
    """Reasons not to delete: `3 authorizations`, `1 user synchronization`. What comes by a group does not count."""
    mine = DepartmentAuthorization.user_id == user.id
    return _uses(session, Authorization.user_id == user.id, mine, UserSync.user_id == user.id)


def uses_of_group(session: Session, group: Group) -> list[str]:
    mine = DepartmentAuthorization.group_id == group.id
    return _uses(session, Authorization.group_id == group.id, mine, UserSync.group_id == group.id)


def withdraw_user(session: Session, actor: Actor, *, user: User) -> None:
    """Remove its authorizations and synchronizations now and queue the removal of its CAM users.

    To be called while its memberships are still there: a group's synchronizations reach it too.
    """
    mine = UserSync.user_id == user.id
    standing = select(SyncedUser.account_uin).where(SyncedUser.user_id == user.id)
    strategies: dict[int, str] = dict.fromkeys(session.scalars(standing), DeletionStrategy.KEEP)
    asked = session.execute(
        select(UserSync.account_uin, UserSync.deletion_strategy, UserSync.user_id.is_not(None)).where(
            mine | UserSync.group_id.in_(in_groups_of(user.id)), UserSync.status != SyncStatus.DELETING
        )
    )
    for uin, strategy, _own in sorted(asked, key=lambda row: (row[2], row[1])):
        strategies[uin] = strategy  # the last one decides: the user's own; among groups Keep goes before Delete
    held, granted = Authorization.user_id == user.id, DepartmentAuthorization.user_id == user.id
    _remove(session, actor, held, granted, mine, "user", user.id, user.user_name)
    about = Principal(PrincipalType.USER, user.id, user.user_name)
    _queue(session, actor, user.space_id, about, [user.id], strategies)


def withdraw_group(session: Session, actor: Actor, *, group: Group) -> None:
    """The same for a group; to be called while its memberships are still there."""
    mine = UserSync.group_id == group.id
    strategies: dict[int, Any] = dict(
        session.execute(select(UserSync.account_uin, UserSync.deletion_strategy).where(mine)).all()
    )
    members = session.scalars(select(Membership.user_id).where(Membership.group_id == group.id)).all()
    about = Principal(PrincipalType.GROUP, group.id, group.name)
    held = Authorization.group_id == group.id
    sessions.end_after_revoking(session, actor, space_id=group.space_id, about=about, revoked=held)
    granted = DepartmentAuthorization.group_id == group.id
    _remove(session, actor, held, granted, mine, "group", group.id, group.name)
    _queue(session, actor, group.space_id, about, members, strategies)


def _uses(session: Session, authorized: Any, by_department: Any, synchronized: Any) -> list[str]:
    authorizations = session.scalar(select(func.count()).select_from(Authorization).where(authorized)) or 0
    departments = session.scalar(select(func.count()).select_from(DepartmentAuthorization).where(by_department)) or 0
    syncs = session.scalar(select(func.count()).select_from(UserSync).where(synchronized)) or 0
    counted = [
        (authorizations, "authorization"),
        (departments, "department authorization"),
        (syncs, "user synchronization"),
    ]
    return [f"{count} {what}{'' if count == 1 else 's'}" for count, what in counted if count]


def _remove(
    session: Session,
    actor: Actor,
    authorized: Any,
    by_department: Any,
    synchronized: Any,
    kind: str,
    target_id: str,
    name: str,
) -> None:
    departments = session.scalars(
        delete(DepartmentAuthorization).where(by_department).returning(DepartmentAuthorization.department_id)
    ).all()
    removed = session.execute(
        delete(Authorization).where(authorized).returning(Authorization.account_uin, Authorization.configuration_id)
    ).all()
    syncs = session.scalars(delete(UserSync).where(synchronized).returning(UserSync.id)).all()
    if removed or syncs or departments:
        details = {
            "authorizations": [f"{uin} {configuration}" for uin, configuration in removed[:100]],
            "authorizations_count": len(removed),
            "department_authorizations": len(departments),
            "user_syncs": list(syncs[:100]),
        }
        action = f"{kind}.withdraw"
        audit.record(session, actor, action, target_type=kind, target_id=target_id, target_name=name, details=details)


def _queue(
    session: Session,
    actor: Actor,
    space_id: str,
    about: Principal,
    user_ids: Sequence[str],
    strategies: dict[int, Any],
) -> None:
    names = session.execute(select(Member.account_uin, Member.name).where(Member.account_uin.in_(strategies)))
    accounts = [(uin, name, None, strategies[uin]) for uin, name in sorted(names)]
    if accounts and user_ids:
        queue_per_account(session, actor, space_id=space_id, about=about, user_ids=user_ids, accounts=accounts)
