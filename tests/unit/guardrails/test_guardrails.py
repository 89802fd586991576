"""SCP-1..3: the feature, the policies, the bindings."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from portal.core import limits
from portal.core.actor import SYSTEM
from portal.core.audit import AuditEvent
from portal.core.errors import Conflict, Error, Forbidden, Invalid, LimitReached, NotFound
from portal.core.guardrails import bindings, policies
from portal.core.guardrails.levels import levels_of, levels_of_accounts
from portal.core.guardrails.models import PolicyBinding, ServiceControlPolicy
from portal.core.organization import departments, members, organizations, queries
from portal.core.organization.models import Account, Department, Organization

DENY_CVM = '{"version": "2.0", "statement": [{"effect": "deny", "action": "cvm:*", "resource": "*"}]}'


class House:
    """An organization with Research below Root and an account `shop` in it; service control policies are off."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.organization: Organization = organizations.create_organization(session, SYSTEM, name="Acme")
        self.root = queries.root(session, self.organization)
        self.research = self.department("Research")
        self.shop = self.member("shop")

    def department(self, name: str) -> Department:
        return departments.create_department(
            self.session, SYSTEM, organization=self.organization, parent=self.root, name=name
        )

    def member(self, name: str) -> Account:
        return members.create_member(
            self.session, SYSTEM, organization=self.organization, department=self.research, name=name
        )

    def enable(self) -> int:
        return policies.enable(self.session, SYSTEM, organization=self.organization)

    def policy(self, name: str = "no-cvm", document: str = DENY_CVM) -> ServiceControlPolicy:
        return policies.create_policy(
            self.session, SYSTEM, organization=self.organization, name=name, document=document
        )

    def bind(self, policy: ServiceControlPolicy, **targets: list[int]) -> list[tuple[str, int]]:
        return list(bindings.bind(self.session, SYSTEM, organization=self.organization, policy=policy, **targets))

    def unbind(self, policy: ServiceControlPolicy, **targets: list[int]) -> None:
        bindings.unbind(self.session, SYSTEM, organization=self.organization, policy=policy, **targets)

    def bound(self, uin: int) -> list[tuple[str, list[str]]]:
        """The levels of an account with the names of their policies."""
        return [(level.name, [one.name for one in level.policies]) for level in levels_of(self.session, uin)]

    def bindings(self) -> int:
        return self.session.scalar(select(func.count()).select_from(PolicyBinding)) or 0

    def full(self) -> ServiceControlPolicy:
        return policies.full_access(self.session, self.organization)


@pytest.fixture
def house(session: Session) -> House:
    return House(session)


FULL = [policies.FULL_ACCESS]


def test_scp_1_it_is_off_at_first_and_restricts_nobody(house: House) -> None:
    assert not house.organization.scp_enabled
    assert house.bound(house.shop.uin) == []


def test_scp_1_switched_on_every_department_and_member_has_full_access(house: House) -> None:
    assert house.enable() == 4  # Root, Research, the admin account, shop
    assert house.bound(house.shop.uin) == [("shop", FULL), ("Research", FULL), ("Root", FULL)]


def test_scp_1_new_departments_and_members_begin_with_full_access(house: House) -> None:
    house.enable()
    late = house.member("late")
    lab = house.department("Lab")
    members.move_members(house.session, SYSTEM, organization=house.organization, department=lab, uins=[late.uin])
    assert house.bound(late.uin) == [("late", FULL), ("Lab", FULL), ("Root", FULL)]


def test_scp_1_a_removed_member_and_a_deleted_department_lose_their_bindings(house: House) -> None:
    house.enable()
    house.bind(house.policy(), accounts=[house.shop.uin], departments=[house.research.id])
    members.remove_members(house.session, SYSTEM, organization=house.organization, uins=[house.shop.uin])
    departments.delete_department(house.session, SYSTEM, organization=house.organization, department=house.research)
    assert house.bindings() == 2


def test_scp_1_switched_off_all_bindings_go_and_policies_stay_but_cannot_be_bound(house: House) -> None:
    house.enable()
    policy = house.policy()
    house.bind(policy, departments=[house.root.id])
    assert policies.disable(house.session, SYSTEM, organization=house.organization) == 5
    assert house.bound(house.shop.uin) == []
    assert policies.get_policy(house.session, house.organization, policy.id)
    with pytest.raises(Conflict, match="switched off"):
        house.bind(policy, departments=[house.root.id])
    house.enable()
    assert house.bound(house.shop.uin)[-1] == ("Root", FULL)


def test_scp_1_twice_on_or_off_is_refused(house: House) -> None:
    with pytest.raises(Conflict, match="off already"):
        policies.disable(house.session, SYSTEM, organization=house.organization)
    house.enable()
    with pytest.raises(Conflict, match="on already"):
        house.enable()


@pytest.mark.parametrize("name", ["", "a b", "x" * 129, "名", "FullQcloudAccess", "fullqcloudaccess"])
def test_scp_2_a_name_is_checked(house: House, name: str) -> None:
    with pytest.raises(Invalid) as refusal:
        house.policy(name)
    assert refusal.value.field == "name"


def test_scp_2_a_fault_names_statement_element_and_rule(house: House) -> None:
    wrong = '{"version": "2.0", "statement": [{"effect": "permit", "action": "*", "resource": "*"}]}'
    with pytest.raises(Invalid, match='Statement 1, effect: must be "allow" or "deny"') as refusal:
        house.policy(document=wrong)
    assert refusal.value.field == "document"


