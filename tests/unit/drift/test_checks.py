"""The pass: what it finds, when it looks, and who of many workers does."""

from __future__ import annotations

import time
from datetime import timedelta
from itertools import pairwise
from threading import Barrier, Thread

import pytest
from sqlalchemy import select, update

from portal.clouds.local import LocalConnector
from portal.core import clock
from portal.core.access.models import AccountClaim, Deployment, DeploymentStatus, Task
from portal.core.actor import SYSTEM
from portal.core.cam.models import CamIdentityProvider
from portal.core.drift import checks, repairs, turns
from portal.core.drift.desired import desired
from portal.core.drift.models import AccountCheck, Difference
from portal.core.errors import Invalid, NotFound, Unavailable
from portal.core.organization.members import remove_members
from portal.core.organization.models import Organization
from portal.worker import checking, embedded, visits
from portal.worker.checking import Checking, look
from tests.support.drift import LATER, Drift, refusing
from tests.support.saml_idp import key_pair
from tests.support.statements import statements

ROLE = "TencentCloudSSO-reader"


def test_a_house_in_order_has_no_differences(house: Drift) -> None:
    assert house.look() == 3, "the admin account too"
    assert house.differences(house.shop) == house.differences(house.bank) == []
    check = house.check_of(house.shop)
    assert (check.differences, check.problem, check.failures) == (0, "", 0)
    assert check.checked_at is not None
    assert house.events("account.drift", "account.drift_gone") == []


def test_everything_that_somebody_changed_is_found(house: Drift) -> None:
    provider = house.space.provider_name
    house.detach(house.shop, "ReadOnlyAccess")
    house.attach(house.shop, "AdministratorAccess")
    house.change_role(house.shop, session_duration=43_200)
    house.stray_role(house.shop, "TencentCloudSSO-old")
    house.drop_user(house.shop)
    house.stray_user(house.shop, "mallory")
    house.drop_provider(house.shop)
    house.drop_role(house.bank)
    house.change_provider(house.bank, entity_id="https://evil.example")
    house.look()
    assert house.differences(house.shop) == [
        ("PolicyDetached", ROLE),
        ("PolicyStray", ROLE),
        ("ProviderMissing", provider),
        ("RoleChanged", ROLE),
        ("RoleStray", "TencentCloudSSO-old"),
        ("UserMissing", "alice"),
        ("UserStray", "mallory"),
    ]
    assert house.differences(house.bank) == [("ProviderChanged", provider), ("RoleMissing", ROLE)]
    assert house.check_of(house.shop).differences == 7


def test_a_configuration_that_waits_for_redeployment_is_no_drift(house: Drift) -> None:
    house.add_policy(house.reader, "QcloudCVMFullAccess")
    house.look()
    assert house.differences(house.shop) == []
    house.detach(house.shop, "ReadOnlyAccess")
    house.look_later()
    assert house.differences(house.shop) == [("PolicyDetached", ROLE)]
    house.redeploy(*house.deployments())
    house.work()
    with clock.shifted(LATER):
        house.look_later()
    assert house.differences(house.shop) == []


def test_what_was_deployed_before_policies_were_kept_is_judged_only_while_it_is_known(house: Drift) -> None:
    house.detach(house.shop, "ReadOnlyAccess")
    with house.make.transaction() as session:
        for deployment in session.scalars(select(Deployment)):
            deployment.policies = None
    house.look()
    assert house.differences(house.shop) == [("PolicyDetached", ROLE)]
    house.add_policy(house.reader, "QcloudCVMFullAccess")
    house.look_later()
    assert house.differences(house.shop) == []


@pytest.mark.parametrize("status", [DeploymentStatus.DEPLOYING, DeploymentStatus.UNDEPLOYING, DeploymentStatus.FAILED])
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_what_is_in_motion_is_not_judged(house: Drift, status: DeploymentStatus) -> None:
    with house.make.transaction() as session:
        session.execute(update(Deployment).where(Deployment.account_uin == house.bank.uin).values(status=status))
    house.look()
    house.drop_role(house.bank)
    house.look_later()
    assert house.differences(house.bank) == []


def test_a_roll_over_of_the_key_is_no_drift_but_another_certificate_is(house: Drift) -> None:
    with house.make.transaction() as session:
        wanted = desired(session, house.space, house.shop.uin, entity_id="")
    assert wanted.provider is not None
    assert wanted.provider.certificates, "as deployed, not as published"
    [metadata] = {one.metadata_xml for one in house.rows(select(CamIdentityProvider))}
    other = "".join(key_pair("another key")[1].split("-----")[2].split())
    begin, end = metadata.index("X509Certificate>") + 16, metadata.index("</ds:X509Certificate>")
    house.change_provider(house.shop, metadata_xml=metadata[:begin] + other + metadata[end:])
    house.look()
    assert house.differences(house.shop) == [("ProviderChanged", house.space.provider_name)]


