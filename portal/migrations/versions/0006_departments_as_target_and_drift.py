"""departments as target and drift"""

import sqlalchemy as sa
from alembic import op

import portal.core.database

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "cam_access_keys",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("account_uin", sa.BigInteger(), nullable=False),
        sa.Column("user_uin", sa.BigInteger(), nullable=False),
        sa.Column("secret_hash", sa.String(length=64), nullable=False),
        sa.Column("created_at", portal.core.database.UtcDateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["account_uin"], ["accounts.uin"], name=op.f("fk_cam_access_keys_account_uin")),
        sa.ForeignKeyConstraint(
            ["user_uin"], ["cam_users.uin"], name=op.f("fk_cam_access_keys_user_uin"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cam_access_keys")),
    )
    with op.batch_alter_table("cam_access_keys", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_cam_access_keys_account_uin"), ["account_uin"], unique=False)
        batch_op.create_index(batch_op.f("ix_cam_access_keys_user_uin"), ["user_uin"], unique=False)

    op.create_table(
        "account_checks",
        sa.Column("account_uin", sa.BigInteger(), nullable=False),
        sa.Column("space_id", sa.String(length=16), nullable=False),
        sa.Column("checked_at", portal.core.database.UtcDateTime(timezone=True), nullable=True),
        sa.Column("due_at", portal.core.database.UtcDateTime(timezone=True), nullable=True),
        sa.Column("asked", sa.Boolean(), nullable=False),
        sa.Column("differences", sa.Integer(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("problem", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["account_uin"], ["accounts.uin"], name=op.f("fk_account_checks_account_uin")),
        sa.ForeignKeyConstraint(["space_id"], ["spaces.id"], name=op.f("fk_account_checks_space_id")),
        sa.PrimaryKeyConstraint("account_uin", "space_id", name=op.f("pk_account_checks")),
    )
    with op.batch_alter_table("account_checks", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_account_checks_due_at"), ["due_at"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_account_checks_space_id_account_checks_checked_at"), ["space_id", "checked_at"], unique=False
        )

    op.create_table(
        "differences",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("space_id", sa.String(length=16), nullable=False),
        sa.Column("account_uin", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("wanted", sa.Text(), nullable=False),
        sa.Column("found", sa.Text(), nullable=False),
        sa.Column("found_at", portal.core.database.UtcDateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["account_uin"], ["accounts.uin"], name=op.f("fk_differences_account_uin")),
        sa.ForeignKeyConstraint(["space_id"], ["spaces.id"], name=op.f("fk_differences_space_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_differences")),
    )
    with op.batch_alter_table("differences", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_differences_account_uin"), ["account_uin"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_differences_space_id_differences_account_uin"), ["space_id", "account_uin"], unique=False
        )

    op.create_table(
        "department_authorizations",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("space_id", sa.String(length=16), nullable=False),
        sa.Column("user_id", sa.String(length=16), nullable=True),
        sa.Column("group_id", sa.String(length=16), nullable=True),
        sa.Column("department_id", sa.Integer(), nullable=False),
        sa.Column("configuration_id", sa.String(length=16), nullable=False),
        sa.Column("created_at", portal.core.database.UtcDateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "(user_id IS NULL) <> (group_id IS NULL)", name=op.f("ck_department_authorizations_one_principal")
        ),
        sa.ForeignKeyConstraint(
            ["configuration_id"], ["configurations.id"], name=op.f("fk_department_authorizations_configuration_id")
        ),
        sa.ForeignKeyConstraint(
            ["department_id"], ["departments.id"], name=op.f("fk_department_authorizations_department_id")
        ),
        sa.ForeignKeyConstraint(["group_id"], ["groups.id"], name=op.f("fk_department_authorizations_group_id")),
        sa.ForeignKeyConstraint(["space_id"], ["spaces.id"], name=op.f("fk_department_authorizations_space_id")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_department_authorizations_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_department_authorizations")),
        sa.UniqueConstraint("group_id", "department_id", "configuration_id", name="uq_department_authorizations_group"),
        sa.UniqueConstraint("user_id", "department_id", "configuration_id", name="uq_department_authorizations_user"),
    )
    with op.batch_alter_table("department_authorizations", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_department_authorizations_configuration_id"), ["configuration_id"], unique=False
        )
        batch_op.create_index(
            "ix_department_authorizations_department", ["department_id", "configuration_id"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_department_authorizations_space_id"), ["space_id"], unique=False)

    with op.batch_alter_table("account_claims", schema=None) as batch_op:
        batch_op.add_column(sa.Column("next_call_at", portal.core.database.UtcDateTime(timezone=True), nullable=True))

    with op.batch_alter_table("deployments", schema=None, recreate="never") as batch_op:
        batch_op.add_column(sa.Column("policies", sa.JSON(), nullable=True))

    is_open = sa.text("status IN ('Queued', 'InProgress')")
    with op.batch_alter_table("tasks", schema=None) as batch_op:
        batch_op.create_index(
            "ix_tasks_open",
            ["account_uin", "created_at", "number"],
            unique=False,
            sqlite_where=is_open,
            postgresql_where=is_open,
        )

    with op.batch_alter_table("authorizations", schema=None) as batch_op:
        batch_op.add_column(sa.Column("direct", sa.Boolean(), nullable=False, server_default=sa.true()))

    with op.batch_alter_table("tasks", schema=None, recreate="never") as batch_op:
        batch_op.add_column(sa.Column("direct", sa.Boolean(), nullable=False, server_default=sa.true()))

    with op.batch_alter_table("spaces", schema=None, recreate="never") as batch_op:
        batch_op.add_column(sa.Column("repairs_drift", sa.Boolean(), nullable=False, server_default=sa.false()))

    _change_indexes()


def _change_indexes() -> None:
    """SQLite takes the index with the most columns asked for: one on the space alone led it to read all of it."""
    with op.batch_alter_table("authorizations", schema=None) as batch_op:
        batch_op.drop_index("ix_authorizations_space_id")
        batch_op.create_index("ix_authorizations_space_account", ["space_id", "account_uin"])
    with op.batch_alter_table("deployments", schema=None) as batch_op:
        batch_op.drop_index("ix_deployments_space_id")
        batch_op.create_index("ix_deployments_space_account", ["space_id", "account_uin"])
        batch_op.create_index("ix_deployments_space_configuration", ["space_id", "configuration_id"])
    with op.batch_alter_table("tasks", schema=None) as batch_op:
        batch_op.drop_index("ix_tasks_batch_id")
        batch_op.create_index("ix_tasks_space_batch", ["space_id", "batch_id", "number"])
        batch_op.create_index("ix_tasks_space_status", ["space_id", "status", "created_at"])


def downgrade() -> None:
    with op.batch_alter_table("tasks", schema=None) as batch_op:
        batch_op.drop_index("ix_tasks_space_status")
        batch_op.drop_index("ix_tasks_space_batch")
        batch_op.create_index("ix_tasks_batch_id", ["batch_id"])
    with op.batch_alter_table("deployments", schema=None) as batch_op:
        batch_op.drop_index("ix_deployments_space_configuration")
        batch_op.drop_index("ix_deployments_space_account")
        batch_op.create_index("ix_deployments_space_id", ["space_id"])
    with op.batch_alter_table("authorizations", schema=None) as batch_op:
        batch_op.drop_index("ix_authorizations_space_account")
        batch_op.create_index("ix_authorizations_space_id", ["space_id"])
    with op.batch_alter_table("spaces", schema=None, recreate="never") as batch_op:
        batch_op.drop_column("repairs_drift")

    with op.batch_alter_table("tasks", schema=None, recreate="never") as batch_op:
        batch_op.drop_column("direct")

    with op.batch_alter_table("authorizations", schema=None, recreate="never") as batch_op:
        batch_op.drop_column("direct")

    with op.batch_alter_table("deployments", schema=None, recreate="never") as batch_op:
        batch_op.drop_column("policies")
    with op.batch_alter_table("tasks", schema=None) as batch_op:
        batch_op.drop_index("ix_tasks_open")

    with op.batch_alter_table("account_claims", schema=None) as batch_op:
        batch_op.drop_column("next_call_at")

    with op.batch_alter_table("department_authorizations", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_department_authorizations_space_id"))
        batch_op.drop_index("ix_department_authorizations_department")
        batch_op.drop_index(batch_op.f("ix_department_authorizations_configuration_id"))

    op.drop_table("department_authorizations")
    with op.batch_alter_table("differences", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_differences_space_id_differences_account_uin"))
        batch_op.drop_index(batch_op.f("ix_differences_account_uin"))

    op.drop_table("differences")
    with op.batch_alter_table("account_checks", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_account_checks_space_id_account_checks_checked_at"))
        batch_op.drop_index(batch_op.f("ix_account_checks_due_at"))

    op.drop_table("account_checks")
    with op.batch_alter_table("cam_access_keys", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_cam_access_keys_user_uin"))
        batch_op.drop_index(batch_op.f("ix_cam_access_keys_account_uin"))

    op.drop_table("cam_access_keys")