def test_scp_2_names_are_unique_and_their_number_is_limited(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.policy("one")
    with pytest.raises(Conflict) as refusal:
        house.policy("ONE")
    assert refusal.value.field == "name"
    monkeypatch.setattr(limits, "_active", limits.Limits(scp_per_organization=1))
    with pytest.raises(LimitReached, match="scp_per_organization"):
        house.policy("two")


def test_scp_2_a_change_is_effective_at_once(house: House) -> None:
    house.enable()
    policy = house.policy()
    house.bind(policy, departments=[house.root.id])
    policies.update_policy(
        house.session, SYSTEM, policy=policy, name="only-cos", document=DENY_CVM.replace("cvm:", "cos:")
    )
    root = levels_of(house.session, house.shop.uin)[-1]
    assert [one.name for one in root.policies] == ["FullQcloudAccess", "only-cos"]
    assert "cos" in root.policies[1].policy.statements[0].actions.wild


def test_scp_2_only_an_unbound_policy_is_deleted(house: House) -> None:
    house.enable()
    policy = house.policy()
    house.bind(policy, departments=[house.root.id], accounts=[house.shop.uin])
    with pytest.raises(Conflict, match="bound to 2 nodes"):
        policies.delete_policy(house.session, SYSTEM, policy=policy)
    house.unbind(policy, departments=[house.root.id], accounts=[house.shop.uin])
    policies.delete_policy(house.session, SYSTEM, policy=policy)
    with pytest.raises(NotFound):
        policies.get_policy(house.session, house.organization, policy.id)


@pytest.mark.parametrize(
    "verb",
    [
        lambda house: policies.update_policy(house.session, SYSTEM, policy=house.full(), description="mine"),
        lambda house: policies.delete_policy(house.session, SYSTEM, policy=house.full()),
    ],
    ids=["change", "delete"],
)
def test_scp_2_the_system_policy_is_read_only(house: House, verb: Callable[[House], None]) -> None:
    house.enable()
    with pytest.raises(Forbidden, match="system policy"):
        verb(house)


def test_scp_3_bound_once_however_often(house: House) -> None:
    house.enable()
    policy = house.policy()
    assert house.bind(policy, departments=[house.root.id]) == [("department", house.root.id)]
    assert house.bind(policy, departments=[house.root.id], accounts=[house.shop.uin]) == [("account", house.shop.uin)]


def test_scp_3_the_last_policy_of_a_node_stays(house: House) -> None:
    house.enable()
    with pytest.raises(Conflict, match="last service control policy of Research"):
        house.unbind(house.full(), departments=[house.research.id])
    policy = house.policy()
    house.bind(policy, departments=[house.research.id])
    house.unbind(house.full(), departments=[house.research.id])
    with pytest.raises(Conflict, match="last service control policy of Research"):
        house.unbind(policy, departments=[house.research.id])


def test_scp_3_many_nodes_at_once_are_all_or_none(house: House) -> None:
    house.enable()
    policy = house.policy()
    house.bind(policy, departments=[house.root.id])
    with pytest.raises(NotFound, match="not bound"):
        house.unbind(policy, departments=[house.root.id], accounts=[house.shop.uin])
    assert [names for _level, names in house.bound(house.shop.uin)][-1] == ["FullQcloudAccess", "no-cvm"]


@pytest.mark.parametrize("refused", ["none", "department", "account"])
def test_scp_3_only_nodes_of_the_organization_are_bound(house: House, refused: str) -> None:
    house.enable()
    policy = house.policy()
    other = House(house.session)
    targets: dict[str, dict[str, list[int]]] = {
        "none": {},
        "department": {"departments": [other.root.id]},
        "account": {"accounts": [other.shop.uin]},
    }
    expected: type[Error] = Invalid if refused == "none" else NotFound
    for verb in (house.bind, house.unbind):
        with pytest.raises(expected):
            verb(policy, **targets[refused])


def test_scp_3_the_policies_of_a_node_are_limited(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.enable()
    monkeypatch.setattr(limits, "_active", limits.Limits(scp_per_node=1))
    with pytest.raises(LimitReached, match="scp_per_node"):
        house.bind(house.policy(), departments=[house.root.id])


def test_scp_4_the_admin_account_is_not_restricted(house: House) -> None:
    house.enable()
    assert house.bound(house.organization.admin_uin) == []


def test_scp_4_levels_of_many_accounts_are_those_of_each(house: House) -> None:
    house.enable()
    house.bind(house.policy(), departments=[house.research.id])
    uins = [house.shop.uin, house.member("late").uin, house.organization.admin_uin]
    together = levels_of_accounts(house.session, uins)
    assert together == {uin: levels_of(house.session, uin) for uin in uins[:2]}


def test_aud_1_each_change_is_an_audit_event(house: House) -> None:
    house.enable()
    policy = house.policy()
    policies.update_policy(house.session, SYSTEM, policy=policy, description="No machines")
    house.bind(policy, accounts=[house.shop.uin])
    house.unbind(policy, accounts=[house.shop.uin])
    policies.delete_policy(house.session, SYSTEM, policy=policy)
    policies.disable(house.session, SYSTEM, organization=house.organization)
    recorded = select(AuditEvent.action).where(AuditEvent.action.like("scp.%")).order_by(AuditEvent.id)
    assert house.session.scalars(recorded).all() == [
        "scp.enable", "scp.create", "scp.update", "scp.bind", "scp.unbind", "scp.delete", "scp.disable",
    ]  # fmt: skip
