"""What must hold when several answers arrive at the same moment, and when much piles up (IC-16)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from portal.core import clock
from portal.core.actor import Actor
from portal.core.database import Database
from portal.core.directory import users
from portal.core.directory.models import User
from portal.core.federation import sign_ins
from portal.core.federation.models import PendingSignIn, SignIn, SignInKind, UnknownUsers
from portal.core.federation.saml_settings import Choices
from portal.core.federation.sign_ins import SignInRefused, Vouched
from portal.core.secrets import hash_token
from portal.core.space.models import Space
from tests.support.make import Make

NOBODY = Actor("anonymous", "", "")


@pytest.fixture
def space(make: Make) -> Space:
    return make.space("acme")


def begin(database: Database, space: Space, request_id: str) -> PendingSignIn:
    with database.transaction() as session:
        return sign_ins.begin_sign_in(
            session,
            space=space,
            request_id=request_id,
            relay_token="relay",
            binding_token="binding",
            idp_entity_id="https://idp.example.test",
            target="/home",
            lifetime=timedelta(minutes=10),
        )


def finish(database: Database, space: Space, pending: PendingSignIn, assertion_id: str) -> str:
    with database.transaction() as session:
        return finish_in(session, space, pending, assertion_id)


def finish_in(session: Session, space: Space, pending: PendingSignIn, assertion_id: str) -> str:
    _row, _user, token = sign_ins.finish_sign_in(
        session,
        NOBODY,
        space=space,
        vouched=Vouched("alice", assertion_id, clock.now() + timedelta(minutes=5), pending.idp_entity_id),
        choices=Choices(),
        session_expires=clock.now() + timedelta(hours=8),
    )
    return token


def test_of_many_answers_at_the_same_moment_one_finds_the_request(database: Database, space: Space) -> None:
    begin(database, space, "_r")

    def take(_number: int) -> bool:
        with database.transaction() as session:
            return sign_ins.take_pending(session, space=space, request_id="_r") is not None

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(take, range(8))) == 1


def test_an_index_that_does_not_fit_costs_the_index_and_not_the_name() -> None:
    vouched = Vouched("alice", "_a", clock.now(), "https://idp.example.test", "alice", session_index="x" * 1024)
    assert vouched.names["session_index"] == "x" * 1024
    longer = replace(vouched, session_index="x" * 1025).names
    assert (longer["name_id"], longer["session_index"]) == ("alice", None)
    assert replace(vouched, name_qualifier="x" * 1025).names == {}


def test_a_session_that_begins_while_its_user_is_disabled_ends_too(
    database: Database, make: Make, space: Space
) -> None:
    alice = make.user(space, "alice")
    pending = begin(database, space, "_r")

    def disable() -> None:
        with database.transaction() as session:
            users.set_enabled(session, NOBODY, user=session.get_one(User, alice.number), enabled=False)

    with ThreadPoolExecutor(1) as thread:
        with database.transaction() as session:
            finish_in(session, space, pending, "_a")
            disabling = thread.submit(disable)
            wait([disabling], timeout=0.5)
        disabling.result()
    with database.transaction(write=False) as session:
        assert session.scalars(select(SignIn.ended_at)).one()


def test_of_many_equal_assertions_at_the_same_moment_one_is_taken(database: Database, make: Make, space: Space) -> None:
    make.user(space, "alice")
    pending = begin(database, space, "_r")

    def try_one(_number: int) -> str:
        try:
            return "in" if finish(database, space, pending, "_a") else ""
        except SignInRefused as refused:
            return refused.reason

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(try_one, range(8)))
    assert sorted(answers) == ["in"] + ["replayed"] * 7


def test_of_first_sign_ins_at_the_same_moment_one_makes_the_user_and_all_are_in(
    database: Database, make: Make, space: Space
) -> None:
    def enter(number: int) -> str:
        with database.transaction() as session:
            _row, user, _token = sign_ins.finish_sign_in(
                session,
                NOBODY,
                space=space,
                vouched=Vouched("alice", f"_a{number}", clock.now() + timedelta(minutes=5), ""),
                choices=Choices(unknown_users=UnknownUsers.CREATE),
                session_expires=clock.now() + timedelta(hours=8),
            )
            return user.id

    with ThreadPoolExecutor(8) as threads:
        assert len(set(threads.map(enter, range(8)))) == 1
    with database.transaction(write=False) as session:
        assert session.scalar(select(func.count()).select_from(User)) == 1
        assert session.scalar(select(func.count()).select_from(SignIn)) == 8


def test_the_same_assertion_id_is_another_one_in_another_space(database: Database, make: Make, space: Space) -> None:
    for one in (space, make.space("beta")):
        make.user(one, "alice")
        assert finish(database, one, begin(database, one, f"_{one.name}"), "_a")


def test_a_user_of_another_space_is_unknown(database: Database, make: Make, space: Space) -> None:
    make.user(make.space("beta"), "alice")
    with pytest.raises(SignInRefused) as refused:
        finish(database, space, begin(database, space, "_r"), "_a")
    assert refused.value.reason == "unknown-user"


def test_a_sign_in_cleans_up_a_bounded_number_of_old_ones(database: Database, space: Space) -> None:
    with database.transaction() as session:
        session.add_all(
            PendingSignIn(
                request_id=f"_{number}",
                space_id=space.id,
                relay_token="",
                binding_hash="",
                idp_entity_id="",
                target="",
                expires_at=clock.now() - timedelta(hours=1),
            )
            for number in range(150)
        )
    for left in (51, 2):
        begin(database, space, f"_left{left}")
        with database.transaction() as session:
            assert session.scalar(select(func.count()).select_from(PendingSignIn)) == left


def test_a_users_sessions_that_are_over_are_forgotten(database: Database, make: Make, space: Space) -> None:
    user: User = make.user(space, "alice")
    with database.transaction() as session:
        _old, token = sign_ins.start(
            session, kind=SignInKind.EMPLOYEE, user_id=user.id, expires_at=clock.now() + timedelta(hours=1)
        )
        sign_ins.end(session, hash_token(token))
        sign_ins.start(session, kind=SignInKind.EMPLOYEE, user_id=user.id, expires_at=clock.now() + timedelta(hours=1))
    finish(database, space, begin(database, space, "_r"), "_a")
    with database.transaction() as session:
        ended = session.scalars(select(SignIn.ended_at).where(SignIn.user_id == user.id)).all()
    assert ended == [None, None], "the open one stays, the ended one is gone, the new one is there"
