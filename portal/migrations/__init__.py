"""Alembic migrations, run by `portal db upgrade` and by `portal demo`; one at a time, each in one transaction."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from portal.core.database import Database


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    return config


@lru_cache
def head_revision() -> str:
    return str(ScriptDirectory.from_config(_config()).get_current_head())


def upgrade(database: Database) -> None:
    """Bring the schema to this version; nothing happens when it is there already."""
    config = _config()
    with database.engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(7243)")
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def is_current(database: Database) -> bool:
    with database.engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision() == head_revision()
