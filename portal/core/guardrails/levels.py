"""The levels that a request on an account's resources passes: the account, its departments upwards, Root (SCP-4)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.core.cam.decision import NamedPolicy
from portal.core.cam.policy import Policy, parse
from portal.core.guardrails.models import PolicyBinding, PolicyType, ServiceControlPolicy
from portal.core.organization.models import Department, Member, Organization

Kind = Literal["account", "department"]
Node = tuple[Kind, int]


@dataclass(frozen=True, slots=True)
class Level:
    """A node of the organization with the policies that are bound to it."""

    kind: Kind
    id: int
    name: str
    policies: tuple[NamedPolicy, ...]


def levels_of(session: Session, account_uin: int) -> tuple[Level, ...]:
    """From the account up to Root; nothing where service control policies do not apply. Two statements at most."""
    return levels_of_accounts(session, [account_uin]).get(account_uin, ())


def levels_of_accounts(session: Session, uins: Sequence[int]) -> dict[int, tuple[Level, ...]]:
    """By account, those left out to which none apply: feature off, the admin account, none of an organization.

    So many statements, however many accounts: `uins` is at most some hundreds (an IN list).
    """
    chains = _chains(session, uins)
    if not chains:
        return {}
    nodes = {node for chain in chains.values() for node, _name in chain}
    bound = _bound(session, nodes)
    return {
        uin: tuple(Level(node[0], node[1], name, bound.get(node, ())) for node, name in chain)
        for uin, chain in chains.items()
    }


def _chains(session: Session, uins: Sequence[int]) -> dict[int, list[tuple[Node, str]]]:
    start = (
        select(Member.account_uin, Member.name.label("account_name"), Member.department_id.label("department_id"))
        .join(Organization, Organization.id == Member.organization_id)
        .where(
            Member.account_uin.in_(uins),
            Organization.scp_enabled.is_(True),
            Organization.admin_uin != Member.account_uin,
        )
        .cte("path", recursive=True)
    )
    above = (
        select(start.c.account_uin, start.c.account_name, Department.parent_id)
        .join(Department, Department.id == start.c.department_id)
        .where(Department.parent_id.is_not(None))
    )
    path = start.union_all(above)
    rows = session.execute(
        select(path.c.account_uin, path.c.account_name, Department.id, Department.name, Department.parent_id).join(
            Department, Department.id == path.c.department_id
        )
    ).all()
    found: dict[int, dict[int | None, tuple[int, str]]] = {}
    names: dict[int, str] = {}
    for uin, account_name, department_id, name, parent_id in rows:
        found.setdefault(uin, {})[department_id] = (parent_id, name)
        names[uin] = account_name
    return {uin: [(("account", uin), names[uin]), *_upwards(parents)] for uin, parents in found.items()}


def _upwards(parents: Mapping[int | None, tuple[int, str]]) -> list[tuple[Node, str]]:
    """Departments from the one that nobody here has as parent up to Root."""
    above = {parent for parent, _name in parents.values()}
    at: int | None = next(key for key in parents if key not in above)
    chain: list[tuple[Node, str]] = []
    while at is not None:
        parent, name = parents[at]
        chain.append((("department", at), name))
        at = parent
    return chain


def _bound(session: Session, nodes: Iterable[Node]) -> dict[Node, tuple[NamedPolicy, ...]]:
    accounts = [number for kind, number in nodes if kind == "account"]
    departments = [number for kind, number in nodes if kind == "department"]
    rows = session.execute(
        select(
            PolicyBinding.department_id,
            PolicyBinding.account_uin,
            ServiceControlPolicy.name,
            ServiceControlPolicy.type,
            ServiceControlPolicy.document,
        )
        .join(ServiceControlPolicy, ServiceControlPolicy.id == PolicyBinding.policy_id)
        .where(PolicyBinding.department_id.in_(departments) | PolicyBinding.account_uin.in_(accounts))
        .order_by(ServiceControlPolicy.name_key)
    )
    found: dict[Node, tuple[NamedPolicy, ...]] = {}
    for department_id, account_uin, name, type_, document in rows:
        node: Node = ("account", account_uin) if account_uin is not None else ("department", department_id or 0)
        found[node] = (*found.get(node, ()), _compiled(name, PolicyType(type_), document))
    return found


@lru_cache(maxsize=4096)
def _compiled(name: str, type_: PolicyType, document: str) -> NamedPolicy:
    return NamedPolicy(name, type_.value, _parsed(document))


@lru_cache(maxsize=4096)
def _parsed(document: str) -> Policy:
    return parse(document)
