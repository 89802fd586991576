"""counts of users and groups in blocks"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "directory_counts",
        sa.Column("space_id", sa.String(length=16), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("block", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("amount", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["space_id"], ["spaces.id"], name=op.f("fk_directory_counts_space_id")),
        sa.PrimaryKeyConstraint("space_id", "kind", "block", name=op.f("pk_directory_counts")),
    )
    for kind, table in (("User", "users"), ("Group", "groups")):
        op.execute(
            "INSERT INTO directory_counts (space_id, kind, block, amount) "  # noqa: S608 -- our own words
            f"SELECT space_id, '{kind}', number / 2048, count(*) FROM {table} GROUP BY space_id, number / 2048"
        )


def downgrade() -> None:
    op.drop_table("directory_counts")
