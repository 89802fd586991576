"""Verbs on bindings (SCP-3), and what follows departments and members as they come and go (SCP-1)."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, delete, insert, or_, select
from sqlalchemy.orm import Session

from portal.core import audit, limits
from portal.core.actor import Actor
from portal.core.errors import Conflict, Invalid, NotFound
from portal.core.guardrails.levels import Node
from portal.core.guardrails.models import PolicyBinding, ServiceControlPolicy
from portal.core.guardrails.policies import full_access
from portal.core.organization.models import Department, Member, Organization
from portal.core.organization.organizations import lock


def bind(
    session: Session,
    actor: Actor,
    *,
    organization: Organization,
    policy: ServiceControlPolicy,
    departments: Sequence[int] = (),
    accounts: Sequence[int] = (),
) -> list[Node]:
    """Effective at once; returns the nodes that did not have it yet.

    Raises Conflict while the feature is off, Invalid (none chosen), NotFound (of another organization), LimitReached
    (policies of one node).
    """
    if not departments and not accounts:
        raise Invalid("Choose at least one department or member account.", field="targets")
    lock(session, organization)
    session.refresh(organization)
    if not organization.scp_enabled:
        raise Conflict("Service control policies are switched off. Switch them on before you bind one.")
    names = _names(session, organization, departments, accounts)
    held, mine = _held(session, policy, departments, accounts)
    new = [node for node in names if node not in mine]
    for node in new:
        limits.check("scp_per_node", held.get(node, 0) + 1, what=f"service control policies of {names[node]}")
    if new:
        session.execute(insert(PolicyBinding), [_row(organization, policy, node) for node in new])
        _record(session, actor, "scp.bind", policy, [names[node] for node in new])
    return new


def unbind(
    session: Session,
    actor: Actor,
    *,
    organization: Organization,
    policy: ServiceControlPolicy,
    departments: Sequence[int] = (),
    accounts: Sequence[int] = (),
) -> int:
    """All of them or none; returns how many.

    Raises Invalid (none chosen), NotFound (not bound), Conflict for a node's last policy.
    """
    if not departments and not accounts:
        raise Invalid("Choose at least one department or member account.", field="targets")
    lock(session, organization)
    names = _names(session, organization, departments, accounts)
    held, mine = _held(session, policy, departments, accounts)
    if mine != set(names):
        raise NotFound(f"{policy.name} is not bound to all of these (any more). Reload the page.")
    for node, name in names.items():
        if held[node] == 1:
            raise Conflict(f"{policy.name} is the last service control policy of {name}, and every node keeps one.")
    session.execute(delete(PolicyBinding).where(PolicyBinding.policy_id == policy.id, _on(departments, accounts)))
    _record(session, actor, "scp.unbind", policy, list(names.values()))
    return len(names)


def cover(
    session: Session, *, organization: Organization, departments: Sequence[int] = (), accounts: Sequence[int] = ()
) -> None:
    """New departments and members begin with FullQcloudAccess, while the feature is on (SCP-1)."""
    if not session.scalar(select(Organization.scp_enabled).where(Organization.id == organization.id)):
        return
    full = full_access(session, organization)
    nodes: list[Node] = [("department", number) for number in departments]
    nodes += [("account", number) for number in accounts]
    session.execute(insert(PolicyBinding), [_row(organization, full, node) for node in nodes])


def uncover(session: Session, *, departments: Sequence[int] = (), accounts: Sequence[int] = ()) -> None:
    """A removed department or member loses all its bindings (SCP-1)."""
    session.execute(delete(PolicyBinding).where(_on(departments, accounts)))


def _held(
    session: Session, policy: ServiceControlPolicy, departments: Sequence[int], accounts: Sequence[int]
) -> tuple[dict[Node, int], set[Node]]:
    """How many policies each of the nodes has, and which have this one."""
    held: dict[Node, int] = {}
    mine: set[Node] = set()
    columns = (PolicyBinding.department_id, PolicyBinding.account_uin, PolicyBinding.policy_id)
    for department_id, account_uin, policy_id in session.execute(select(*columns).where(_on(departments, accounts))):
        node: Node = ("account", account_uin) if account_uin is not None else ("department", department_id or 0)
        held[node] = held.get(node, 0) + 1
        if policy_id == policy.id:
            mine.add(node)
    return held, mine


def _names(
    session: Session, organization: Organization, departments: Sequence[int], accounts: Sequence[int]
) -> dict[Node, str]:
    found: dict[Node, str] = {}
    if departments:
        mine = (Department.organization_id == organization.id, Department.id.in_(departments))
        rows = session.execute(select(Department.id, Department.name).where(*mine).order_by(Department.name_key))
        found |= {("department", number): name for number, name in rows}
    if accounts:
        members = (Member.organization_id == organization.id, Member.account_uin.in_(accounts))
        people = session.execute(select(Member.account_uin, Member.name).where(*members).order_by(Member.name_key))
        found |= {("account", number): name for number, name in people}
    if len(found) != len(set(departments)) + len(set(accounts)):
        raise NotFound("One of the departments or member accounts is not there (any more). Reload the page.")
    return found


def _on(departments: Sequence[int], accounts: Sequence[int]) -> ColumnElement[bool]:
    return or_(PolicyBinding.department_id.in_(departments), PolicyBinding.account_uin.in_(accounts))


def _row(organization: Organization, policy: ServiceControlPolicy, node: Node) -> dict[str, object]:
    kind, number = node
    return {
        "organization_id": organization.id,
        "policy_id": policy.id,
        "department_id": number if kind == "department" else None,
        "account_uin": number if kind == "account" else None,
    }


def _record(session: Session, actor: Actor, action: str, policy: ServiceControlPolicy, names: list[str]) -> None:
    audit.record(
        session,
        actor,
        action,
        target_type="scp",
        target_id=policy.id,
        target_name=policy.name,
        organization_id=policy.organization_id,
        details={"targets": names[:100], "count": len(names)},
    )
