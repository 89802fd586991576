"""The database: one engine, and the transaction that every edge opens and ends.

SQLite runs in WAL mode with foreign keys on; a transaction that will write takes the write lock at its start
(BEGIN IMMEDIATE), because a lock that is upgraded half-way fails at once instead of waiting. PostgreSQL needs neither.
Each statement sees what is committed (READ COMMITTED), so that who only reads goes without a transaction.
"""

from __future__ import annotations

import select
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import psycopg
from sqlalchemy import JSON, Connection, DateTime, Engine, Executable, MetaData, ScalarSelect, create_engine, event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Dialect, make_url
from sqlalchemy.exc import IntegrityError, InvalidatePoolError, OperationalError
from sqlalchemy.orm import DeclarativeBase, Session, SessionTransaction, make_transient_to_detached
from sqlalchemy.types import TypeDecorator

from portal.core.errors import Error

_SQLITE_SECONDS = 30
"""How long a writer waits for the others."""


class UtcDateTime(TypeDecorator[datetime]):
    """A moment: time zone aware in Python, UTC in the database."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_N_label)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {datetime: UtcDateTime(), dict[str, Any]: JSON(), list[str]: JSON()}


class Database:
    """`url` is a SQLAlchemy URL: `sqlite:///file` or `postgresql+psycopg://...`.

    `dispatch` is told the ids of the tasks that a committed transaction queued (`session.info["queued"]`): what happens
    outside happens after the commit, and a call that gets lost is made good by the worker's next sweep.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.engine = _engine(url)
        reading = {} if self.engine.dialect.name == "sqlite" else {"isolation_level": "AUTOCOMMIT"}
        self._writing = self.engine.execution_options(portal_write=True)
        self._reading = self.engine.execution_options(portal_write=False, **reading)
        self.dispatch: Callable[[list[str]], None] | None = None

    @contextmanager
    def transaction(self, *, write: bool = True) -> Iterator[Session]:
        """Commits at the end, rolls back when anything is raised. Only edges call this, never the heart."""
        session = self.session(write=write)
        try:
            yield session
            self.commit(session)
        except BaseException:
            session.rollback()
            raise
        finally:
            session.close()

    def commit(self, session: Session) -> None:
        session.commit()
        queued: list[str] = session.info.pop("queued", [])
        if queued and self.dispatch:
            self.dispatch(queued)

    def session(self, *, write: bool = True) -> Session:
        """A session for an edge that ends the transaction itself."""
        return Session(self._writing if write else self._reading, expire_on_commit=False)

    def reading(self) -> Connection:
        """For a question beside a transaction: it waits for nobody who writes, and nobody waits for it."""
        return self._reading.connect()

    def dispose(self) -> None:
        self.engine.dispose()


@contextmanager
def undone(session: Session) -> Iterator[None]:
    """What happens inside is taken back at its end: for trying whether it could happen."""
    trial = session.begin_nested()
    try:
        yield
    finally:
        trial.rollback()


def flush_or(session: Session, conflict: Error) -> None:
    """Flush inside a savepoint; raise `conflict` when the database refuses (somebody else was quicker).

    The transaction stays usable, so the form can be shown again. Only what was waiting for this flush is undone. The
    savepoint opens within the flush, because `begin_nested` called before it would flush outside of the savepoint.
    """
    savepoints: list[SessionTransaction] = []

    def begin(*_event: object) -> None:
        savepoints.append(session.begin_nested())

    event.listen(session, "before_flush", begin)
    try:
        session.flush()
    except IntegrityError as error:
        savepoints[0].rollback()
        raise conflict from error
    finally:
        event.remove(session, "before_flush", begin)
    for savepoint in savepoints:  # none when nothing was waiting
        savepoint.commit()


def execute_or(
    session: Session, statement: Executable, rows: Sequence[Mapping[str, Any]], conflict: Error, *, alone: bool = False
) -> None:
    """The same for a statement beside the session; what waits in the session is written first.

    `alone`: the caller holds the locks that keep everybody else out, so there is nothing to undo by a savepoint.
    """
    session.flush()
    if alone:
        session.connection().execute(statement, rows)
        return
    savepoint = session.connection().begin_nested()
    try:
        session.connection().execute(statement, rows)
    except IntegrityError as error:
        savepoint.rollback()
        raise conflict from error
    savepoint.commit()


def insert_unless_taken(session: Session, row: Base, beside: ScalarSelect[Any], **asked: Any) -> Any:
    """Insert a row whose key is a number that the database gives; None when a unique index holds such a row already,
    otherwise what `beside` gives, a question about another table with the values `asked`.

    One statement without a savepoint, and of two requests at the same time one is told no. The row is then part of the
    session as if it had been loaded. Not for rows with relations: what waits in the session is written before.
    """
    session.flush()
    table: Any = row.__table__
    for column in table.columns:
        if column.key not in row.__dict__ and not column.primary_key:
            default = column.default
            setattr(row, column.key, default and (default.arg(None) if default.is_callable else default.arg))
    statement = _INSERTS.get((session.get_bind().dialect.name, table))
    if statement is None:
        dialect = session.get_bind().dialect.name
        insert = sqlite.insert if dialect == "sqlite" else postgresql.insert
        statement = insert(table).on_conflict_do_nothing().returning(*table.primary_key, beside)
        _INSERTS[dialect, table] = statement
    values = {column.key: row.__dict__[column.key] for column in table.columns if not column.primary_key}
    found = session.connection().execute(statement, values | asked).one_or_none()
    if found is None:
        return None
    (key,) = table.primary_key
    setattr(row, key.key, found[0])
    make_transient_to_detached(row)
    session.add(row)
    return found[1]


_INSERTS: dict[tuple[str, Any], Any] = {}


def _still_there(connection: Any, _record: Any, _proxy: Any) -> None:
    """A server that has gone away has said so on the socket: that is looked up before each use of a connection, where a
    question to the server would cost a round trip. Whatever waits there is asked about.
    """
    idle = select.poll()
    idle.register(connection.fileno(), select.POLLIN | select.POLLHUP | select.POLLERR)
    if idle.poll(0):
        try:
            connection.execute("SELECT 1")
            connection.rollback()
        except psycopg.OperationalError as error:
            raise InvalidatePoolError(str(error)) from error


def _engine(url: str) -> Engine:
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        seconds = parsed.query.get("connect_timeout", 5)
        engine = create_engine(parsed, hide_parameters=True, connect_args={"connect_timeout": seconds})
        event.listen(engine, "checkout", _still_there)
        return engine
    engine = create_engine(parsed, hide_parameters=True, connect_args={"timeout": _SQLITE_SECONDS})

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # the driver shall not begin transactions by itself
        for pragma in ("journal_mode=WAL", "foreign_keys=ON", "synchronous=NORMAL"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Any) -> None:
        if connection.get_execution_options().get("portal_write", True):
            _begin_immediate(connection.connection.driver_connection)

    return engine


def _begin_immediate(connection: Any) -> None:
    """Take the write lock as soon as it is free. SQLite itself would look again after ever longer naps, of up to a
    tenth of a second, while nobody writes: with several processes most of the time would go by asleep.
    """
    deadline = time.monotonic() + _SQLITE_SECONDS
    connection.execute("PRAGMA busy_timeout=0")
    try:
        while True:
            try:
                connection.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise OperationalError("BEGIN IMMEDIATE", None, error) from error
            time.sleep(0.0005)
    finally:
        connection.execute(f"PRAGMA busy_timeout={_SQLITE_SECONDS * 1000}")
