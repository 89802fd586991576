"""Provisioning from end to end, the same with every engine: what is asked for comes to stand in the accounts."""

from __future__ import annotations

import pytest

from portal.clouds.local import LocalConnector
from portal.core.access.models import AuthorizationStatus, DeploymentStatus, SyncStatus, TaskStatus
from portal.core.actor import SYSTEM
from portal.core.directory import groups
from portal.core.directory.models import Group, User
from portal.core.errors import Forbidden, Unavailable
from tests.engines.conftest import Engine, waiting

SUCCESS = "Success"


def test_a_batch_is_run_and_what_exists_already_fails_with_that_reason(engine: Engine) -> None:
    house = engine.house
    accounts, people, reader = [house.account(), house.account()], [house.user(), house.user()], house.configuration()
    assert engine.settled(house.grant(accounts, people, [reader])) == [SUCCESS] * 4
    again = engine.settled(house.grant(accounts[:1], [*people, house.group()], [reader]))
    assert [one.split(":")[0] for one in again] == ["Failed", "Failed", SUCCESS]
    assert "already exists" in again[0]
    assert {one.status for one in house.authorizations()} == {AuthorizationStatus.ACTIVE}
    for account in accounts:
        assert [role.policies for role in house.inside(account).roles] == [("ReadOnlyAccess",)]
        assert len(house.inside(account).identity_providers) == 1


def test_changed_policies_are_redeployed_and_undeploying_takes_everything(engine: Engine) -> None:
    house, account = engine.house, engine.house.account()
    reader = house.configuration()
    engine.settled(house.grant([account], [house.user(), house.user()], [reader]))
    house.add_policy(reader, "QcloudCamFullAccess")
    [deployment] = house.deployments()
    assert engine.settled(house.redeploy(deployment)) == [SUCCESS]
    assert [role.policies for role in house.inside(account).roles] == [("QcloudCamFullAccess", "ReadOnlyAccess")]
    assert engine.settled(house.undeploy(deployment)) == [SUCCESS] * 3
    assert house.authorizations() == house.deployments() == []
    assert (house.inside(account).roles, house.inside(account).identity_providers) == ((), {})


def test_the_last_revocation_undeploys(engine: Engine) -> None:
    house, account = engine.house, engine.house.account()
    engine.settled(house.grant([account], [house.user()], [house.configuration()]))
    assert engine.settled(house.revoke(*house.authorizations(), undeploy_last=True)) == [SUCCESS] * 2
    assert house.inside(account).roles == ()


def test_cam_users_follow_who_joins_and_leaves_a_group(engine: Engine) -> None:
    house, accounts = engine.house, [engine.house.account(), engine.house.account()]
    amy, bob = house.user("amy"), house.user("bob")
    team = house.group("team", [amy])
    assert engine.settled(house.synchronize(accounts, [team])) == [SUCCESS] * 2
    assert [house.inside(account).users for account in accounts] == [("amy",)] * 2
    move(engine, team, bob, joins=True)
    assert [house.inside(account).users for account in accounts] == [("amy", "bob")] * 2
    move(engine, team, amy, joins=False)
    assert [house.inside(account).users for account in accounts] == [("bob",)] * 2
    assert {one.status for one in house.syncs()} == {SyncStatus.ENABLED}
    for sync in house.syncs():
        house.end_sync(sync)
    engine.settled()
    assert [house.inside(account).users for account in accounts] == [()] * 2
    assert house.syncs() == []


def move(engine: Engine, group: Group, user: User, *, joins: bool) -> None:
    verb = groups.add_members if joins else groups.remove_members
    with engine.house.make.transaction() as session:
        found = groups.get_group(session, engine.house.space, group.id)
        verb(session, SYSTEM, group=found, user_ids=[user.id])
    engine.settled()


def test_an_account_that_does_not_answer_is_tried_again_by_itself(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = fail_first(monkeypatch, Unavailable("The account does not answer."))
    batch = engine.house.grant([engine.house.account()], [engine.house.user()], [engine.house.configuration()])
    assert engine.settled(batch) == [SUCCESS]
    assert answers == ["Unavailable", "done"]


def test_what_an_account_forbids_fails_at_once_and_can_be_run_again(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = engine.house
    answers = fail_first(monkeypatch, Forbidden("The role is the account's own."))
    batch = house.grant([house.account()], [house.user()], [house.configuration()])
    assert engine.settled(batch) == ["Failed: The role is the account's own."]
    assert house.authorizations() == []
    house.retry(house.tasks(batch)[0])
    assert engine.settled(batch) == [SUCCESS]
    assert answers == ["Forbidden", "done"]
    assert [one.status for one in house.deployments()] == [DeploymentStatus.DEPLOYED]


def fail_first(monkeypatch: pytest.MonkeyPatch, problem: Exception) -> list[str]:
    """The first call for a role ends in the problem; returns what became of each call."""
    answers: list[str] = []
    original = LocalConnector.ensure_role

    def ensure_role(self: LocalConnector, role: object) -> None:
        answers.append("done" if answers else type(problem).__name__)
        if len(answers) == 1:
            raise problem
        original(self, role)  # type: ignore[arg-type]

    monkeypatch.setattr(LocalConnector, "ensure_role", ensure_role)
    return answers


def test_messages_alone_get_everything_done_and_none_is_left(messages: Engine) -> None:
    house = messages.house
    accounts, people = [house.account() for _ in range(6)], [house.user() for _ in range(5)]
    batches = [house.grant(accounts, people, [house.configuration(name)]) for name in ("reader", "writer")]
    messages.settled()
    assert {result for batch in batches for result in house.results(batch)} == {SUCCESS}
    assert not house.tasks(status=TaskStatus.FAILED)
    messages.until(lambda: waiting(house.settings.broker_url) == 0)
