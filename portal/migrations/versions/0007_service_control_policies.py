"""service control policies"""

import sqlalchemy as sa
from alembic import op

import portal.core.database

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "service_control_policies",
        sa.Column("id", sa.String(length=16), nullable=False),
        sa.Column("organization_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("name_key", sa.String(length=128), nullable=False),
        sa.Column("type", sa.String(length=8), nullable=False),
        sa.Column("description", sa.String(length=1024), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("created_at", portal.core.database.UtcDateTime(timezone=True), nullable=False),
        sa.Column("updated_at", portal.core.database.UtcDateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_service_control_policies_organization_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_service_control_policies")),
        sa.UniqueConstraint(
            "organization_id", "name_key", name=op.f("uq_service_control_policies_organization_id_name_key")
        ),
    )
    op.create_table(
        "policy_bindings",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("organization_id", sa.Integer(), nullable=False),
        sa.Column("policy_id", sa.String(length=16), nullable=False),
        sa.Column("department_id", sa.Integer(), nullable=True),
        sa.Column("account_uin", sa.BigInteger(), nullable=True),
        sa.Column("bound_at", portal.core.database.UtcDateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "(department_id IS NULL) <> (account_uin IS NULL)", name=op.f("ck_policy_bindings_one_target")
        ),
        sa.ForeignKeyConstraint(["account_uin"], ["members.account_uin"], name=op.f("fk_policy_bindings_account_uin")),
        sa.ForeignKeyConstraint(["department_id"], ["departments.id"], name=op.f("fk_policy_bindings_department_id")),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_policy_bindings_organization_id")
        ),
        sa.ForeignKeyConstraint(
            ["policy_id"], ["service_control_policies.id"], name=op.f("fk_policy_bindings_policy_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_policy_bindings")),
        sa.UniqueConstraint("policy_id", "account_uin", name=op.f("uq_policy_bindings_policy_id_account_uin")),
        sa.UniqueConstraint("policy_id", "department_id", name=op.f("uq_policy_bindings_policy_id_department_id")),
    )
    with op.batch_alter_table("policy_bindings", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_policy_bindings_account_uin"), ["account_uin"], unique=False)
        batch_op.create_index(batch_op.f("ix_policy_bindings_department_id"), ["department_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_policy_bindings_organization_id"), ["organization_id"], unique=False)

    # not as a batch, which copies the table in SQLite: others refer to its rows
    op.add_column("organizations", sa.Column("scp_enabled", sa.Boolean(), nullable=False, server_default=sa.false()))


def downgrade() -> None:
    op.drop_column("organizations", "scp_enabled")

    with op.batch_alter_table("policy_bindings", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_policy_bindings_organization_id"))
        batch_op.drop_index(batch_op.f("ix_policy_bindings_department_id"))
        batch_op.drop_index(batch_op.f("ix_policy_bindings_account_uin"))

    op.drop_table("policy_bindings")
    op.drop_table("service_control_policies")
