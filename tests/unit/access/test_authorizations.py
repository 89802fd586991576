"""Granting and revoking (IC-12, IC-13), and the door they open (IC-16, IC-17)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest

from portal.core import limits
from portal.core.access import authorizations, queries
from portal.core.access.models import AuthorizationStatus, Configuration, TaskStatus
from portal.core.actor import SYSTEM
from portal.core.directory import groups, users
from portal.core.directory.models import User
from portal.core.errors import Conflict, Forbidden, Invalid, LimitReached, NotFound
from portal.core.organization.models import Account
from portal.core.paging import Search
from tests.support.make import Make
from tests.support.provisioning import Provisioning


def may_enter(house: Provisioning, user: User, account: Account, configuration: Configuration) -> bool:
    with house.make.transaction() as session:
        try:
            entry = authorizations.entry(session, user, account_uin=account.uin, configuration_id=configuration.id)
        except Forbidden:
            return False
        assert (entry.account.uin, entry.configuration.id) == (account.uin, configuration.id)
        return True


def test_ic_12_a_batch_makes_one_task_per_identity_account_and_configuration(house: Provisioning) -> None:
    accounts = [house.account(), house.account()]
    alice, team = house.user("alice"), house.group("team")
    batch = house.grant(accounts, [alice, team], [house.configuration("a"), house.configuration("b")])
    tasks = house.tasks(batch)
    assert [task.number for task in tasks] == list(range(1, 9))
    assert {task.status for task in tasks} == {TaskStatus.QUEUED}
    assert {(t.principal_id, t.account_uin, t.configuration_name) for t in tasks} == {
        (one.id, account.uin, name) for one in (alice, team) for account in accounts for name in "ab"
    }
    assert house.done(batch) == ["Success"] * 8
    assert {one.status for one in house.authorizations()} == {AuthorizationStatus.ACTIVE}


def test_ic_12_an_existing_authorization_fails_with_that_reason_and_all_others_succeed(house: Provisioning) -> None:
    account, reader = house.account("production"), house.configuration("reader")
    alice, bob = house.user("alice"), house.user("bob")
    assert house.done(house.grant([account], [alice], [reader])) == ["Success"]
    results = house.done(house.grant([account], [alice, bob], [reader]))
    assert results == [
        "Failed: The authorization already exists: alice has reader in this account.",
        "Success",
    ]
    assert len(house.authorizations()) == 2


def test_ic_12_what_is_not_of_this_space_or_organization_is_not_found(make: Make, house: Provisioning) -> None:
    other = Provisioning(make, house.settings, "other")
    account, alice, reader = house.account(), house.user(), house.configuration()
    strangers = [
        ([other.account()], [alice], [reader]),
        ([account], [other.user()], [reader]),
        ([account], [other.group()], [reader]),
        ([account], [alice], [other.configuration()]),
    ]
    for accounts, people, what in strangers:
        with pytest.raises(NotFound):
            house.grant(accounts, people, what)
    assert house.authorizations() == house.tasks() == []


def test_ic_12_an_empty_selection_names_what_is_missing(house: Provisioning) -> None:
    account, alice, reader = house.account(), house.user(), house.configuration()
    for accounts, people, what, field in [
        ([], [alice], [reader], "accounts"),
        ([account], [], [reader], "users"),
        ([account], [alice], [], "configurations"),
    ]:
        with pytest.raises(Invalid) as refused:
            house.grant(accounts, people, what)
        assert refused.value.field == field


def test_ic_12_a_batch_has_a_limit(house: Provisioning) -> None:
    limits.set_limits(limits.Limits(triples_per_batch=1))
    try:
        with pytest.raises(LimitReached, match="triples_per_batch"):
            house.grant([house.account(), house.account()], [house.user()], [house.configuration()])
    finally:
        limits.set_limits(limits.Limits())


def test_ic_13_access_stops_in_the_moment_of_the_revocation(house: Provisioning) -> None:
    account, alice, reader = house.account(), house.user("alice"), house.configuration()
    house.grant([account], [alice], [reader])
    assert not may_enter(house, alice, account, reader), "before the task ran"
    house.work()
    assert may_enter(house, alice, account, reader)
    batch = house.revoke(*house.authorizations())
    assert not may_enter(house, alice, account, reader), "before the task ran"
    assert house.done(batch) == ["Success"]
    assert house.authorizations() == []
    assert len(house.deployments()) == 1, "the configuration stays deployed"


def test_ic_13_revoking_the_last_one_undeploys_when_asked_to(house: Provisioning) -> None:
    account, reader = house.account(), house.configuration()
    house.grant([account], [house.user("alice"), house.user("bob")], [reader])
    house.work()
    first, second = house.authorizations()
    assert house.done(house.revoke(first, undeploy_last=True)) == ["Success"]
    assert len(house.inside(account).roles) == 1, "bob still uses it"
    assert house.done(house.revoke(second, undeploy_last=True)) == ["Success", "Success"]
    assert house.deployments() == []
    assert house.inside(account).roles == ()
    assert house.inside(account).identity_providers == {}


def test_ic_13_a_stranger_cannot_revoke(make: Make, house: Provisioning) -> None:
    other = Provisioning(make, house.settings, "other")
    house.grant([house.account()], [house.user()], [house.configuration()])
    with pytest.raises(NotFound):
        other.revoke(*house.authorizations())


def test_a_grant_taken_back_before_it_ran_opens_nothing(house: Provisioning) -> None:
    account, alice, reader = house.account(), house.user(), house.configuration()
    granted = house.grant([account], [alice], [reader])
    revoked = house.revoke(*house.authorizations())
    again = house.grant([account], [alice], [reader])
    house.work()
    assert house.results(granted) == ["Failed: The authorization was removed before it was granted."]
    assert house.results(revoked) == ["Success"]
    assert "is being removed" in house.results(again)[0]
    assert house.authorizations() == []


def test_an_authorization_granted_anew_survives_a_second_revocation_of_the_old_one(house: Provisioning) -> None:
    account, alice, reader = house.account(), house.user(), house.configuration()
    house.grant([account], [alice], [reader])
    house.work()
    old = house.authorizations()
    house.revoke(*old)
    late = house.revoke(*old)
    [second] = house.tasks(late)
    with house.make.transaction() as session:
        task = session.get_one(type(second), second.id)
        task.not_before += timedelta(hours=1)
    house.work()
    house.grant([account], [alice], [reader])
    house.work()
    with house.make.transaction() as session:
        session.get_one(type(second), second.id).not_before -= timedelta(hours=1)
    house.work()
    assert may_enter(house, alice, account, reader)


def test_ic_17_a_role_is_open_directly_or_by_a_group_and_to_an_enabled_user_only(
    make: Make, house: Provisioning
) -> None:
    account, reader = house.account(), house.configuration()
    alice, bob, carol = house.user("alice"), house.user("bob"), house.user("carol")
    team = house.group("team", [bob])
    house.grant([account], [alice, team], [reader])
    house.work()
    assert may_enter(house, alice, account, reader)
    assert may_enter(house, bob, account, reader)
    assert not may_enter(house, carol, account, reader)
    assert not may_enter(house, alice, house.account(), reader)
    assert not may_enter(house, alice, account, house.configuration("writer"))
    with make.transaction() as session:
        users.set_enabled(session, SYSTEM, user=users.get_user(session, house.space, alice.id), enabled=False)
        groups.remove_members(session, SYSTEM, group=groups.get_group(session, house.space, team.id), user_ids=[bob.id])
    assert not may_enter(house, alice, account, reader)
    assert not may_enter(house, bob, account, reader)


def test_ic_16_the_user_portal_lists_each_account_once_with_its_roles(house: Provisioning) -> None:
    production, staging = house.account("Production"), house.account("Staging")
    reader, writer = house.configuration("reader", session_duration=900), house.configuration("writer")
    alice = house.user("alice")
    team = house.group("team", [alice])
    house.grant([production], [alice, team], [reader])
    house.grant([production, staging], [alice], [writer])
    house.work()
    bob = house.user("bob")
    with house.make.transaction() as session:
        page = queries.entries_of_user(session, alice, Search())
        assert [(row.account_name, [role.name for role in row.roles]) for row in page.rows] == [
            ("Production", ["reader", "writer"]),
            ("Staging", ["writer"]),
        ]
        assert page.rows[0].roles[0].session_duration == 900
        assert page.total == 2
        for text in ("stag", str(staging.uin)):
            [row] = queries.entries_of_user(session, alice, Search(text=text)).rows
            assert row.account_uin == staging.uin
        [row] = queries.entries_of_user(session, alice, Search(text="READ")).rows
        assert row.account_name == "Production"
        assert queries.entries_of_user(session, bob, Search()).total == 0


def test_many_at_the_same_moment_grant_once(house: Provisioning) -> None:
    account, alice, reader = house.account(), house.user(), house.configuration()
    together = Barrier(4)

    def grant(_number: int) -> str:
        together.wait()
        try:
            return house.results(house.grant([account], [alice], [reader]))[0]
        except Conflict as refused:
            return refused.message

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(grant, range(4)))
    assert sum(answer == "Queued" for answer in answers) == 1, answers
    assert all("already exists" in answer or "same moment" in answer for answer in answers if answer != "Queued")
    assert len(house.authorizations()) == 1
