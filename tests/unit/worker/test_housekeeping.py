"""What the worker forgets, and when."""

from __future__ import annotations

import time
from datetime import timedelta
from itertools import product

import pytest
from sqlalchemy import select

from portal.core import clock
from portal.core.database import Database
from portal.core.federation import attempts
from portal.core.federation.models import PendingLogout, PendingSignIn, SeenAssertion
from portal.core.push import requests
from portal.core.push.models import ScimRequest
from portal.settings import Settings
from portal.worker import embedded, housekeeping
from portal.worker.housekeeping import Housekeeping
from tests.support.make import Make
from tests.support.statements import statements


@pytest.fixture
def log(make: Make, database: Database) -> Database:
    """A line for each of the last 40 days and the beginning of this one."""
    space = make.space("acme")
    lines = [
        requests.Line(
            at=clock.now() - timedelta(days=days), space_id=space.id, method="GET", path=f"/{days}", status=200,
            milliseconds=1.0,
        )
        for days in range(41)
    ]  # fmt: skip
    with make.transaction() as session:
        requests.record(session, lines)
    return database


def days_left(database: Database) -> list[int]:
    with database.transaction(write=False) as session:
        return sorted(int(path[1:]) for path in session.scalars(select(ScimRequest.path)))


def test_lines_older_than_the_setting_go_in_chunks_and_once_an_hour(
    log: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(housekeeping, "CHUNK", 4)
    keeping = Housekeeping(log, settings)
    assert keeping.run_if_due() == 11
    assert days_left(log) == list(range(30))
    with clock.shifted(timedelta(minutes=59)), statements(log) as seen:
        assert keeping.run_if_due() == 0
    assert seen == []
    with clock.shifted(timedelta(days=2)):
        assert keeping.run_if_due() == 2
        assert Housekeeping(log, settings).run_if_due() == 0
    assert days_left(log) == list(range(28))


def test_nothing_to_forget_takes_no_write_lock(database: Database, settings: Settings) -> None:
    with statements(database) as seen:
        assert Housekeeping(database, settings).run_if_due() == 0
    assert len(seen) == 5  # one question for each table


def test_recent_sign_ins_are_forgotten_by_their_own_setting(make: Make, database: Database, settings: Settings) -> None:
    space = make.space("acme")
    with make.transaction() as session:
        for days in (1, 40):
            attempts.record(session, space=space, accepted=True, user_name=f"{days}").at -= timedelta(days=days)
    keeping = settings.model_copy(update={"sign_in_log_days": 20})

    assert Housekeeping(database, keeping).run_if_due() == 1

    with database.transaction(write=False) as session:
        assert [row.user_name for row in attempts.attempts_of_space(session, space).rows] == ["1"]


def test_what_expired_is_forgotten_in_every_space(
    make: Make, database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(housekeeping, "CHUNK", 2)
    idp = {"idp_entity_id": "", "relay_token": ""}
    spaces = [make.space("acme"), make.space("beta")]
    with make.transaction() as session:
        for space, minutes in product(spaces, (-2, -1, 5)):
            common = {"space_id": space.id, "expires_at": clock.now() + timedelta(minutes=minutes)}
            session.add(SeenAssertion(assertion_id=f"_same{minutes}", **common))
            request_id = f"_{space.name}{minutes}"
            session.add(PendingSignIn(request_id=request_id, binding_hash="", target="", **idp, **common))
            session.add(PendingLogout(request_id=request_id, **idp, **common))

    assert Housekeeping(database, settings).run_if_due() == 3 * 4

    with database.transaction(write=False) as session:
        for table in (SeenAssertion, PendingSignIn, PendingLogout):
            left = session.scalars(select(table)).all()
            assert {row.space_id for row in left if row.expires_at > clock.now()} == {space.id for space in spaces}
            assert len(left) == 2


def test_it_stops_between_two_chunks(log: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(housekeeping, "CHUNK", 4)
    answers = iter([False, True])
    assert Housekeeping(log, settings).run_if_due(lambda: next(answers)) == 4


def test_the_embedded_worker_does_it(log: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    handle = embedded.start(log, settings)
    for _ in range(200):
        if days_left(log) == list(range(30)):
            break
        time.sleep(0.05)
    handle.stop()
    log.dispatch = None
    assert days_left(log) == list(range(30))
