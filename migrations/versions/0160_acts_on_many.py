"""Acts on many customers: the actions that one act has made carry its id."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0160"
down_revision = "0150"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("action", sa.Column("bulk_id", sa.Uuid(), nullable=True))
    op.create_index(
        "action_bulk_idx", "action", ["tenant_id", "bulk_id", "action_id"], unique=False, postgresql_where=sa.text("bulk_id is not null")
    )  # fmt: skip


def downgrade() -> None:
    """Undo."""
    op.drop_index("action_bulk_idx", table_name="action")
    op.drop_column("action", "bulk_id")
