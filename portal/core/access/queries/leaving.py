"""What somebody loses who leaves every group."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from portal.core.access.models import Authorization, AuthorizationStatus, SyncStatus, UserSync
from portal.core.access.queries.shared import in_groups_of
from portal.core.directory.models import User


@dataclass(frozen=True)
class Lost:
    """Roles in accounts, and accounts with a CAM user."""

    authorizations: int
    syncs: int


def lost_by_leaving(session: Session, user: User) -> Lost:
    """What comes by the user's groups and not to the user directly too."""
    roles = select(Authorization.account_uin, Authorization.configuration_id)
    roles = roles.where(Authorization.status != AuthorizationStatus.REMOVING)
    accounts = select(UserSync.account_uin).where(UserSync.status != SyncStatus.DELETING)
    joined = in_groups_of(user.id)
    lost_roles = roles.where(Authorization.group_id.in_(joined)).except_(roles.where(Authorization.user_id == user.id))
    lost_accounts = accounts.where(UserSync.group_id.in_(joined)).except_(accounts.where(UserSync.user_id == user.id))
    counted = (
        select(func.count()).select_from(lost.subquery()).scalar_subquery() for lost in (lost_roles, lost_accounts)
    )
    return Lost(*session.execute(select(*counted)).one())
