"""Whatever stands in an account and whatever should: after a repair nothing differs, and nobody else's is touched."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from portal.core.access.models import DuplicationStrategy
from portal.core.drift.comparing import Desired, WantedUser, compare
from portal.core.drift.state import AccountState, ProviderSpec, RoleSpec
from portal.core.errors import Forbidden
from portal.worker.kinds import Provider
from portal.worker.repairs import Repair

SPACE = "z-1"
names = st.sampled_from(["a", "b", "c", "d"])
policies = st.sets(st.sampled_from(["P", "Q", "R"])).map(lambda some: tuple(sorted(some)))
some_names = st.frozensets(names, max_size=2)
providers = st.builds(ProviderSpec, names, st.sampled_from(["x", "y"]), st.sampled_from(["11", "22", "33"]))


def roles(other_trust: st.SearchStrategy[str]) -> st.SearchStrategy[tuple[RoleSpec, ...]]:
    one = st.builds(
        RoleSpec,
        names,
        st.sampled_from(["", "says"]),
        st.sampled_from(["ours", "theirs"]),
        st.sampled_from([900, 3600]),
        policies,
        st.just(SPACE),
        other_trust,
    )
    return st.lists(one, unique_by=lambda role: role.name, max_size=4).map(tuple)


people = st.lists(
    st.builds(
        lambda name, suffix: WantedUser(f"u-{name}", name, name + suffix, ""), names, st.sampled_from(["", "_cic"])
    ),
    unique_by=lambda user: user.user_name,
    max_size=4,
).map(tuple)
states = st.builds(
    AccountState,
    st.lists(providers, unique_by=lambda one: one.name, max_size=3).map(tuple),
    roles(st.sampled_from(["", "anybody"])),
    st.lists(st.sampled_from(["a", "b", "a_cic", "z"]), unique=True).map(tuple),
)
wanted = st.builds(
    Desired,
    st.none() | st.builds(ProviderSpec, st.just("ours"), st.just("x"), st.sampled_from(["", "11", "22"])),
    roles(st.just("")),
    people,
    some_names,
    some_names,
    st.none() | some_names,
)


class Account:
    """A model of an account of which we manage what `state` says. The names in `foreign` are somebody else's."""

    def __init__(self, state: AccountState, foreign: frozenset[str]) -> None:
        self.providers = {one.name: one for one in state.providers if one.name not in foreign}
        self.roles = {one.name: one for one in state.roles if one.name not in foreign}
        self.users = dict.fromkeys(name for name in state.users if name not in foreign)
        self.stands_for = {name.removesuffix("_cic"): name for name in self.users}
        self.foreign = foreign

    def describe(self, *, managed_by: str) -> AccountState:
        return AccountState(tuple(self.providers.values()), tuple(self.roles.values()), tuple(self.users))

    def ensure_identity_provider(self, *, name: str, entity_id: str, metadata_xml: str, **_more: Any) -> None:
        self._check(name)
        self.providers[name] = ProviderSpec(name, entity_id, metadata_xml)

    def ensure_role(self, role: RoleSpec) -> None:
        self._check(role.name)
        self.roles[role.name] = role

    def ensure_user(self, *, name: str, duplication_strategy: DuplicationStrategy, **_more: Any) -> str:
        assert duplication_strategy == DuplicationStrategy.KEEP_BOTH
        found = self.stands_for.get(name) or (f"{name}_cic" if name in self.foreign else name)
        self._check(found)
        self.users[found], self.stands_for[name] = None, found
        return found

    def remove_identity_provider(self, name: str, *, managed_by: str) -> None:
        del self.providers[name]

    def remove_role(self, name: str, *, managed_by: str) -> None:
        del self.roles[name]

    def remove_user(self, name: str, *, managed_by: str) -> None:
        del self.users[name]

    def _check(self, name: str) -> None:
        if name in self.foreign:
            raise Forbidden(f"{name} belongs to the account itself.")


def repaired(desired: Desired, account: Account) -> Repair:
    provider = desired.provider and Provider(desired.provider.name, desired.provider.entity_id, "33", "33", SPACE, "s")
    repair = Repair(desired, provider, SPACE)
    repair.perform(account, lambda: None)  # type: ignore[arg-type]
    return repair


@given(wanted, states)
def test_after_a_repair_nothing_differs(desired: Desired, state: AccountState) -> None:
    account = Account(state, frozenset())
    repair = repaired(desired, account)
    assert repair.before == compare(desired, state)
    assert (repair.left, repair.failed) == ([], [])
    assert compare(repair._reached(), account.describe(managed_by=SPACE)) == []
    assert repaired(repair._reached(), account).before == [], "a second one finds nothing to do"


@given(wanted, states)
def test_a_repair_leaves_what_is_in_motion_and_what_was_right(desired: Desired, state: AccountState) -> None:
    account = Account(state, frozenset())
    repaired(desired, account)
    unlike = {one.name for one in compare(desired, state)}
    for kind, before, after in (
        ("role", {one.name: one for one in state.roles}, account.roles),
        ("provider", {one.name: one for one in state.providers}, account.providers),
    ):
        for name, one in before.items():
            assert name in unlike or after[name] == one, f"{kind} {name} was changed without a need"


@given(wanted, states, some_names)
def test_what_is_refused_is_said_and_everything_else_is_mended(
    desired: Desired, state: AccountState, foreign: frozenset[str]
) -> None:
    account = Account(state, foreign)
    repair = repaired(desired, account)
    assert {one.name for one in repair.left} <= foreign
    refused = {reason.split(":")[0] for reason in repair.failed}
    assert {one.name for one in repair.left} == refused & {one.name for one in repair.left}


@given(wanted, states)
def test_the_order_in_which_an_account_names_things_does_not_matter(desired: Desired, state: AccountState) -> None:
    turned = replace(state, roles=state.roles[::-1], users=state.users[::-1], providers=state.providers[::-1])
    assert sorted(map(repr, compare(desired, state))) == sorted(map(repr, compare(desired, turned)))
