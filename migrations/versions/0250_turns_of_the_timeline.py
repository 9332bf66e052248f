"""The timeline tells holds, steps set by hand and lifted blocks, by their events."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0250"
down_revision = "0240"
branch_labels = None
depends_on = None

TURNS = "kind in ('hold.set', 'hold.released', 'item.step_set', 'account.unblocked')"


def upgrade() -> None:
    """Apply."""
    op.create_index("event_turn_idx", "event", ["tenant_id", "customer_id", "event_id"], postgresql_where=sa.text(TURNS))


def downgrade() -> None:
    """Undo."""
    op.drop_index("event_turn_idx", table_name="event", postgresql_where=sa.text(TURNS))
