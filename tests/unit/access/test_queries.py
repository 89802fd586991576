"""Lists: as many statements for many rows as for one, scoped by the space, searched and filtered in SQL."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import event, select
from sqlalchemy.orm import Session

from portal.core.access import queries
from portal.core.access.models import Configuration, Deployment, UserSync
from portal.core.directory.models import Group, User
from portal.core.organization.models import Account
from portal.core.paging import Search
from portal.core.space.models import Space
from tests.support.make import Make
from tests.support.provisioning import Provisioning


class World:
    """`size` of everything, all authorized and synchronized, not run yet."""

    def __init__(self, house: Provisioning, size: int) -> None:
        self.space = house.space
        self.alice = house.user("alice")
        self.team = house.group("team", [self.alice])
        self.accounts = [house.account() for _ in range(size)]
        self.configurations = [house.configuration(f"reader-{number}") for number in range(size)]
        others = [house.user() for _ in range(size)]
        house.grant(self.accounts, [self.alice, self.team, *others], self.configurations)
        house.synchronize(self.accounts, [self.alice, self.team, *others])
        house.work()

    def lists(self, session: Session, search: Search) -> dict[str, Callable[[], Any]]:
        def first(model: type[Any]) -> Any:
            return session.scalars(select(model).where(model.space_id == self.space.id).limit(1)).one()

        space: Space = self.space
        uin, account = self.accounts[0].uin, self.accounts[0]
        assert isinstance(account, Account)
        alice: User = session.get_one(User, self.alice.number)
        team: Group = session.get_one(Group, self.team.number)
        configuration: Configuration = session.get_one(Configuration, self.configurations[0].id)
        deployment, sync = first(Deployment), first(UserSync)
        return {
            "configurations": lambda: queries.configurations_page(session, space, search),
            "policies": lambda: queries.policies_of_configuration(session, configuration, search),
            "of configuration": lambda: queries.deployments_of_configuration(session, space, configuration, search),
            "of account": lambda: queries.deployments_of_account(session, space, uin, search),
            "principals": lambda: queries.authorizations_of_account(session, space, uin, search),
            "user": lambda: queries.authorizations_of_user(session, space, alice, search),
            "group": lambda: queries.authorizations_of_group(session, space, team, search),
            "deployment": lambda: queries.authorizations_of_deployment(session, space, deployment, search),
            "syncs": lambda: queries.syncs_page(session, space, search),
            "syncs of account": lambda: queries.syncs_of_account(session, space, uin, search),
            "syncs of user": lambda: queries.syncs_of_user(session, space, alice, search),
            "syncs of group": lambda: queries.syncs_of_group(session, space, team, search),
            "users of sync": lambda: queries.users_of_sync(session, space, sync, search),
            "tasks": lambda: queries.tasks_page(session, space, search),
            "entries": lambda: queries.entries_of_user(session, alice, search),
            "user entries": lambda: queries.user_entries_of_user(session, alice, search),
        }


def counted(session: Session, action: Callable[[], Any]) -> tuple[int, Any]:
    seen: list[str] = []

    def note(*args: Any) -> None:
        seen.append(args[2])

    connection = session.connection()
    event.listen(connection, "before_cursor_execute", note)
    try:
        found = action()
        return len(seen), found
    finally:
        event.remove(connection, "before_cursor_execute", note)


def test_every_list_takes_at_most_four_statements_and_no_more_for_more_rows(make: Make, house: Provisioning) -> None:
    small, large = World(Provisioning(make, house.settings, "small"), 1), World(house, 3)
    with make.transaction() as session:
        little, much = small.lists(session, Search()), large.lists(session, Search())
        for name in little:
            few, one = counted(session, little[name])
            many, page = counted(session, much[name])
            assert (few, name) == (many, name)
            assert many <= 4, name
            assert page.rows, name
            assert one.total <= page.total, name
        assert counted(session, lambda: queries.counts(session, house.space))[0] == 1
        assert counted(session, lambda: queries.batch(session, house.space, "b-1"))[0] == 1


@pytest.mark.parametrize("text", ["%", "no such thing", "100000000000000000000000000", "'; --"])
def test_what_is_not_there_is_not_found(make: Make, house: Provisioning, text: str) -> None:
    world = World(house, 1)
    with make.transaction() as session:
        for name, ask in world.lists(session, Search(text=text)).items():
            assert ask().total == 0, name


def test_nothing_of_another_space_is_shown(make: Make, house: Provisioning) -> None:
    world = World(house, 1)
    stranger = Provisioning(make, house.settings, "other").space
    with make.transaction() as session:
        lists = world.lists(session, Search())
        assert lists["tasks"]().total > 0
        for page in (
            queries.configurations_page(session, stranger, Search()),
            queries.deployments_of_account(session, stranger, world.accounts[0].uin, Search()),
            queries.authorizations_of_account(session, stranger, world.accounts[0].uin, Search()),
            queries.authorizations_of_user(session, stranger, world.alice, Search()),
            queries.syncs_of_account(session, stranger, world.accounts[0].uin, Search()),
            queries.tasks_page(session, stranger, Search()),
        ):
            assert page.total == 0
        assert queries.counts(session, stranger).authorizations == 0


def test_ic_13_an_accounts_authorizations_are_a_row_per_principal(house: Provisioning) -> None:
    world = World(house, 2)
    with house.make.transaction() as session:
        page = queries.authorizations_of_account(session, house.space, world.accounts[0].uin, Search())
        assert page.total == 4
        assert {row.name for row in page.rows} >= {"alice", "team"}
        assert all(
            [one.configuration_name for one in row.authorizations] == ["reader-0", "reader-1"] for row in page.rows
        )
        [team] = [row for row in page.rows if row.type == "Group"]
        assert team.name == "team"


def test_a_users_authorizations_say_which_come_by_a_group(house: Provisioning) -> None:
    world = World(house, 1)
    with house.make.transaction() as session:
        rows = queries.authorizations_of_user(session, house.space, world.alice, Search()).rows
        assert sorted((row.by_group, row.principal_name) for row in rows) == [(False, "alice"), (True, "team")]


def test_ic_15_tasks_are_found_by_name_and_filtered(house: Provisioning) -> None:
    world = World(house, 1)
    with house.make.transaction() as session:

        def total(text: str = "", **filters: str) -> int:
            return queries.tasks_page(session, house.space, Search(text=text, filters=filters)).total

        assert total() == 6
        assert total("ALICE") == 2
        assert total("reader") == 3
        assert total(type="StartProvisioning") == 3
        assert total(status="Success") == 6
        assert total(status="Failed") == 0
        assert total(account=str(world.accounts[0].uin)) == 6
        assert total(principal=world.team.id) == 2
