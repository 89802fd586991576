"""Remove everything first (IC-3, IC-4, IC-8, MEM-2): one batch, after which the deletion is possible."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import select

from portal.core import limits
from portal.core.access import configurations, deployments, removal
from portal.core.access.models import (
    BatchUser,
    Configuration,
    ConfigurationPolicy,
    DepartmentAuthorization,
    SyncedUser,
    TaskStatus,
)
from portal.core.access.queries.removal import Removal, Scope
from portal.core.access.queries.removal import removal as removal_of
from portal.core.actor import SYSTEM, Actor
from portal.core.audit import AuditEvent
from portal.core.directory import groups, users
from portal.core.directory.models import Source
from portal.core.errors import Conflict, Forbidden, Invalid, NotFound
from portal.core.organization import members
from portal.core.organization.models import Department, Organization
from tests.support.make import Make
from tests.support.provisioning import Provisioning
from tests.support.statements import statements

ADMIN = Actor("administrator", "1", "admin")


@pytest.fixture(autouse=True)
def usual_limits() -> Iterator[None]:
    yield
    limits.set_limits(limits.Limits())


def remove(house: Provisioning, **of: Any) -> str:
    with house.make.transaction() as session:
        return removal.remove_everything(session, ADMIN, space=house.space, **of)


def told(house: Provisioning, **of: Any) -> Removal:
    with house.make.transaction() as session:
        return removal_of(session, Scope(house.space, **of))


def types(house: Provisioning, batch: str) -> list[str]:
    return sorted(task.type for task in house.tasks(batch))


def delete_user(house: Provisioning, user_id: str) -> None:
    with house.make.transaction() as session:
        users.delete_user(session, ADMIN, user=users.get_user(session, house.space, user_id))


def delete_group(house: Provisioning, group_id: str) -> None:
    with house.make.transaction() as session:
        groups.delete_group(session, ADMIN, group=groups.get_group(session, house.space, group_id))


def delete_configuration(house: Provisioning, configuration_id: str) -> None:
    with house.make.transaction() as session:
        found = configurations.get_configuration(session, house.space, configuration_id)
        configurations.delete_configuration(session, ADMIN, configuration=found)


def remove_members(house: Provisioning, *uins: int) -> None:
    with house.make.transaction() as session:
        organization = session.get_one(Organization, house.space.organization_id)
        members.remove_members(session, ADMIN, organization=organization, uins=uins)


def test_ic_3_a_user_loses_authorizations_synchronizations_and_groups_and_can_be_deleted(house: Provisioning) -> None:
    shop, lab = house.account("shop"), house.account("lab")
    alice, bob = house.user("alice"), house.user("bob")
    team = house.group("team", [alice, bob])
    reader = house.configuration("reader")
    house.grant([shop, lab], [alice, team], [reader])
    house.synchronize([shop], [alice])
    house.synchronize([lab], [team])
    house.work()
    with pytest.raises(Conflict, match="1 user group, 2 authorizations, 1 user synchronization"):
        delete_user(house, alice.id)
    listed = told(house, users=[alice.id])
    assert [(one.principal, one.configuration, one.account) for one in listed.authorizations.rows] == [
        ("alice", "reader", "shop"),
        ("alice", "reader", "lab"),
    ]
    assert [(one.principal, one.account) for one in listed.syncs.rows] == [("alice", "shop")]
    assert listed.memberships.rows == [("alice", "team")]
    assert listed.deployments.total == 0
    batch = remove(house, users=[alice.id])
    assert types(house, batch) == [
        "DeleteProvisioning",
        "DeleteRoleAssignment",
        "DeleteRoleAssignment",
        "RemoveUserFromGroup",
    ]
    assert house.done(batch) == ["Success"] * 4
    assert (house.synced(shop), house.synced(lab)) == ([], ["bob"])
    assert told(house, users=[alice.id]).nothing
    delete_user(house, alice.id)
    assert len(house.authorizations()) == 2


def test_ic_4_a_group_loses_its_users_and_what_it_opened(house: Provisioning) -> None:
    shop, alice, bob = house.account("shop"), house.user("alice"), house.user("bob")
    team = house.group("team", [alice, bob])
    house.grant([shop], [team], [house.configuration()])
    house.synchronize([shop], [team])
    house.synchronize([shop], [bob])
    house.work()
    with pytest.raises(Conflict, match="2 users, 1 authorization, 1 user synchronization"):
        delete_group(house, team.id)
    batch = remove(house, groups=[team.id])
    assert set(house.done(batch)) == {"Success"}
    assert house.synced(shop) == ["bob"]
    delete_group(house, team.id)


def test_ic_8_a_configuration_is_undeployed_everywhere_and_the_provider_goes_with_the_last(house: Provisioning) -> None:
    shop, lab, alice = house.account("shop"), house.account("lab"), house.user("alice")
    reader, writer = house.configuration("reader"), house.configuration("writer")
    house.grant([shop, lab], [alice], [reader])
    house.grant([lab], [alice], [writer])
    house.work()
    batch = remove(house, configurations=[reader.id])
    assert [task.type for task in house.tasks(batch)][-2:] == ["DeprovisionRoleConfiguration"] * 2
    assert house.done(batch) == ["Success"] * 4
    assert (house.inside(shop).roles, house.inside(shop).identity_providers) == ((), {})
    assert len(house.inside(lab).roles) == len(house.inside(lab).identity_providers) == 1
    assert house.rows(select(ConfigurationPolicy.policy_name).filter_by(configuration_id=reader.id)) == []
    delete_configuration(house, reader.id)


def test_mem_2_accounts_are_emptied_and_can_be_removed(house: Provisioning) -> None:
    shop, lab, alice = house.account("shop"), house.account("lab"), house.user("alice")
    team = house.group("team", [alice])
    house.grant([shop, lab], [alice, team], [house.configuration("reader"), house.configuration("writer")])
    house.synchronize([shop, lab], [team, house.user("bob")])
    house.work()
    with pytest.raises(Conflict, match="shop cannot be removed"):
        remove_members(house, shop.uin)
    batch = remove(house, accounts=[shop.uin])
    assert house.done(batch) == ["Success"] * 8
    state = house.inside(shop)
    assert (state.roles, state.identity_providers, state.users) == ((), {}, ())
    assert len(house.inside(lab).roles) == 2
    remove_members(house, shop.uin)


def test_what_waits_for_the_same_things_comes_first_or_ends_without_effect(house: Provisioning) -> None:
    shop, lab, alice = house.account("shop"), house.account("lab"), house.user("alice")
    reader, writer = house.configuration("reader"), house.configuration("writer")
    waiting = house.grant([shop], [alice], [reader])
    syncing = house.synchronize([shop], [alice])
    with house.make.transaction() as session:
        ids, uins = [reader.id, writer.id], [shop.uin, lab.uin]
        deploying = deployments.deploy(session, SYSTEM, space=house.space, configurations=ids, accounts=uins)
    assert told(house, configurations=[reader.id, writer.id]).open_tasks == 5
    batch = remove(house, users=[alice.id], configurations=[reader.id, writer.id])
    assert set(house.done(batch)) == {"Success"}
    assert house.results(waiting) == ["Failed: The authorization was removed before it was granted."]
    assert house.results(syncing) == ["Failed: The user synchronization was removed before it ran."]
    assert house.results(deploying) == ["Success"] * 4
    for account in (shop, lab):
        assert (house.inside(account).roles, house.inside(account).identity_providers) == ((), {})
    delete_user(house, alice.id)
    delete_configuration(house, reader.id)
    delete_configuration(house, writer.id)


def test_what_is_being_removed_already_is_no_hindrance(house: Provisioning) -> None:
    shop, alice, reader = house.account("shop"), house.user("alice"), house.configuration("reader")
    house.grant([shop], [alice], [reader])
    house.synchronize([shop], [alice])
    house.work()
    house.revoke(*house.authorizations())
    house.end_sync(house.syncs()[0])
    house.undeploy(house.deployments()[0])
    batch = remove(house, accounts=[shop.uin])
    again = remove(house, accounts=[shop.uin])
    assert set(house.done(batch)) == set(house.results(again)) == {"Success"}
    remove_members(house, shop.uin)


def test_more_than_a_batch_takes_goes_in_rounds(house: Provisioning) -> None:
    accounts, reader = [house.account() for _ in range(3)], house.configuration("reader")
    house.grant(accounts, [house.user("alice")], [reader])
    house.work()
    limits.set_limits(limits.Limits(triples_per_batch=4))
    assert house.done(remove(house, configurations=[reader.id])) == ["Success"] * 4
    assert (len(house.authorizations()), len(house.deployments())) == (0, 2)
    assert [deployment.status for deployment in house.deployments()] == ["Deployed"] * 2
    assert house.done(remove(house, configurations=[reader.id])) == ["Success"] * 2
    delete_configuration(house, reader.id)


def test_a_cam_user_whose_removal_failed_is_let_go(house: Provisioning) -> None:
    shop, alice = house.account("shop"), house.user("alice")
    house.synchronize([shop], [alice])
    house.work()
    with house.make.transaction() as session:
        session.delete(session.merge(house.syncs()[0]))
    assert told(house, accounts=[shop.uin]).strays.rows == [("alice", "shop")]
    assert house.done(remove(house, accounts=[shop.uin])) == ["Success"]
    assert house.rows(select(SyncedUser)) == []
    remove_members(house, shop.uin)


def test_department_authorizations_go_and_do_not_bring_anything_back(house: Provisioning) -> None:
    alice, reader = house.user("alice"), house.configuration("reader")
    with house.make.transaction() as session:
        root = session.scalars(select(Department.id).filter_by(organization_id=house.space.organization_id)).one()
        wanted = {"user_id": alice.id, "department_id": root, "configuration_id": reader.id}
        session.add(DepartmentAuthorization(space_id=house.space.id, **wanted))
    assert told(house, users=[alice.id]).departments.rows == [("alice", "reader", "Root")]
    assert house.tasks(remove(house, users=[alice.id])) == []
    assert house.rows(select(DepartmentAuthorization)) == []


def test_refusals(make: Make, house: Provisioning) -> None:
    other = Provisioning(make, house.settings, "other")
    shop, alice, reader = house.account("shop"), house.user("alice"), house.configuration("reader")
    house.grant([shop], [alice], [reader])
    with pytest.raises(Invalid):
        remove(house)
    for of in ({"users": [alice.id]}, {"configurations": [reader.id]}, {"accounts": [shop.uin]}):
        with pytest.raises(NotFound):
            remove(other, **of)
        assert told(other, **of).nothing
    pushed = make.space("pushed", scim_enabled=True)
    with make.transaction() as session:
        carol = users.create_user(session, Actor("scim", "c", "c"), space=pushed, user_name="carol", source=Source.SCIM)
    make.group(pushed, "team", [carol], source=Source.SCIM)
    with pytest.raises(Forbidden, match="read-only while SCIM is on"), make.transaction() as session:
        removal.remove_everything(session, ADMIN, space=pushed, users=[carol.id])


def test_it_is_audited_and_takes_as_many_statements_for_many_as_for_few(house: Provisioning) -> None:
    def fill(size: int) -> tuple[Any, Any]:
        people, reader = [house.user() for _ in range(size)], house.configuration(f"reader{size}")
        team = house.group(f"team{size}", people)
        accounts = [house.account() for _ in range(size)]
        house.grant(accounts, [*people, team], [reader])
        house.synchronize(accounts, [*people, team])
        return [account.uin for account in accounts], team

    numbers, shown = [], []
    for size in (2, 12):
        uins, team = fill(size)
        with statements(house.database) as seen:
            told(house, accounts=uins, groups=[team.id])
        shown.append(len(seen))
        with statements(house.database) as seen:
            batch = remove(house, accounts=uins, groups=[team.id])
        numbers.append(len(seen))
    assert shown[0] == shown[1] <= 15
    assert numbers[1] - numbers[0] <= 2
    with house.make.transaction() as session:
        [event] = session.scalars(select(AuditEvent).where(AuditEvent.target_id == batch)).all()
        assert event.action == "access.remove_everything"
        assert event.details["authorizations"] == 12 * 13
    assert house.tasks(status=TaskStatus.RUNNING) == []
    assert len(house.rows(select(BatchUser.user_id).where(BatchUser.batch_id == batch))) == 12
    assert house.rows(select(Configuration.revision)) == [1, 1]
