"""Who can do what, and why: answered from the rows and roles that a real deployment left."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from sqlalchemy.orm import Session

from portal.core.access.models import Authorization, AuthorizationStatus, DepartmentAuthorization, Deployment
from portal.core.actor import SYSTEM
from portal.core.cam.policy import PolicyError
from portal.core.directory.users import update_user
from portal.core.errors import Invalid
from portal.core.explorer.actions import who_can
from portal.core.explorer.holdings import Way, all_holdings, holdings
from portal.core.explorer.questions import Question, questions_about
from portal.core.explorer.what_if import Change, compare
from portal.core.guardrails import bindings, policies
from portal.core.guardrails.levels import Node
from portal.core.organization import departments, members, queries
from portal.core.organization.models import Organization
from portal.core.paging import Search
from portal.settings import Settings
from tests.support.make import Make
from tests.support.provisioning import Provisioning
from tests.support.statements import statements

NO_CVM = '{"version": "2.0", "statement": [{"effect": "deny", "action": "cvm:*", "resource": "*"}]}'
RUN, READ = Question("cvm:RunInstances"), Question("cvm:DescribeInstances")
CONTEXT = {"qcs:ip": "192.0.2.1"}


class House(Provisioning):
    """Accounts shop (in Research) and bank (in Root); alice and bob are in the group ops, carol is in none."""

    def __init__(self, make: Make, settings: Settings) -> None:
        super().__init__(make, settings)
        self.shop, self.bank = self.account("shop"), self.account("bank")
        self.alice, self.bob, self.carol = (self.user(name) for name in ("alice", "bob", "carol"))
        self.ops = self.group("ops", [self.alice, self.bob])
        self.reader = self.configuration("reader", ["QcloudCVMReadOnlyAccess"])
        self.operator = self.configuration("operator", ["QcloudCVMFullAccess"])
        with make.transaction() as session:
            organization = self.organization(session)
            self.root = queries.root(session, organization)
            self.research = departments.create_department(
                session, SYSTEM, organization=organization, parent=self.root, name="Research"
            )
            members.move_members(
                session, SYSTEM, organization=organization, department=self.research, uins=[self.shop.uin]
            )

    def organization(self, session: Session) -> Organization:
        return session.get_one(Organization, self.space.organization_id)

    def guard(self, document: str, departments: Sequence[int]) -> str:
        with self.make.transaction() as session:
            organization = self.organization(session)
            policies.enable(session, SYSTEM, organization=organization)
            policy = policies.create_policy(
                session, SYSTEM, organization=organization, name="no-cvm", document=document
            )
            if departments:
                bindings.bind(session, SYSTEM, organization=organization, policy=policy, departments=departments)
        return policy.id

    def held(self, **which: object) -> list[tuple[str, str, str, str]]:
        with self.database.transaction(write=False) as session:
            page = holdings(session, self.space, Search(), **which)  # type: ignore[arg-type]
            return [(one.user_name, one.account_name, one.configuration_name, one.door) for one in page.rows]

    def ways(self, user_id: str) -> dict[tuple[str, str], tuple[Way, ...]]:
        with self.database.transaction(write=False) as session:
            rows = holdings(session, self.space, Search(), user_id=user_id).rows
            return {(one.account_name, one.configuration_name): one.ways for one in rows}


@pytest.fixture
def house(make: Make, settings: Settings) -> House:
    return House(make, settings)


def test_a_person_holds_what_it_and_its_groups_were_granted(house: House) -> None:
    house.grant([house.shop], [house.alice, house.ops], [house.reader])
    house.grant([house.bank], [house.ops], [house.operator])
    house.work()
    assert house.held(user_id=house.alice.id) == [
        ("alice", "bank", "operator", "open"),
        ("alice", "shop", "reader", "open"),
    ]
    by_ops = Way(house.ops.id, "ops")
    ways = {key: set(found) for key, found in house.ways(house.alice.id).items()}
    assert ways == {("bank", "operator"): {by_ops}, ("shop", "reader"): {by_ops, Way()}}
    assert house.held(user_id=house.carol.id) == []


def test_an_account_lets_in_whom_it_was_granted_to(house: House) -> None:
    house.grant([house.shop, house.bank], [house.ops], [house.reader])
    house.grant([house.shop], [house.carol], [house.operator])
    house.work()
    assert house.held(account_uin=house.shop.uin) == [
        ("alice", "shop", "reader", "open"),
        ("bob", "shop", "reader", "open"),
        ("carol", "shop", "operator", "open"),
    ]
    assert [row[0] for row in house.held(account_uin=house.shop.uin, configurations=[house.operator.id])] == ["carol"]


def test_a_department_is_a_way(house: House) -> None:
    house.grant([house.shop], [house.ops], [house.reader])
    house.work()
    with house.make.transaction() as session:
        session.query(Authorization).update({"direct": False})
        session.add(
            DepartmentAuthorization(
                space_id=house.space.id,
                group_id=house.ops.id,
                department_id=house.root.id,
                configuration_id=house.reader.id,
            )
        )
    assert house.ways(house.bob.id) == {("shop", "reader"): (Way(house.ops.id, "ops", house.root.id, "Root"),)}


@pytest.mark.parametrize("door", ["disabled", "granting", "removing", "not deployed"])
def test_a_closed_door_says_what_is_in_the_way(house: House, door: str) -> None:
    house.grant([house.shop], [house.carol], [house.reader])
    if door != "granting":
        house.work()
    with house.make.transaction() as session:
        if door == "disabled":
            update_user(session, SYSTEM, user=session.merge(house.carol), enabled=False)
        if door == "removing":
            session.query(Authorization).update({"status": AuthorizationStatus.REMOVING})
        if door == "not deployed":
            session.query(Deployment).update({"deployed_revision": 0})
    assert house.held(user_id=house.carol.id) == [("carol", "shop", "reader", door)]
    with house.database.transaction(write=False) as session:
        for wanted, count in (("open", 0), ("closed", 1)):
            search = Search(filters={"door": wanted})
            assert holdings(session, house.space, search, user_id=house.carol.id).total == count


def test_lists_are_searched_and_sorted(house: House) -> None:
    house.grant([house.shop, house.bank], [house.ops, house.carol], [house.reader])
    house.work()
    with house.database.transaction(write=False) as session:
        found = holdings(session, house.space, Search(text="car", sort="-account"))
        assert [(one.user_name, one.account_name) for one in found.rows] == [("carol", "shop"), ("carol", "bank")]
        assert len(list(all_holdings(session, house.space))) == 6


def test_nothing_of_another_space_is_shown(house: House, make: Make, settings: Settings) -> None:
    house.grant([house.shop], [house.ops], [house.reader])
    house.work()
    stranger = Provisioning(make, settings, "stranger")
    with house.database.transaction(write=False) as session:
        for which in ({}, {"user_id": house.alice.id}, {"account_uin": house.shop.uin}):
            assert holdings(session, stranger.space, Search(), **which).total == 0  # type: ignore[arg-type]
        answer = who_can(session, stranger.space, house.shop.uin, "cvm:RunInstances", "*", address="192.0.2.1")
        assert answer.roles == ()


def test_a_list_takes_as_many_statements_for_many_as_for_few(house: House) -> None:
    counts = []
    for people in ([house.alice], [house.ops, house.carol]):
        house.grant([house.shop, house.bank], people, [house.reader, house.operator])
        house.work()
        with house.database.transaction(write=False) as session, statements(house.database) as seen:
            holdings(session, house.space, Search())
        counts.append(len(seen))
    assert counts == [5, 5]


def test_who_can_says_which_roles_can_and_what_stops_the_others(house: House) -> None:
    house.grant([house.shop], [house.ops], [house.reader])
    house.grant([house.shop], [house.carol], [house.operator])
    house.synchronize([house.shop], [house.bob])
    house.work()
    with house.database.transaction(write=False) as session:
        answer = who_can(session, house.space, house.shop.uin, "cvm:RunInstances", "*", address="192.0.2.1")
    verdicts = {role.configuration_name: role.decision.reason for role in answer.roles}
    assert verdicts == {
        "operator": "Allowed by statement 1 of QcloudCVMFullAccess",
        "reader": "No policy allows cvm:RunInstances on *",
    }
    assert (answer.allowed, answer.stopped) == ([house.operator.id], [house.reader.id])
    assert [(one.cam_user_name, one.user_name, one.decision.allowed) for one in answer.users] == [("bob", "bob", False)]


def test_who_can_says_that_a_service_control_policy_stops_it(house: House) -> None:
    house.grant([house.shop, house.bank], [house.carol], [house.operator])
    house.work()
    house.guard(NO_CVM, [house.research.id])
    with house.database.transaction(write=False) as session:
        reasons = [
            who_can(session, house.space, account.uin, "cvm:RunInstances", "*", address="192.0.2.1").roles[0]
            for account in (house.shop, house.bank)
        ]
    assert [one.decision.allowed for one in reasons] == [False, True]
    assert "Denied at the department Research by statement 1" in reasons[0].decision.reason


def test_a_bad_question_is_refused_where_nobody_could_ask_it(house: House) -> None:
    with house.database.transaction(write=False) as session, pytest.raises(PolicyError):
        who_can(session, house.space, house.shop.uin, "cvm:*", "*", address="192.0.2.1")


def change(house: House, document: str | None, *nodes: Node) -> Change:
    return Change("no-cvm", document, frozenset(nodes))


def test_what_if_says_who_would_lose_what_where(house: House) -> None:
    house.grant([house.shop, house.bank], [house.ops], [house.reader])
    house.grant([house.shop, house.bank], [house.carol], [house.operator])
    house.work()
    house.guard(NO_CVM, [])
    with house.database.transaction(write=False) as session:
        thought = change(house, NO_CVM, ("department", house.research.id))
        report = compare(session, house.space, thought, [RUN, READ], context=CONTEXT)
        below_root = compare(
            session, house.space, change(house, NO_CVM, ("department", house.root.id)), [RUN], context=CONTEXT
        )
    assert (report.accounts, report.roles, report.people) == (1, 2, 3)
    assert [
        (one.configuration_name, one.lost, [name for _uin, name in one.accounts], sorted(one.people.values()))
        for one in report.changed
    ] == [("operator", (RUN, READ), ["shop"], ["carol"]), ("reader", (READ,), ["shop"], ["alice", "bob"])]
    assert [[name for _uin, name in one.accounts] for one in below_root.changed] == [["bank", "shop"]]


def test_what_if_a_policy_is_taken_away_or_changed(house: House) -> None:
    house.grant([house.shop], [house.carol], [house.operator])
    house.work()
    house.guard(NO_CVM, [house.research.id])
    at = ("department", house.research.id)
    milder = NO_CVM.replace("cvm:*", "cvm:Run*")
    with house.database.transaction(write=False) as session:
        gone = compare(session, house.space, change(house, None, at), [RUN, READ], context=CONTEXT)
        changed = compare(session, house.space, change(house, milder, at), [RUN, READ], context=CONTEXT)
        same = compare(session, house.space, change(house, NO_CVM, at), [RUN, READ], context=CONTEXT)
    assert [one.gained for one in gone.changed] == [(RUN, READ)]
    assert [(one.lost, one.gained) for one in changed.changed] == [((), (READ,))]
    assert same.changed == []


def test_what_if_a_policy_names_one_account(house: House) -> None:
    house.grant([house.shop, house.bank], [house.carol], [house.operator])
    house.work()
    house.guard(NO_CVM, [])
    named = NO_CVM.replace('"resource": "*"', f'"resource": "qcs::cvm::uin/{house.bank.uin}:*"')
    question = Question("cvm:RunInstances", "qcs::cvm:::instance/ins-1")
    with house.database.transaction(write=False) as session:
        thought = change(house, named, ("department", house.root.id))
        report = compare(session, house.space, thought, [question], context=CONTEXT)
    assert [[name for _uin, name in one.accounts] for one in report.changed] == [["bank"]]


def test_what_if_a_faulty_policy_is_refused(house: House) -> None:
    with house.database.transaction(write=False) as session, pytest.raises(Invalid, match="Statement 1, effect"):
        compare(session, house.space, change(house, NO_CVM.replace("deny", "no")), [RUN], context=CONTEXT)


def test_the_questions_are_those_of_the_catalogue_and_of_the_policy() -> None:
    document = (
        '{"version": "2.0", "statement": {"effect": "deny", "action": ["cos:Delete*", "name/odd:Thing"],'
        ' "resource": ["qcs::cos:*:uin/*:bucket/prod-*"]}}'
    )
    asked = questions_about(document)
    assert len(asked) == len(set(asked))
    assert Question("cos:DeleteExample", "qcs::cos:::bucket/prod-Example") in asked
    assert Question("odd:Thing") in asked
    assert Question("cvm:DescribeExample") in asked or Question("cvm:DescribeInstances") in asked
    assert {one.text for one in asked if one.action == "cos:DeleteExample"} == {"cos:Delete*"}
