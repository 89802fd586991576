"""What a CAM user or role may do, and the lists of an account's console."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal

from sqlalchemy import ColumnElement, Select, SQLColumnExpression, and_, or_, select
from sqlalchemy.orm import Session

from portal.core import clock
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

_HELD = (CamAttachment.policy_name, CamAttachment.policy_type, CamGroup.name, CamPolicy)


@dataclass(frozen=True)
class Grant:
    """A policy that a user or role holds; `groups` names those it comes through, none when it is its own."""

    name: str
    type: PolicyType
    description: str
    document: str
    policy: Policy
    groups: tuple[str, ...] = ()


def grants_of_users(session: Session, account_uin: int, which: ColumnElement[bool]) -> dict[int, tuple[Grant, ...]]:
    """By uin, for those users of the account that hold any: direct and through groups, each policy once."""
    groups = select(CamGroupMember.group_id).where(CamGroupMember.user_uin == CamUser.uin)
    direct = and_(CamAttachment.holder_type == HolderType.USER, CamAttachment.holder_id == CamUser.uin)
    by_group = and_(CamAttachment.holder_type == HolderType.GROUP, CamAttachment.holder_id.in_(groups))
    holders = select(CamUser.uin, *_HELD).select_from(CamUser).join(CamAttachment, or_(direct, by_group))
    return _grants(session, holders.where(CamUser.account_uin == account_uin, which))


def grants_of_user(session: Session, cam_user: CamUser) -> tuple[Grant, ...]:
    found = grants_of_users(session, cam_user.account_uin, CamUser.uin == cam_user.uin)
    return found.get(cam_user.uin, ())


def grants_of_role(session: Session, role: CamRole) -> tuple[Grant, ...]:
    held = and_(CamAttachment.holder_type == HolderType.ROLE, CamAttachment.holder_id == CamRole.id)
    found = _grants(
        session, select(CamRole.id, *_HELD).select_from(CamRole).join(CamAttachment, held).where(CamRole.id == role.id)
    )
    return found.get(role.id, ())


def grants_of_roles(session: Session, account_uin: int, names: Iterable[str]) -> dict[str, tuple[Grant, ...]]:
    """By name, for those of the account's roles that hold any, in one statement."""
    held = and_(CamAttachment.holder_type == HolderType.ROLE, CamAttachment.holder_id == CamRole.id)
    holders = select(CamRole.name, *_HELD).select_from(CamRole).join(CamAttachment, held)
    return _grants(session, holders.where(CamRole.account_uin == account_uin, CamRole.name.in_(list(names))))


def policies_of_user(session: Session, cam_user: CamUser) -> tuple[NamedPolicy, ...]:
    """What decides for this user (CAM-3): its own policies and those of its groups."""
    return named(grants_of_user(session, cam_user))


def named(grants: Iterable[Grant]) -> tuple[NamedPolicy, ...]:
    return tuple(NamedPolicy(grant.name, grant.type, grant.policy) for grant in grants)


def allows(policies: Iterable[NamedPolicy], action: str, *, account_uin: int, resource: str = "*") -> bool:
    """Whether `policies` of one principal allow `action` (service:name), whoever asks from wherever.

    Conditions that need to know more do not hold. Raises PolicyError for a bad action.
    """
    return decide(policies, AccessRequest(action, resource, account_uin)).allowed


def question(
    principal: CamUser | CamRole, action: str, *, account_uin: int, address: str, resource: str = "*"
) -> AccessRequest:
    """`principal` asks, here and now: with what is known of it for conditions and variables. `address` is an IP's."""
    uin = {"uin": str(principal.uin)} if isinstance(principal, CamUser) else {}
    context = {
        "qcs:ip": address,
        "qcs:current_time": clock.now().isoformat(),
        "qcs:owner_uin": str(account_uin),
        **{f"qcs:{name}": value for name, value in uin.items()},
    }
    return AccessRequest(action, resource, account_uin, context, uin)


def policies_of_roles(session: Session, account_uin: int, names: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """The names of the policies attached to each of the account's roles of these names, in one statement."""
    found: dict[str, tuple[str, ...]] = dict.fromkeys(names, ())
    rows = session.execute(
        select(CamRole.name, CamAttachment.policy_name)
        .join(
            CamAttachment,
            and_(CamAttachment.holder_type == HolderType.ROLE, CamAttachment.holder_id == CamRole.id),
        )
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


def _holds(column: SQLColumnExpression[str], text: str) -> ColumnElement[bool]:
    """For columns of ASCII names, which have no folded copy."""
    return column.ilike(contains(text), escape="\\")


def _grants(session: Session, holders: Select[*tuple[Any, ...]]) -> dict[Any, tuple[Grant, ...]]:
    """`holders` selects who holds an attachment, and _HELD. A policy that no longer exists grants nothing."""
    in_group = and_(CamAttachment.holder_type == HolderType.GROUP, CamGroup.id == CamAttachment.holder_id)
    custom_policy = and_(
        CamAttachment.policy_type == "Custom",
        CamPolicy.account_uin == CamAttachment.account_uin,
        CamPolicy.name == CamAttachment.policy_name,
    )
    rows = session.execute(
        holders.outerjoin(CamGroup, in_group)
        .outerjoin(CamPolicy, custom_policy)
        .order_by(CamAttachment.policy_name, CamGroup.name)
    )
    found: dict[Any, dict[tuple[str, str], Grant]] = {}
    for holder, name, policy_type, group, custom in rows:
        grant = _custom(custom) if custom else _preset(name) if policy_type == "System" else None
        if grant is None:
            continue
        held = found.setdefault(holder, {})
        through = (group,) if group else ()
        known = held.get((policy_type, name))
        if known:
            through = (*known.groups, *through) if known.groups and through else ()
        held[policy_type, name] = replace(grant, groups=through)
    return {holder: tuple(held.values()) for holder, held in found.items()}


def _preset(name: str) -> Grant | None:
    preset = presets.find(name)
    return Grant(name, "System", preset.description, preset.document, preset.policy) if preset else None


def _custom(custom: CamPolicy) -> Grant:
    return Grant(custom.name, "Custom", custom.description, custom.document, _compiled(custom.document))


@lru_cache(maxsize=1024)
def _compiled(document: str) -> Policy:
    return parse(document)
