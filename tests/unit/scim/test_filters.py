"""Filters in SQL give what a naive evaluation of the served resources gives, on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from portal.core.actor import Actor
from portal.core.database import Database
from portal.core.directory.models import Group, User
from scim import filters
from scim.attributes import ENTERPRISE, GROUPS, USERS, ResourceType
from scim.errors import ScimError
from scim.parsing import parse
from scim.projection import Projection
from scim.resources import KINDS, Door
from tests.support.make import Make
from tests.support.scim_oracle import matches

PEOPLE: list[dict[str, Any]] = [
    {
        "userName": "Ann",
        "externalId": "Ext-1",
        "displayName": "Ann Ärger",
        "title": "Boss %_",
        "name": {"givenName": "Ann", "familyName": "Ärger", "formatted": 'Ann "A" Ärger'},
        "emails": [
            {"value": "ann@work.example", "type": "work", "primary": True},
            {"value": "ann@home.example", "type": "home"},
        ],
        "addresses": [
            {"type": "work", "locality": "Köln", "country": "DE", "formatted": "Dom 1"},
            {"type": "home", "locality": "Bonn", "country": "DE"},
        ],
        "roles": [{"value": "admin", "display": "Administrator", "primary": True}, {"value": "auditor"}],
        ENTERPRISE: {"department": "IT", "employeeNumber": "100", "manager": {"value": "u-1"}},
    },
    {
        "userName": "bob",
        "externalId": "ext-1",
        "active": False,
        "emails": [{"value": "BOB@work.example", "type": "other"}],
        "phoneNumbers": [{"value": "+1 234", "type": "mobile"}],
        ENTERPRISE: {"department": "Sales", "employeeNumber": "200"},
    },
    {"userName": "cara.OX", "displayName": "STRASSE", "addresses": [{"locality": "Bonn", "type": "work"}]},
    {
        "userName": "dan",
        "displayName": "Straße",
        "name": {"givenName": "ÉMILE"},
        "photos": [{"value": "https://A.example/p"}],
    },
    {"userName": "x" * 64, "title": "back\\slash", "nickName": "x" * 2000},
]
USER_ATOMS = [
    'userName eq "ann"',
    'userName eq "bob"',
    'USERNAME sw "AN"',
    'userName co "."',
    'userName ew "b"',
    "userName pr",
    'userName ne "ann"',
    'externalId eq "ext-1"',
    'externalId co "Ext"',
    'externalId ne "Ext-1"',
    "externalId pr",
    "externalId eq null",
    'displayName eq "strasse"',
    'displayName co "ÄRG"',
    "displayName pr",
    'displayName ne "Ann Ärger"',
    'title co "%"',
    'title co "_"',
    'title eq "BACK\\\\slash"',
    'title ne "Boss %_"',
    "title eq null",
    'title eq ""',
    "title pr",
    'nickName sw "xx"',
    "nickName pr",
    'name.formatted co "\\"a\\""',
    'name.familyName eq "äRGER"',
    'name.givenName eq "émile"',
    'name[givenName eq "ann" and familyName pr]',
    "name pr",
    "active eq true",
    "active eq False",
    'active ne "True"',
    "emails pr",
    "emails eq null",
    'emails.value eq ""',
    'emails eq "bob@WORK.example"',
    'emails.value co "home"',
    'emails.value ne "ann@home.example"',
    'emails.type eq "Work"',
    "emails.primary eq true",
    'emails[type eq "work" and value co "home"]',
    'emails[type eq "work"] and emails[type eq "home"]',
    'emails[type eq "work"].value eq "ann@work.example"',
    'emails[type eq "home"].value ne "ann@home.example"',
    "emails[not (primary eq true)]",
    'emails[type eq "by hand" or value sw "bob"]',
    'addresses[locality eq "KÖLN" and type eq "work"]',
    'addresses[locality eq "bonn" and type eq "work"]',
    'addresses[not (country eq "de")]',
    "addresses[country eq null]",
    'addresses.locality ne "Bonn"',
    "addresses pr",
    'addresses[formatted sw "dom"]',
    'roles[primary eq "True"].value eq "admin"',
    'roles.display eq "ADMINISTRATOR"',
    'roles eq "auditor"',
    'photos.value eq "https://a.example/p"',
    'photos.value eq "https://A.example/p"',
    f'{ENTERPRISE}:department eq "it"',
    'department ne "IT"',
    f'{ENTERPRISE}:employeeNumber gt "150"',
    "employeeNumber le 200",
    f"{ENTERPRISE}:manager pr",
    'manager.value eq "u-1"',
    'manager eq "U-1"',
    f'schemas eq "{ENTERPRISE}"',
    'schemas eq "urn:else"',
    'meta.resourceType eq "User"',
    'meta.created gt "2020-01-01T00:00:00Z"',
    "meta.lastModified lt 2020-01-01T00:00:00.1234567+02:00",
    "meta.created pr",
    'groups.display eq "ENGINEERS"',
    'groups[type eq "direct" and display co "eng"]',
    'groups.type eq "indirect"',
    'groups[type eq "indirect" and display sw "every"]',
    'groups[not (type eq "DIRECT")]',
    'groups.type ne "direct"',
    "groups pr",
    'ims eq "nobody"',
]
GROUP_ATOMS = [
    'displayName eq "engineers"',
    'displayName sw "S"',
    "displayName pr",
    'externalId eq "G1"',
    "externalId pr",
    "members pr",
    'members.display co "ärger"',
    'members[type eq "User" and display pr]',
    'members[type eq "Group" and display co "NEER"]',
    'members.type eq "group"',
    'members.type co "o"',
    'members[not (type eq "User")]',
    'members.display ne "engineers"',
    'members.display gt "b"',
    'members eq ""',
    'meta.resourceType ne "Group"',
    'schemas eq "urn:ietf:params:scim:schemas:core:2.0:Group"',
]


@pytest.fixture
def door(database: Database, make: Make) -> Iterator[Door]:
    """Five people from SCIM, one made by hand, in three groups of SCIM, of which one is inside another."""
    space = make.space(scim_enabled=True)
    other = make.space()
    make.user(other, "ann", email="ann@work.example")
    with database.transaction() as session:
        door = Door(session, Actor("scim", "c", "SCIM", space.organization_id), space, "http://localhost/scim/v2")
        ids = [KINDS["Users"].create(door, person).id for person in PEOPLE]
        engineers = KINDS["Groups"].create(
            door, {"displayName": "Engineers", "externalId": "g1", "members": [{"value": ids[0]}, {"value": ids[3]}]}
        )
        KINDS["Groups"].create(door, {"displayName": "Sales & Söhne", "externalId": "G1"})
        both = [{"value": engineers.id}, {"value": ids[1]}, {"value": ids[3]}]
        KINDS["Groups"].create(door, {"displayName": "Everybody", "members": both})
    make.user(space, "eve", email="Eve@Work.example", given_name="Eve", display_name="By hand")
    session = database.session(write=False)
    yield Door(session, door.actor, space, door.base)
    session.close()


def found(door: Door, kind: str, text: str) -> list[str]:
    resources = KINDS[kind]
    model: Any = User if kind == "Users" else Group
    condition = filters.where(resources.type, parse(text))
    statement = select(model.id).where(model.space_id == door.space.id, condition).order_by(model.number)
    return list(door.session.scalars(statement))


def expected(door: Door, kind: str, text: str) -> list[str]:
    node = parse(text)
    return [resource["id"] for resource in served(door, kind) if matches(resource, node)]


def served(door: Door, kind: str) -> list[dict[str, Any]]:
    model: Any = User if kind == "Users" else Group
    rows = door.session.scalars(select(model).where(model.space_id == door.space.id).order_by(model.number)).all()
    return KINDS[kind].shown(door, rows, Projection())


def test_every_kind_of_comparison_finds_what_the_served_resources_say(door: Door) -> None:
    for kind, atoms in (("Users", USER_ATOMS), ("Groups", GROUP_ATOMS)):
        everything = served(door, kind)
        for text in atoms + [f"not ({atom})" for atom in atoms]:
            node = parse(text)
            assert found(door, kind, text) == [r["id"] for r in everything if matches(r, node)], text


def test_the_atoms_tell_people_apart(door: Door) -> None:
    """A check of the test itself: nearly every atom is met by some and not by all."""
    telling = [atom for atom in USER_ATOMS if 0 < len(found(door, "Users", atom)) < 6]
    assert len(telling) > 0.75 * len(USER_ATOMS)


combined = st.recursive(
    st.sampled_from(USER_ATOMS),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(" ".join),
        inner.map(lambda text: f"({text})"),
        inner.map(lambda text: f"not ({text})"),
    ),
    max_leaves=6,
)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=combined)
def test_any_combination_finds_what_the_served_resources_say(door: Door, text: str) -> None:
    assert found(door, "Users", text) == expected(door, "Users", text)


def test_ids_compare_with_case(door: Door) -> None:
    first = served(door, "Users")[0]["id"]
    assert found(door, "Users", f'id eq "{first}"') == [first]
    assert found(door, "Users", f'id eq "{first.upper()}"') == []


def test_membership_is_asked_as_entra_does(door: Door) -> None:
    group = served(door, "Groups")[0]
    inside, outside = group["members"][0]["value"], served(door, "Users")[1]["id"]
    assert found(door, "Groups", f'id eq "{group["id"]}" and members eq "{inside}"') == [group["id"]]
    assert found(door, "Groups", f'id eq "{group["id"]}" and members eq "{outside}"') == []
    assert found(door, "Groups", f'members[value eq "{inside}"]') == [group["id"]]
    assert found(door, "Users", f'groups.value eq "{group["id"]}"') == [m["value"] for m in group["members"]]


def test_email_of_a_user_made_by_hand_is_found(door: Door) -> None:
    eve = served(door, "Users")[-1]["id"]
    assert found(door, "Users", 'emails[type eq "work"].value eq "eve@work.example"') == [eve]
    assert found(door, "Users", 'name.givenName eq "EVE"') == [eve]


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (USERS, 'noSuch eq "x"'),
        (USERS, 'noSuch eq "x" and userName eq "y"'),
        (USERS, 'name.noSuch eq "x"'),
        (USERS, 'urn:else:User:userName eq "x"'),
        (USERS, 'emails[noSuch eq "x"]'),
        (USERS, 'emails[type eq "a" and emails[type eq "b"]]'),
        (USERS, "active gt true"),
        (USERS, "active ge false"),
        (USERS, 'active co "t"'),
        (USERS, 'active eq "maybe"'),
        (USERS, 'x509Certificates.value gt "a"'),
        (USERS, 'meta.created co "2020"'),
        (USERS, 'meta.created gt "yesterday"'),
        (USERS, 'addresses eq "Bonn"'),
        (USERS, 'userName[value eq "x"]'),
        (USERS, "userName gt null"),
        (USERS, "userName sw null"),
        (USERS, 'meta.location eq "x"'),
        (USERS, 'password eq "x"'),
        (USERS, 'groups.$ref eq "x"'),
        (USERS, 'schemas co "urn"'),
        (GROUPS, 'userName eq "x"'),
        (GROUPS, 'members.$ref eq "x"'),
    ],
)
def test_what_cannot_be_searched_is_refused_and_never_widens_the_answer(kind: ResourceType, text: str) -> None:
    with pytest.raises(ScimError) as refused:
        filters.where(kind, parse(text))
    assert (refused.value.status, refused.value.scim_type) == (400, "invalidFilter")
