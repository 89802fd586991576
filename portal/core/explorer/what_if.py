"""Service control policies as they would be: whose access changes, over the whole organization, before they are bound.

Accounts that stand under the same policies, and roles of the same permission configuration, are judged once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.core.access.models import Configuration, ConfigurationPolicy, Deployment
from portal.core.access.picking import chunks
from portal.core.cam import presets
from portal.core.cam.decision import AccessRequest, NamedPolicy, decide
from portal.core.cam.matching import PolicyError
from portal.core.cam.policy import names_accounts, parse
from portal.core.errors import Invalid
from portal.core.explorer.holdings import holders
from portal.core.explorer.questions import Question
from portal.core.guardrails.access import decide_access
from portal.core.guardrails.levels import Level, Node, levels_of_accounts
from portal.core.organization import queries as organization
from portal.core.organization.models import Member
from portal.core.space.models import Space


@dataclass(frozen=True)
class Change:
    """What is thought of: a policy with this document on these nodes (anew, or in place of what it says now).

    With `document` None it is taken from them.
    """

    policy: str
    document: str | None
    nodes: frozenset[Node]


@dataclass
class Changed:
    """The same for all of `accounts`: what the role of a permission configuration could do no more, or could anew.

    `people` are the names of those who hold the role in one of these accounts, by user id.
    """

    configuration_id: str
    configuration_name: str
    lost: tuple[Question, ...]
    gained: tuple[Question, ...]
    accounts: list[tuple[int, str]] = field(default_factory=list)
    people: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Report:
    """`accounts` and `roles` are how many were looked at."""

    changed: Sequence[Changed]
    accounts: int
    roles: int

    @property
    def people(self) -> int:
        return len({user_id for one in self.changed for user_id in one.people})


def compare(
    session: Session, space: Space, change: Change, questions: Sequence[Question], *, context: Mapping[str, str]
) -> Report:
    """Over all member accounts below the nodes of the change; `context` holds the condition keys of the requests.

    Raises Invalid for a faulty document, PolicyError (action or resource) for a bad question.
    """
    policy = _read(change)
    departments = [number for kind, number in change.nodes if kind == "department"]
    accounts = [number for kind, number in change.nodes if kind == "account"]
    names = dict(organization.accounts_below(session, space.organization_id, departments, accounts))
    roles = _roles(session, space, list(names))
    policies = _policies(session, {configuration for _uin, configuration, _name in roles})
    before: dict[int, tuple[Level, ...]] = {}
    for chunk in chunks(names):
        before |= levels_of_accounts(session, chunk)
    judged: dict[tuple[Any, ...], tuple[tuple[Question, ...], tuple[Question, ...]]] = {}
    found: dict[tuple[Any, ...], Changed] = {}
    for uin, configuration_id, configuration_name in roles:
        if uin not in before:
            continue  # nothing restricts the admin account
        after = tuple(_thought(level, change, policy) for level in before[uin])
        held = policies[configuration_id]
        key = (configuration_id, _signature(uin, before[uin], held), _signature(uin, after, held))
        if key not in judged:
            asked = [(one, AccessRequest(one.action, one.resource, uin, context)) for one in questions]
            judged[key] = _judge(before[uin], after, held, asked)
        if any(judged[key]):
            same = found.setdefault(
                (configuration_id, judged[key]), Changed(configuration_id, configuration_name, *judged[key])
            )
            same.accounts.append((uin, names[uin]))
    for one in found.values():
        one.people = holders(session, space, one.configuration_id, [uin for uin, _name in one.accounts])
    return Report(list(found.values()), len(names), len(roles))


def _read(change: Change) -> NamedPolicy | None:
    if change.document is None:
        return None
    try:
        return NamedPolicy(change.policy, "Custom", parse(change.document))
    except PolicyError as fault:
        raise Invalid(str(fault), field="document") from fault


def _thought(level: Level, change: Change, policy: NamedPolicy | None) -> Level:
    if (level.kind, level.id) not in change.nodes:
        return level
    others = tuple(one for one in level.policies if one.name != change.policy)
    return replace(level, policies=others if policy is None else (*others, policy))


def _judge(
    before: Sequence[Level],
    after: Sequence[Level],
    policies: Sequence[NamedPolicy],
    asked: Iterable[tuple[Question, AccessRequest]],
) -> tuple[tuple[Question, ...], tuple[Question, ...]]:
    lost: list[Question] = []
    gained: list[Question] = []
    for question, request in asked:
        if not decide(policies, request).allowed:
            continue  # service control policies grant nothing (SCP-5)
        was, will = (decide_access(levels, policies, request).allowed for levels in (before, after))
        if was != will:
            (lost if was else gained).append(question)
    return tuple(lost), tuple(gained)


def _roles(session: Session, space: Space, uins: Sequence[int]) -> list[tuple[int, str, str]]:
    """(account, configuration, its name) of what is deployed."""
    return [
        (uin, configuration_id, name)
        for chunk in chunks(uins)
        for uin, configuration_id, name in session.execute(
            select(Deployment.account_uin, Configuration.id, Configuration.name)
            .join(Configuration, Configuration.id == Deployment.configuration_id)
            .where(Deployment.space_id == space.id, Deployment.account_uin.in_(chunk))
            .join(Member, Member.account_uin == Deployment.account_uin)
            .order_by(Configuration.name_key, Member.name_key)
        )
    ]


def _policies(session: Session, configurations: Iterable[str]) -> Mapping[str, list[NamedPolicy]]:
    found: defaultdict[str, list[NamedPolicy]] = defaultdict(list)
    for chunk in chunks(configurations):
        rows = session.execute(
            select(ConfigurationPolicy.configuration_id, ConfigurationPolicy.policy_name).where(
                ConfigurationPolicy.configuration_id.in_(chunk)
            )
        )
        for configuration_id, name in rows:
            if preset := presets.find(name):
                found[configuration_id].append(NamedPolicy(name, "System", preset.policy))
    return found


def _signature(uin: int, levels: Sequence[Level], held: Sequence[NamedPolicy]) -> tuple[Any, ...]:
    """Levels of the same policies decide the same in every account, unless one of the policies names accounts.

    Compiled policies are kept for the whole comparison, so their ids stand for them.
    """
    signature = tuple(tuple(sorted(id(one.policy) for one in level.policies)) for level in levels)
    policies = (*(one for level in levels for one in level.policies), *held)
    return (uin, *signature) if any(names_accounts(one.policy) for one in policies) else signature
