"""Repairs: what they put right, what they leave and say so, and that they may be killed and doubled."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import select

from portal.clouds.local import LocalConnector
from portal.core import clock
from portal.core.access import tasks
from portal.core.access.models import DeployedProvider, DeploymentStatus, Task, TaskStatus
from portal.core.actor import SYSTEM
from portal.core.cam import users
from portal.core.cam.models import CamIdentityProvider, CamUser
from portal.core.drift import repairs
from portal.core.errors import Forbidden, LimitReached, Unavailable
from portal.worker import visits
from tests.support.drift import LATER, Drift, refusing
from tests.support.meeting import on_postgresql

ROLE = "TencentCloudSSO-reader"


def wreck(house: Drift) -> None:
    """Of everything something, in the account shop."""
    house.detach(house.shop, "ReadOnlyAccess")
    house.attach(house.shop, "AdministratorAccess")
    house.stray_role(house.shop, "TencentCloudSSO-old")
    house.change_role(house.shop, session_duration=43_200, description="mine")
    house.drop_user(house.shop)
    house.stray_user(house.shop, "mallory")
    house.drop_provider(house.shop)


def test_everything_is_put_right(house: Drift) -> None:
    before = house.inside(house.shop)
    wreck(house)
    house.look()
    assert house.check_of(house.shop).differences == 7
    assert house.repair(house.shop) == ["Success"]
    assert house.inside(house.shop) == before
    assert house.differences(house.shop) == []
    assert house.check_of(house.shop).differences == 0
    house.look_later()
    assert house.differences(house.shop) == []
    [asked] = house.events("account.repair")
    assert asked.details == {"accounts": [house.shop.uin], "tasks": 1}
    [done] = house.events("account.repaired")
    assert (done.details["total"], done.details["left"]) == (7, [])
    assert done.account_uin == house.shop.uin


def test_an_account_that_was_never_looked_into_can_be_repaired(house: Drift) -> None:
    house.drop_role(house.bank)
    assert house.repair(house.bank) == ["Success"]
    assert len(house.inside(house.bank).roles) == 1
    assert house.check_of(house.bank).checked_at is not None


def test_an_account_in_order_is_left_as_it_is(house: Drift) -> None:
    before = house.inside(house.shop)
    assert house.repair(house.shop, house.bank) == ["Success", "Success"]
    assert house.inside(house.shop) == before
    assert house.events("account.drift", "account.drift_gone") == []


def test_a_repair_is_no_redeployment(house: Drift) -> None:
    house.add_policy(house.reader, "QcloudCVMFullAccess")
    house.detach(house.shop, "ReadOnlyAccess")
    assert house.repair(house.shop) == ["Success"]
    [role] = house.inside(house.shop).roles
    assert role.policies == ("QcloudCOSReadOnlyAccess", "ReadOnlyAccess")


def test_a_trust_that_lets_somebody_else_in_is_put_right(house: Drift) -> None:
    before = house.inside(house.bank)
    anybody = {"effect": "allow", "action": "name/sts:AssumeRole", "principal": {"qcs": ["*"]}}
    house.change_role(house.bank, trust={"version": "2.0", "statement": [anybody]})
    house.look()
    assert house.differences(house.bank) == [("RoleChanged", ROLE)]
    assert house.repair(house.bank) == ["Success"]
    assert house.inside(house.bank) == before


def test_what_cannot_be_put_right_is_said_and_the_rest_is(house: Drift) -> None:
    wreck(house)
    house.change_role(house.shop, managed_by=None)
    house.look()
    [result] = house.repair(house.shop)
    assert result.startswith(f"Failed: {ROLE}: The role {ROLE} belongs to the account itself")
    assert house.differences(house.shop) == [("RoleMissing", ROLE)]
    state = house.inside(house.shop)
    assert (len(state.providers), state.roles, state.users) == (1, (), ("alice",))
    [done] = house.events("account.repaired")
    assert done.details["left"] == [{"kind": "RoleMissing", "name": ROLE}]


def test_a_stray_user_with_access_keys_stays(house: Drift, monkeypatch: pytest.MonkeyPatch) -> None:
    house.stray_user(house.shop, "mallory")
    house.look()
    with refusing(monkeypatch, house.shop, "remove_user", Forbidden("It has access keys.")):
        assert house.repair(house.shop) == ["Failed: mallory: It has access keys."]
    assert house.differences(house.shop) == [("UserStray", "mallory")]


def test_a_user_of_the_accounts_own_by_that_name_is_left_alone(house: Drift) -> None:
    """Somebody released ours by hand: it is the account's now, and what it may there is its own business."""
    house.change_user(house.shop, managed_by=None, managed_for=None, type=users.SUB_USER)
    assert house.repair(house.shop) == ["Success"]
    assert house.inside(house.shop).users == ("alice_cic",)
    assert house.synced(house.shop) == ["alice_cic"]
    assert house.differences(house.shop) == []
    names = house.rows(select(CamUser.name).where(CamUser.account_uin == house.shop.uin).order_by(CamUser.name))
    assert names == ["alice", "alice_cic"]


