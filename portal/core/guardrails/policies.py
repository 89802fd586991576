"""Verbs on service control policies: writing them (SCP-2) and switching the feature on and off (SCP-1)."""

from __future__ import annotations

import re
from typing import Any

from sqlalchemy import delete, func, insert, literal, null, select
from sqlalchemy.orm import Session

from portal.core import audit, clock, limits
from portal.core.actor import Actor
from portal.core.cam.matching import PolicyError
from portal.core.cam.policy import parse
from portal.core.database import flush_or
from portal.core.errors import Conflict, Forbidden, Invalid, NotFound
from portal.core.guardrails.models import PolicyBinding, PolicyType, ServiceControlPolicy
from portal.core.organization.models import Department, Member, Organization
from portal.core.organization.organizations import lock
from portal.core.text import fold

FULL_ACCESS = "FullQcloudAccess"
FULL_ACCESS_DOCUMENT = '{"version": "2.0", "statement": [{"effect": "allow", "action": "*", "resource": "*"}]}'

_NAME = re.compile(r"[A-Za-z0-9+=,.@_-]{1,128}")


def get_policy(session: Session, organization: Organization, policy_id: str) -> ServiceControlPolicy:
    found = session.scalar(
        select(ServiceControlPolicy).where(
            ServiceControlPolicy.organization_id == organization.id, ServiceControlPolicy.id == policy_id
        )
    )
    if found is None:
        raise NotFound("There is no such service control policy.")
    return found


def policies_of(session: Session, organization: Organization) -> list[ServiceControlPolicy]:
    """All of them by name, to choose from; their number is limited."""
    mine = ServiceControlPolicy.organization_id == organization.id
    return list(session.scalars(select(ServiceControlPolicy).where(mine).order_by(ServiceControlPolicy.name_key)))


def enable(session: Session, actor: Actor, *, organization: Organization) -> int:
    """Bind FullQcloudAccess to every department and member; returns to how many. Raises Conflict when it is on."""
    _switch(session, organization, on=True)
    full = full_access(session, organization)
    now = clock.now()
    columns = ["organization_id", "policy_id", "department_id", "account_uin", "bound_at"]
    departments = select(literal(organization.id), literal(full.id), Department.id, null(), literal(now)).where(
        Department.organization_id == organization.id
    )
    members = select(literal(organization.id), literal(full.id), null(), Member.account_uin, literal(now)).where(
        Member.organization_id == organization.id
    )
    for nodes in (departments, members):
        session.execute(insert(PolicyBinding).from_select(columns, nodes))
    bound = session.scalar(select(func.count()).where(PolicyBinding.organization_id == organization.id)) or 0
    _record_switch(session, actor, organization, "scp.enable", bound)
    return bound


def disable(session: Session, actor: Actor, *, organization: Organization) -> int:
    """Every binding is dropped, policies stay; returns how many were. Raises Conflict when it is off."""
    _switch(session, organization, on=False)
    mine = delete(PolicyBinding).where(PolicyBinding.organization_id == organization.id)
    result: Any = session.execute(mine)
    _record_switch(session, actor, organization, "scp.disable", result.rowcount)
    return int(result.rowcount)


def create_policy(
    session: Session, actor: Actor, *, organization: Organization, name: str, document: str, description: str = ""
) -> ServiceControlPolicy:
    """Raises Invalid (naming statement, element and rule), Conflict (the name is taken), LimitReached."""
    lock(session, organization)
    name, description = _checked_name(name), _checked_description(description)
    check_document(document)
    custom = select(func.count()).where(
        ServiceControlPolicy.organization_id == organization.id, ServiceControlPolicy.type == PolicyType.CUSTOM
    )
    count = (session.scalar(custom) or 0) + 1
    limits.check("scp_per_organization", count, what="service control policies of one organization")
    _check_unique(session, organization.id, name)
    policy = ServiceControlPolicy(
        organization_id=organization.id, name=name, name_key=fold(name), description=description, document=document
    )
    session.add(policy)
    flush_or(session, _taken(name))
    _record(session, actor, "scp.create", policy)
    return policy