def test_users_on_their_way_are_not_called_stray(house: Drift) -> None:
    """A task that broke off has made them, and nobody knows of it yet."""
    house.synchronize([house.bank], [house.user("bob")])
    [task_id] = house.rows(select(Task.id).where(Task.status == "Queued"))
    visits.perform(house.enter(task_id), house.database, house.settings)
    with clock.shifted(timedelta(hours=1)):
        house.look()
        assert house.inside(house.bank).users == ("bob",)
        assert house.differences(house.bank) == []
        house.work()
    house.look_later()
    assert house.differences(house.bank) == []


def test_a_difference_is_told_once_and_again_when_it_is_gone(house: Drift) -> None:
    house.detach(house.shop, "ReadOnlyAccess")
    for hours in (0, 25, 50):
        with clock.shifted(timedelta(hours=hours)):
            house.look()
    [event] = house.events("account.drift", "account.drift_gone")
    assert (event.actor_kind, event.organization_id, event.account_uin) == (
        "system",
        house.space.organization_id,
        house.shop.uin,
    )
    assert event.details["differences"] == [{"kind": "PolicyDetached", "name": ROLE}]
    [first] = house.rows(select(Difference.found_at))

    house.change_role(house.shop, session_duration=900)
    with clock.shifted(timedelta(hours=75)):
        house.look()
    assert [event.details["new"] for event in house.events("account.drift")] == [1, 1]
    assert first in house.rows(select(Difference.found_at)), "what was known keeps its time"

    house.repair(house.shop)
    assert [event.action for event in house.events("account.drift_gone")] == ["account.drift_gone"]
    with clock.shifted(timedelta(hours=100)):
        house.look()
    assert len(house.events("account.drift", "account.drift_gone")) == 3


def test_each_account_is_looked_into_once_a_day(house: Drift) -> None:
    assert house.look() == 3
    assert house.look() == 0
    due = [check.due_at - clock.now() for check in house.rows(select(AccountCheck))]
    assert all(timedelta(hours=21) < wait < timedelta(hours=24, minutes=2) for wait in due)
    assert house.look_later() == 3


def test_first_turns_are_spread_and_a_new_member_gets_one(house: Drift) -> None:
    enrolled = Checking(house.database, house.settings)
    assert enrolled.enroll_if_due() == 3
    times = sorted(check.due_at for check in house.rows(select(AccountCheck)))
    assert [later - sooner for sooner, later in pairwise(times)] == [timedelta(seconds=1)] * 2
    house.account("new")
    assert enrolled.enroll_if_due() == 0, "once a minute"
    with clock.shifted(timedelta(minutes=1)):
        assert enrolled.enroll_if_due() == 1


def test_without_a_schedule_it_looks_only_when_asked(house: Drift) -> None:
    house.settings = house.settings.model_copy(update={"drift_check_hours": 0})
    assert house.look() == 0
    house.detach(house.shop, "ReadOnlyAccess")
    assert house.verb(repairs.check_now, house.shop) == 1
    assert house.look() == 1
    assert house.differences(house.shop) == [("PolicyDetached", ROLE)]
    assert house.check_of(house.shop).due_at is None
    assert house.look_later() == 0


def test_a_schedule_that_is_switched_on_later_finds_the_rows_of_before(house: Drift) -> None:
    off = house.settings.model_copy(update={"drift_check_hours": 0})
    usual, house.settings = house.settings, off
    house.verb(repairs.check_now, house.shop)
    house.look()
    assert Checking(house.database, usual).enroll_if_due() == 3
    with clock.shifted(timedelta(minutes=1)):
        assert Checking(house.database, usual).run() == 3


def test_asked_for_comes_first(house: Drift) -> None:
    Checking(house.database, house.settings).enroll_if_due()
    house.verb(repairs.check_now, house.bank)
    with clock.shifted(timedelta(minutes=1)), house.database.transaction(write=False) as session:
        assert turns.due(session, scheduled=True)[0] == (house.bank.uin, house.space.id)
        assert turns.due(session, scheduled=False) == [(house.bank.uin, house.space.id)]
    assert [event.details for event in house.events("account.check")] == [{"accounts": 1}]


