"""Permission configurations (IC-8) and when they ask for redeployment (IC-10)."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy.orm import Session

from portal.core import limits
from portal.core.access import configurations, queries
from portal.core.actor import SYSTEM
from portal.core.errors import Conflict, Invalid, LimitReached, NotFound
from portal.core.paging import Search
from tests.support.make import Make
from tests.support.provisioning import Provisioning


def create(session: Session, house: Provisioning, **fields: Any) -> Any:
    fields = {"name": "reader", "policies": ["ReadOnlyAccess"], **fields}
    return configurations.create_configuration(session, SYSTEM, space=house.space, **fields)


def test_ic_8_a_configuration_has_name_description_policies_and_session_duration(
    session: Session, house: Provisioning
) -> None:
    made = create(session, house, name="Reader-1", description=" reads ", session_duration=7200)
    assert (made.name, made.description, made.session_duration, made.revision) == ("Reader-1", "reads", 7200, 1)
    assert configurations.policy_names(session, made.id) == ["ReadOnlyAccess"]
    [row] = queries.configurations_page(session, house.space, Search(text="READER")).rows
    assert (row.id, row.policies, row.deployments, row.outdated) == (made.id, 1, 0, 0)
    assert [row.name for row in queries.policies_of_configuration(session, made, Search(text="readonly")).rows] == [
        "ReadOnlyAccess"
    ]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "with blank"}, "name"),
        ({"name": "a" * 113}, "name"),
        ({"name": "lesé"}, "name"),
        ({"description": "x" * 1025}, "description"),
        ({"session_duration": 899}, "session_duration"),
        ({"session_duration": 43_201}, "session_duration"),
        ({"relay_state": "http://plain.example.com"}, "relay_state"),
        ({"relay_state": "//evil.example.com"}, "relay_state"),
        ({"relay_state": "/\\evil.example.com"}, "relay_state"),
        ({"relay_state": "/" + "a" * 512}, "relay_state"),
        ({"policies": ["NoSuchPolicy"]}, "policies"),
    ],
)
def test_ic_8_a_broken_rule_names_its_field(
    session: Session, house: Provisioning, fields: dict[str, Any], field: str
) -> None:
    with pytest.raises(Invalid) as refused:
        create(session, house, **fields)
    assert refused.value.field == field


def test_ic_8_a_name_is_unique_in_its_space_without_case(session: Session, house: Provisioning, make: Make) -> None:
    other = Provisioning(make, house.settings, "other").space
    create(session, house)
    with pytest.raises(Conflict, match="exists already"):
        create(session, house, name="READER")
    configurations.create_configuration(session, SYSTEM, space=other, name="reader")


def test_ic_8_a_configuration_of_another_space_is_not_there(make: Make, house: Provisioning) -> None:
    stranger = Provisioning(make, house.settings, "other").configuration()
    with make.transaction() as session, pytest.raises(NotFound):
        configurations.get_configuration(session, house.space, stranger.id)


def test_ic_10_policies_and_session_duration_make_a_new_revision_but_the_description_does_not(
    session: Session, house: Provisioning
) -> None:
    made = create(session, house)
    configurations.update_configuration(session, SYSTEM, configuration=made, description="new", relay_state="/x")
    assert made.revision == 1
    configurations.update_configuration(session, SYSTEM, configuration=made, session_duration=3600)
    assert made.revision == 1
    configurations.update_configuration(session, SYSTEM, configuration=made, session_duration=900)
    assert made.revision == 2
    configurations.add_policies(session, SYSTEM, configuration=made, names=["QcloudCamFullAccess"])
    assert made.revision == 3
    configurations.remove_policy(session, SYSTEM, configuration=made, name="ReadOnlyAccess")
    assert made.revision == 4
    assert configurations.policy_names(session, made.id) == ["QcloudCamFullAccess"]


def test_ic_8_policies_are_added_once_and_removed_only_when_there(session: Session, house: Provisioning) -> None:
    made = create(session, house)
    with pytest.raises(Conflict, match="already"):
        configurations.add_policies(session, SYSTEM, configuration=made, names=["ReadOnlyAccess"])
    with pytest.raises(Invalid, match="at least one"):
        configurations.add_policies(session, SYSTEM, configuration=made, names=[])
    with pytest.raises(NotFound):
        configurations.remove_policy(session, SYSTEM, configuration=made, name="AdministratorAccess")
    assert made.revision == 1


def test_ic_8_the_limits_of_configurations_and_policies_are_named(session: Session, house: Provisioning) -> None:
    limits.set_limits(limits.Limits(policies_per_configuration=1, configurations_per_space=1))
    try:
        made = create(session, house)
        with pytest.raises(LimitReached, match="configurations_per_space"):
            create(session, house, name="second")
        with pytest.raises(LimitReached, match="policies_per_configuration"):
            configurations.add_policies(session, SYSTEM, configuration=made, names=["AdministratorAccess"])
    finally:
        limits.set_limits(limits.Limits())


def test_ic_8_deletion_is_refused_while_it_is_used_and_says_by_what(make: Make, house: Provisioning) -> None:
    reader, account, alice = house.configuration(), house.account(), house.user("alice")
    house.grant([account], [alice], [reader])
    house.work()
    with make.transaction() as session:
        found = configurations.get_configuration(session, house.space, reader.id)
        with pytest.raises(Conflict, match="1 preset policy, 1 deployment, 1 authorization"):
            configurations.delete_configuration(session, SYSTEM, configuration=found)
    house.undeploy(house.deployments()[0])
    house.work()
    with make.transaction() as session:
        found = configurations.get_configuration(session, house.space, reader.id)
        configurations.remove_policy(session, SYSTEM, configuration=found, name="ReadOnlyAccess")
        configurations.delete_configuration(session, SYSTEM, configuration=found)
    with make.transaction() as session, pytest.raises(NotFound):
        configurations.get_configuration(session, house.space, reader.id)
