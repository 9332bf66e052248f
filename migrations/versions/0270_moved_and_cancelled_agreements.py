"""The timeline tells moved and cancelled promises and cancelled payment plans, by their events."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0270"
down_revision = "0260"
branch_labels = None
depends_on = None

BEFORE = "kind in ('hold.set', 'hold.released', 'item.step_set', 'account.unblocked')"
TURNS = (
    "kind in ('hold.set', 'hold.released', 'item.step_set', 'account.unblocked', "
    "'promise.moved', 'promise.cancelled', 'payment_plan.cancelled')"
)  # fmt: skip


def upgrade() -> None:
    """Apply."""
    _index(TURNS)


def downgrade() -> None:
    """Undo."""
    _index(BEFORE)


def _index(where: str) -> None:
    op.drop_index("event_turn_idx", table_name="event")
    op.create_index("event_turn_idx", "event", ["tenant_id", "customer_id", "event_id"], postgresql_where=sa.text(where))
