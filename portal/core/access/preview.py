"""What a batch would do, said before it is submitted: by how much, where, and what stands in its way.

In as many statements for ten thousand accounts as for one. Lists are cut after the first 20 and count the rest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.orm import Session

from portal.core import limits
from portal.core.access import room
from portal.core.access.authorizations import why_not_granted
from portal.core.access.deployments import why_not_deployed
from portal.core.access.models import (
    Authorization,
    AuthorizationStatus,
    Configuration,
    ConfigurationPolicy,
    DeployedProvider,
    Deployment,
    DeploymentStatus,
    SyncStatus,
    UserSync,
)
from portal.core.access.queries.shared import sum_if
from portal.core.access.rows import MOST, First, cut
from portal.core.access.selection import Selection
from portal.core.cam import presets
from portal.core.directory.models import Group, User
from portal.core.organization.models import Member
from portal.core.space.models import Space

_NONE: First[str] = First()


@dataclass(frozen=True)
class AccountPreview:
    """One account: CAM roles made, there, there but older than their configuration, and going; tasks that make
    something; whether our identity provider is there."""

    name: str
    new_roles: int
    deployed: int
    outdated: int
    undeploying: int
    new: int
    existing: int
    has_provider: bool


@dataclass(frozen=True)
class Preview:
    """`refusals` are the words with which the verb refuses; `existing` the reasons of tasks that will fail.

    `failing` says where tasks will fail, for a verb that does not refuse that; `missing_policies` are (configuration,
    policy) that no account has any more; `removing` the accounts out of which everything is being taken at the moment.
    """

    refusals: First[str]
    accounts: First[AccountPreview] = field(default_factory=First)
    new: int = 0
    new_roles: int = 0
    deployed: int = 0
    outdated: int = 0
    undeploying: int = 0
    new_providers: int = 0
    existing: First[str] = field(default_factory=First)
    failing: First[str] = field(default_factory=First)
    missing_policies: First[tuple[str, str]] = field(default_factory=First)
    disabled: First[str] = field(default_factory=First)
    removing: First[str] = field(default_factory=First)


def roles(session: Session, space: Space, picked: Selection) -> Preview:
    """Of `authorizations.grant`, which takes over what only a department granted until now."""
    if words := limits.refusal("triples_per_batch", picked.triples, what="authorizations in one batch"):
        return Preview(First([words], 1))
    held = and_(
        Authorization.space_id == space.id,
        Authorization.account_uin.in_(picked.uins),
        Authorization.configuration_id.in_(picked.configuration_ids),
        or_(Authorization.user_id.in_(picked.user_ids), Authorization.group_id.in_(picked.group_ids)),
        or_(Authorization.direct, Authorization.status == AuthorizationStatus.REMOVING),
    )
    existing = per_account(session, Authorization, held)
    reasons = (
        select(
            func.coalesce(User.user_name, Group.name),
            Configuration.name,
            Authorization.status,
            Authorization.direct,
        )
        .outerjoin(User, User.id == Authorization.user_id)
        .outerjoin(Group, Group.id == Authorization.group_id)
        .join(Configuration, Configuration.id == Authorization.configuration_id)
        .join(Member, Member.account_uin == Authorization.account_uin)
        .add_columns(Member.name)
        .where(held)
        .order_by(Authorization.id)
        .limit(MOST)
    )
    why = [
        f"{account}: {why_not_granted(who, what, status, direct=direct)}"
        for who, what, status, direct, account in session.execute(reasons)
    ]
    each = picked.principals * len(picked.configurations)
    return of_roles(session, space, picked, each, existing, why, disabled=disabled_of(session, picked))


def deployments(session: Session, space: Space, picked: Selection) -> Preview:
    """Of `deployments.deploy`: configurations in accounts, nobody assigned."""
    tasks = len(picked.accounts) * len(picked.configurations)
    if words := limits.refusal("triples_per_batch", tasks, what="deployments in one batch"):
        return Preview(First([words], 1))
    there = and_(
        Deployment.space_id == space.id,
        Deployment.account_uin.in_(picked.uins),
        Deployment.configuration_id.in_(picked.configuration_ids),
        Deployment.status != DeploymentStatus.FAILED,
    )
    reasons = (
        select(Configuration.name, Member.name, Deployment.status)
        .select_from(Deployment)
        .join(Configuration, Configuration.id == Deployment.configuration_id)
        .join(Member, Member.account_uin == Deployment.account_uin)
        .where(there)
        .order_by(Deployment.id)
        .limit(MOST)
    )
    why = [why_not_deployed(*row) for row in session.execute(reasons)]
    existing = per_account(session, Deployment, there)
    return of_roles(session, space, picked, len(picked.configurations), existing, why)


def of_roles(
    session: Session,
    space: Space,
    picked: Selection,
    each: int,
    existing: Mapping[int, int],
    why: Sequence[str] = (),
    *,
    disabled: First[str] = _NONE,
) -> Preview:
    """`each` is the number of tasks per account, `existing` how many of them have nothing to do."""
    roles = _roles(session, picked)
    provided = providers_in(session, space, picked)
    rows = []
    for one in picked.accounts:
        uin = int(one.id)
        deployed, outdated, undeploying = roles.get(uin, (0, 0, 0))
        made = len(picked.configurations) - deployed - outdated - undeploying
        there = existing.get(uin, 0)
        rows.append(
            AccountPreview(one.name, made, deployed, outdated, undeploying, each - there, there, uin in provided)
        )
    names = {int(one.id): one.name for one in picked.accounts}
    configurations = {one.id: one.name for one in picked.configurations}
    refusals = room.policies_refused(session, configurations)
    refusals += room.roles_refused(session, names, list(configurations.values()))
    return Preview(
        refusals=cut(refusals),
        accounts=cut(rows),
        new=sum(row.new for row in rows),
        new_roles=sum(row.new_roles for row in rows),
        deployed=sum(row.deployed for row in rows),
        outdated=sum(row.outdated for row in rows),
        undeploying=sum(row.undeploying for row in rows),
        new_providers=sum(not row.has_provider for row in rows if row.new),
        existing=First(why, sum(existing.values())),
        missing_policies=_missing_policies(session, configurations),
        disabled=disabled,
        removing=being_removed(session, space, picked),
    )


def _roles(session: Session, picked: Selection) -> dict[int, tuple[int, int, int]]:
    """By account: roles that stand as the configuration is, that are older, and that are being taken out."""
    stands = and_(
        Deployment.deployed_revision > 0,
        Deployment.status.not_in([DeploymentStatus.FAILED, DeploymentStatus.UNDEPLOYING]),
    )
    old = Deployment.deployed_revision < Configuration.revision
    undeploying = Deployment.status == DeploymentStatus.UNDEPLOYING
    statement = (
        select(Deployment.account_uin, sum_if(and_(stands, ~old)), sum_if(and_(stands, old)), sum_if(undeploying))
        .join(Configuration, Configuration.id == Deployment.configuration_id)
        .where(Deployment.account_uin.in_(picked.uins), Deployment.configuration_id.in_(picked.configuration_ids))
        .group_by(Deployment.account_uin)
    )
    return {uin: (current, outdated, going) for uin, current, outdated, going in session.execute(statement)}


def per_account(session: Session, model: Any, condition: ColumnElement[bool]) -> dict[int, int]:
    statement = select(model.account_uin, func.count()).where(condition).group_by(model.account_uin)
    return dict(session.execute(statement).all())


def providers_in(session: Session, space: Space, picked: Selection) -> set[int]:
    """The accounts where our identity provider is, as far as we know."""
    mine = (DeployedProvider.space_id == space.id, DeployedProvider.account_uin.in_(picked.uins))
    return set(session.scalars(select(DeployedProvider.account_uin).where(*mine)))


def disabled_of(session: Session, picked: Selection) -> First[str]:
    """Chosen users whose login is disabled."""
    off = select(User.user_name).where(User.id.in_(picked.user_ids), ~User.enabled).order_by(User.user_name_key)
    return cut(session.scalars(off).all())


def being_removed(session: Session, space: Space, picked: Selection) -> First[str]:
    """Accounts where something of the space is left and all of that is going."""
    going: list[ColumnElement[bool]] = []
    staying: list[ColumnElement[bool]] = []
    removals: tuple[tuple[Any, str], ...] = (
        (Authorization, AuthorizationStatus.REMOVING),
        (Deployment, DeploymentStatus.UNDEPLOYING),
        (UserSync, SyncStatus.DELETING),
    )
    for model, status in removals:
        here = select(model.id).where(model.account_uin == Member.account_uin, model.space_id == space.id)
        going.append(here.where(model.status == status).exists())
        staying.append(here.where(model.status != status).exists())
    statement = (
        select(Member.name)
        .where(Member.account_uin.in_(picked.uins), or_(*going), ~or_(*staying))
        .order_by(Member.name_key)
    )
    return cut(session.scalars(statement).all())


def _missing_policies(session: Session, configurations: Mapping[str, str]) -> First[tuple[str, str]]:
    rows = session.execute(
        select(ConfigurationPolicy.configuration_id, ConfigurationPolicy.policy_name)
        .where(ConfigurationPolicy.configuration_id.in_(configurations))
        .order_by(ConfigurationPolicy.policy_name)
    )
    return cut([(configurations[key], name) for key, name in rows if presets.find(name) is None])
