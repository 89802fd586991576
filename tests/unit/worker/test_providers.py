"""A roll-over of the signing key in the accounts: by tasks that may be killed, repeated and late (IC-17)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from portal import signing
from portal.clouds.local import LocalConnector
from portal.core import clock
from portal.core.access import roll_over
from portal.core.access.models import DeployedProvider, Task, TaskType
from portal.core.access.queries import roll_over as queries
from portal.core.access.rows import Spread
from portal.core.actor import SYSTEM
from portal.core.cam.models import CamIdentityProvider
from portal.core.errors import Conflict, Error, Forbidden, NotFound, Stale, Unavailable
from portal.core.federation import saml_keys
from portal.core.federation.models import SamlKey
from portal.core.organization.members import remove_members
from portal.core.organization.models import Account, Organization
from portal.migrations import upgrade
from portal.settings import Settings
from portal.worker import visits
from saml.metadata import parse_identity_provider
from tests.support.make import Make
from tests.support.migrations import downgrade
from tests.support.provisioning import Provisioning
from tests.support.saml_idp import key_pair
from tests.support.statements import statements

NEW = key_pair("the next key")
LATER = timedelta(minutes=5)


class RollOver(Provisioning):
    """An organization with `first` (a role) and `second` (a CAM user) deployed, and an account with nothing of ours."""

    def __init__(self, make: Make, settings: Settings) -> None:
        super().__init__(make, settings)
        self.first, self.second, self.bare = self.account("first"), self.account("second"), self.account("bare")
        self.grant([self.first], [self.user("alice")], [self.configuration("reader")])
        self.synchronize([self.second], [self.user("bob")])
        self.work()
        assert self.spread() == Spread(done=2, waiting=0, failed=0)

    def step(self, verb: Any, **arguments: Any) -> Any:
        with self.make.transaction() as session:
            return verb(session, SYSTEM, space=self.space, **arguments)

    def introduce(self) -> int:
        pair = {"private_key": NEW[0], "certificate": NEW[1], "secret_key": self.settings.secret_key}
        queued: int = self.step(roll_over.introduce, **pair)
        return queued

    def work_for(self, *, minutes: range) -> None:
        for minute in minutes:
            with clock.shifted(timedelta(minutes=minute)):
                self.work()

    def published(self) -> list[str]:
        with self.make.transaction() as session:
            return saml_keys.certificates(session, self.space)

    def spread(self) -> Spread:
        with self.make.transaction() as session:
            wanted = saml_keys.fingerprints(saml_keys.certificates(session, self.space))
            return queries.spread(session, self.space, wanted)

    def held(self, account: Account) -> list[str]:
        """The certificates that the account really believes."""
        [found] = self.rows(
            select(CamIdentityProvider.metadata_xml).where(CamIdentityProvider.account_uin == account.uin)
        )
        return list(parse_identity_provider(found).certificates)

    def remembered(self) -> set[int]:
        return set(self.rows(select(DeployedProvider.account_uin)))


@pytest.fixture
def house(make: Make, settings: Settings) -> RollOver:
    return RollOver(make, settings)


@contextmanager
def refusing(monkeypatch: pytest.MonkeyPatch, account: Account, problem: Error) -> Iterator[None]:
    """The cloud of this account takes no identity provider meanwhile."""
    original = LocalConnector.ensure_identity_provider

    def ensure(self: LocalConnector, **provider: Any) -> None:
        if self.account_uin == account.uin:
            raise problem
        original(self, **provider)

    with monkeypatch.context() as patched:
        patched.setattr(LocalConnector, "ensure_identity_provider", ensure)
        yield


def test_the_new_certificate_goes_in_the_key_switches_and_the_old_one_leaves(house: RollOver) -> None:
    [old] = house.published()
    assert house.introduce() == 2
    assert house.spread() == Spread(done=0, waiting=2, failed=0)
    with pytest.raises(Conflict, match="still on its way to 2 of 2"):
        house.step(roll_over.switch)

    house.work()
    assert house.spread() == Spread(done=2, waiting=0, failed=0)
    assert house.held(house.first) == house.held(house.second) == [old, NEW[1]]

    house.step(roll_over.switch)
    assert house.published() == [NEW[1], old]
    assert house.spread() == Spread(done=2, waiting=0, failed=0), "the accounts know both"
    assert house.work() == 0

    with pytest.raises(Conflict, match="Wait five minutes"):
        house.step(roll_over.retire)
    with clock.shifted(roll_over.SETTLED_AFTER):
        assert house.step(roll_over.retire) == 2
        assert house.spread() == Spread(done=0, waiting=2, failed=0)
        house.work()
    assert house.held(house.first) == house.held(house.second) == [NEW[1]]
    assert house.spread() == Spread(done=2, waiting=0, failed=0)
    with pytest.raises(Conflict):
        house.step(roll_over.retire)
    assert house.remembered() == {house.first.uin, house.second.uin}


def test_what_was_introduced_can_be_taken_back(house: RollOver) -> None:
    [old] = house.published()
    house.introduce()
    house.work()
    with pytest.raises(Conflict):
        house.step(roll_over.retire)
    assert house.step(roll_over.give_up) == 2
    house.work()
    assert house.published() == house.held(house.first) == [old]
    with pytest.raises(Conflict):
        house.step(roll_over.give_up)
    with pytest.raises(Conflict):
        house.step(roll_over.switch)


def test_a_failing_account_holds_the_switch_up_until_it_has_the_certificate(
    house: RollOver, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.introduce()
    with refusing(monkeypatch, house.second, Forbidden("Not yours.")):
        house.work()
        assert house.spread() == Spread(done=1, waiting=0, failed=1)
        with pytest.raises(Conflict, match=r"did not get into 1 accounts \(second\)"):
            house.step(roll_over.switch, without=[house.first.uin])
        assert house.step(roll_over.repeat) == 1
        assert house.step(roll_over.repeat) == 0, "it is on its way"
        house.work()
        with house.make.transaction() as session:
            [row] = roll_over.left_behind(session, house.space)
        assert (row.account_name, row.reason) == ("second", "Not yours.")
    assert house.step(roll_over.repeat, account_uin=house.second.uin) == 1
    house.work()
    assert house.spread() == Spread(done=2, waiting=0, failed=0)
    house.step(roll_over.switch)
    updates = select(Task.status).where(Task.type == TaskType.UPDATE_PROVIDER)
    assert house.rows(updates) == ["Success", "Success"], "the failed task itself ran again"
    with pytest.raises(NotFound):
        house.step(roll_over.repeat, account_uin=house.bare.uin)


def test_an_account_may_be_left_behind_by_name_and_comes_after(
    house: RollOver, monkeypatch: pytest.MonkeyPatch
) -> None:
    [old] = house.published()
    house.introduce()
    with refusing(monkeypatch, house.second, Unavailable("It does not answer.")):
        house.work_for(minutes=range(6))
        house.step(roll_over.switch, without=[house.second.uin])
        house.step(roll_over.retire, at_once=True)
        house.work_for(minutes=range(6, 12))
    assert (house.held(house.first), house.held(house.second)) == ([NEW[1]], [old])
    assert house.spread() == Spread(done=1, waiting=0, failed=1)
    assert house.step(roll_over.repeat) == 1
    house.work_for(minutes=range(12, 13))
    assert house.held(house.second) == [NEW[1]]


@pytest.mark.parametrize("performed", [False, True])
def test_killed_at_any_moment_it_comes_out_right(house: RollOver, performed: bool) -> None:
    [old] = house.published()
    house.introduce()
    [task_id, _other] = house.rows(select(Task.id).where(Task.type == TaskType.UPDATE_PROVIDER))
    run = house.enter(task_id)
    if performed:
        visits.perform(run, house.database, house.settings)
    house.work()
    assert house.spread() == Spread(done=1, waiting=1, failed=0)
    with clock.shifted(LATER):
        house.work()
        assert house.spread() == Spread(done=2, waiting=0, failed=0)
    assert house.held(house.first) == house.held(house.second) == [old, NEW[1]]


def test_a_task_that_has_read_the_old_state_is_followed_by_one_that_reads_the_new(house: RollOver) -> None:
    [old] = house.published()
    house.introduce()
    tasks = house.rows(select(Task.id).where(Task.type == TaskType.UPDATE_PROVIDER))
    runs = [house.enter(task_id) for task_id in tasks]
    assert house.step(roll_over.give_up) == 2
    for run in runs:
        visits.perform(run, house.database, house.settings)
        visits.go_on(run, house.database, house.settings, last=True)
    assert house.held(house.first) == [old, NEW[1]]
    assert house.spread() == Spread(done=0, waiting=2, failed=0)
    house.work()
    assert house.held(house.first) == house.held(house.second) == [old]


def test_an_account_that_joins_in_the_middle_has_everything_at_once(house: RollOver) -> None:
    [old] = house.published()
    house.introduce()
    house.work()
    house.synchronize([house.bare], [house.user("carol")])
    house.work()
    assert house.held(house.bare) == [old, NEW[1]]
    assert house.spread() == Spread(done=3, waiting=0, failed=0)


def test_a_deployment_under_way_holds_the_switch_up(house: RollOver) -> None:
    """It read the certificates before the new one was there; nobody but the list of accounts knows of it."""
    house.synchronize([house.bare], [house.user("carol")])
    [task_id] = house.rows(select(Task.id).where(Task.account_uin == house.bare.uin))
    run = house.enter(task_id)
    assert house.introduce() == 3
    visits.perform(run, house.database, house.settings)
    visits.go_on(run, house.database, house.settings, last=True)
    assert len(house.held(house.bare)) == 1
    with pytest.raises(Conflict, match="still on its way to 3 of 3"):
        house.step(roll_over.switch)
    house.work()
    assert len(house.held(house.bare)) == 2
    house.step(roll_over.switch)


def test_an_account_that_was_left_holds_nobody_up_and_gets_nothing(house: RollOver) -> None:
    [deployment] = house.deployments()
    house.introduce()
    house.revoke(*house.authorizations())
    house.undeploy(deployment)
    house.work()
    assert house.spread() == Spread(done=1, waiting=0, failed=0)
    assert house.remembered() == {house.second.uin}
    assert house.inside(house.first).identity_providers == {}
    house.step(roll_over.switch)
    house.end_sync(house.syncs()[0])
    house.work()
    assert house.remembered() == set()
    assert house.step(roll_over.retire, at_once=True) == 0


def test_what_nothing_needs_any_more_is_taken_out_instead(house: RollOver, monkeypatch: pytest.MonkeyPatch) -> None:
    """A deployment that failed leaves an account of which nobody knows what it holds."""
    with refusing(monkeypatch, house.bare, Forbidden("Not yours.")):
        house.synchronize([house.bare], [house.user("carol")])
        house.work()
    assert house.spread() == Spread(done=2, waiting=0, failed=1)
    assert house.step(roll_over.repeat) == 1
    house.work()
    assert house.spread() == Spread(done=2, waiting=0, failed=0)
    assert house.inside(house.bare).identity_providers == {}


def test_an_account_leaves_the_organization_after_our_identity_provider_left_it(house: RollOver) -> None:
    with house.make.transaction() as session:
        session.add(DeployedProvider(account_uin=house.bare.uin, space_id=house.space.id, certificates=""))
    assert house.spread() == Spread(done=2, waiting=0, failed=1)

    def remove() -> None:
        with house.make.transaction() as session:
            organization = session.get_one(Organization, house.space.organization_id)
            remove_members(session, SYSTEM, organization=organization, uins=[house.bare.uin])

    with pytest.raises(Conflict, match="still has 1 identity provider there"):
        remove()
    house.step(roll_over.repeat)
    house.work()
    remove()
    assert house.remembered() == {house.first.uin, house.second.uin}


def test_a_step_asked_for_on_sight_of_an_older_page_is_not_done(house: RollOver) -> None:
    with house.make.transaction() as session:
        seen = roll_over.standing(session, house.space)
    house.introduce()
    house.work()
    for verb in (roll_over.switch, roll_over.give_up, roll_over.retire):
        with pytest.raises(Stale):
            house.step(verb, seen=seen)
    with house.make.transaction() as session:
        seen = roll_over.standing(session, house.space)
    house.step(roll_over.switch, seen=seen)


def test_too_many_are_not_left_behind(house: RollOver, monkeypatch: pytest.MonkeyPatch) -> None:
    house.introduce()
    house.work()
    with house.make.transaction() as session:
        session.execute(update(DeployedProvider).values(certificates=""))
    everywhere = [house.first.uin, house.second.uin]
    monkeypatch.setattr(roll_over, "MOST_LEFT_BEHIND", 1)
    with pytest.raises(Conflict, match="too many"):
        house.step(roll_over.switch, without=everywhere)
    monkeypatch.setattr(roll_over, "MOST_LEFT_BEHIND", 2)
    house.step(roll_over.switch, without=everywhere)


def test_a_step_for_many_accounts_takes_as_many_statements_as_for_two(house: RollOver) -> None:
    def counted() -> int:
        with statements(house.database) as seen:
            house.introduce()
        house.step(roll_over.give_up)
        return len(seen)

    few = counted()
    accounts = [house.account() for _ in range(60)]
    with house.make.transaction() as session:
        session.add_all(
            DeployedProvider(account_uin=account.uin, space_id=house.space.id, certificates="") for account in accounts
        )
    with house.make.transaction() as session:
        session.execute(update(Task).where(Task.type == TaskType.UPDATE_PROVIDER).values(status="Failed"))
    assert counted() <= few + 6


def test_the_keys_are_shown_with_what_people_compare(house: RollOver) -> None:
    house.introduce()
    with house.make.transaction() as session:
        current, new = signing.keys(session, house.space)
    assert (current.stage, new.stage) == ("current", "next")
    assert new.fingerprint.replace(":", "").lower() == saml_keys.fingerprint(NEW[1])
    assert new.not_after > clock.now() + timedelta(days=365)


def test_the_migration_remembers_what_stands_in_accounts(house: RollOver, monkeypatch: pytest.MonkeyPatch) -> None:
    with refusing(monkeypatch, house.bare, Forbidden("Not yours.")):
        house.grant([house.bare], [house.user("carol")], [house.configuration("writer")])
        house.work()
    held = select(DeployedProvider.certificates).order_by(DeployedProvider.account_uin)
    before = house.rows(held)
    downgrade(house.database, "0004")
    upgrade(house.database)
    assert house.rows(held) == before
    assert house.spread() == Spread(done=2, waiting=0, failed=1)
    assert house.rows(select(SamlKey.staged_at)) == house.rows(select(SamlKey.created_at))
