"""A space filled by SQL with as many users as a benchmark of growth wants, each with an e-mail in the index."""

from __future__ import annotations

from sqlalchemy import text

from portal.core.database import Database

_USERS = """
INSERT INTO users (id, space_id, user_name, user_name_key, display_name, display_name_key, given_name, family_name,
  email, email_key, remarks, enabled, source, external_id, attributes, version, created_at, updated_at)
SELECT 'u-' || substr('x00000000000', 1, 12 - length(cast(n AS text))) || n, :space_id,
  'load' || n, 'load' || n, 'Load ' || n, 'load ' || n, 'Load', cast(n AS text),
  'load' || n || '@example.com', 'load' || n || '@example.com', '', :on, 'SCIM', 'load-' || n,
  '{"title": "Engineer"}', 1, :now, :now
FROM numbers
"""
_SERIES = {
    "sqlite": "WITH RECURSIVE numbers(n) AS (SELECT :first UNION ALL SELECT n + 1 FROM numbers WHERE n < :last)",
    "postgresql": "WITH numbers AS (SELECT generate_series(CAST(:first AS int), CAST(:last AS int)) AS n)",
}


def fill(url: str, first: int, last: int) -> None:
    """Users `first` to `last`, and the counts that the verbs would have kept."""
    database = Database(url)
    dialect = database.engine.dialect.name
    series = _SERIES[dialect]
    insert, _, selected = _USERS.partition("SELECT")
    statement = (
        f"{series} {insert}SELECT{selected}" if dialect == "postgresql" else f"{insert} {series} SELECT{selected}"
    )
    with database.transaction() as session:
        space_id = session.execute(text("SELECT id FROM spaces")).scalar_one()
        values = {"space_id": space_id, "first": first, "last": last, "on": True, "now": "2026-01-01 00:00:00.000000"}
        typed = statement.replace(":now", "CAST(:now AS timestamptz)") if dialect == "postgresql" else statement
        session.execute(text(typed), values)
        session.execute(text("DELETE FROM directory_counts WHERE kind = 'User'"))
        session.execute(
            text(
                "INSERT INTO directory_counts (space_id, kind, block, amount) "
                "SELECT space_id, 'User', number / 2048, count(*) FROM users GROUP BY space_id, number / 2048"
            )
        )
        session.commit()
        if dialect == "postgresql":
            with database.engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
                connection.exec_driver_sql("ANALYZE")
        else:
            session.execute(text("ANALYZE"))
    database.dispose()