def test_a_user_renamed_in_the_account_keeps_what_it_has(house: Drift) -> None:
    [uin] = house.rows(select(CamUser.uin).where(CamUser.account_uin == house.shop.uin))
    house.change_user(house.shop, name="alicia", name_key="alicia")
    house.look()
    assert house.differences(house.shop) == [("UserMissing", "alice"), ("UserStray", "alicia")]
    assert house.repair(house.shop) == ["Success"]
    assert house.synced(house.shop) == ["alicia"]
    assert house.rows(select(CamUser.uin).where(CamUser.account_uin == house.shop.uin)) == [uin]


def test_an_identity_provider_that_nothing_needs_is_taken_out(house: Drift) -> None:
    bare = house.account("bare")
    with house.make.transaction() as session:
        session.add(DeployedProvider(account_uin=bare.uin, space_id=house.space.id))
        found = session.scalars(select(CamIdentityProvider).where(CamIdentityProvider.account_uin == house.bank.uin))
        one = found.one()
        same = {"name": one.name, "entity_id": one.entity_id, "metadata_xml": one.metadata_xml}
        session.add(CamIdentityProvider(account_uin=bare.uin, managed_by=house.space.id, **same))
    house.look()
    assert house.differences(bare) == [("ProviderStray", house.space.provider_name)]
    assert house.repair(bare) == ["Success"]
    assert house.inside(bare).providers == ()
    assert bare.uin not in house.rows(select(DeployedProvider.account_uin))


@pytest.mark.parametrize("performed", [False, True])
def test_killed_at_any_moment_it_comes_out_right(house: Drift, performed: bool) -> None:
    before = house.inside(house.shop)
    wreck(house)
    house.look()
    batch = house.verb(repairs.repair, house.shop)
    visit = house.enter(house.repairs()[0])
    if performed:
        visits.perform(visit, house.database, house.settings)
    assert house.work() == 0
    assert len(house.differences(house.shop)) == 7, "nothing is recorded"
    with clock.shifted(timedelta(minutes=2)):
        assert house.done(batch) == ["Success"]
    assert house.inside(house.shop) == before
    assert house.differences(house.shop) == []


def test_killed_between_any_two_calls_it_comes_out_right(house: Drift) -> None:
    before = house.inside(house.shop)
    for moment in range(8):
        with clock.shifted(timedelta(minutes=3 * moment)):
            wreck(house)
            batch = house.verb(repairs.repair, house.shop)
            run = house.enter(house.repairs()[-1]).run
            assert run is not None
            calls = iter(range(moment))

            def keep(calls: Iterator[int] = calls) -> None:
                if next(calls, None) is None:
                    raise KeyboardInterrupt

            with pytest.raises(KeyboardInterrupt):
                run.work.perform(LocalConnector(house.database, house.shop.uin, house.settings.base_url), keep)
            with clock.shifted(timedelta(minutes=2)):
                assert house.done(batch) == ["Success"]
        assert house.inside(house.shop) == before, moment


def test_an_account_that_does_not_answer_is_tried_again(house: Drift, monkeypatch: pytest.MonkeyPatch) -> None:
    house.drop_role(house.bank)
    batch = house.verb(repairs.repair, house.bank)
    with refusing(monkeypatch, house.bank, "ensure_role", Unavailable("It does not answer.")):
        assert house.done(batch) == ["Queued: It does not answer."]
    with clock.shifted(timedelta(minutes=1)):
        assert house.done(batch) == ["Success"]


