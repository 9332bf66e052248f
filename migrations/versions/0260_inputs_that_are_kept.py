"""What a run still keeps of its inputs is found without reading all that its customers were decided by."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0260"
down_revision = "0250"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_index("run_customer_inputs_idx", "run_customer", ["tenant_id", "run_id"], postgresql_where=sa.text("inputs is not null"))


def downgrade() -> None:
    """Undo."""
    op.drop_index("run_customer_inputs_idx", table_name="run_customer", postgresql_where=sa.text("inputs is not null"))
