"""Moves, and what departments grant, at the same moment: no account ends without what it should have, nor with more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.core.access import authorizations, departments
from portal.core.access.models import Authorization, AuthorizationStatus, DepartmentAuthorization
from portal.core.actor import SYSTEM
from portal.core.directory import users
from portal.core.directory.models import Source, User
from portal.core.errors import Conflict
from portal.core.organization import members
from portal.core.organization.models import Account, Department
from portal.settings import Settings
from tests.support import meeting
from tests.support.departments import Company
from tests.support.make import SCIM, Make
from tests.support.meeting import on_postgresql


class World(Company):
    def __init__(self, make: Make, settings: Settings) -> None:
        super().__init__(make, settings)
        self.research, self.sales = self.department("Research"), self.department("Sales")
        with make.transaction() as session:
            self.alice: User = users.create_user(session, SCIM, space=self.space, user_name="alice", source=Source.SCIM)
        self.reader = self.configuration()
        self.one: Account = self.member("one", self.sales)

    def meet(self, first: Callable[[Session], Any], second: Callable[[Session], Any]) -> Any:
        def run() -> Any:
            with self.make.transaction() as session:
                return second(session)

        return meeting.meet(self.database, first, run)

    def grant_here(self, session: Session) -> Any:
        columns = {"users": [self.alice.id], "configurations": [self.reader.id]}
        return departments.grant_departments(
            session, SYSTEM, space=self.space, departments=[self.research.id], **columns
        )

    def revoke_here(self, session: Session) -> Any:
        ids = list(session.scalars(select(DepartmentAuthorization.id)))
        return departments.revoke_departments(session, SYSTEM, space=self.space, authorizations=ids)

    def move_to(self, place: Department) -> Callable[[Session], Any]:
        organization = self.organization

        def move(session: Session) -> Any:
            uins = [self.one.uin]
            return members.move_members(session, SYSTEM, organization=organization, department=place, uins=uins)

        return move

    def create_here(self, session: Session) -> Any:
        return members.create_member(
            session, SYSTEM, organization=self.organization, department=self.research, name="two"
        )

    def grant_directly(self, session: Session) -> Any:
        ids = {"accounts": [self.one.uin], "users": [self.alice.id], "configurations": [self.reader.id]}
        return authorizations.grant(session, SYSTEM, space=self.space, **ids)

    def revoke_directly(self, session: Session) -> Any:
        live = select(Authorization.id).where(Authorization.status == AuthorizationStatus.ACTIVE)
        ids = list(session.scalars(live))
        return authorizations.revoke(session, SYSTEM, space=self.space, authorizations=ids)

    def delete_alice(self, session: Session) -> Any:
        users.delete_user(session, SCIM, user=users.get_user(session, self.space, self.alice.id))


@pytest.fixture
def house(make: Make, settings: Settings) -> World:
    return World(make, settings)


@on_postgresql
@pytest.mark.parametrize("granted_first", [True, False])
def test_an_account_that_moves_in_while_its_department_is_granted_gets_it(house: World, granted_first: bool) -> None:
    steps = [house.grant_here, house.move_to(house.research)]
    house.meet(*(steps if granted_first else reversed(steps)))
    house.work()
    assert house.names() == ["(alice in one)"]


@on_postgresql
@pytest.mark.parametrize("granted_first", [True, False])
def test_an_account_that_moves_out_while_its_department_is_granted_does_not_keep_it(
    house: World, granted_first: bool
) -> None:
    house.move([house.one], house.research)
    steps = [house.grant_here, house.move_to(house.sales)]
    house.meet(*(steps if granted_first else reversed(steps)))
    house.work()
    assert house.names() == []


@on_postgresql
@pytest.mark.parametrize("revoked_first", [True, False])
def test_an_account_that_moves_in_while_its_department_loses_it_does_not_get_it(
    house: World, revoked_first: bool
) -> None:
    with house.make.transaction() as session:
        house.grant_here(session)
    steps = [house.revoke_here, house.move_to(house.research)]
    house.meet(*(steps if revoked_first else reversed(steps)))
    house.work()
    assert house.names() == []


@on_postgresql
@pytest.mark.parametrize("granted_first", [True, False])
def test_an_account_that_is_created_while_its_department_is_granted_gets_it(house: World, granted_first: bool) -> None:
    steps = [house.grant_here, house.create_here]
    house.meet(*(steps if granted_first else reversed(steps)))
    house.work()
    assert house.names() == ["(alice in two)"]


@on_postgresql
def test_what_is_granted_directly_meanwhile_is_left_to_whoever_was_first(house: World) -> None:
    house.move([house.one], house.research)
    house.meet(house.grant_directly, house.grant_here)
    house.work()
    assert house.names() == ["alice in one"]
    assert len(house.granted()) == 1


@on_postgresql
def test_who_grants_directly_while_a_department_does_is_told_to_try_again(house: World) -> None:
    house.move([house.one], house.research)
    refusal = house.meet(house.grant_here, house.grant_directly)
    assert isinstance(refusal, Conflict)
    house.work()
    assert house.names() == ["(alice in one)"]


@on_postgresql
@pytest.mark.parametrize("direct_first", [True, False])
def test_what_becomes_direct_while_the_department_loses_it_is_never_lost_silently(
    house: World, direct_first: bool
) -> None:
    house.move([house.one], house.research)
    with house.make.transaction() as session:
        house.grant_here(session)
    house.work()
    steps = [house.grant_directly, house.revoke_here]
    house.meet(*(steps if direct_first else reversed(steps)))
    house.work()
    if direct_first:
        assert house.names() == ["alice in one"]
    else:
        assert house.names() == []
        assert "is being removed" in house.tasks()[-1].reason + house.tasks()[-2].reason


@on_postgresql
@pytest.mark.parametrize("revoked_first", [True, False])
def test_what_is_revoked_directly_while_a_department_grants_it_stays_open(house: World, revoked_first: bool) -> None:
    house.move([house.one], house.research)
    with house.make.transaction() as session:
        house.grant_directly(session)
    house.work()
    steps = [house.revoke_directly, house.grant_here]
    house.meet(*(steps if revoked_first else reversed(steps)))
    house.work()
    assert house.names() == ["(alice in one)"]


@on_postgresql
@pytest.mark.parametrize("revoked_first", [True, False])
def test_what_is_revoked_directly_and_by_the_department_does_not_stay_open(house: World, revoked_first: bool) -> None:
    house.move([house.one], house.research)
    for grant in (house.grant_directly, house.grant_here):
        with house.make.transaction() as session:
            grant(session)
    house.work()
    steps = [house.revoke_directly, house.revoke_here]
    house.meet(*(steps if revoked_first else reversed(steps)))
    house.work()
    assert house.names() == []


@on_postgresql
@pytest.mark.parametrize("deleted_first", [True, False])
def test_a_user_that_the_idp_deletes_meanwhile_leaves_nothing(house: World, deleted_first: bool) -> None:
    house.move([house.one], house.research)
    steps = [house.delete_alice, house.grant_here]
    refusal = house.meet(*(steps if deleted_first else reversed(steps)))
    assert isinstance(refusal, Conflict) == deleted_first
    house.work()
    assert house.granted() == house.authorizations() == []