def test_a_second_repair_of_the_same_account_fails_with_that_reason(house: Drift) -> None:
    first = house.verb(repairs.repair, house.shop)
    second = house.verb(repairs.repair, house.shop, house.bank)
    assert house.results(second) == ["Failed: A repair of this account is under way already.", "Queued"]
    assert house.done(first) == ["Success"]
    assert house.repair(house.shop) == ["Success"]


def test_a_failed_repair_can_be_run_again(house: Drift, monkeypatch: pytest.MonkeyPatch) -> None:
    house.drop_role(house.bank)
    with refusing(monkeypatch, house.bank, "ensure_role", Forbidden("Not yours.")):
        house.repair(house.bank)
    [task] = house.tasks(status=TaskStatus.FAILED)
    house.retry(task)
    house.work()
    assert len(house.inside(house.bank).roles) == 1


def test_too_many_at_once_are_refused(house: Drift) -> None:
    with pytest.raises(LimitReached):
        house.verb(repairs.repair, accounts=list(range(1, 10_002)))


def test_with_the_setting_the_pass_repairs_what_it_finds(house: Drift) -> None:
    house.verb(repairs.set_repairs, enabled=True)
    house.verb(repairs.set_repairs, enabled=True)
    assert len(house.events("drift.enable_repair")) == 1
    wreck(house)
    house.look()
    assert [(task.account_uin, task.actor_name) for task in house.repairs()] == [(house.shop.uin, "Identity Center")]
    house.work()
    assert house.differences(house.shop) == []
    [event] = house.events("account.repair")
    assert (event.actor_kind, event.details["automatic"]) == ("system", True)
    house.verb(repairs.set_repairs, enabled=False)
    house.detach(house.shop, "ReadOnlyAccess")
    house.look_later()
    assert len(house.repairs()) == 1
    assert len(house.events("drift.disable_repair")) == 1


def test_what_comes_back_is_repaired_once_in_a_pass(house: Drift) -> None:
    house.verb(repairs.set_repairs, enabled=True)
    for days in range(3):
        with clock.shifted(days * LATER):
            house.detach(house.shop, "ReadOnlyAccess")
            house.look()
            house.work()
            house.detach(house.shop, "ReadOnlyAccess")
            house.work()
            house.look()
        assert len(house.repairs()) == days + 1


def test_what_cannot_be_repaired_leaves_one_failed_task_not_one_a_day(
    house: Drift, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.verb(repairs.set_repairs, enabled=True)
    house.drop_role(house.bank)
    with refusing(monkeypatch, house.bank, "ensure_role", Forbidden("Not yours.")):
        for days in range(3):
            with clock.shifted(days * LATER):
                house.look()
                house.look()
                house.work()
    [task] = house.repairs()
    assert (task.status, task.reason) == ("Failed", f"{ROLE}: Not yours.")
    assert len(house.events("account.repair")) == 3


@on_postgresql
def test_one_that_somebody_has_in_hand_is_left_to_them_by_the_pass(
    house: Drift, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.verb(repairs.set_repairs, enabled=True)
    house.drop_role(house.bank)
    with refusing(monkeypatch, house.bank, "ensure_role", Forbidden("Not yours.")):
        house.look()
        house.work()
    [task] = house.repairs()
    with house.make.transaction() as session:
        tasks.retry(session, SYSTEM, space=house.space, task=session.get_one(Task, task.id))
        with clock.shifted(LATER):
            house.look()
    assert [one.id for one in house.repairs()] == [task.id]
    assert len(house.events("account.repair")) == 1


def test_one_that_waits_is_not_doubled_by_the_pass(house: Drift) -> None:
    house.verb(repairs.set_repairs, enabled=True)
    house.drop_role(house.bank)
    house.verb(repairs.repair, house.bank)
    house.look()
    assert len(house.repairs()) == 1


def test_while_a_repair_waits_an_undeployment_may_come_first(house: Drift) -> None:
    """What is wanted is read when the task runs."""
    [deployment] = [one for one in house.deployments() if one.account_uin == house.bank.uin]
    house.drop_role(house.bank)
    batch = house.verb(repairs.repair, house.bank)
    house.undeploy(deployment)
    assert house.done(batch) == ["Success"]
    state = house.inside(house.bank)
    assert (state.providers, state.roles) == ((), ())
    assert DeploymentStatus.UNDEPLOYING not in {one.status for one in house.deployments()}
