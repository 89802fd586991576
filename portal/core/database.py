"""The database: one engine, and the transaction that every edge opens and ends.

SQLite runs in WAL mode with foreign keys on; a transaction that will write takes the write lock at its start
(BEGIN IMMEDIATE), because a lock that is upgraded half-way fails at once instead of waiting. PostgreSQL needs neither.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, DateTime, Engine, MetaData, create_engine, event
from sqlalchemy.engine import Dialect, make_url
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, Session, SessionTransaction
from sqlalchemy.types import TypeDecorator

from portal.core.errors import Error


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
        return Session(self.engine.execution_options(portal_write=write), expire_on_commit=False)

    def dispose(self) -> None:
        self.engine.dispose()


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


def _engine(url: str) -> Engine:
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        seconds = parsed.query.get("connect_timeout", 5)
        return create_engine(
            parsed, pool_pre_ping=True, hide_parameters=True, connect_args={"connect_timeout": seconds}
        )
    engine = create_engine(parsed, hide_parameters=True, connect_args={"timeout": 30})

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # the driver shall not begin transactions by itself
        for pragma in ("journal_mode=WAL", "foreign_keys=ON", "synchronous=NORMAL"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Any) -> None:
        write = connection.get_execution_options().get("portal_write", True)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    return engine