def update_policy(
    session: Session,
    actor: Actor,
    *,
    policy: ServiceControlPolicy,
    name: str | None = None,
    description: str | None = None,
    document: str | None = None,
) -> ServiceControlPolicy:
    """Effective at once wherever it is bound. What is None stays. Raises Invalid, Conflict, Forbidden (System)."""
    _check_custom(policy, "changed")
    changed = []
    if name is not None and (name := _checked_name(name)) != policy.name:
        _check_unique(session, policy.organization_id, name, but=policy.id)
        policy.name, policy.name_key = name, fold(name)
        changed.append("name")
    if description is not None and (description := _checked_description(description)) != policy.description:
        policy.description = description
        changed.append("description")
    if document is not None and document != policy.document:
        check_document(document)
        policy.document = document
        changed.append("document")
    if changed:
        policy.updated_at = clock.now()
        flush_or(session, _taken(policy.name))
        _record(session, actor, "scp.update", policy, changed=changed)
    return policy


def delete_policy(session: Session, actor: Actor, *, policy: ServiceControlPolicy) -> None:
    """Raises Conflict while it is bound, saying to how many nodes, and Forbidden (System)."""
    _check_custom(policy, "deleted")
    locked = select(ServiceControlPolicy.id).where(ServiceControlPolicy.id == policy.id).with_for_update()
    session.execute(locked)
    bound = session.scalar(select(func.count()).where(PolicyBinding.policy_id == policy.id)) or 0
    if bound:
        raise Conflict(f"{policy.name} is bound to {bound} {'node' if bound == 1 else 'nodes'}. Unbind it first.")
    _record(session, actor, "scp.delete", policy)
    session.delete(policy)
    session.flush()


def check_document(document: str) -> None:
    """Raises Invalid whose message names statement, element and rule."""
    try:
        parse(document)
    except PolicyError as fault:
        raise Invalid(str(fault), field="document") from fault


def full_access(session: Session, organization: Organization) -> ServiceControlPolicy:
    """The system policy; the row is made when the feature is first switched on."""
    mine = select(ServiceControlPolicy).where(
        ServiceControlPolicy.organization_id == organization.id, ServiceControlPolicy.type == PolicyType.SYSTEM
    )
    found = session.scalar(mine)
    if found is None:
        found = ServiceControlPolicy(
            organization_id=organization.id,
            name=FULL_ACCESS,
            name_key=fold(FULL_ACCESS),
            type=PolicyType.SYSTEM,
            description="Lets everything pass; CAM decides.",
            document=FULL_ACCESS_DOCUMENT,
        )
        session.add(found)
        session.flush()
    return found


def _switch(session: Session, organization: Organization, *, on: bool) -> None:
    lock(session, organization)
    session.refresh(organization)
    if organization.scp_enabled == on:
        raise Conflict(f"Service control policies are switched {'on' if on else 'off'} already.")
    organization.scp_enabled = on
    session.flush()


def _checked_name(name: str) -> str:
    name = (name or "").strip()
    if not _NAME.fullmatch(name):
        raise Invalid("A name has 1 to 128 letters, digits and +=,.@_- characters.", field="name")
    if fold(name) == fold(FULL_ACCESS):
        raise Invalid(f"{FULL_ACCESS} is the name of the system policy.", field="name")
    return name


def _checked_description(description: str) -> str:
    description = (description or "").strip()
    if len(description) > 1024:
        raise Invalid("At most 1024 characters are allowed.", field="description")
    return description


def _check_custom(policy: ServiceControlPolicy, done: str) -> None:
    if policy.type == PolicyType.SYSTEM:
        raise Forbidden(f"{policy.name} is a system policy and cannot be {done}.")


def _check_unique(session: Session, organization_id: int, name: str, *, but: str = "") -> None:
    taken = select(ServiceControlPolicy.id).where(
        ServiceControlPolicy.organization_id == organization_id,
        ServiceControlPolicy.name_key == fold(name),
        ServiceControlPolicy.id != but,
    )
    if session.scalar(taken) is not None:
        raise _taken(name)


def _taken(name: str) -> Conflict:
    return Conflict(f"There is a service control policy named {name} already.", field="name")


def _record(session: Session, actor: Actor, action: str, policy: ServiceControlPolicy, **details: Any) -> None:
    audit.record(
        session,
        actor,
        action,
        target_type="scp",
        target_id=policy.id,
        target_name=policy.name,
        organization_id=policy.organization_id,
        details=details,
    )


def _record_switch(session: Session, actor: Actor, organization: Organization, action: str, bindings: int) -> None:
    audit.record(
        session,
        actor,
        action,
        target_type="organization",
        target_id=organization.id,
        target_name=organization.name,
        organization_id=organization.id,
        details={"bindings": bindings},
    )
