"""The schema of an earlier version, for tests of what a migration makes of data."""

from __future__ import annotations

from alembic import command

from portal import migrations
from portal.core.database import Database


def downgrade(database: Database, revision: str) -> None:
    config = migrations._config()
    with database.engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, revision)
