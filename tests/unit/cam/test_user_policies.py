"""Policies of CAM users: granted and withdrawn by the account (CAM-2), whoever made the user (IC-14)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.core import limits
from portal.core.actor import SYSTEM
from portal.core.audit import AuditEvent
from portal.core.cam import queries, users
from portal.core.cam.models import CamGroup, CamGroupMember, CamPolicy, CamUser, HolderType
from portal.core.cam.policies import attach_exactly
from portal.core.errors import Invalid, LimitReached, NotFound
from tests.support.make import Make

SPACE = "z-000000000001"
CVM, COS = "QcloudCVMReadOnlyAccess", "QcloudCOSReadOnlyAccess"
DOCUMENT = '{"version": "2.0", "statement": [{"effect": "allow", "action": "cvm:*", "resource": "*"}]}'


@pytest.fixture
def account_uin(make: Make) -> int:
    return make.account(make.space()).uin


@pytest.fixture
def amy(session: Session, account_uin: int) -> CamUser:
    return users.synchronize_cam_user(
        session, SYSTEM, account_uin=account_uin, name="amy", remark="", keep_both=True, manager=SPACE
    )


@pytest.fixture
def at_most_two() -> Iterator[None]:
    limits.set_limits(limits.Limits(policies_per_principal=2))
    yield
    limits.set_limits(limits.Limits())


def grant(session: Session, user: CamUser, *names: str) -> list[str]:
    return users.grant_policies(session, SYSTEM, cam_user=user, names=names)


def withdraw(session: Session, user: CamUser, name: str) -> CamUser:
    return users.withdraw_policy(session, SYSTEM, cam_user=user, name=name)


def held(session: Session, user: CamUser) -> list[str]:
    return [policy.name for policy in queries.policies_of_user(session, user)]


def put_in_group(session: Session, user: CamUser, name: str) -> None:
    group = CamGroup(account_uin=user.account_uin, name="staff", name_key="staff")
    session.add(group)
    session.flush()
    session.add(CamGroupMember(group_id=group.id, user_uin=user.uin))
    attach_exactly(
        session, account_uin=user.account_uin, holder_type=HolderType.GROUP, holder_id=group.id, names=[name]
    )


def administrator(session: Session, account_uin: int, name: str) -> CamUser:
    return users.create_cam_user(
        session,
        SYSTEM,
        account_uin=account_uin,
        name=name,
        password="a good password",
        policies=["AdministratorAccess"],
    )


def test_ic_14_a_synchronized_user_is_granted_policies_and_stays_managed(session: Session, amy: CamUser) -> None:
    assert grant(session, amy, CVM, COS, CVM) == [CVM, COS]
    assert held(session, amy) == [COS, CVM]
    assert (amy.type, amy.managed_by, amy.managed_for) == ("CICUser", SPACE, "amy")
    event = session.scalars(select(AuditEvent).where(AuditEvent.action == "cam_user.grant_policies")).one()
    assert (event.target_id, event.account_uin) == (str(amy.uin), amy.account_uin)
    assert event.details == {"policies": [CVM, COS]}


def test_ic_14_a_later_synchronization_leaves_what_the_account_granted(session: Session, amy: CamUser) -> None:
    grant(session, amy, CVM)
    again = users.synchronize_cam_user(
        session, SYSTEM, account_uin=amy.account_uin, name="amy", remark="new", keep_both=True, manager=SPACE
    )
    assert again is amy
    assert held(session, amy) == [CVM]


def test_cam_2_what_a_user_has_already_stays_without_an_error(session: Session, amy: CamUser) -> None:
    grant(session, amy, CVM)
    assert grant(session, amy, CVM) == []
    assert grant(session, amy, CVM, COS) == [COS]
    events = session.scalars(select(AuditEvent).where(AuditEvent.action == "cam_user.grant_policies")).all()
    assert [event.details["policies"] for event in events] == [[CVM], [COS]]


@pytest.mark.parametrize("names", [[], ["Nonsense"], [CVM, "Nonsense"], ["Ours"], [CVM.lower()]])
def test_cam_2_only_preset_policies_are_granted(session: Session, amy: CamUser, names: list[str]) -> None:
    session.add(CamPolicy(account_uin=amy.account_uin, name="Ours", document=DOCUMENT))
    session.flush()
    with pytest.raises(Invalid) as refusal:
        grant(session, amy, *names)
    assert refusal.value.field == "policies"
    assert held(session, amy) == []


def test_cam_2_a_user_holds_only_so_many_policies(session: Session, amy: CamUser, at_most_two: None) -> None:
    grant(session, amy, CVM)
    with pytest.raises(LimitReached, match="policies_per_principal"):
        grant(session, amy, COS, "QcloudCamReadOnlyAccess")
    assert held(session, amy) == [CVM]
    assert grant(session, amy, CVM, COS) == [COS]


def test_cam_2_a_withdrawn_policy_is_gone_and_audited(session: Session, amy: CamUser) -> None:
    grant(session, amy, CVM, COS)
    withdraw(session, amy, CVM)
    assert held(session, amy) == [COS]
    event = session.scalars(select(AuditEvent).where(AuditEvent.action == "cam_user.withdraw_policy")).one()
    assert (event.target_name, event.details) == ("amy", {"policies": [CVM]})
    with pytest.raises(NotFound):
        withdraw(session, amy, CVM)


def test_cam_2_policies_of_a_group_are_not_withdrawn_from_one_user(session: Session, amy: CamUser) -> None:
    put_in_group(session, amy, CVM)
    with pytest.raises(NotFound):
        withdraw(session, amy, CVM)
    grant(session, amy, CVM)
    withdraw(session, amy, CVM)
    assert held(session, amy) == [CVM]


def test_cam_2_a_custom_policy_is_withdrawn_as_well(session: Session, amy: CamUser) -> None:
    session.add(CamPolicy(account_uin=amy.account_uin, name="Ours", document=DOCUMENT))
    session.flush()
    attach_exactly(session, account_uin=amy.account_uin, holder_type=HolderType.USER, holder_id=amy.uin, names=["Ours"])
    withdraw(session, amy, "Ours")
    assert held(session, amy) == []


def test_cam_2_a_user_that_is_deleted_meanwhile_is_not_found(session: Session, amy: CamUser) -> None:
    users.delete_cam_user(session, SYSTEM, cam_user=amy, manager=SPACE)
    with pytest.raises(NotFound):
        grant(session, amy, CVM)


def test_cam_2_a_user_is_found_in_its_own_account_only(session: Session, amy: CamUser, make: Make) -> None:
    assert users.get_cam_user(session, amy.account_uin, amy.uin) is amy
    with pytest.raises(NotFound):
        users.get_cam_user(session, 123_456_789_012, amy.uin)


def test_cam_2_the_last_administrator_keeps_the_policy_that_makes_one(session: Session, make: Make) -> None:
    uin = make.organization().admin_uin
    boss, other = administrator(session, uin, "boss"), administrator(session, uin, "other")
    withdraw(session, other, "AdministratorAccess")
    with pytest.raises(Invalid, match="last administrator"):
        withdraw(session, boss, "AdministratorAccess")
    assert held(session, boss) == ["AdministratorAccess"]
    grant(session, boss, "QcloudOrganizationFullAccess")
    withdraw(session, boss, "AdministratorAccess")
    assert held(session, boss) == ["QcloudOrganizationFullAccess"]


def test_cam_2_the_last_administrator_may_be_one_through_a_group(session: Session, make: Make) -> None:
    boss = administrator(session, make.organization().admin_uin, "boss")
    put_in_group(session, boss, "QcloudOrganizationFullAccess")
    withdraw(session, boss, "AdministratorAccess")
    assert held(session, boss) == ["QcloudOrganizationFullAccess"]


def test_cam_2_a_member_account_may_lose_its_last_administrator(session: Session, account_uin: int) -> None:
    user = administrator(session, account_uin, "root")
    withdraw(session, user, "AdministratorAccess")
    assert held(session, user) == []
