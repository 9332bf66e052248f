"""An item shows the step that it completed last also where nobody was reminded by it: a call, operations alone."""

from __future__ import annotations

from alembic import op

revision = "0240"
down_revision = "0220"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.alter_column("item_dunning", "step_code", nullable=True)
    op.alter_column("item_dunning", "last_reminded_on", nullable=True)


def downgrade() -> None:
    """Undo."""
    # The owner is bound by the policies too.
    op.execute("alter table item_dunning no force row level security")
    op.execute("delete from item_dunning where step_code is null or last_reminded_on is null")
    op.execute("alter table item_dunning force row level security")
    op.alter_column("item_dunning", "last_reminded_on", nullable=False)
    op.alter_column("item_dunning", "step_code", nullable=False)
