"""What two asked for: canceled or failed for one of them, it is still granted for the other (IC-12, IC-15)."""

from __future__ import annotations

import pytest

from portal.core.access import canceling
from portal.core.access.models import AuthorizationStatus, TaskStatus
from portal.core.actor import SYSTEM
from portal.settings import Settings
from tests.support.departments import Company
from tests.support.faults import faulty
from tests.support.make import Make


class World(Company):
    def __init__(self, make: Make, settings: Settings) -> None:
        super().__init__(make, settings)
        self.works, self.sales = self.department("Works"), self.department("Sales")
        self.research = self.department("Research", self.works)
        self.shop = self.member("shop", self.research)
        self.alice, self.reader = self.user("alice"), self.configuration()

    def directly(self) -> str:
        return self.grant([self.shop], [self.alice], [self.reader])

    def by_department(self) -> str:
        return self.grant_in([self.research], [self.alice], [self.reader])

    def cancel(self, batch: str) -> canceling.Outcome:
        with self.make.transaction() as session:
            return canceling.cancel_batch(session, SYSTEM, space=self.space, batch_id=batch)


@pytest.fixture
def world(make: Make, settings: Settings) -> World:
    return World(make, settings)


def test_a_canceled_grant_of_a_department_leaves_the_direct_one(world: World) -> None:
    first, second = world.by_department(), world.directly()
    world.cancel(first)
    assert world.done(second) == ["Success"]
    assert world.names() == ["alice in shop"]


@pytest.mark.parametrize("department_first", [True, False])
def test_a_canceled_direct_grant_leaves_the_one_of_the_department(world: World, department_first: bool) -> None:
    if department_first:
        kept, canceled = world.by_department(), world.directly()
    else:
        canceled, kept = world.directly(), world.by_department()
    world.cancel(canceled)
    assert world.done(kept) == ["Success"]
    assert world.names() == ["(alice in shop)"]


def test_a_canceled_grant_of_one_department_leaves_the_one_of_another(world: World) -> None:
    first = world.by_department()
    second = world.grant_in([world.works], [world.alice], [world.reader])
    world.cancel(first)
    assert world.done(second) == ["Success"]
    assert world.names() == ["(alice in shop)"]


def test_all_of_them_canceled_nothing_is_left(world: World) -> None:
    for batch in [world.directly(), world.by_department()]:
        world.cancel(batch)
    assert world.authorizations() == []


@pytest.mark.parametrize("department_first", [True, False])
def test_the_grant_that_failed_does_not_take_the_other_along(world: World, department_first: bool) -> None:
    asked = [world.by_department, world.directly] if department_first else [world.directly, world.by_department]
    first, second = [ask() for ask in asked]
    with faulty(world.database) as faults:
        faults.calls = ["invalid"]
        world.work()
    assert world.results(first) == ["Failed: The account takes no such thing."]
    assert world.results(second) == ["Success"]
    assert world.names() == ["alice in shop" if department_first else "(alice in shop)"]


@pytest.mark.parametrize("fails", [True, False])
def test_a_direct_grant_that_a_department_grants_by_now_is_granted_for_it(world: World, fails: bool) -> None:
    """The account came there while the direct grant waited: the department had nothing to ask for."""
    world.by_department()
    world.work()
    bank = world.member("bank", world.sales)
    batch = world.grant([bank], [world.alice], [world.reader])
    assert world.move([bank], world.research) == ""
    with faulty(world.database) as faults:
        faults.calls = ["invalid"] if fails else []
        if not fails:
            world.cancel(batch)
        world.work()
    assert [task.status for task in world.tasks(batch)] == [
        TaskStatus.FAILED if fails else TaskStatus.CANCELED,
        TaskStatus.SUCCESS,
    ]
    assert world.names() == ["(alice in bank)", "(alice in shop)"]


def test_a_department_that_does_not_grant_any_more_keeps_nothing_open(world: World) -> None:
    direct, department = world.directly(), world.by_department()
    world.revoke_in(*world.granted())
    world.cancel(direct)
    assert world.done(department) == ["Failed: The authorization was removed before it was granted."]
    assert world.authorizations() == []


def test_where_it_is_held_already_nothing_is_granted_again(world: World) -> None:
    world.directly()
    world.work()
    assert world.results(world.by_department()) == ["Success: Held already: granted directly."]
    assert [one.status for one in world.authorizations()] == [AuthorizationStatus.ACTIVE]
