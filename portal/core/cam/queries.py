"""What a CAM user or role may do, and the lists of an account's console."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

from sqlalchemy import ColumnElement, and_, or_, select
from sqlalchemy.orm import Session

from portal.core.cam import presets
from portal.core.cam.decision import AccessRequest, NamedPolicy, decide
from portal.core.cam.models import (
    CamAttachment,
    CamGroup,
    CamGroupMember,
    CamIdentityProvider,
    CamPolicy,
    CamRole,
    CamUser,
    HolderType,
)
from portal.core.cam.policy import Policy, parse
from portal.core.organization.models import Member
from portal.core.paging import Page, Search, paginate
from portal.core.text import contains

PolicyType = Literal["System", "Custom"]


@dataclass(frozen=True)
class Grant:
    """A policy that a user or role holds; `groups` names the user groups it comes through, none when it is its own."""

    name: str
    type: PolicyType
    description: str
    document: str
    policy: Policy
    groups: tuple[str, ...] = ()


def grants_of_user(session: Session, cam_user: CamUser) -> tuple[Grant, ...]:
    """Direct and through groups, each policy once, by name."""
    groups = select(CamGroupMember.group_id).where(CamGroupMember.user_uin == cam_user.uin)
    direct = and_(CamAttachment.holder_type == HolderType.USER, CamAttachment.holder_id == cam_user.uin)
    by_group = and_(CamAttachment.holder_type == HolderType.GROUP, CamAttachment.holder_id.in_(groups))
    return _grants(session, cam_user.account_uin, or_(direct, by_group))


def grants_of_role(session: Session, role: CamRole) -> tuple[Grant, ...]:
    held = and_(CamAttachment.holder_type == HolderType.ROLE, CamAttachment.holder_id == role.id)
    return _grants(session, role.account_uin, held)


def policies_of_user(session: Session, cam_user: CamUser) -> tuple[NamedPolicy, ...]:
    """What decides for this user (CAM-3): its own policies and those of its groups."""
    return named(grants_of_user(session, cam_user))


def policies_of_role(session: Session, role: CamRole) -> tuple[NamedPolicy, ...]:
    return named(grants_of_role(session, role))


def named(grants: Iterable[Grant]) -> tuple[NamedPolicy, ...]:
    return tuple(NamedPolicy(grant.name, grant.type, grant.policy) for grant in grants)


def allows(
    policies: Iterable[NamedPolicy], action: str, *, account_uin: int, resource: str = "*"
) -> bool:
    """Whether `policies` of one principal of the account allow `action` (service:name); PolicyError for a bad request."""
    return decide(policies, AccessRequest(action, resource, account_uin)).allowed


def policies_of_roles(session: Session, account_uin: int, names: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """The names of the policies attached to each of the account's roles of these names, in one statement."""
    found: dict[str, tuple[str, ...]] = dict.fromkeys(names, ())
    rows = session.execute(
        select(CamRole.name, CamAttachment.policy_name)
        .join(CamAttachment, and_(CamAttachment.holder_type == HolderType.ROLE, CamAttachment.holder_id == CamRole.id))
        .where(CamRole.account_uin == account_uin, CamRole.name.in_(list(found)))
        .order_by(CamAttachment.policy_name)
    )
    for role, policy in rows:
        found[role] = (*found[role], policy)
    return found


def organization_of(session: Session, account_uin: int) -> int | None:
    """The organization whose audit log tells what happens in the account."""
    return session.scalar(select(Member.organization_id).where(Member.account_uin == account_uin))


def users_page(session: Session, account_uin: int, search: Search) -> Page[CamUser]:
    statement = select(CamUser).where(CamUser.account_uin == account_uin)
    if search.text:
        statement = statement.where(CamUser.name_key.like(contains(search.text), escape="\\"))
    sorts = {"name": CamUser.name_key, "type": CamUser.type, "created": CamUser.created_at}
    return paginate(session, statement, search, sorts=sorts, key=CamUser.uin, scalars=True)


def roles_page(session: Session, account_uin: int, search: Search) -> Page[CamRole]:
    statement = select(CamRole).where(CamRole.account_uin == account_uin)
    if search.text:
        statement = statement.where(_holds(CamRole.name, search.text))
    sorts = {"name": CamRole.name, "type": CamRole.type, "created": CamRole.created_at}
    return paginate(session, statement, search, sorts=sorts, key=CamRole.id, scalars=True)


def providers_page(session: Session, account_uin: int, search: Search) -> Page[CamIdentityProvider]:
    statement = select(CamIdentityProvider).where(CamIdentityProvider.account_uin == account_uin)
    if search.text:
        text = search.text
        found = or_(_holds(CamIdentityProvider.name, text), _holds(CamIdentityProvider.entity_id, text))
        statement = statement.where(found)
    sorts = {"name": CamIdentityProvider.name, "created": CamIdentityProvider.created_at}
    return paginate(session, statement, search, sorts=sorts, key=CamIdentityProvider.id, scalars=True)


def _holds(column: ColumnElement[str], text: str) -> ColumnElement[bool]:
    """For columns of ASCII names, which have no folded copy."""
    return column.ilike(contains(text), escape="\\")


def _grants(session: Session, account_uin: int, held: ColumnElement[bool]) -> tuple[Grant, ...]:
    """One statement. A policy that no longer exists grants nothing."""
    in_group = and_(CamAttachment.holder_type == HolderType.GROUP, CamGroup.id == CamAttachment.holder_id)
    same_name = and_(CamPolicy.account_uin == account_uin, CamPolicy.name == CamAttachment.policy_name)
    rows = session.execute(
        select(CamAttachment.policy_name, CamAttachment.policy_type, CamGroup.name, CamPolicy)
        .outerjoin(CamGroup, in_group)
        .outerjoin(CamPolicy, and_(CamAttachment.policy_type == "Custom", same_name))
        .where(CamAttachment.account_uin == account_uin, held)
        .order_by(CamAttachment.policy_name, CamGroup.name)
    )
    found: dict[tuple[str, str], Grant] = {}
    for name, policy_type, group, custom in rows:
        grant = _custom(custom) if custom else _preset(name) if policy_type == "System" else None
        if grant is None:
            continue
        known = found.get((policy_type, name))
        if group is None or (known and not known.groups):
            groups: tuple[str, ...] = ()
        else:
            groups = (*(known.groups if known else ()), group)
        found[policy_type, name] = replace(grant, groups=groups)
    return tuple(found.values())


def _preset(name: str) -> Grant | None:
    preset = presets.find(name)
    return Grant(name, "System", preset.description, preset.document, preset.policy) if preset else None


def _custom(custom: CamPolicy) -> Grant:
    return Grant(custom.name, "Custom", custom.description, custom.document, _compiled(custom.document))


@lru_cache(maxsize=1024)
def _compiled(document: str) -> Policy:
    return parse(document)
