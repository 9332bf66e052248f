"""Indexes of the collector's lists: open work by its day, open debts by their due day, changed steps by their customer."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0145"
down_revision = "0050"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_index(
        "action_agenda_idx", "action", ["tenant_id", "scheduled_on", "action_id"], unique=False,
        postgresql_where=sa.text("state in ('awaiting_approval', 'scheduled', 'waiting')"),
    )  # fmt: skip
    op.create_index(
        "item_open_due_idx", "item", ["tenant_id", "due_on", "customer_id"], unique=False,
        postgresql_where=sa.text("direction = 'debit' and allocated_minor < amount_minor and state = 'posted'"),
    )  # fmt: skip
    op.create_index("step_override_customer_idx", "step_override", ["tenant_id", "customer_id", "override_id"], unique=False)


def downgrade() -> None:
    """Undo."""
    op.drop_index("step_override_customer_idx", table_name="step_override")
    op.drop_index("item_open_due_idx", table_name="item")
    op.drop_index("action_agenda_idx", table_name="action")
