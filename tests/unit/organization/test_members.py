from __future__ import annotations

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.core.access.models import (
    Configuration,
    DeletionStrategy,
    Deployment,
    DuplicationStrategy,
    UserSync,
)
from portal.core.actor import SYSTEM
from portal.core.audit import AuditEvent
from portal.core.cam.models import CamAttachment, CamRole
from portal.core.errors import Conflict, Invalid, LimitReached, NotFound
from portal.core.organization import departments, members, organizations, queries
from portal.core.organization.models import Account, Organization
from portal.core.paging import Search


@pytest.fixture
def organization(session: Session) -> Organization:
    return organizations.create_organization(session, SYSTEM, name="Acme")


def add(session: Session, organization: Organization, name: str) -> Account:
    root = queries.root(session, organization)
    return members.create_member(session, SYSTEM, organization=organization, department=root, name=name)


def test_mem_4_a_created_member_is_an_account_that_trusts_the_admin_account(session, organization):
    account = add(session, organization, "shop")
    row = queries.member(session, organization, account.uin)
    assert (row.name, row.joined_by, row.payment_mode, row.may_quit) == (
        "shop",
        "Create",
        "pay-on-behalf",
        False,
    )
    role = session.scalars(select(CamRole).where(CamRole.account_uin == account.uin)).one()
    assert role.name == "OrganizationAccessControlRole"
    assert role.trust["statement"][0]["principal"] == {"qcs": [f"qcs::cam::uin/{organization.admin_uin}:root"]}
    attachment = session.scalars(select(CamAttachment).where(CamAttachment.holder_id == role.id)).one()
    assert attachment.policy_name == "AdministratorAccess"


@pytest.mark.parametrize("name", ["", "x" * 26, "two words", "a/b", "a+b", "<i>"])
def test_mem_4_a_member_name_keeps_to_its_rule(session, organization, name):
    with pytest.raises(Invalid) as refusal:
        add(session, organization, name)
    assert refusal.value.field == "name"


@pytest.mark.parametrize("name", ["x" * 25, "生产账号", "a@b&c_[d]-e~f:g;h.i"])
def test_mem_4_a_member_name_has_letters_digits_and_the_listed_symbols(session, organization, name):
    assert add(session, organization, name).name == name


def test_mem_4_a_member_name_is_unique_in_the_organization(session, organization):
    shop = add(session, organization, "shop")
    add(session, organization, "lab")
    with pytest.raises(Conflict) as refusal:
        add(session, organization, "SHOP")
    assert refusal.value.field == "name"
    with pytest.raises(Conflict):
        members.rename_member(session, SYSTEM, organization=organization, uin=shop.uin, name="Lab")
    other = organizations.create_organization(session, SYSTEM, name="Other")
    assert add(session, other, "shop").uin != shop.uin


def test_org_7_the_number_of_created_members_is_limited(session, organization):
    for number in range(5):
        add(session, organization, f"account{number}")
    with pytest.raises(LimitReached, match="created_members_per_entity"):
        add(session, organization, "one-more")


def test_mem_1_a_member_is_renamed_and_its_account_with_it(session, organization):
    shop = add(session, organization, "shop")
    row = members.rename_member(session, SYSTEM, organization=organization, uin=shop.uin, name="store")
    assert row.name == "store"
    assert session.scalar(select(Account.name).where(Account.uin == shop.uin)) == "store"


def test_mem_1_members_are_found_by_name_and_account_id_and_sorted(session, organization):
    shop, lab = add(session, organization, "Shop"), add(session, organization, "lab")

    def found(**search: str) -> list[str]:
        return [row.name for row in queries.members_page(session, organization, Search(**search)).rows]

    assert found(sort="-name") == ["Shop", "lab", "Acme-admin"]
    assert found(text="SHO") == ["Shop"]
    assert found(text=str(lab.uin)) == ["lab"]
    assert found(text=str(shop.uin)[:-1]) == ["Shop"] or str(shop.uin)[:-1] in str(lab.uin)
    assert found(text="%") == []


def test_dep_2_members_move_between_departments(session, organization):
    shop, lab = add(session, organization, "shop"), add(session, organization, "lab")
    root = queries.root(session, organization)
    sales = departments.create_department(session, SYSTEM, organization=organization, parent=root, name="Sales")

    def move(*uins: int) -> list[str]:
        moved = members.move_members(session, SYSTEM, organization=organization, department=sales, uins=uins)
        return [row.name for row in moved.rows]

    assert move(shop.uin, lab.uin) == ["lab", "shop"]
    assert move(shop.uin) == []
    assert queries.member(session, organization, shop.uin).department_name == "Sales"
    with pytest.raises(Invalid):
        move()


def test_mem_2_members_are_removed_together(session, organization):
    shop, lab = add(session, organization, "shop"), add(session, organization, "lab")
    members.remove_members(session, SYSTEM, organization=organization, uins=[shop.uin, lab.uin])
    assert queries.tree(session, organization).total == 1
    assert session.get(Account, shop.uin) is not None
    removed = select(AuditEvent.target_name).where(AuditEvent.action == "member.remove")
    assert sorted(session.scalars(removed)) == ["lab", "shop"]


def test_mem_2_the_admin_account_is_never_removed(session, organization):
    shop = add(session, organization, "shop")
    with pytest.raises(Conflict, match="admin account"):
        members.remove_members(session, SYSTEM, organization=organization, uins=[shop.uin, organization.admin_uin])
    assert queries.tree(session, organization).total == 2


def test_mem_2_a_member_in_which_the_identity_center_holds_something_is_not_removed(make, session):
    space = make.space()
    account = make.account(space, "shop")
    user = make.user(space, "alice")
    organization = session.get(Organization, space.organization_id)
    configuration = Configuration(space_id=space.id, name="Ops", name_key="ops")
    session.add(configuration)
    session.flush()
    session.add_all(
        [
            Deployment(
                space_id=space.id,
                account_uin=account.uin,
                configuration_id=configuration.id,
                role_name=configuration.role_name,
                provider_name=space.provider_name,
            ),
            UserSync(
                space_id=space.id,
                user_id=user.id,
                account_uin=account.uin,
                duplication_strategy=DuplicationStrategy.TAKE_OVER,
                deletion_strategy=DeletionStrategy.KEEP,
            ),
        ]
    )
    session.flush()
    with pytest.raises(Conflict, match="1 deployed configuration, 1 user synchronization") as refusal:
        members.remove_members(session, SYSTEM, organization=organization, uins=[account.uin])
    assert refusal.value.message.startswith("shop cannot be removed")


def test_a_stranger_neither_moves_nor_renames_nor_removes(session, organization):
    shop = add(session, organization, "shop")
    stranger = organizations.create_organization(session, SYSTEM, name="Other")
    root = queries.root(session, stranger)
    with pytest.raises(NotFound):
        members.move_members(session, SYSTEM, organization=stranger, department=root, uins=[shop.uin])
    with pytest.raises(NotFound):
        members.rename_member(session, SYSTEM, organization=stranger, uin=shop.uin, name="mine")
    with pytest.raises(NotFound):
        members.remove_members(session, SYSTEM, organization=stranger, uins=[shop.uin])