def test_nobody_asks_for_accounts_of_others(house: Drift) -> None:
    stranger = house.make.account(house.make.space("other"))
    with pytest.raises(NotFound):
        house.verb(repairs.check_now, stranger)
    with pytest.raises(NotFound):
        house.verb(repairs.repair, house.shop, stranger)
    with pytest.raises(Invalid):
        house.verb(repairs.repair, accounts=[])
    assert house.repairs() == []


def test_an_account_that_does_not_answer_is_a_problem_and_tried_again_ever_later(
    house: Drift, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.detach(house.shop, "ReadOnlyAccess")
    house.look()
    house.verb(repairs.check_now, house.shop)
    waits = []
    with refusing(monkeypatch, house.shop, "describe", Unavailable("It does not answer.")):
        for hours in (0, 30, 60, 90, 120, 150, 180, 210, 240, 270):
            with clock.shifted(timedelta(hours=hours)):
                house.look()
                check = house.check_of(house.shop)
                assert check.due_at is not None
                waits.append(check.due_at - clock.now())
    assert check.problem == "It does not answer."
    assert (check.failures, check.differences) == (10, 1), "what was found before stays"
    minutes = [wait.total_seconds() / 60 for wait in waits]
    assert all(2.5 * 2**n <= wait <= 5 * 2**n + 2 for n, wait in enumerate(minutes[:8])), minutes
    assert all(21 * 60 < wait < 24 * 60 + 2 or wait < 5 * 2**9 for wait in minutes), minutes
    with clock.shifted(timedelta(hours=300)):
        house.look()
    check = house.check_of(house.shop)
    assert (check.problem, check.failures, check.differences) == ("", 0, 1)


def test_a_failure_that_nobody_foresaw_is_a_problem_too_and_stops_nobody_else(
    house: Drift, monkeypatch: pytest.MonkeyPatch
) -> None:
    with refusing(monkeypatch, house.shop, "describe", RuntimeError("bang")):
        assert house.look() == 3
    assert "An unexpected error; see the log, reference" in house.check_of(house.shop).problem
    assert house.check_of(house.bank).problem == ""


def test_a_worker_that_dies_while_it_looks_leaves_a_turn_that_ends_by_itself(house: Drift) -> None:
    house.look()
    house.detach(house.shop, "ReadOnlyAccess")
    with clock.shifted(LATER):
        with house.make.transaction() as session:
            assert checks.take(session, house.shop.uin, house.space.id) is not None
        house.look()
        assert house.differences(house.shop) == []
    with clock.shifted(LATER + checks.TURN):
        house.look()
    assert house.differences(house.shop) == [("PolicyDetached", ROLE)]


def test_whose_turn_was_over_keeps_nothing(house: Drift) -> None:
    Checking(house.database, house.settings).enroll_if_due()
    with clock.shifted(timedelta(minutes=1)), house.make.transaction() as session:
        turn = checks.take(session, house.shop.uin, house.space.id)
        assert turn is not None
        wanted = desired(session, house.space, house.shop.uin, entity_id="")
    house.drop_role(house.shop)
    state = house.inside(house.shop)
    with clock.shifted(checks.TURN + timedelta(minutes=2)):
        assert look(house.database, house.settings, house.shop.uin, house.space.id)
        with house.make.transaction() as session:
            assert checks.settle(session, turn, wanted=wanted, state=state, hours=24) is None
            checks.fail(session, turn, reason="late", hours=24)
    assert house.check_of(house.shop).problem == ""


def test_of_many_workers_one_looks(house: Drift, monkeypatch: pytest.MonkeyPatch) -> None:
    Checking(house.database, house.settings).enroll_if_due()
    described: list[int] = []
    original = LocalConnector.describe

    def describe(self: LocalConnector, *, managed_by: str) -> object:
        described.append(self.account_uin)
        return original(self, managed_by=managed_by)

    monkeypatch.setattr(LocalConnector, "describe", describe)
    together = Barrier(4)

    def work() -> None:
        together.wait()
        Checking(house.database, house.settings).run()

    with clock.shifted(timedelta(minutes=1)):
        threads = [Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(described) == len(set(described)) == 3


def test_it_does_not_look_while_a_task_is_at_work(house: Drift) -> None:
    house.look()
    house.detach(house.shop, "ReadOnlyAccess")
    [deployment] = [one for one in house.deployments() if one.account_uin == house.shop.uin]
    house.redeploy(deployment)
    [task_id] = house.rows(select(Task.id).where(Task.status == "Queued"))
    with clock.shifted(LATER):
        visit = house.enter(task_id)
        assert not look(house.database, house.settings, house.shop.uin, house.space.id)
        check = house.check_of(house.shop)
        assert check.due_at is not None
        assert check.due_at - clock.now() <= checks.WHILE_BUSY, "and comes back soon"
        visits.perform(visit, house.database, house.settings)
        visits.go_on(visit, house.database, house.settings, last=True)
        with clock.shifted(checks.WHILE_BUSY):
            assert look(house.database, house.settings, house.shop.uin, house.space.id)
    assert house.differences(house.shop) == []


def test_what_a_task_did_meanwhile_is_not_taken_for_drift(house: Drift, monkeypatch: pytest.MonkeyPatch) -> None:
    """The account is asked, then a task redeploys: what was wanted before is compared with nothing."""
    Checking(house.database, house.settings).enroll_if_due()
    house.add_policy(house.reader, "QcloudCVMFullAccess")
    original = LocalConnector.describe

    def describe(self: LocalConnector, *, managed_by: str) -> object:
        if self.account_uin == house.shop.uin and not house.tasks(status=None)[-1].type.startswith("Provision"):
            house.redeploy(*house.deployments())
            house.work()
        return original(self, managed_by=managed_by)

    monkeypatch.setattr(LocalConnector, "describe", describe)
    with clock.shifted(timedelta(minutes=1)):
        assert look(house.database, house.settings, house.shop.uin, house.space.id)
        assert house.differences(house.shop) == []
        assert house.check_of(house.shop).checked_at is None, "it looks again"
        with clock.shifted(checks.WHILE_BUSY):
            assert look(house.database, house.settings, house.shop.uin, house.space.id)
        assert house.differences(house.shop) == []
        assert house.check_of(house.shop).checked_at is not None


def test_a_claim_that_ran_out_does_not_keep_it_away(house: Drift) -> None:
    with house.make.transaction() as session:
        session.execute(update(AccountClaim).values(until=clock.now() - timedelta(seconds=1)))
    assert house.look() == 3


def test_an_account_that_left_the_organization_is_forgotten(house: Drift) -> None:
    bare = house.account("bare")
    with house.make.transaction() as session:
        session.add(Difference(space_id=house.space.id, account_uin=bare.uin, kind="RoleStray", name="x"))
    Checking(house.database, house.settings).enroll_if_due()
    with clock.shifted(timedelta(minutes=1)), house.make.transaction() as session:
        turn = checks.take(session, bare.uin, house.space.id)
        assert turn is not None
    with house.make.transaction() as session:
        organization = session.get_one(Organization, house.space.organization_id)
        remove_members(session, SYSTEM, organization=organization, uins=[bare.uin])
    with house.make.transaction() as session:
        checks.fail(session, turn, reason="late", hours=24)
    assert bare.uin not in house.rows(select(AccountCheck.account_uin))
    assert house.rows(select(Difference)) == []


def test_an_account_that_got_its_turn_while_it_left_is_not_looked_into(house: Drift) -> None:
    gone = house.account("gone")
    with house.make.transaction() as session:
        organization = session.get_one(Organization, house.space.organization_id)
        remove_members(session, SYSTEM, organization=organization, uins=[gone.uin])
        session.add(AccountCheck(space_id=house.space.id, account_uin=gone.uin, due_at=clock.now()))
    with clock.shifted(timedelta(minutes=1)), house.make.transaction() as session:
        assert gone.uin not in [uin for uin, _space in turns.due(session, scheduled=True)]
        assert checks.take(session, gone.uin, house.space.id) is None


def test_an_idle_pass_asks_two_questions_and_writes_nothing(house: Drift) -> None:
    house.look()
    with statements(house.database) as seen:
        Checking(house.database, house.settings).start_if_due()
    assert len(seen) == 2
    assert all(statement.startswith("SELECT") for statement in seen)


def test_the_embedded_worker_does_it(house: Drift, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking, "EVERY", timedelta(0))
    monkeypatch.setattr(embedded, "SWEEP_SECONDS", 0.05)
    house.detach(house.shop, "ReadOnlyAccess")
    house.verb(repairs.check_now, house.shop)
    handle = embedded.start(house.database, house.settings)
    try:
        for _ in range(400):
            if house.differences(house.shop):
                break
            time.sleep(0.05)
    finally:
        handle.stop()
        house.database.dispatch = None
    assert house.differences(house.shop) == [("PolicyDetached", ROLE)]
