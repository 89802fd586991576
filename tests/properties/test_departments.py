"""Any order of grants, revocations and moves with tasks in between ends with what the tree says."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from portal.core.access.models import AuthorizationStatus
from portal.core.database import Database
from portal.core.errors import Conflict
from portal.settings import load
from tests.support.departments import Company, Triple
from tests.support.make import Make

PLACES = {"Root": None, "A": "Root", "B": "Root", "AA": "A"}
ACCOUNTS, PEOPLE, ROLES = ("x", "y"), ("alice", "team"), ("reader",)

place, account = st.sampled_from(sorted(PLACES)), st.sampled_from(ACCOUNTS)
person, role = st.sampled_from(PEOPLE), st.sampled_from(ROLES)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("grant_in"), place, person, role),
        st.tuples(st.just("revoke_in"), place, person, role),
        st.tuples(st.just("move"), account, place),
        st.tuples(st.just("grant"), account, person, role),
        st.tuples(st.just("revoke"), account, person, role),
        st.tuples(st.just("work")),
    ),
    min_size=8,
    max_size=24,
)


class World:
    """The product, and beside it what was asked for: who is where, granted on which department, granted directly."""

    def __init__(self, make: Make, options: Any, name: str) -> None:
        self.house = house = Company(make, options, name)
        self.places = {"Root": house.root()}
        for one, parent in PLACES.items():
            if parent:
                self.places[one] = house.department(one, self.places[parent])
        self.accounts = {one: house.account(one) for one in ACCOUNTS}
        self.people: dict[str, Any] = {"alice": house.user("alice"), "team": house.group("team")}
        self.roles = {one: house.configuration(one) for one in ROLES}
        self.where = dict.fromkeys(ACCOUNTS, "Root")
        self.by_place: set[tuple[str, str, str]] = set()
        self.direct: set[tuple[str, str, str]] = set()

    def step(self, action: str, *names: str) -> None:
        getattr(self, action)(*names)

    def work(self) -> None:
        self.house.work()

    def grant_in(self, at: str, who: str, what: str) -> None:
        if (at, who, what) in self.by_place:
            with pytest.raises(Conflict):
                self.house.grant_in([self.places[at]], [self.people[who]], [self.roles[what]])
        else:
            self.house.grant_in([self.places[at]], [self.people[who]], [self.roles[what]])
        self.by_place.add((at, who, what))

    def revoke_in(self, at: str, who: str, what: str) -> None:
        if (at, who, what) in self.by_place:
            key = (self.places[at].id, self.people[who].id, self.roles[what].id)
            [granted] = [
                one
                for one in self.house.granted()
                if (one.department_id, one.user_id or one.group_id, one.configuration_id) == key
            ]
            self.house.revoke_in(granted)
            self.by_place.remove((at, who, what))

    def move(self, which: str, to: str) -> None:
        self.house.move([self.accounts[which]], self.places[to])
        self.where[which] = to

    def grant(self, which: str, who: str, what: str) -> None:
        batch = self.house.grant([self.accounts[which]], [self.people[who]], [self.roles[what]])
        if "is being removed" not in self.house.results(batch)[0]:
            self.direct.add((which, who, what))

    def revoke(self, which: str, who: str, what: str) -> None:
        key = (self.people[who].id, self.accounts[which].uin, self.roles[what].id)
        held = [
            one
            for one in self.house.authorizations()
            if (one.user_id or one.group_id, one.account_uin, one.configuration_id) == key
            and one.status != AuthorizationStatus.REMOVING
        ]
        if held and (which, who, what) in self.direct:
            self.house.revoke(*held)
            self.direct.remove((which, who, what))
        elif held:
            with pytest.raises(Conflict):
                self.house.revoke(*held)

    def expected(self) -> set[Triple]:
        """As slow and as obvious as can be."""
        wanted = set(self.direct)
        for which in ACCOUNTS:
            above: str | None = self.where[which]
            while above:
                wanted |= {(which, who, what) for at, who, what in self.by_place if at == above}
                above = PLACES[above]
        return {(self.people[w].id, self.accounts[a].uin, self.roles[r].id) for a, w, r in wanted}

    def deployed(self) -> set[Triple]:
        known = {account.uin for account in self.accounts.values()}
        return {triple for triple in self.house.open() if triple[1] in known}


@pytest.fixture(scope="module")
def make(sqlite_template: Path) -> Iterator[Make]:
    with TemporaryDirectory() as folder:
        shutil.copy(sqlite_template, f"{folder}/portal.db")
        database = Database(f"sqlite:///{folder}/portal.db")
        yield Make(database, "a secret key of the tests, long enough")
        database.dispose()


_names = count(1)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(actions=steps)
def test_what_is_deployed_is_what_the_tree_says(make: Make, actions: list[tuple[str, ...]]) -> None:
    options = load(
        environment="test",
        data_dir=Path(make.database.url.removeprefix("sqlite:///")).parent,
        database_url=make.database.url,
        secret_key=make.secret_key,
        base_url="http://localhost",
        embedded_worker=False,
        log_format="text",
    )
    world = World(make, options, f"world-{next(_names)}")
    for action in actions:
        world.step(*action)
    world.work()
    direct = {
        (one.user_id or one.group_id, one.account_uin, one.configuration_id)
        for one in world.house.authorizations()
        if one.direct and one.space_id == world.house.space.id
    }
    assert world.deployed() == world.expected()
    assert direct == {
        (world.people[who].id, world.accounts[which].uin, world.roles[what].id) for which, who, what in world.direct
    }
