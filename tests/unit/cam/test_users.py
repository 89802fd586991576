"""CAM users of one account: made, signed in by password, taken over, protected."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.core import clock
from portal.core.actor import SYSTEM
from portal.core.audit import AuditEvent
from portal.core.cam import queries, users
from portal.core.cam.models import CamGroup, CamGroupMember, CamUser
from portal.core.cam.policies import attach_exactly
from portal.core.errors import Conflict, Forbidden, Invalid
from portal.core.federation.models import SignIn, SignInKind
from portal.core.secrets import password_matches
from tests.support.make import Make

PASSWORD = "a good password"
SPACE = "z-000000000001"
OTHER_SPACE = "z-000000000002"


@pytest.fixture
def account_uin(make: Make) -> int:
    return make.organization().admin_uin


def create(session: Session, account_uin: int, name: str = "amy", **fields: object) -> CamUser:
    fields = {"password": PASSWORD, "policies": ["AdministratorAccess"], **fields}
    return users.create_cam_user(session, SYSTEM, account_uin=account_uin, name=name, **fields)


def check(session: Session, account_uin: int, name: str = "amy", password: str = PASSWORD) -> CamUser | None:
    stored = users.password_hash_of(session, account_uin=account_uin, name=name)
    proven = stored if password_matches(stored, password) else None
    return users.count_sign_in(session, account_uin=account_uin, name=name, proven=proven, attempts=3, lock_minutes=15)


def synchronize(session: Session, account_uin: int, name: str = "amy", *, both: bool = False) -> CamUser:
    return users.synchronize_cam_user(
        session, SYSTEM, account_uin=account_uin, name=name, remark="", keep_both=both, manager=SPACE
    )


def allowed(session: Session, user: CamUser, action: str) -> bool:
    return queries.allows(queries.policies_of_user(session, user), action, account_uin=user.account_uin)


def test_a_user_is_made_with_its_policies_and_audited(session: Session, account_uin: int) -> None:
    user = create(session, account_uin)
    assert allowed(session, user, "organization:CreateUser")
    assert user.password_hash != PASSWORD
    event = session.scalars(select(AuditEvent).where(AuditEvent.action == "cam_user.create")).one()
    assert (event.target_name, event.account_uin) == ("amy", account_uin)
    assert PASSWORD not in str(event.details)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"name": "two words"}, "name"),
        ({"name": ""}, "name"),
        ({"name": "x" * 129}, "name"),
        ({"password": "short"}, "password"),
        ({"password": "x" * 129}, "password"),
        ({"policies": ["NoSuchAccess"]}, "policies"),
    ],
)
def test_bad_input_is_refused_by_field(
    session: Session, account_uin: int, fields: dict[str, object], field: str
) -> None:
    with pytest.raises(Invalid) as refusal:
        create(session, account_uin, **fields)
    assert refusal.value.field == field


def test_names_are_unique_without_case(session: Session, account_uin: int, make: Make) -> None:
    create(session, account_uin)
    with pytest.raises(Conflict):
        create(session, account_uin, "AMY")
    session.commit()  # SQLite has one writer
    elsewhere = make.organization().admin_uin
    assert create(session, elsewhere).account_uin == elsewhere


def test_the_right_password_is_accepted_and_others_not(session: Session, account_uin: int) -> None:
    user = create(session, account_uin)
    assert check(session, account_uin) is user
    assert check(session, account_uin, "Amy") is user
    assert check(session, account_uin, password="wrong password") is None
    assert check(session, account_uin, "nobody") is None


def test_only_the_admin_account_takes_passwords(session: Session, make: Make) -> None:
    space = make.space()
    member = make.account(space)
    create(session, member.uin)
    assert check(session, member.uin) is None


def test_a_user_without_password_never_signs_in(session: Session, account_uin: int) -> None:
    create(session, account_uin, password=None)
    assert check(session, account_uin, password="") is None


def test_wrong_passwords_lock_for_a_while(session: Session, account_uin: int) -> None:
    user = create(session, account_uin)
    for _ in range(3):
        assert check(session, account_uin, password="wrong password") is None
    assert check(session, account_uin) is None
    with clock.shifted(timedelta(minutes=16)):
        assert check(session, account_uin) is user
    assert (user.failed_sign_ins, user.locked_until) == (0, None)


def test_a_right_password_clears_the_count(session: Session, account_uin: int) -> None:
    create(session, account_uin)
    for _ in range(4):
        check(session, account_uin, password="wrong password")
        check(session, account_uin, password="wrong password")
        assert check(session, account_uin)


def test_a_new_password_unlocks_and_ends_sign_ins(session: Session, account_uin: int) -> None:
    user = create(session, account_uin)
    sign_in = SignIn(
        token_hash="t",
        kind=SignInKind.ADMINISTRATOR,
        cam_user_uin=user.uin,
        expires_at=clock.now() + timedelta(hours=1),
    )
    session.add(sign_in)
    for _ in range(3):
        check(session, account_uin, password="wrong password")
    users.set_password(session, SYSTEM, cam_user=user, password="another good one")
    session.refresh(sign_in)
    assert sign_in.ended_at
    assert check(session, account_uin, password="another good one") is user
    assert check(session, account_uin) is None


def test_a_password_that_was_changed_since_it_was_compared_is_wrong(session: Session, account_uin: int) -> None:
    user = create(session, account_uin)
    proven = user.password_hash
    users.set_password(session, SYSTEM, cam_user=user, password="another good one")
    entered = users.count_sign_in(
        session, account_uin=account_uin, name="amy", proven=proven, attempts=3, lock_minutes=15
    )
    assert entered is None
    assert user.failed_sign_ins == 1


def test_cam_4_nobody_gives_a_synchronized_user_a_password(session: Session, account_uin: int) -> None:
    user = synchronize(session, account_uin)
    with pytest.raises(Forbidden):
        users.set_password(session, SYSTEM, cam_user=user, password=PASSWORD)
    assert user.password_hash is None


def test_cam_4_a_managed_user_is_deleted_by_its_space_alone(session: Session, account_uin: int) -> None:
    user = synchronize(session, account_uin)
    for manager in (None, OTHER_SPACE):
        with pytest.raises(Forbidden):
            users.delete_cam_user(session, SYSTEM, cam_user=user, manager=manager)
    users.delete_cam_user(session, SYSTEM, cam_user=user, manager=SPACE)
    assert users.find_cam_user(session, account_uin, "amy") is None


def test_ic_14_a_taken_over_user_loses_everything_it_could(session: Session, account_uin: int) -> None:
    create(session, account_uin, "boss")
    user = create(session, account_uin)
    group = CamGroup(account_uin=account_uin, name="admins", name_key="admins")
    session.add(group)
    session.flush()
    session.add(CamGroupMember(group_id=group.id, user_uin=user.uin))
    attach_exactly(session, account_uin=account_uin, holder_type="group", holder_id=group.id, names=["ReadOnlyAccess"])
    assert synchronize(session, account_uin) is user
    assert (user.type, user.managed_by, user.password_hash) == ("CICUser", SPACE, None)
    assert queries.policies_of_user(session, user) == ()
    assert check(session, account_uin) is None


def test_ic_14_the_last_administrator_is_not_taken_over(session: Session, account_uin: int) -> None:
    boss = create(session, account_uin, "boss")
    create(session, account_uin, "reader", policies=["ReadOnlyAccess"])
    create(session, account_uin, "robot", password=None)
    with pytest.raises(Invalid, match="last administrator"):
        synchronize(session, account_uin, "boss")
    assert (boss.type, boss.managed_by) == ("SubUser", None)
    assert check(session, account_uin, "boss") is boss


def test_in_a_member_account_nobody_is_the_last_administrator(session: Session, make: Make) -> None:
    member = make.account(make.space())
    user = create(session, member.uin)
    assert synchronize(session, member.uin) is user


def test_ic_14_save_both_keeps_the_accounts_user(session: Session, account_uin: int) -> None:
    theirs = create(session, account_uin)
    ours = synchronize(session, account_uin, both=True)
    assert (ours.name, theirs.type) == ("amy_cic", "SubUser")
    assert synchronize(session, account_uin, both=True) is ours
    assert synchronize(session, account_uin) is ours


def test_ic_14_save_both_is_refused_when_both_names_are_taken(session: Session, account_uin: int) -> None:
    create(session, account_uin)
    create(session, account_uin, "amy_cic")
    with pytest.raises(Invalid, match="amy_cic"):
        synchronize(session, account_uin, both=True)


def test_ic_14_two_users_of_the_space_never_share_a_cam_user(session: Session, account_uin: int) -> None:
    create(session, account_uin)
    other = synchronize(session, account_uin, "amy_cic")
    with pytest.raises(Invalid):
        synchronize(session, account_uin, both=True)
    users.delete_cam_user(session, SYSTEM, cam_user=other, manager=SPACE)
    assert synchronize(session, account_uin, both=True).name == "amy_cic"
    with pytest.raises(Invalid, match="another user of this space"):
        synchronize(session, account_uin, "amy_cic")
