"""Messages count their failures and know when to try again; suppression by digest; a relay's rate is counted in short buckets."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("message", sa.Column("address_sha256", sa.LargeBinary(), nullable=False))
    op.add_column("message", sa.Column("failures", sa.Integer(), server_default=sa.text("0"), nullable=False))
    op.add_column("message", sa.Column("mailbox_full", sa.Integer(), server_default=sa.text("0"), nullable=False))
    op.add_column("message", sa.Column("retry_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("message", sa.Column("uncertain_at", sa.DateTime(timezone=True), nullable=True))
    op.drop_index("message_due_idx", table_name="message")
    op.create_index(
        "message_due_idx",
        "message",
        ["tenant_id", "not_before", "message_id"],
        unique=False,
        postgresql_where=sa.text("state in ('ready', 'retry_wait')"),
    )
    op.create_index("message_ending_idx", "message", ["tenant_id", "valid_until"], unique=False, postgresql_where=sa.text("state in ('ready', 'retry_wait')"))
    op.create_index("message_recipient_idx", "message", ["tenant_id", "address_sha256", "message_id"], unique=False)
    op.alter_column("relay_rate", "minute", new_column_name="bucket_at")
    op.drop_constraint("relay_rate_pkey", "relay_rate", type_="primary")
    op.create_primary_key("relay_rate_pkey", "relay_rate", ["relay", "recipient_domain", "bucket_at"])


def downgrade() -> None:
    """Undo."""
    op.execute("delete from relay_rate")
    op.drop_constraint("relay_rate_pkey", "relay_rate", type_="primary")
    op.create_primary_key("relay_rate_pkey", "relay_rate", ["relay", "recipient_domain"])
    op.alter_column("relay_rate", "bucket_at", new_column_name="minute")
    op.drop_index("message_recipient_idx", table_name="message")
    op.drop_index("message_ending_idx", table_name="message")
    op.drop_index("message_due_idx", table_name="message")
    op.create_index("message_due_idx", "message", ["tenant_id", "not_before"], unique=False, postgresql_where=sa.text("state in ('ready', 'retry_wait')"))
    for column in ("uncertain_at", "retry_at", "mailbox_full", "failures", "address_sha256"):
        op.drop_column("message", column)
