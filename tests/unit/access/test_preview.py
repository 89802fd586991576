"""What review pages say before a batch is submitted; the verbs refuse with the same words (IC-12, IC-14)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from portal.core import limits
from portal.core.access import deployments, preview, preview_users, selection
from portal.core.access.models import ConfigurationPolicy
from portal.core.access.rows import MOST
from portal.core.access.selection import Selection
from portal.core.actor import SYSTEM
from portal.core.cam import roles as cam_roles
from portal.core.cam.users import create_cam_user
from portal.core.errors import LimitReached
from portal.core.organization.models import Account
from tests.support.provisioning import Provisioning
from tests.support.statements import statements


@pytest.fixture(autouse=True)
def usual_limits() -> Iterator[None]:
    yield
    limits.set_limits(limits.Limits())


def pick(house: Provisioning, accounts: Sequence[Account], people: Sequence, what: Sequence = ()) -> Selection:
    with house.make.transaction() as session:
        return selection.select_by_ids(
            session,
            house.space,
            accounts=[one.uin for one in accounts],
            users=[one.id for one in people if one.id.startswith("u-")],
            groups=[one.id for one in people if one.id.startswith("g-")],
            configurations=[one.id for one in what],
        )


def roles(house: Provisioning, accounts: Sequence[Account], people: Sequence, what: Sequence) -> preview.Preview:
    picked = pick(house, accounts, people, what)
    with house.make.transaction() as session:
        return preview.roles(session, house.space, picked)


def users(
    house: Provisioning, accounts: Sequence[Account], people: Sequence, strategy: str = "KeepBoth"
) -> preview_users.Preview:
    picked = pick(house, accounts, people)
    with house.make.transaction() as session:
        return preview_users.synchronizations(session, house.space, picked, strategy)


def test_ic_12_what_is_new_what_is_there_and_what_is_old(house: Provisioning) -> None:
    shop, lab = house.account("shop"), house.account("lab")
    alice, bob = house.user("alice"), house.user("bob", enabled=False)
    reader, writer = house.configuration("reader"), house.configuration("writer")
    house.grant([shop], [alice], [reader])
    house.work()
    house.add_policy(reader, "QcloudCamFullAccess")
    told = roles(house, [shop, lab], [alice, bob], [reader, writer])
    assert (told.new, told.new_roles, told.outdated, told.new_providers) == (7, 3, 1, 1)
    assert told.existing.rows == ["shop: The authorization already exists: alice has reader in this account."]
    assert told.disabled.rows == ["bob"]
    assert told.refusals.total == told.removing.total == told.missing_policies.total == 0
    at_lab, at_shop = told.accounts.rows
    assert (at_lab.name, at_lab.new_roles, at_lab.new, at_lab.existing, at_lab.has_provider) == ("lab", 2, 4, 0, False)
    assert (at_shop.new_roles, at_shop.outdated, at_shop.new, at_shop.existing) == (1, 1, 3, 1)
    assert at_shop.has_provider
    batch = house.grant([shop, lab], [alice, bob], [reader, writer])
    assert house.done(batch).count("Success") == told.new


def test_ic_12_an_account_out_of_which_everything_is_being_taken(house: Provisioning) -> None:
    shop, lab = house.account("shop"), house.account("lab")
    alice, reader = house.user("alice"), house.configuration("reader")
    house.grant([shop, lab], [alice], [reader])
    house.work()
    house.undeploy(next(one for one in house.deployments() if one.account_uin == shop.uin))
    told = roles(house, [shop, lab], [alice], [reader])
    assert told.removing.rows == ["shop"]
    assert told.undeploying == 1
    assert "is being removed. Try again after that." in told.existing.rows[0]


def test_ic_12_a_policy_that_is_gone_is_named_and_fails(house: Provisioning) -> None:
    shop, alice, reader = house.account("shop"), house.user("alice"), house.configuration("reader")
    with house.make.transaction() as session:
        session.add(ConfigurationPolicy(configuration_id=reader.id, policy_name="QcloudGoneFullAccess"))
    assert roles(house, [shop], [alice], [reader]).missing_policies.rows == [("reader", "QcloudGoneFullAccess")]
    assert "no policy named QcloudGoneFullAccess" in house.done(house.grant([shop], [alice], [reader]))[0]


def test_ic_12_the_refusals_of_the_review_are_those_of_the_verb(house: Provisioning) -> None:
    shop, alice = house.account("shop"), house.user("alice")
    two = [house.configuration("reader", ["ReadOnlyAccess", "QcloudCamFullAccess"]), house.configuration("writer")]
    for limit, words in (
        ({"triples_per_batch": 1}, "The limit of 1 authorizations in one batch is reached (triples_per_batch)."),
        ({"roles_per_account": 1}, "shop: The limit of 1 CAM roles in one account is reached (roles_per_account)."),
        (
            {"policies_per_principal": 1},
            "reader: The limit of 1 policies of one user, group or role is reached (policies_per_principal).",
        ),
    ):
        limits.set_limits(limits.Limits(**limit))
        assert roles(house, [shop], [alice], two).refusals.rows == [words]
        with pytest.raises(LimitReached) as refused:
            house.grant([shop], [alice], two)
        assert refused.value.message == words
    assert house.tasks() == []
    limits.set_limits(limits.Limits(roles_per_account=2))
    house.grant([shop], [alice], two)
    house.work()
    assert roles(house, [shop], [house.user("bob")], two).refusals.total == 0  # they are there already


def test_the_embedded_cloud_refuses_what_exceeds_its_limits(house: Provisioning) -> None:
    shop = house.account("shop")
    limits.set_limits(limits.Limits(roles_per_account=1, cam_users_per_account=1, policies_per_principal=1))
    with house.make.transaction() as session:
        create_cam_user(session, SYSTEM, account_uin=shop.uin, name="first")
        with pytest.raises(LimitReached, match="CAM users in one account is reached"):
            create_cam_user(session, SYSTEM, account_uin=shop.uin, name="second")

        def ensure(name: str, *policies: str) -> None:
            cam_roles.ensure_role(
                session, SYSTEM, account_uin=shop.uin, name=name, description="", role_type="user",
                trust=cam_roles.saml_trust(shop.uin, "idp", ""), session_duration=60, policies=policies, manager="z",
            )  # fmt: skip

        ensure("one", "ReadOnlyAccess")
        ensure("one", "AdministratorAccess")
        with pytest.raises(LimitReached, match="CAM roles in one account is reached"):
            ensure("two")
        with pytest.raises(LimitReached, match="policies of one user, group or role is reached"):
            ensure("one", "ReadOnlyAccess", "AdministratorAccess")


def test_ic_9_deploying_without_assigning_says_where_it_is_already(house: Provisioning) -> None:
    shop, lab, reader = house.account("shop"), house.account("lab"), house.configuration("reader")
    house.grant([shop], [house.user("alice")], [reader])
    house.work()
    picked = pick(house, [shop, lab], [], [reader])
    with house.make.transaction() as session:
        told = preview.deployments(session, house.space, picked)
    assert told.existing.rows == ["The deployment already exists: reader in shop."]
    assert (told.new, told.new_roles, told.new_providers) == (1, 1, 1)
    limits.set_limits(limits.Limits(roles_per_account=1))
    with house.make.transaction() as session:
        cam_roles.ensure_role(
            session, SYSTEM, account_uin=lab.uin, name="own", description="", role_type="user",
            trust=cam_roles.saml_trust(lab.uin, "idp", ""), session_duration=60, policies=(), manager="z",
        )  # fmt: skip
        assert "lab: The limit of 1 CAM roles" in preview.deployments(session, house.space, picked).refusals.rows[0]
        with pytest.raises(LimitReached, match="lab: The limit of 1 CAM roles"):
            deployments.deploy(
                session, SYSTEM, space=house.space, configurations=picked.configuration_ids, accounts=picked.uins
            )


def test_ic_14_people_by_groups_count_once_and_namesakes_are_named(house: Provisioning) -> None:
    shop, lab = house.account("shop"), house.account("lab")
    alice, bob, carol = house.user("alice"), house.user("bob"), house.user("carol", enabled=False)
    team = house.group("team", [alice, bob])
    house.synchronize([shop], [alice])
    house.work()
    with house.make.transaction() as session:
        create_cam_user(session, SYSTEM, account_uin=lab.uin, name="Bob")
        create_cam_user(session, SYSTEM, account_uin=shop.uin, name="unrelated")
    told = users(house, [shop, lab], [alice, carol, team])
    assert (told.people, told.new, told.new_users, told.new_providers) == (3, 5, 5, 1)
    assert told.existing.rows == ["The synchronization already exists: alice in shop."]
    assert told.namesakes.rows == [("Bob", "lab")]
    assert told.disabled.rows == ["carol"]
    at_lab, at_shop = told.accounts.rows
    assert (at_lab.new_users, at_lab.standing, at_lab.namesakes, at_lab.has_provider) == (3, 0, 1, False)
    assert (at_shop.new_users, at_shop.standing, at_shop.existing, at_shop.has_provider) == (2, 1, 1, True)


@pytest.mark.parametrize(("strategy", "fits"), [("KeepBoth", False), ("TakeOver", True)])
def test_ic_14_an_account_full_of_users(house: Provisioning, strategy: str, fits: bool) -> None:
    shop, alice = house.account("shop"), house.user("alice")
    with house.make.transaction() as session:
        create_cam_user(session, SYSTEM, account_uin=shop.uin, name="alice")
    limits.set_limits(limits.Limits(cam_users_per_account=1))
    told = users(house, [shop], [alice], strategy)
    if fits:
        assert told.refusals.total == 0
        assert house.done(house.synchronize([shop], [alice], duplication=strategy)) == ["Success"]
        return
    words = "shop: The limit of 1 CAM users in one account is reached (cam_users_per_account)."
    assert told.refusals.rows == [words]
    with pytest.raises(LimitReached) as refused:
        house.synchronize([shop], [alice], duplication=strategy)
    assert refused.value.message == words


def test_a_review_takes_as_many_statements_for_many_as_for_one(house: Provisioning) -> None:
    accounts = [house.account() for _ in range(MOST + 5)]
    people = [house.user(enabled=False) for _ in range(MOST + 3)]
    reader = house.configuration("reader")
    house.grant(accounts, people[:2], [reader])
    few, many = pick(house, accounts[:1], people[:1], [reader]), pick(house, accounts, people, [reader])
    numbers = []
    for picked in (few, many):
        with house.make.transaction() as session, statements(house.database) as seen:
            told = preview.roles(session, house.space, picked)
            told_users = preview_users.synchronizations(session, house.space, picked, "KeepBoth")
            preview.deployments(session, house.space, picked)
        numbers.append(len(seen))
    assert numbers[0] == numbers[1] < 35
    assert (len(told.accounts.rows), told.accounts.more) == (MOST, 5)
    assert (len(told.disabled.rows), told.disabled.more) == (MOST, 3)
    assert (len(told.existing.rows), told.existing.total) == (MOST, 2 * len(accounts))
    assert (len(told_users.accounts.rows), told_users.accounts.more) == (MOST, 5)
