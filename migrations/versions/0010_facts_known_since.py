"""Record dates beside value dates, go-live progress, the origin of a hold, the end of a receipt."""

from __future__ import annotations

import os

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0002"
branch_labels = None
depends_on = None

FILLED_BY_IMPORTS = ("customer", "customer_state", "contact", "document", "item", "receipt", "allocation", "import_row")
GRANT_MAINTAIN = """
do $$ begin
  if current_setting('server_version_num')::int >= 170000 then
    execute format('grant maintain on {tables} to %I', '{role}');
  end if;
end $$
"""
DATED = ("document", "document_version", "item", "allocation", "receipt")


def upgrade() -> None:
    """Apply."""
    # An import renews the planner's statistics of what it fills; older servers leave that to autovacuum.
    role = os.environ.get("DUNNING_APP_ROLE", "dunning_app")
    op.execute(GRANT_MAINTAIN.format(tables=", ".join(FILLED_BY_IMPORTS), role=role))
    for table in DATED:
        op.add_column(table, sa.Column("recorded_on", sa.Date(), server_default=sa.text("CURRENT_DATE"), nullable=False))
    for table in ("customer", "item"):
        op.add_column(table, sa.Column("step_reached", sa.Text(), nullable=True))
        op.add_column(table, sa.Column("last_reminded_on", sa.Date(), nullable=True))
    op.create_check_constraint(op.f("item_step_reached_has_its_day_check"), "item", "step_reached is null or last_reminded_on is not null")
    op.create_index("item_over_settled_idx", "item", ["tenant_id", "ledger_id", "item_id"], postgresql_where=sa.text("over_settled"))
    op.add_column("hold", sa.Column("origin", sa.Text(), server_default=sa.text("'set'"), nullable=False))
    op.create_check_constraint(op.f("hold_origin_known_check"), "hold", "origin in ('set', 'stated', 'payment_return')")
    op.add_column("receipt", sa.Column("ended_on", sa.Date(), nullable=True))
    op.add_column("receipt", sa.Column("end_recorded_on", sa.Date(), nullable=True))
    op.add_column("receipt", sa.Column("ended_because", sa.Text(), nullable=True))
    op.create_check_constraint(
        op.f("receipt_an_end_has_its_days_check"),
        "receipt",
        "(state in ('returned', 'reversed')) = (ended_on is not null and end_recorded_on is not null)",
    )
    op.create_check_constraint(
        op.f("receipt_nothing_left_after_the_end_check"), "receipt", "state not in ('returned', 'reversed') or returned_minor = amount_minor"
    )


def downgrade() -> None:
    """Undo."""
    op.drop_constraint(op.f("receipt_nothing_left_after_the_end_check"), "receipt")
    op.drop_constraint(op.f("receipt_an_end_has_its_days_check"), "receipt")
    op.drop_constraint(op.f("hold_origin_known_check"), "hold")
    op.drop_column("hold", "origin")
    for column in ("ended_because", "end_recorded_on", "ended_on"):
        op.drop_column("receipt", column)
    op.drop_index("item_over_settled_idx", "item")
    op.drop_constraint(op.f("item_step_reached_has_its_day_check"), "item")
    for table in ("customer", "item"):
        op.drop_column(table, "last_reminded_on")
        op.drop_column(table, "step_reached")
    for table in reversed(DATED):
        op.drop_column(table, "recorded_on")
