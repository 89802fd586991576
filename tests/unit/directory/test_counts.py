"""The counts of users and groups are those of the tables, whatever happened, failed or was undone."""

from __future__ import annotations

import random
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from portal.core.actor import SYSTEM
from portal.core.database import Database
from portal.core.directory import counts, users
from portal.core.directory.models import DirectoryCount, Group, User
from portal.core.errors import Error
from portal.core.space.models import Space
from portal.migrations import upgrade
from scim import bulk
from scim.resources import Door
from tests.support.make import SCIM, Make
from tests.support.migrations import downgrade

MODELS = (User, Group)


def kept(session: Session) -> dict[Any, int]:
    """By space, kind and block; blocks that have become empty left out."""
    rows = session.scalars(select(DirectoryCount))
    return {(row.space_id, row.kind, row.block): row.amount for row in rows if row.amount}


def real(session: Session) -> dict[Any, int]:
    found = {}
    for model in MODELS:
        block = model.number - model.number % counts.BLOCK
        for space_id, first, amount in session.execute(
            select(model.space_id, block, func.count()).group_by(model.space_id, block)
        ):
            found[space_id, model.__name__, first // counts.BLOCK] = amount
    return found


def operation(chance: random.Random, ids: list[str], number: int) -> dict[str, Any]:
    """Some fail: a name that is taken, an id that is gone, a wrong name after a member that joined."""
    kind = chance.choice(["/Users", "/Groups"])
    name = {"/Users": "userName", "/Groups": "displayName"}[kind]
    act = chance.choice(["make", "make", "take", "spoil"])
    if act == "make":
        return {"method": "POST", "path": kind, "bulkId": str(number), "data": {name: f"name{chance.randrange(60)}"}}
    if act == "take" and ids:
        row_id = chance.choice(ids)
        return {"method": "DELETE", "path": f"/{'Users' if row_id.startswith('u-') else 'Groups'}/{row_id}"}
    members = [{"value": "u-nobody"}]
    data = {"displayName": f"spoilt{number}", "members": members}
    return {"method": "POST", "path": "/Groups", "bulkId": str(number), "data": data}


@pytest.mark.parametrize("seed", range(3))
def test_they_are_right_after_whatever_was_done_and_undone(
    database: Database, make: Make, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counts, "BLOCK", 8)
    chance = random.Random(seed)
    spaces = [make.space(), make.space()]
    failed = 0
    for turn in range(30):
        space = chance.choice(spaces)
        session = database.session()
        ids = [
            row_id for model in MODELS for row_id in session.scalars(select(model.id).where(model.space_id == space.id))
        ]
        wanted = [operation(chance, ids, number) for number in range(chance.randrange(1, 8))]
        outcomes = bulk.run(Door(session, SCIM, space, ""), {"Operations": wanted})
        failed += sum(outcome.error is not None for outcome in outcomes)
        for model in MODELS:
            there = session.scalar(select(func.count()).where(model.space_id == space.id))
            assert counts.total(session, space.id, model) == there, "within the transaction"
        if turn % 4:
            session.commit()
        else:
            session.rollback()
        assert kept(session) == real(session)
        session.close()
    assert failed > 5


def test_a_place_in_the_list_is_found_by_its_block(
    database: Database, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counts, "BLOCK", 4)
    space = make.space()
    made = [make.user(space) for _ in range(13)]
    with make.transaction() as session:
        for user in (made[0], made[5], made[6]):
            users.delete_user(session, SYSTEM, user=users.get_user(session, space, user.id))
    with database.session() as session:
        there = session.scalars(select(User.number).where(User.space_id == space.id).order_by(User.number)).all()
        for offset in range(12):
            total, since, rest = counts.place(session, space.id, User, offset)
            assert total == 10
            statement = select(User.number).where(User.number >= since).order_by(User.number).offset(rest)
            assert session.scalars(statement).all() == there[offset:]


def test_the_migration_counts_what_is_there(database: Database, make: Make) -> None:
    space = make.space()
    for _ in range(3):
        make.user(space)
    make.group(space)
    with database.session() as session:
        before = kept(session)
    downgrade(database, "0002")
    upgrade(database)
    with database.session() as session:
        assert kept(session) == before == real(session)
        assert sum(before.values()) == 4


def test_a_user_refused_in_a_savepoint_is_not_counted(session: Session, make: Make) -> None:
    space: Space = make.space()
    users.create_user(session, SYSTEM, space=space, user_name="ann")

    def two() -> None:
        with session.begin_nested():
            users.create_user(session, SYSTEM, space=space, user_name="bob")
            users.create_user(session, SYSTEM, space=space, user_name="ann")

    with pytest.raises(Error):
        two()
    assert counts.total(session, space.id, User) == 1
    session.commit()
    assert sum(kept(session).values()) == 1
