"""What pages ask of service control policies: the policies, where one is bound, what a node has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, String, cast, func, literal, or_, select, union_all
from sqlalchemy.orm import Session

from portal.core.access.picking import chunks
from portal.core.errors import NotFound
from portal.core.guardrails.levels import Kind, Node
from portal.core.guardrails.models import PolicyBinding, ServiceControlPolicy
from portal.core.organization.models import Department, Member, Organization
from portal.core.paging import Page, Search, paginate
from portal.core.text import contains


@dataclass(frozen=True)
class PolicyRow:
    """`bound` counts the departments and members it is bound to."""

    id: str
    name: str
    type: str
    description: str
    updated_at: datetime
    bound: int


@dataclass(frozen=True)
class BindingRow:
    """A node that has the policy; `department_name` is where a member is, or the department above."""

    kind: Kind
    id: int
    name: str
    department_name: str | None
    bound_at: datetime


@dataclass(frozen=True)
class Held:
    """A policy of a node."""

    id: str
    name: str
    type: str
    description: str
    bound_at: datetime


def policies_page(session: Session, organization: Organization, search: Search) -> Page[PolicyRow]:
    """Finds by name. Sorts: name, type, bound, updated. Filter: `type`."""
    counted = (
        select(PolicyBinding.policy_id, func.count().label("bound"))
        .where(PolicyBinding.organization_id == organization.id)
        .group_by(PolicyBinding.policy_id)
        .subquery()
    )
    policy, bound = ServiceControlPolicy, func.coalesce(counted.c.bound, 0)
    columns = (policy.id, policy.name, policy.type, policy.description, policy.updated_at, bound.label("bound"))
    statement: Any = (
        select(*columns)
        .outerjoin(counted, counted.c.policy_id == policy.id)
        .where(policy.organization_id == organization.id)
    )
    if search.text:
        statement = statement.where(policy.name_key.like(contains(search.text), escape="\\"))
    if search.filter("type"):
        statement = statement.where(policy.type == search.filter("type"))
    sorts = {"name": policy.name_key, "type": policy.type, "bound": bound, "updated": policy.updated_at}
    page = paginate(session, statement, search, sorts=sorts, key=policy.id)
    return Page([PolicyRow(*row) for row in page.rows], page.total, page.search)


def policies_to_bind(session: Session, organization: Organization, node: Node) -> list[Held]:
    """Those that the node does not have yet, by name."""
    policy = ServiceControlPolicy
    held = select(PolicyBinding.policy_id).where(_of(node))
    rows = session.execute(
        select(policy.id, policy.name, policy.type, policy.description, policy.updated_at)
        .where(policy.organization_id == organization.id, policy.id.not_in(held))
        .order_by(policy.name_key)
    )
    return [Held(*row) for row in rows]


def bindings_page(session: Session, policy: ServiceControlPolicy, search: Search) -> Page[BindingRow]:
    """Finds by name or account id. Sorts: name, kind, bound. Filter: `kind` (department, account)."""
    rows = _bindings(policy)
    found = rows.selected_columns
    if search.text:
        pattern = contains(search.text)
        number = (found.kind == "account") & cast(found.id, String).like(pattern, escape="\\")
        rows = rows.where(or_(found.name_key.like(pattern, escape="\\"), number))
    if search.filter("kind"):
        rows = rows.where(found.kind == search.filter("kind"))
    sorts = {"name": found.name_key, "kind": found.kind, "bound": found.bound_at}
    page = paginate(session, rows, search, sorts=sorts, key=found.id)
    return Page([_binding(row) for row in page.rows], page.total, page.search)


def bindings_of(session: Session, policy: ServiceControlPolicy, nodes: Sequence[Node]) -> list[BindingRow]:
    """Those of these nodes, by name. Raises NotFound when one of them does not have the policy."""
    rows, wanted = _bindings(policy), set(nodes)
    found = rows.selected_columns
    result: list[Any] = []
    for chunk in chunks({number for _kind, number in nodes}):
        result += [row for row in session.execute(rows.where(found.id.in_(chunk))) if (row.kind, row.id) in wanted]
    if len(result) != len(wanted):
        raise NotFound(f"{policy.name} is not bound to all of these (any more). Reload the page.")
    return [_binding(row) for row in sorted(result, key=lambda row: str(row.name_key))]


def bound_to(session: Session, policy: ServiceControlPolicy, uins: Sequence[int]) -> set[Node]:
    """All departments that have it, and which of these accounts."""
    columns = (PolicyBinding.department_id, PolicyBinding.account_uin)
    which = PolicyBinding.department_id.is_not(None) | PolicyBinding.account_uin.in_(uins)
    rows = session.execute(select(*columns).where(PolicyBinding.policy_id == policy.id, which))
    return {_node(*row) for row in rows}


def _bindings(policy: ServiceControlPolicy) -> Select[Any]:
    above = Department.__table__.alias("above")
    departments = (
        select(
            literal("department").label("kind"),
            cast(Department.id, PolicyBinding.account_uin.type).label("id"),
            Department.name.label("name"),
            Department.name_key.label("name_key"),
            above.c.name.label("department_name"),
            PolicyBinding.bound_at.label("bound_at"),
        )
        .join(Department, Department.id == PolicyBinding.department_id)
        .outerjoin(above, above.c.id == Department.parent_id)
        .where(PolicyBinding.policy_id == policy.id)
    )
    accounts = (
        select(
            literal("account").label("kind"),
            Member.account_uin.label("id"),
            Member.name.label("name"),
            Member.name_key.label("name_key"),
            Department.name.label("department_name"),
            PolicyBinding.bound_at.label("bound_at"),
        )
        .join(Member, Member.account_uin == PolicyBinding.account_uin)
        .join(Department, Department.id == Member.department_id)
        .where(PolicyBinding.policy_id == policy.id)
    )
    return select(union_all(departments, accounts).subquery())


def _binding(row: Any) -> BindingRow:
    return BindingRow(row.kind, row.id, row.name, row.department_name, row.bound_at)


def held_by(session: Session, nodes: Sequence[Node]) -> dict[Node, list[Held]]:
    """The policies of a few nodes (an account and its departments), by name, in one statement."""
    policy, binding = ServiceControlPolicy, PolicyBinding
    found: dict[Node, list[Held]] = {node: [] for node in nodes}
    rows = session.execute(
        select(
            binding.department_id,
            binding.account_uin,
            policy.id,
            policy.name,
            policy.type,
            policy.description,
            binding.bound_at,
        )
        .join(policy, policy.id == binding.policy_id)
        .where(or_(*map(_of, nodes)))
        .order_by(policy.name_key)
    )
    for row in rows:
        found[_node(row.department_id, row.account_uin)].append(Held(*row[2:]))
    return found


def nodes_bound(session: Session, policy: ServiceControlPolicy) -> int:
    return session.scalar(select(func.count()).where(PolicyBinding.policy_id == policy.id)) or 0


def counts(session: Session, organization: Organization) -> dict[str, int]:
    """`departments` (with Root), `members`, `bindings`, and how many of these are of `custom` policies."""
    mine = organization.id
    custom = ServiceControlPolicy.type == "Custom"
    bound = select(func.count()).select_from(PolicyBinding).where(PolicyBinding.organization_id == mine)
    row = session.execute(
        select(
            select(func.count()).where(Department.organization_id == mine).scalar_subquery(),
            select(func.count()).where(Member.organization_id == mine).scalar_subquery(),
            bound.scalar_subquery(),
            bound.join(ServiceControlPolicy, ServiceControlPolicy.id == PolicyBinding.policy_id)
            .where(custom)
            .scalar_subquery(),
        )
    ).one()
    return dict(zip(("departments", "members", "bindings", "custom"), row, strict=True))


def _node(department_id: int | None, account_uin: int | None) -> Node:
    return ("account", account_uin) if account_uin is not None else ("department", department_id or 0)


def _of(node: Node) -> Any:
    kind, number = node
    return PolicyBinding.account_uin == number if kind == "account" else PolicyBinding.department_id == number
