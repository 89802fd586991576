"""The levels that a request on an account's resources passes: the account, its departments upwards, Root (SCP-4)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.core.cam.decision import NamedPolicy
from portal.core.cam.policy import Policy, parse
from portal.core.guardrails.models import PolicyBinding, PolicyType, ServiceControlPolicy
from portal.core.organization import queries
from portal.core.organization.models import Member, Organization

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
    restricted = (Organization.scp_enabled.is_(True), Organization.admin_uin != Member.account_uin)
    paths = queries.paths(session, uins, *restricted)
    if not paths:
        return {}
    chains: dict[int, list[tuple[Node, str]]] = {
        uin: [(("account", uin), path.account_name), *((("department", id_), name) for id_, name in path.departments)]
        for uin, path in paths.items()
    }
    bound = _bound(session, {node for chain in chains.values() for node, _name in chain})
    return {
        uin: tuple(Level(node[0], node[1], name, bound.get(node, ())) for node, name in chain)
        for uin, chain in chains.items()
    }


def nodes_of(session: Session, policy: ServiceControlPolicy) -> frozenset[Node]:
    """Where the policy is bound."""
    bound = select(PolicyBinding.department_id, PolicyBinding.account_uin).where(PolicyBinding.policy_id == policy.id)
    return frozenset(
        ("account", uin) if uin is not None else ("department", department_id or 0)
        for department_id, uin in session.execute(bound)
    )


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
