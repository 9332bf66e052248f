"""Indexes by which planning and the last look find what keeps a customer's items back: statuses by customer, and holds of a whole ledger alone."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0150"
down_revision = "0145"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_index(
        "item_customer_status_idx", "item", ["tenant_id", "customer_id"], unique=False, postgresql_where=sa.text("status_code is not null")
    )  # fmt: skip
    op.drop_index("hold_ledger_idx", table_name="hold")
    op.create_index("hold_ledger_idx", "hold", ["tenant_id", "ledger_id"], unique=False, postgresql_where=sa.text("scope = 'ledger' and released_at is null"))


def downgrade() -> None:
    """Undo."""
    op.drop_index("hold_ledger_idx", table_name="hold")
    op.create_index("hold_ledger_idx", "hold", ["tenant_id", "ledger_id"], unique=False, postgresql_where=sa.text("released_at is null"))
    op.drop_index("item_customer_status_idx", table_name="item")
