"""Lines of reads wait in the process: written together, bounded, kept while the database is away."""

from __future__ import annotations

import multiprocessing
import threading

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import OperationalError

from portal.core import clock
from portal.core.database import Database
from portal.core.push.models import ScimRequest
from portal.core.push.requests import Line
from portal.core.space.models import Space
from scim import log_buffer
from scim.log_buffer import LogBuffer
from tests.support.make import Make
from tests.support.processes import free_port


@pytest.fixture
def space(make: Make) -> Space:
    return make.space("acme")


def line(space: Space, path: str = "/scim/v2/Users") -> Line:
    return Line(at=clock.now(), space_id=space.id, method="GET", path=path, status=200, milliseconds=1.0)


def paths(database: Database) -> list[str]:
    with database.transaction(write=False) as session:
        return list(session.scalars(select(ScimRequest.path).order_by(ScimRequest.id)))


def count(database: Database) -> int:
    with database.transaction(write=False) as session:
        return session.scalar(select(func.count()).select_from(ScimRequest)) or 0


def test_the_thread_writes_by_itself_at_the_latest_after_the_pause(
    database: Database, space: Space, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_buffer, "SECONDS", 0.01)
    written = threading.Event()
    commit = database.commit
    monkeypatch.setattr(database, "commit", lambda session: (commit(session), written.set()))
    LogBuffer(database).add(line(space))
    assert written.wait(10)
    assert count(database) == 1


def test_two_hundred_do_not_wait_for_the_pause(
    database: Database, space: Space, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_buffer, "SECONDS", 3_600)
    written = threading.Event()
    commit = database.commit
    monkeypatch.setattr(database, "commit", lambda session: (commit(session), written.set()))
    buffer = LogBuffer(database)
    for _ in range(log_buffer.BATCH):
        buffer.add(line(space))
    assert written.wait(10)
    assert count(database) == log_buffer.BATCH


def test_while_the_database_is_away_lines_wait_and_the_oldest_go_when_there_are_too_many(
    database: Database, space: Space, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(log_buffer, "MOST", 300)
    away = Database(f"postgresql+psycopg://nobody@127.0.0.1:{free_port()}/none")
    buffer = LogBuffer(away, threaded=False)
    for number in range(310):
        buffer.add(line(space, f"/{number}"))
    with pytest.raises(OperationalError):
        buffer.flush()
    away.dispose()
    buffer.add(line(space, "/310"))
    buffer._database = database
    buffer.flush()
    assert paths(database) == [f"/{number}" for number in range(11, 311)]
    assert "scim.log_lines_dropped" in capsys.readouterr().out


def test_lines_that_the_database_refuses_do_not_hold_up_the_others(
    database: Database, space: Space, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_buffer, "BATCH", 1)
    buffer = LogBuffer(database, threaded=False)
    gone = Space(id="z-gone")
    for of in (gone, space):
        buffer.add(line(of, f"/{of.id}"))
    buffer.flush()
    assert paths(database) == [f"/{space.id}"]


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_fork_begins_with_nothing_and_the_end_of_a_process_writes_the_rest(
    database: Database, space: Space, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_buffer, "SECONDS", 3_600)
    buffer = LogBuffer(database)
    buffer.add(line(space, "/parent"))
    url = database.url

    def child() -> None:
        buffer._database = Database(url)
        buffer.add(line(space, "/child"))
        log_buffer._at_end()

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join(20)
    assert process.exitcode == 0
    assert paths(database) == ["/child"]
    log_buffer._at_end()
    assert paths(database) == ["/child", "/parent"]
