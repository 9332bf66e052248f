"""Who a reading was by, in a table of its own that can be erased."""

from __future__ import annotations

import os

import sqlalchemy as sa
from alembic import op

from dunning.kit.row_security import guard_statements

revision = "0040"
down_revision = "0030"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "reader",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("reading_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("contact", sa.Text(), nullable=True),
        sa.Column("salt", sa.Text(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id", "reading_id"], ["reading.tenant_id", "reading.reading_id"], name=op.f("reader_reading_id_fkey")),
        sa.PrimaryKeyConstraint("tenant_id", "reading_id", name=op.f("reader_pkey")),
    )
    for statement in guard_statements("reader", os.environ.get("DUNNING_APP_ROLE", "dunning_app"), append_only=False):
        op.execute(statement)


def downgrade() -> None:
    """Undo."""
    op.drop_table("reader")
