"""What should stand in an account: read from what was deployed there, not from what is asked for now.

A permission configuration that waits for redeployment is no drift, nor is a certificate that is on its way.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import exists, or_, select
from sqlalchemy.orm import Session

from portal.core.access.configurations import role_description
from portal.core.access.models import (
    Configuration,
    ConfigurationPolicy,
    DeployedProvider,
    Deployment,
    DeploymentStatus,
    SyncedUser,
    SyncStatus,
    UserSync,
)
from portal.core.access.picking import chunks
from portal.core.access.syncs import user_remark
from portal.core.directory.models import Membership, User
from portal.core.drift.comparing import Desired, WantedUser
from portal.core.drift.state import ProviderSpec, RoleSpec
from portal.core.space.models import Space


def desired(session: Session, space: Space, account_uin: int, *, entity_id: str) -> Desired:
    """`entity_id`: by which accounts know the space as an identity provider."""
    roles, open_roles = _roles(session, space, account_uin)
    users, open_users = _users(session, space, account_uin)
    deployed = session.get(DeployedProvider, (account_uin, space.id), populate_existing=True)
    provider = None
    if roles or users:
        provider = ProviderSpec(space.provider_name, entity_id, deployed.certificates if deployed else "")
    coming = bool(open_roles) or open_users is None or bool(open_users)
    return Desired(
        provider=provider,
        roles=roles,
        users=users,
        open_providers=frozenset([space.provider_name] if coming else []),
        open_roles=open_roles,
        open_users=open_users,
    )


def _roles(session: Session, space: Space, account_uin: int) -> tuple[tuple[RoleSpec, ...], frozenset[str]]:
    rows: Any = session.execute(
        select(Deployment, Configuration)
        .join(Configuration, Configuration.id == Deployment.configuration_id)
        .where(Deployment.space_id == space.id, Deployment.account_uin == account_uin)
        .order_by(Deployment.role_name)
        .execution_options(populate_existing=True)
    ).all()
    current = _policies_now(session, [row.id for deployment, row in rows if deployment.policies is None])
    roles, others = [], set()
    for deployment, configuration in rows:
        policies = deployment.policies
        if policies is None and deployment.deployed_revision == configuration.revision:
            policies = current.get(configuration.id, [])
        if policies is None or deployment.status != DeploymentStatus.DEPLOYED:
            others.add(deployment.role_name)
            continue
        role = RoleSpec(
            name=deployment.role_name,
            description=role_description(configuration.name, space.name),
            provider_name=deployment.provider_name,
            session_duration=deployment.session_duration,
            policies=tuple(sorted(policies)),
            managed_by=space.id,
        )
        roles.append(role)
    return tuple(roles), frozenset(others)


def _policies_now(session: Session, configuration_ids: list[str]) -> dict[str, list[str]]:
    """For what was deployed before a deployment kept its policies, and has not changed since."""
    found: dict[str, list[str]] = {}
    for chunk in chunks(configuration_ids):
        rows = select(ConfigurationPolicy.configuration_id, ConfigurationPolicy.policy_name)
        for configuration_id, name in session.execute(rows.where(ConfigurationPolicy.configuration_id.in_(chunk))):
            found.setdefault(configuration_id, []).append(name)
    return found


def _users(session: Session, space: Space, account_uin: int) -> tuple[tuple[WantedUser, ...], frozenset[str] | None]:
    here = (UserSync.account_uin == account_uin, UserSync.space_id == space.id, UserSync.status != SyncStatus.DELETING)
    groups = select(UserSync.group_id).where(*here, UserSync.group_id.is_not(None))
    covered = or_(
        User.id.in_(select(UserSync.user_id).where(*here, UserSync.user_id.is_not(None))),
        User.id.in_(select(Membership.user_id).where(Membership.group_id.in_(groups))),
    )
    stands = exists().where(SyncedUser.user_id == User.id, SyncedUser.account_uin == account_uin)
    coming = session.scalar(select(User.id).where(User.space_id == space.id, covered, ~stands).limit(1))
    rows: Any = session.execute(
        select(SyncedUser.user_id, SyncedUser.cam_user_name, User.user_name, User.display_name)
        .outerjoin(User, (User.id == SyncedUser.user_id) & covered)
        .where(SyncedUser.space_id == space.id, SyncedUser.account_uin == account_uin)
        .order_by(SyncedUser.cam_user_name)
    ).all()
    wanted = tuple(
        WantedUser(user_id, user_name, cam_name, user_remark(display_name or user_name))
        for user_id, cam_name, user_name, display_name in rows
        if user_name is not None
    )
    leaving = frozenset(cam_name for _id, cam_name, user_name, _display in rows if user_name is None)
    return wanted, None if coming else leaving
