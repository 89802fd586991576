"""certificates in accounts"""

import hashlib
import ssl

import sqlalchemy as sa
from alembic import op

import portal.core.database

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "deployed_providers",
        sa.Column("account_uin", sa.BigInteger(), nullable=False),
        sa.Column("space_id", sa.String(length=16), nullable=False),
        sa.Column("certificates", sa.Text(), nullable=False),
        sa.Column("updated_at", portal.core.database.UtcDateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["account_uin"], ["accounts.uin"], name=op.f("fk_deployed_providers_account_uin")),
        sa.ForeignKeyConstraint(["space_id"], ["spaces.id"], name=op.f("fk_deployed_providers_space_id")),
        sa.PrimaryKeyConstraint("account_uin", "space_id", name=op.f("pk_deployed_providers")),
    )
    with op.batch_alter_table("deployed_providers", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_deployed_providers_space_id"), ["space_id"], unique=False)

    with op.batch_alter_table("saml_keys", schema=None) as batch_op:
        batch_op.add_column(sa.Column("staged_at", portal.core.database.UtcDateTime(timezone=True), nullable=True))
    op.execute("UPDATE saml_keys SET staged_at = created_at")
    with op.batch_alter_table("saml_keys", schema=None) as batch_op:
        batch_op.alter_column(
            "staged_at", existing_type=portal.core.database.UtcDateTime(timezone=True), nullable=False
        )
    _remember_what_stands_in_accounts()


def _remember_what_stands_in_accounts() -> None:
    """Until now a space had one key for issuing, whose certificate went into every account."""
    op.execute(
        "INSERT INTO deployed_providers (account_uin, space_id, certificates, updated_at) "
        "SELECT account_uin, space_id, '', max(at) FROM ("
        " SELECT account_uin, space_id, updated_at AS at FROM deployments"
        " UNION ALL SELECT account_uin, space_id, synced_at AS at FROM synced_users"
        ") AS stands GROUP BY account_uin, space_id"
    )
    connection = op.get_bind()
    keys: dict[str, list[str]] = {}
    for space_id, pem in connection.execute(
        sa.text("SELECT space_id, certificate FROM saml_keys WHERE \"use\" = 'issuing'")
    ):
        keys.setdefault(space_id, []).append(pem)
    known = sa.text(
        "UPDATE deployed_providers SET certificates = :certificates WHERE space_id = :space_id AND account_uin IN ("
        "SELECT account_uin FROM deployments WHERE space_id = :space_id AND deployed_revision > 0 "
        "UNION SELECT account_uin FROM synced_users WHERE space_id = :space_id)"
    )
    for space_id, pems in keys.items():
        if len(pems) == 1:
            fingerprint = hashlib.sha256(ssl.PEM_cert_to_DER_cert(pems[0])).hexdigest()
            connection.execute(known, {"certificates": fingerprint, "space_id": space_id})


def downgrade() -> None:
    with op.batch_alter_table("saml_keys", schema=None) as batch_op:
        batch_op.drop_column("staged_at")

    with op.batch_alter_table("deployed_providers", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_deployed_providers_space_id"))

    op.drop_table("deployed_providers")
