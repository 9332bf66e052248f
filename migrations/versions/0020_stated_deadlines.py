"""Actions keep the deadline they stated; money on account is found without reading every receipt; walks are leased."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("action", sa.Column("deadline_on", sa.Date(), nullable=True))
    op.create_index(
        "receipt_unapplied_idx", "receipt", ["tenant_id", "customer_id"], postgresql_where=sa.text("allocated_minor + returned_minor < amount_minor")
    )
    op.add_column("test_clock_walk", sa.Column("lease_token", sa.Integer(), server_default=sa.text("0"), nullable=False))
    op.add_column("test_clock_walk", sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    """Undo."""
    op.drop_column("test_clock_walk", "lease_until")
    op.drop_column("test_clock_walk", "lease_token")
    op.drop_index("receipt_unapplied_idx", table_name="receipt")
    op.drop_column("action", "deadline_on")
