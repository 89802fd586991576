"""Which policies a user or role has, and what they allow."""

from __future__ import annotations

import json

import pytest
from sqlalchemy.orm import Session

from portal.core.actor import SYSTEM
from portal.core.cam import queries, roles
from portal.core.cam.models import CamGroup, CamGroupMember, CamPolicy, CamRole, CamUser, HolderType
from portal.core.cam.policies import attach_exactly
from portal.core.cam.policy import PolicyError
from portal.core.cam.users import create_cam_user
from portal.core.errors import Invalid
from portal.core.paging import Search
from tests.support.make import Make

DENY = json.dumps({"version": "2.0", "statement": [{"effect": "deny", "action": "cvm:Reboot*", "resource": "*"}]})


@pytest.fixture
def account_uin(make: Make) -> int:
    return make.organization().admin_uin


@pytest.fixture
def amy(session: Session, account_uin: int) -> CamUser:
    return create_cam_user(session, SYSTEM, account_uin=account_uin, name="amy", policies=["QcloudCVMFullAccess"])


def group(session: Session, account_uin: int, name: str, members: list[CamUser], policies: list[str]) -> CamGroup:
    made = CamGroup(account_uin=account_uin, name=name, name_key=name)
    session.add(made)
    session.flush()
    session.add_all([CamGroupMember(group_id=made.id, user_uin=user.uin) for user in members])
    attach_exactly(session, account_uin=account_uin, holder_type=HolderType.GROUP, holder_id=made.id, names=policies)
    return made


def custom(session: Session, account_uin: int, name: str = "NoReboot", document: str = DENY) -> None:
    session.add(CamPolicy(account_uin=account_uin, name=name, document=document))
    session.flush()


def role(session: Session, account_uin: int, policies: list[str], name: str = "operator") -> CamRole:
    return roles.ensure_role(
        session,
        SYSTEM,
        account_uin=account_uin,
        name=name,
        description="",
        role_type=roles.IDENTITY_CENTER,
        trust=roles.saml_trust(account_uin, "idp", "https://account.example"),
        session_duration=3600,
        policies=policies,
        manager="z-000000000001",
    )


def test_a_user_has_its_own_policies_and_those_of_its_groups(session: Session, account_uin: int, amy: CamUser) -> None:
    group(session, account_uin, "readers", [amy], ["ReadOnlyAccess", "QcloudCVMFullAccess"])
    group(session, account_uin, "auditors", [amy], ["ReadOnlyAccess"])
    group(session, account_uin, "others", [], ["AdministratorAccess"])
    grants = {grant.name: grant.groups for grant in queries.grants_of_user(session, amy)}
    assert grants == {"QcloudCVMFullAccess": (), "ReadOnlyAccess": ("auditors", "readers")}


def test_cam_3_a_custom_deny_beats_the_preset(session: Session, account_uin: int, amy: CamUser) -> None:
    custom(session, account_uin)
    group(session, account_uin, "careful", [amy], ["NoReboot"])
    policies = queries.policies_of_user(session, amy)
    assert [(policy.name, policy.type) for policy in policies] == [
        ("NoReboot", "Custom"),
        ("QcloudCVMFullAccess", "System"),
    ]
    assert queries.allows(policies, "cvm:RunInstances", account_uin=account_uin)
    assert not queries.allows(policies, "cvm:RebootInstances", account_uin=account_uin)
    assert not queries.allows(policies, "cos:GetObject", account_uin=account_uin)


def test_a_policy_of_another_account_is_not_there(session: Session, account_uin: int, amy: CamUser, make: Make) -> None:
    session.commit()
    custom(session, make.organization().admin_uin)
    with pytest.raises(Invalid, match="NoReboot"):
        attach_exactly(
            session, account_uin=account_uin, holder_type=HolderType.USER, holder_id=amy.uin, names=["NoReboot"]
        )


def test_a_custom_policy_does_not_stand_in_for_a_preset(session: Session, account_uin: int) -> None:
    custom(session, account_uin, "ReadOnlyAccess")
    operator = role(session, account_uin, ["ReadOnlyAccess"])
    assert [policy.type for policy in queries.named(queries.grants_of_role(session, operator))] == ["System"]


def test_a_role_has_exactly_what_was_said_last(session: Session, account_uin: int) -> None:
    operator = role(session, account_uin, ["ReadOnlyAccess", "QcloudCVMFullAccess"])
    assert role(session, account_uin, ["QcloudCOSFullAccess"]) is operator
    assert [policy.name for policy in queries.named(queries.grants_of_role(session, operator))] == [
        "QcloudCOSFullAccess"
    ]
    assert queries.policies_of_roles(session, account_uin, ["operator", "absent"]) == {
        "operator": ("QcloudCOSFullAccess",),
        "absent": (),
    }


def test_a_malformed_question_is_no_permission(session: Session, account_uin: int, amy: CamUser) -> None:
    with pytest.raises(PolicyError):
        queries.allows(queries.policies_of_user(session, amy), "cvm:*", account_uin=account_uin)


def test_the_lists_are_searched_and_belong_to_the_account(session: Session, account_uin: int, make: Make) -> None:
    role(session, account_uin, [], "reader")
    role(session, account_uin, [], "re_der")
    session.commit()
    role(session, make.organization().admin_uin, [], "reader")
    assert [row.name for row in queries.roles_page(session, account_uin, Search(text="E_D")).rows] == ["re_der"]
    assert queries.roles_page(session, account_uin, Search(text="READ")).total == 1
    assert queries.roles_page(session, account_uin, Search()).total == 2
