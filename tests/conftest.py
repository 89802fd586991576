"""Fixtures that every kind of test shares. `database` runs a test twice: on SQLite and on PostgreSQL."""

from __future__ import annotations

import gc
import os
import shutil
from collections.abc import Iterator
from functools import cache, partial
from itertools import cycle
from pathlib import Path
from typing import Any

import psycopg
import pytest
from argon2 import PasswordHasher
from flask import Flask
from jinja2 import FileSystemBytecodeCache
from sqlalchemy.engine import make_url
from sqlalchemy.orm import Session
from werkzeug.routing import Rule

from portal import activation, create_app, signing
from portal.console import sso_keys
from portal.core import secrets
from portal.core.database import Database
from portal.core.models import Base
from portal.core.space.models import Space
from portal.migrations import upgrade
from portal.settings import Settings, load
from saml.keys import make_key, make_key_pair
from tests.support.browser import Browser
from tests.support.make import Make
from tests.support.need import need
from tests.support.scim import ScimClient, make_secret

POSTGRESQL = os.environ.get("PORTAL_TEST_POSTGRESQL", "postgresql+psycopg://postgres@127.0.0.1:5432/postgres")
secrets._passwords = PasswordHasher(
    time_cost=1, memory_cost=8, parallelism=1
)  # the real cost is tested by its own test
SECRET = "a secret key of the tests, long enough"


gc.set_threshold(50_000, 20, 20)  # what tests import stays: to look through it often takes a tenth of their time
_keys = cache(lambda: cycle([make_key() for _ in range(6)]))
for _module in (activation, signing, sso_keys):  # to make a key takes longer than most tests: spaces share six, in turn
    _module.make_key_pair = partial(make_key_pair, make=lambda: next(_keys()))


_compile_builder = Rule._compile_builder
_builders: dict[Any, Any] = {}


def _compiled_once(rule: Rule, append_unknown: bool = True) -> Any:
    """Each test makes an app of its own; what builds the URLs of its routes is generated once."""
    key = (rule.rule, rule.endpoint, append_unknown, repr(sorted((rule.defaults or {}).items())))
    if key not in _builders:
        _builders[key] = _compile_builder(rule, append_unknown)
    return _builders[key]


Rule._compile_builder = _compiled_once  # type: ignore[method-assign]


_engines: dict[str, Any] = {}


def _compiled_together(database: Database) -> Database:
    """Each test has a database of its own; SQL is compiled once for all of a kind."""
    first = _engines.setdefault(database.engine.dialect.name, database.engine)
    for engine in (database.engine, database._writing, database._reading):
        engine.dialect, engine._compiled_cache = first.dialect, first._compiled_cache
    return database


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "portal.db"
    database = Database(f"sqlite:///{path}")
    upgrade(database)
    with database.engine.connect() as connection:
        connection.exec_driver_sql("ROLLBACK")
        connection.connection.driver_connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.dispose()
    return path


@pytest.fixture(scope="session")
def postgresql_url(worker_id: str) -> Iterator[str]:
    """A database of our own making, removed at the end."""
    server = make_url(POSTGRESQL)
    try:
        admin = psycopg.connect(
            server.set(drivername="postgresql").render_as_string(hide_password=False),
            autocommit=True,
            connect_timeout=3,
        )
    except psycopg.OperationalError:
        need(False, "PostgreSQL")
        raise
    name = f"portal_test_{os.getpid()}_{worker_id}"
    admin.execute(f'DROP DATABASE IF EXISTS "{name}"')
    admin.execute(f'CREATE DATABASE "{name}"')
    admin.execute(f'ALTER DATABASE "{name}" SET synchronous_commit = off')
    url = server.set(database=name).render_as_string(hide_password=False)
    database = Database(url)
    upgrade(database)
    database.dispose()
    yield url
    admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    admin.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """An empty database with the schema of this version."""
    if request.param == "sqlite":
        path = tmp_path / "portal.db"
        shutil.copy(request.getfixturevalue("sqlite_template"), path)
        database = _compiled_together(Database(f"sqlite:///{path}"))
    else:
        database = _compiled_together(Database(request.getfixturevalue("postgresql_url")))
        empty = "; ".join(f'DELETE FROM "{table.name}"' for table in reversed(Base.metadata.sorted_tables))
        with database.engine.begin() as connection:
            connection.exec_driver_sql(empty)
    yield database
    database.dispose()


@pytest.fixture
def session(database: Database) -> Iterator[Session]:
    """For tests of the heart: one transaction, never committed unless the test does."""
    session = database.session()
    yield session
    session.close()


@pytest.fixture
def settings(database: Database, tmp_path: Path) -> Settings:
    return load(
        environment="test",
        data_dir=tmp_path,
        database_url=database.url,
        secret_key=SECRET,
        base_url="http://localhost",
        embedded_worker=False,
        account_calls_per_second=0,
        log_format="text",
    )


@pytest.fixture(scope="session")
def compiled_templates(tmp_path_factory: pytest.TempPathFactory) -> FileSystemBytecodeCache:
    """Each test makes an app of its own; the templates are compiled once."""
    return FileSystemBytecodeCache(str(tmp_path_factory.mktemp("templates")))


@pytest.fixture
def app(settings: Settings, database: Database, compiled_templates: FileSystemBytecodeCache) -> Flask:
    app = create_app(settings, database)
    app.jinja_env.bytecode_cache = compiled_templates
    app.testing = True
    app.config["PROPAGATE_EXCEPTIONS"] = False
    return app


@pytest.fixture
def browser(app: Flask) -> Browser:
    """A browser without JavaScript that checks each page it opens."""
    return Browser(app)


@pytest.fixture
def make(database: Database) -> Make:
    """Makes rows in committed transactions: `make.organization()`, `make.user(space, ...)`."""
    return Make(database, SECRET)


@pytest.fixture
def space(make: Make) -> Space:
    """A space that an identity provider pushes into."""
    return make.space("acme", scim_enabled=True)


@pytest.fixture
def scim(app: Flask, make: Make, space: Space) -> ScimClient:
    """That identity provider."""
    return ScimClient(app, make_secret(make, space))


@pytest.fixture(scope="session")
def worker_id(request: pytest.FixtureRequest) -> str:
    return getattr(request.config, "workerinput", {}).get("workerid", "main")
