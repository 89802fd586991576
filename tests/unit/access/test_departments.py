"""Departments as target: an authorization on a department holds for all its accounts, now and later."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import delete, select, update

from portal.core import limits
from portal.core.access import configurations, queries, sessions
from portal.core.access.models import Authorization, Task, TaskStatus, TaskType
from portal.core.actor import SYSTEM
from portal.core.audit import AuditEvent
from portal.core.directory import groups, users
from portal.core.directory.models import Source
from portal.core.errors import Conflict, Invalid, LimitReached, NotFound
from portal.core.organization import departments as tree
from portal.core.organization import members
from portal.core.organization import queries as tree_queries
from portal.core.paging import Search
from portal.settings import Settings
from tests.support.departments import Company
from tests.support.make import SCIM, Make
from tests.support.statements import statements


@pytest.fixture
def house(make: Make, settings: Settings) -> Company:
    return Company(make, settings)


def test_a_department_grants_to_all_accounts_in_it_and_below(house: Company) -> None:
    research = house.department("Research")
    lab = house.department("Lab", research)
    for name, place in (("one", research), ("two", lab), ("other", house.root())):
        house.member(name, place)
    batch = house.grant_in([research], [house.user("alice"), house.group("team")], [house.configuration()])
    assert house.done(batch) == ["Success"] * 4
    assert house.names() == ["(alice in one)", "(alice in two)", "(team in one)", "(team in two)"]
    assert len(house.granted()) == 2


def test_what_somebody_holds_directly_stays_theirs(house: Company) -> None:
    research, alice, reader = house.department("Research"), house.user("alice"), house.configuration()
    one, _two = house.member("one", research), house.member("two", research)
    house.done(house.grant([one], [alice], [reader]))
    assert house.done(house.grant_in([research], [alice], [reader])) == [
        "Success",
        "Success: Held already: granted directly.",
    ]
    assert house.names() == ["(alice in two)", "alice in one"]
    batch = house.revoke_in(*house.granted())
    assert house.done(batch) == ["Success", "Success: Stays open: granted directly, too."]
    assert house.names() == ["alice in one"]
    assert house.granted() == []


def test_what_another_department_grants_stays_and_the_batch_says_why(house: Company) -> None:
    research, alice, reader = house.department("Research"), house.user("alice"), house.configuration()
    house.member("one", research)
    house.member("two", house.root())
    house.done(house.grant_in([research], [alice], [reader]))
    batch = house.grant_in([house.root()], [alice], [reader])
    assert sorted(house.done(batch)) == ["Success"] * 2 + ["Success: Held already: department Research grants it."]
    batch = house.revoke_in(house.granted()[1])
    assert sorted(house.done(batch)) == ["Success"] * 2 + ["Success: Stays open: department Research grants it, too."]
    assert house.names() == ["(alice in one)"]
    house.done(house.revoke_in(*house.granted()))
    assert house.names() == []


def test_what_a_department_grants_already_is_refused_for_each_account(house: Company) -> None:
    research, alice, bob = house.department("Research"), house.user("alice"), house.user("bob")
    reader = house.configuration()
    house.member("one", research)
    house.done(house.grant_in([research], [alice], [reader]))
    with pytest.raises(Conflict, match="Research grants all of this already"):
        house.grant_in([research], [alice], [reader])
    assert house.done(house.grant_in([research], [alice, bob], [reader])) == [
        "Success",
        "Failed: The department grants reader to alice already.",
    ]
    assert len(house.granted()) == 2


def test_an_empty_department_is_granted_for_later(house: Company) -> None:
    research, alice, reader = house.department("Research"), house.user("alice"), house.configuration()
    assert house.grant_in([research], [alice], [reader]) == ""
    assert house.tasks() == []
    house.member("one", house.department("Lab", research))
    house.work()
    assert house.names() == ["(alice in one)"]
    with house.make.transaction() as session:
        held = house.authorizations()[0]
        session.execute(delete(Authorization).where(Authorization.id == held.id))
    assert house.revoke_in(*house.granted()) == ""


@pytest.mark.parametrize("again", [False, True])
def test_a_move_takes_what_the_old_place_granted_and_gives_what_the_new_one_grants(house: Company, again: bool) -> None:
    research, sales = house.department("Research"), house.department("Sales")
    alice, bob, carol, dave = (house.user(name) for name in ("alice", "bob", "carol", "dave"))
    reader = house.configuration()
    one, two = house.member("one", research), house.member("two", sales)
    house.grant_in([house.root()], [carol], [reader])
    house.grant_in([research], [alice], [reader])
    house.grant_in([sales], [bob], [reader])
    house.done(house.grant([one], [dave], [reader]))
    with house.make.transaction() as session:
        change = queries.change_by_moving(session, [one.uin, two.uin], sales.id)
    assert (change.gains, change.loses) == (1, 1)
    batch = house.move([one, two], sales)
    assert len(house.tasks(batch)) == 2
    if again:  # before any task ran
        assert house.move([one], research)
        assert house.move([one], sales)
    house.work()
    assert house.names() == [
        "(bob in one)", "(bob in two)", "(carol in Company-1-admin)", "(carol in one)", "(carol in two)", "dave in one",
    ]  # fmt: skip
    assert house.move([one], sales) == ""
    assert {task.status for task in house.tasks()} <= {TaskStatus.SUCCESS, TaskStatus.FAILED}


def test_granting_directly_what_a_department_grants_makes_it_direct(house: Company) -> None:
    research, alice, reader = house.department("Research"), house.user("alice"), house.configuration()
    one = house.member("one", research)
    house.grant_in([research], [alice], [reader])
    assert house.done(house.grant([one], [alice], [reader])) == ["Success"]
    assert house.names() == ["alice in one"]
    assert "already exists" in house.done(house.grant([one], [alice], [reader]))[0]
    two = house.member("two", research)
    house.work()
    batch = house.grant([two], [alice], [reader])
    assert house.results(batch) == ["Success: Held already by a department; now directly, too."]
    house.done(house.revoke_in(*house.granted()))
    assert house.names() == ["alice in one", "alice in two"]


def test_a_direct_authorization_that_a_department_covers_stays_open_when_it_is_revoked(house: Company) -> None:
    research, alice, bob = house.department("Research"), house.user("alice"), house.user("bob")
    reader, one = house.configuration(), house.member("one", research)
    house.grant([one], [alice, bob], [reader])
    house.done(house.grant_in([research], [alice], [reader]))
    batch = house.revoke(*house.authorizations(), undeploy_last=True)
    assert house.done(batch) == ["Success", "Success: Stays open: department Research grants it, too."]
    assert house.names() == ["(alice in one)"]
    assert len(house.deployments()) == 1


def test_one_that_is_not_revoked_does_not_hold_up_the_undeployment_of_another_configuration(house: Company) -> None:
    research, alice = house.department("Research"), house.user("alice")
    reader, writer, one = house.configuration(), house.configuration("writer"), house.member("one", research)
    house.grant_in([research], [alice], [writer])
    house.done(house.grant([one], [alice], [reader]))
    batch = house.revoke(*house.authorizations(), undeploy_last=True)
    assert sorted(result.partition(":")[0] for result in house.done(batch)) == ["Failed", "Success", "Success"]
    assert [deployment.configuration_id for deployment in house.deployments()] == [writer.id]


def test_what_only_a_department_grants_is_not_revoked_in_an_account(house: Company) -> None:
    research, alice, bob = house.department("Research"), house.user("alice"), house.user("bob")
    reader, one = house.configuration(), house.member("one", research)
    house.done(house.grant_in([research], [alice], [reader]))
    [held] = house.authorizations()
    with pytest.raises(Conflict, match="alice has reader in one by department Research"):
        house.revoke(held)
    house.done(house.grant([one], [bob], [reader]))
    batch = house.revoke(*house.authorizations())
    results = house.done(batch)
    assert results[0] == "Success"
    assert results[1].startswith(
        "Failed: alice has reader in one by department Research. Remove it from the department"
    )
    assert house.names() == ["(alice in one)"]


def test_a_configuration_is_not_undeployed_where_a_department_grants_it(house: Company) -> None:
    research, alice, reader = house.department("Research"), house.user("alice"), house.configuration()
    one = house.member("one", research)
    house.done(house.grant_in([research], [alice], [reader]))
    [deployment] = house.deployments()
    with pytest.raises(Conflict, match="Department Research grants reader in this account"):
        house.undeploy(deployment)
    house.move([one], house.root())
    house.work()
    assert house.names() == []
    assert house.done(house.undeploy(deployment)) == ["Success"]


def test_what_departments_grant_holds_users_groups_configurations_departments_and_members(house: Company) -> None:
    research, alice, team = house.department("Research"), house.user("alice"), house.group("team")
    reader = house.configuration(policies=())
    organization = house.organization
    house.grant_in([research], [alice, team], [reader])
    one = house.member("one", research)
    house.work()
    with house.make.transaction() as session:
        for verb, words in (
            (lambda: users.delete_user(session, SYSTEM, user=alice), "1 authorization, 1 department authorization"),
            (lambda: groups.delete_group(session, SYSTEM, group=team), "1 department authorization"),
            (
                lambda: configurations.delete_configuration(session, SYSTEM, configuration=reader),
                "2 department authorizations",
            ),
            (
                lambda: members.remove_members(session, SYSTEM, organization=organization, uins=[one.uin]),
                "2 authorizations by departments, 1 deployed configuration",
            ),
        ):
            with pytest.raises(Conflict, match=words):
                verb()
    house.move([one], house.root())
    with house.make.transaction() as session, pytest.raises(Conflict, match="Research still grants 2 authorizations"):
        tree.delete_department(session, SYSTEM, organization=organization, department=research)
    house.revoke_in(*house.granted())
    with house.make.transaction() as session:
        tree.delete_department(session, SYSTEM, organization=organization, department=research)


def test_a_user_or_group_that_the_idp_deletes_takes_its_department_authorizations_along(house: Company) -> None:
    research, reader = house.department("Research"), house.configuration()
    house.member("one", research)
    with house.make.transaction() as session:
        alice = users.create_user(session, SCIM, space=house.space, user_name="alice", source=Source.SCIM)
    team = house.group("team", source=Source.SCIM)
    house.done(house.grant_in([research], [alice, team], [reader]))
    with house.make.transaction() as session:
        users.delete_user(session, SCIM, user=users.get_user(session, house.space, alice.id))
        groups.delete_group(session, SCIM, group=groups.get_group(session, house.space, team.id))
    assert house.granted() == house.authorizations() == []


def fail_grants(house: Company) -> list[Task]:
    """What a task does that gives up: the authorization is not there."""
    with house.make.transaction() as session:
        session.execute(delete(Authorization))
        session.execute(update(Task).values(status=TaskStatus.FAILED, attempts=5))
    return house.tasks()


def test_what_failed_is_missing_until_a_retry_a_repair_or_a_move_makes_it(house: Company) -> None:
    research, sales = house.department("Research"), house.department("Sales")
    alice, reader = house.user("alice"), house.configuration()
    accounts = [house.member(name, research) for name in ("one", "two", "three")]
    house.grant_in([research], [alice], [reader])
    failed = fail_grants(house)
    with house.make.transaction() as session:
        [row] = queries.department_authorizations(session, house.space, research.id, [research.id], Search()).rows
        assert (row.active, row.granting, row.missing) == (0, 0, 3)
    house.retry(failed[0])
    house.work()
    [held] = house.authorizations()
    assert not held.direct
    house.move([accounts[1]], sales)
    house.move([accounts[1]], research)
    house.work()
    assert len(house.authorizations()) == 2
    assert house.done(house.repair(research)) == ["Success"]
    assert house.names() == ["(alice in one)", "(alice in three)", "(alice in two)"]
    with pytest.raises(Conflict, match="Nothing is missing"):
        house.repair(research)
    with pytest.raises(Conflict, match="exists by now"):
        house.retry(failed[1])


def test_a_retry_grants_nothing_that_no_department_grants_any_more(house: Company) -> None:
    research, alice, reader = house.department("Research"), house.user("alice"), house.configuration()
    house.member("one", research)
    house.grant_in([research], [alice], [reader])
    [failed] = fail_grants(house)
    house.revoke_in(*house.granted())
    with pytest.raises(Conflict, match="No department of this account grants this any more"):
        house.retry(failed)
    assert house.authorizations() == []


def test_a_failed_direct_grant_is_direct_when_it_is_run_again(house: Company) -> None:
    alice, reader = house.user("alice"), house.configuration()
    house.grant([house.account()], [alice], [reader])
    [failed] = fail_grants(house)
    house.retry(failed)
    assert [one.direct for one in house.authorizations()] == [True]


def test_what_is_being_removed_is_granted_again_by_a_department(house: Company) -> None:
    research, alice, reader = house.department("Research"), house.user("alice"), house.configuration()
    one = house.member("one", research)
    house.done(house.grant([one], [alice], [reader]))
    removal = house.revoke(*house.authorizations())
    house.grant_in([research], [alice], [reader])
    assert house.done(removal) == ["Success"]
    assert house.names() == ["(alice in one)"]


def test_the_page_counts_what_an_account_has_by_departments(house: Company) -> None:
    research, alice, bob = house.department("Research"), house.user("alice"), house.user("bob")
    reader, lab = house.configuration(), house.department("Lab", research)
    house.grant_in([house.root(), research], [alice], [reader])
    house.grant_in([lab], [bob], [reader])
    with house.make.transaction() as session:
        assert queries.granted_in(session, lab.id) == (2, ["alice: reader", "bob: reader"])
        assert queries.granted_in(session, house.root().id) == (1, ["alice: reader"])
        path = [house.root().id, research.id, lab.id]
        page = queries.department_authorizations(session, house.space, lab.id, path, Search(sort="-department"))
        shown = [(row.department_name, row.principal_name, row.missing) for row in page.rows]
    assert shown == [("Root", "alice", 0), ("Research", "alice", 0), ("Lab", "bob", 0)]


def test_what_is_not_of_this_space_or_organization_is_not_found(make: Make, house: Company) -> None:
    other = Company(make, house.settings, "other")
    place, alice, reader = house.department("Research"), house.user(), house.configuration()
    for places, people, what in (
        ([other.root()], [alice], [reader]),
        ([place], [other.user()], [reader]),
        ([place], [alice], [other.configuration()]),
    ):
        with pytest.raises(NotFound):
            house.grant_in(places, people, what)
    for places, people, what, field in (
        ([], [alice], [reader], "departments"),
        ([place], [], [reader], "users"),
        ([place], [alice], [], "configurations"),
    ):
        with pytest.raises(Invalid) as refused:
            house.grant_in(places, people, what)
        assert refused.value.field == field
    other.grant_in([other.root()], [other.user("eve")], [other.configuration("x")])
    with pytest.raises(NotFound):
        house.revoke_in(*other.granted())
    with pytest.raises(Invalid):
        house.revoke_in()
    assert len(other.granted()) == 1


def test_the_limit_counts_what_is_really_made(house: Company) -> None:
    research, sales = house.department("Research"), house.department("Sales")
    alice, bob, reader = house.user("alice"), house.user("bob"), house.configuration()
    accounts = [house.member(f"account{number}", research) for number in range(4)]
    house.done(house.grant(accounts[:2], [alice], [reader]))
    limits.set_limits(limits.Limits(triples_per_batch=2))
    try:
        with pytest.raises(LimitReached, match="triples_per_batch"):
            house.grant_in([research], [bob], [reader])
        assert house.granted() == []
        assert len(house.tasks(house.grant_in([research], [alice], [reader]))) == 4
        limits.set_limits(limits.Limits(triples_per_batch=1))
        with pytest.raises(LimitReached, match="triples_per_batch"):
            house.move(accounts[2:], sales)
        with pytest.raises(LimitReached, match="triples_per_batch"):
            house.revoke_in(*house.granted())
        assert house.move(accounts[3:], sales)
    finally:
        limits.set_limits(limits.Limits())


def test_what_departments_do_is_audited(house: Company) -> None:
    research, alice, reader = house.department("Research"), house.user("alice"), house.configuration()
    one = house.member("one", research)
    house.grant_in([research], [alice], [reader])
    house.move([one], house.root())
    house.revoke_in(*house.granted())
    events = house.rows(select(AuditEvent).order_by(AuditEvent.id))
    actions = [event.action for event in events if "authorization" in event.action]
    assert actions == [
        "department_authorization.grant",
        "authorization.follow",
        "department_authorization.revoke",
    ]


@pytest.mark.parametrize("number", [40])
def test_many_accounts_take_no_statement_each(house: Company, number: int) -> None:
    """For chunks of 500: a few accounts take as many statements as forty."""
    limits.set_limits(limits.Limits(created_members_per_entity=1000))
    try:
        alice, reader = house.user("alice"), house.configuration()
        counts = []
        for size in (2, number):
            place, other = house.department(f"from{size}"), house.department(f"to{size}")
            accounts = [house.member(f"a{size}-{one}", place) for one in range(size)]
            with statements(house.database) as seen:
                house.grant_in([place], [alice], [reader])
                granting = len(seen)
                house.move(accounts, other)
                moving = len(seen) - granting
                house.move(accounts, place)
                house.revoke_in(*[one for one in house.granted() if one.department_id == place.id])
                counts.append((granting, moving, len(seen)))
        assert counts[0] == counts[1]
        assert counts[0][0] < 25
        assert counts[0][1] < 25
    finally:
        limits.set_limits(limits.Limits())


def test_the_tab_takes_as_many_statements_for_many_rows_as_for_one(house: Company) -> None:
    research, reader = house.department("Research"), house.configuration()
    path = [house.root().id, research.id]

    def counted() -> tuple[int, int]:
        with house.make.transaction() as session, statements(house.database) as seen:
            page = queries.department_authorizations(session, house.space, research.id, path, Search())
            return len(page.rows), len(seen)

    house.grant_in([research], [house.user()], [reader])
    assert counted() == (1, 3)
    house.grant_in([research], [house.user() for _number in range(9)], [reader])
    house.grant_in([house.root()], [house.user() for _number in range(5)], [reader])
    assert counted() == (15, 3)


def test_who_is_inside_an_account_that_moves_out_is_put_out(house: Company) -> None:
    research, alice, reader = house.department("Research"), house.user("alice"), house.configuration()
    one = house.member("one", research)
    house.done(house.grant_in([research], [alice], [reader]))
    with house.make.transaction() as session:
        lasting = timedelta(hours=1)
        sessions.remember(session, user=alice, account_uin=one.uin, configuration_id=reader.id, lasting=lasting)
    house.move([one], house.root())
    assert [task.type for task in house.tasks()][-1] == TaskType.END_SESSIONS


def test_an_organization_without_identity_center_moves_its_members(make: Make, house: Company) -> None:
    organization = make.organization("Bare")
    with make.transaction() as session:
        root = tree_queries.root(session, organization)
        sales = tree.create_department(session, SYSTEM, organization=organization, parent=root, name="Sales")
        uins = [organization.admin_uin]
        moved = members.move_members(session, SYSTEM, organization=organization, department=sales, uins=uins)
        assert (len(moved.rows), moved.batch_id) == (1, "")
