"""Deploying, redeploying, undeploying (IC-9..IC-11)."""

from __future__ import annotations

import pytest

from portal.core.access import deployments, queries
from portal.core.access.models import DeploymentStatus, TaskStatus
from portal.core.actor import SYSTEM
from portal.core.errors import Conflict, Invalid, NotFound
from portal.core.organization.models import Account
from portal.core.paging import Search
from tests.support.make import Make
from tests.support.provisioning import Provisioning


def outdated(house: Provisioning, account: Account) -> list[bool]:
    with house.make.transaction() as session:
        page = queries.deployments_of_account(session, house.space, account.uin, Search())
        return [row.redeployment_required for row in page.rows]


def policies(house: Provisioning, account: Account) -> list[tuple[str, ...]]:
    return [tuple(sorted(role.policies)) for role in house.inside(account).roles]


def test_ic_9_the_first_authorization_deploys_role_policies_and_identity_provider(house: Provisioning) -> None:
    account = house.account()
    reader = house.configuration("reader", ["ReadOnlyAccess", "QcloudCamFullAccess"], session_duration=7200)
    assert house.done(house.grant([account], [house.user("alice"), house.user("bob")], [reader])) == ["Success"] * 2
    state = house.inside(account)
    [role] = state.roles
    assert (role.name, role.session_duration) == ("TencentCloudSSO-reader", 7200)
    assert sorted(role.policies) == ["QcloudCamFullAccess", "ReadOnlyAccess"]
    assert role.provider_name == f"TencentReservedSSO-{house.space.id}"
    assert state.identity_providers == {role.provider_name: "http://localhost/saml/acme/idp-metadata"}
    [deployment] = house.deployments()
    assert (deployment.status, deployment.deployed_revision) == (DeploymentStatus.DEPLOYED, 1)
    assert (deployment.session_duration, deployment.role_name) == (7200, role.name)


def test_ic_10_a_changed_configuration_asks_for_redeployment_and_a_grant_does_not_renew_it(
    house: Provisioning,
) -> None:
    account, reader = house.account(), house.configuration("reader")
    house.grant([account], [house.user("alice")], [reader])
    house.work()
    assert outdated(house, account) == [False]
    house.add_policy(reader, "QcloudCamFullAccess")
    assert outdated(house, account) == [True]
    assert house.done(house.grant([account], [house.user("bob")], [reader])) == ["Success"]
    assert outdated(house, account) == [True]
    assert policies(house, account) == [("ReadOnlyAccess",)]
    with house.make.transaction() as session:
        search = Search(filters={"status": "outdated"})
        assert queries.deployments_of_configuration(session, house.space, reader, search).total == 1
        assert queries.configurations_page(session, house.space, Search()).rows[0].outdated == 1
        assert queries.counts(session, house.space).outdated == 1
    assert house.done(house.redeploy(*house.deployments())) == ["Success"]
    assert outdated(house, account) == [False]
    assert policies(house, account) == [("QcloudCamFullAccess", "ReadOnlyAccess")]


def test_ic_10_nothing_to_redeploy_and_a_stranger_are_refused(make: Make, house: Provisioning) -> None:
    other = Provisioning(make, house.settings, "other")
    house.grant([house.account()], [house.user()], [house.configuration()])
    house.work()
    with pytest.raises(Invalid):
        house.redeploy()
    with pytest.raises(NotFound):
        other.redeploy(*house.deployments())
    with pytest.raises(NotFound):
        other.undeploy(house.deployments()[0])


def test_ic_9_a_configuration_is_deployed_without_assigning_anyone(house: Provisioning) -> None:
    accounts = [house.account("one"), house.account("two")]
    reader = house.configuration("reader")

    def deploy() -> str:
        with house.make.transaction() as session:
            uins = [account.uin for account in accounts]
            return deployments.deploy(session, SYSTEM, space=house.space, configurations=[reader.id], accounts=uins)

    assert house.done(deploy()) == ["Success", "Success"]
    assert [len(house.inside(account).roles) for account in accounts] == [1, 1]
    assert house.done(deploy())[0] == "Failed: The deployment already exists: reader in one."


def test_ic_11_undeploying_removes_the_authorizations_then_role_and_provider(house: Provisioning) -> None:
    account, reader = house.account(), house.configuration("reader")
    house.grant([account], [house.user("alice"), house.group("team")], [reader])
    house.work()
    batch = house.undeploy(house.deployments()[0])
    assert [task.type for task in house.tasks(batch)] == [
        "DeleteRoleAssignment",
        "DeleteRoleAssignment",
        "DeprovisionRoleConfiguration",
    ]
    with house.make.transaction() as session:
        progress = queries.batch(session, house.space, batch)
        assert (progress.total, progress.queued, progress.settled) == (3, 3, False)
    assert house.done(batch) == ["Success"] * 3
    assert house.authorizations() == house.deployments() == []
    state = house.inside(account)
    assert (state.roles, state.identity_providers) == ((), {})
    with house.make.transaction() as session:
        progress = queries.batch(session, house.space, batch)
        assert (progress.succeeded, progress.settled) == (3, True)


def test_ic_11_the_identity_provider_stays_for_another_deployment_and_for_a_synchronized_user(
    house: Provisioning,
) -> None:
    account, alice = house.account(), house.user("alice")
    house.grant([account], [alice], [house.configuration("reader"), house.configuration("writer")])
    house.synchronize([account], [alice])
    house.work()
    first, second = house.deployments()
    for deployment in (first, second):
        house.undeploy(deployment)
        house.work()
        assert len(house.inside(account).identity_providers) == 1
    house.end_sync(house.syncs()[0])
    house.work()
    assert house.inside(account).identity_providers == {}


def test_ic_11_who_is_authorized_meanwhile_keeps_the_role(house: Provisioning) -> None:
    account, reader = house.account(), house.configuration("reader")
    house.grant([account], [house.user("alice")], [reader])
    house.work()
    batch = house.undeploy(house.deployments()[0])
    with pytest.raises(Conflict, match="undeployed already"):
        house.undeploy(house.deployments()[0])
    again = house.redeploy(*house.deployments())
    assert house.results(again) == ["Failed: reader is being undeployed from this account."]
    granted = house.grant([account], [house.user("bob")], [reader])
    results = house.done(batch)
    assert results == ["Success", "Failed: The permission configuration is still used in this account by bob."]
    assert house.results(granted) == ["Success"]
    [deployment] = house.deployments()
    assert deployment.status == DeploymentStatus.DEPLOYED
    assert len(house.inside(account).roles) == 1


def test_ic_11_an_undeployment_fails_when_an_authorization_could_not_be_removed(house: Provisioning) -> None:
    account, reader = house.account(), house.configuration("reader")
    house.grant([account], [house.user("alice")], [reader])
    house.work()
    batch = house.undeploy(house.deployments()[0])
    revoking, undeploying = house.tasks(batch)
    with house.make.transaction() as session:
        task = session.get_one(type(revoking), revoking.id)
        task.status, task.reason, task.attempts = TaskStatus.FAILED, "The account is closed.", 1
    house.work()
    assert house.results(batch)[1] == (
        "Failed: The authorization of alice could not be removed: The account is closed."
    )
    assert house.deployments()[0].status == DeploymentStatus.DEPLOYED
    house.retry(revoking)
    house.work()
    house.retry(undeploying)
    assert house.done(batch) == ["Success", "Success"]
    assert house.deployments() == []
