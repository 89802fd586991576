"""A filter in SQL finds whom the same filter, read naively over the served resources, means: whole grammar, random
people, both databases. The text goes through the parser, the meaning comes from the tree it was written from.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.core.database import Database
from portal.core.space.models import Space
from scim import filters
from scim.parsing import parse
from scim.projection import Projection
from scim.resources import KINDS, Door
from tests.support import scim_grammar
from tests.support.make import SCIM, Make
from tests.support.scim_examples import ENTERPRISE
from tests.support.scim_grammar import Tree, meets, words

kinds = st.sampled_from(scim_grammar.KINDS)
some = lambda entry: st.lists(entry, min_size=1, max_size=3)  # noqa: E731
people = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "externalId": words,
            "displayName": words,
            "title": words,
            "nickName": words,
            "active": st.booleans(),
            "name": st.fixed_dictionaries({}, optional={"givenName": words, "formatted": words}),
            "emails": some(st.fixed_dictionaries({"value": words}, optional={"type": kinds, "display": words})),
            "phoneNumbers": some(st.fixed_dictionaries({"value": words}, optional={"type": kinds})),
            "photos": some(st.fixed_dictionaries({"value": words}, optional={"type": kinds})),
            "roles": some(st.fixed_dictionaries({"value": words}, optional={"display": words})),
            "addresses": some(st.fixed_dictionaries({"locality": words}, optional={"country": words, "type": kinds})),
            ENTERPRISE: st.fixed_dictionaries(
                {}, optional={"department": words, "manager": words.map(lambda word: {"value": word})}
            ),
            "primary": st.booleans(),
        },
    ),
    min_size=1,
    max_size=4,
)
many = settings(
    max_examples=30,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture
def session(database: Database) -> Iterator[Session]:
    with database.session() as session:
        yield session


@pytest.fixture
def space(make: Make) -> Space:
    return make.space("acme", scim_enabled=True)


def served(door: Door, kind: str) -> list[dict[str, Any]]:
    model: Any = KINDS[kind].model
    rows = door.session.scalars(select(model).where(model.space_id == door.space.id).order_by(model.number)).all()
    return KINDS[kind].shown(door, rows, Projection())


def found(door: Door, kind: str, text: str) -> list[str]:
    model: Any = KINDS[kind].model
    condition = filters.where(KINDS[kind].type, parse(text))
    return list(
        door.session.scalars(select(model.id).where(model.space_id == door.space.id, condition).order_by(model.number))
    )


@many
@given(people=people, data=st.data())
def test_sql_finds_whom_the_filter_means(
    session: Session, space: Space, people: list[Any], data: st.DataObject
) -> None:
    door = Door(session, SCIM, space, "http://localhost/scim/v2")
    try:
        ids = []
        for number, person in enumerate(people):
            primary = person.pop("primary", None)
            if primary is not None and person.get("emails"):
                person["emails"][0]["primary"] = primary
            ids.append(KINDS["Users"].create(door, {"userName": f"{'aAbB'[number]}{number}", **person}).id)
        members = [{"value": each} for each in data.draw(st.lists(st.sampled_from(ids), max_size=3, unique=True))]
        for number, name in enumerate(data.draw(st.lists(words.filter(str.isprintable), max_size=2))):
            body = {"displayName": f"{number}{name}", "externalId": name, "members": members[number:]}
            KINDS["Groups"].create(door, body)
        session.flush()
        for kind, grammar in (("Users", scim_grammar.USERS), ("Groups", scim_grammar.GROUPS)):
            resources = served(door, kind)
            moments = [each["meta"]["created"] for each in resources] or ["2020-01-31T12:00:00Z"]
            for _ in range(4):
                tree: Tree = data.draw(grammar.trees(moments))
                case = data.draw(st.sampled_from([str, str.upper, str.lower, str.title]))
                text = grammar.render(tree, case)
                assert found(door, kind, text) == [each["id"] for each in resources if meets(each, tree)], text
    finally:
        session.rollback()
