"""A lost race for a unique name: the database decides, and the transaction goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event, func, select

from portal.core.actor import SYSTEM
from portal.core.database import Database, flush_or
from portal.core.directory import groups, users
from portal.core.directory.models import Membership, User
from portal.core.errors import Conflict
from portal.core.space import spaces
from portal.core.space.models import Space
from tests.support.admin import activate, sign_in
from tests.support.browser import Browser
from tests.support.make import Make
from tests.support.saml_idp import key_pair

on_postgresql = pytest.mark.parametrize("database", ["postgresql"], indirect=True)  # SQLite has one writer at a time


@contextmanager
def meanwhile(database: Database, table: str, act: Callable[[], Any]) -> Iterator[None]:
    """`act` happens once, right before a row of `table` is written."""
    acts = [act]

    def listen(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if acts and statement.startswith((f"INSERT INTO {table} ", f"UPDATE {table} ")):
            acts.pop()()

    event.listen(database.engine, "before_cursor_execute", listen)
    try:
        yield
    finally:
        event.remove(database.engine, "before_cursor_execute", listen)
    assert not acts


def test_what_was_flushed_before_stays_and_what_was_changed_is_undone(make: Make) -> None:
    first, second = make.space("first"), make.space("second")
    with make.transaction() as session:
        session.get_one(Space, first.id).sso_enabled = True
        flush_or(session, Conflict("unused"))
        flush_or(session, Conflict("nothing waits"))
        changed = session.get_one(Space, second.id)
        changed.name = "first"
        with pytest.raises(Conflict, match="taken"):
            flush_or(session, Conflict("taken"))
        assert changed.name == "second"
    with make.transaction() as session:
        kept = {space.name: space.sso_enabled for space in session.scalars(select(Space))}
        assert kept == {"first": True, "second": False}


@on_postgresql
@pytest.mark.parametrize(
    ("mine", "field"),
    [({"user_name": "Alice"}, "user_name"), ({"user_name": "bob", "email": "A@example.com"}, "email")],
)
def test_a_user_made_by_somebody_else_in_this_moment_is_a_conflict(make: Make, mine: Any, field: str) -> None:
    space = make.space()
    with make.transaction() as session:
        with (
            meanwhile(make.database, "users", lambda: make.user(space, "alice", email="a@example.com")),
            pytest.raises(Conflict, match="exists already") as refusal,
        ):
            users.create_user(session, SYSTEM, space=space, **mine)
        assert refusal.value.field == field
        assert session.scalars(select(User.user_name)).all() == ["alice"]


@on_postgresql
def test_an_email_taken_in_this_moment_leaves_the_user_as_it_was(make: Make) -> None:
    space = make.space()
    bob = make.user(space, "bob", email="b@example.com")
    with make.transaction() as session:
        found = users.get_user(session, space, bob.id)
        with (
            meanwhile(make.database, "users", lambda: make.user(space, "alice", email="a@example.com")),
            pytest.raises(Conflict) as refusal,
        ):
            users.update_user(session, SYSTEM, user=found, email="a@example.com", values=[])
        assert refusal.value.field == "email"
        assert found.email == "b@example.com"


@on_postgresql
def test_a_group_name_taken_in_this_moment_is_a_conflict(make: Make) -> None:
    space = make.space()
    with make.transaction() as session:
        with meanwhile(make.database, "groups", lambda: make.group(space, "ops")), pytest.raises(Conflict) as refusal:
            groups.create_group(session, SYSTEM, space=space, name="Ops")
        assert refusal.value.field == "name"
        assert groups.create_group(session, SYSTEM, space=space, name="other").name == "other"


@on_postgresql
def test_a_user_who_joins_twice_in_this_moment_is_a_conflict(make: Make) -> None:
    space = make.space()
    user, group = make.user(space), make.group(space)

    def join() -> None:
        with make.transaction() as other:
            found = groups.get_group(other, space, group.id)
            groups.add_members(other, SYSTEM, group=found, user_ids=[user.id])

    with make.transaction() as session:
        found = groups.get_group(session, space, group.id)
        with meanwhile(make.database, "memberships", join), pytest.raises(Conflict, match="Try again"):
            groups.add_members(session, SYSTEM, group=found, user_ids=[user.id])
        assert session.scalar(select(func.count()).select_from(Membership)) == 1


@on_postgresql
def test_ic_1_a_space_name_taken_in_this_moment_is_a_conflict(make: Make) -> None:
    mine, other = make.organization(), make.organization()
    private_key, certificate = key_pair("space")
    with make.transaction() as session:
        with (
            meanwhile(make.database, "spaces", lambda: activate(make, other, "acme")),
            pytest.raises(Conflict) as refusal,
        ):
            spaces.activate(
                session,
                SYSTEM,
                organization=mine,
                name="acme",
                private_key=private_key,
                certificate=certificate,
                secret_key=make.secret_key,
            )
        assert refusal.value.field == "name"
        assert session.scalars(select(Space.organization_id)).all() == [other.id]


@on_postgresql
def test_the_form_is_shown_again_after_a_lost_race(browser: Browser, make: Make, database: Database) -> None:
    admin = sign_in(browser, make)
    browser.open("/console/users/create")
    with meanwhile(database, "users", lambda: make.user(admin.space, "alice")):
        browser.submit("Create", status=400, **{"rows-0-user_name": "alice"})
    assert "exists already in this space" in browser.text
