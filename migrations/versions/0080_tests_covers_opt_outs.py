"""Test messages without an action, opt-outs from notices before the due date, insurance cover, the limits of the breakers."""

from __future__ import annotations

import os

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from dunning.kit.row_security import guard_statements

revision = "0080"
down_revision = "0040"
branch_labels = None
depends_on = None

BELONGS_TO_AN_ACTION = ("customer_id", "action_id", "claim_id")
ONLY_A_TEST = (
    "case when kind = 'test' then num_nonnulls(customer_id, action_id, claim_id) = 0 else num_nulls(customer_id, action_id, claim_id, template_version) = 0 end"
)


def upgrade() -> None:
    """Apply."""
    _let_tests_be_without_action()
    op.create_table(
        "opt_out",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("customer_id", sa.Uuid(), nullable=False),
        sa.Column("address_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("message_id", sa.Uuid(), nullable=True),
        sa.Column("recorded_by", sa.Text(), nullable=False),
        sa.Column("opted_out_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id", "customer_id"], ["customer.tenant_id", "customer.customer_id"], name=op.f("opt_out_customer_id_fkey")),
        sa.PrimaryKeyConstraint("tenant_id", "customer_id", "address_sha256", name=op.f("opt_out_pkey")),
    )
    for table in ("test_message", "opt_out"):
        for statement in guard_statements(table, os.environ.get("DUNNING_APP_ROLE", "dunning_app"), append_only=False):
            op.execute(statement)
    op.add_column("customer", sa.Column("insurance_cover", sa.Text(), server_default=sa.text("'none'"), nullable=False))
    op.add_column("customer", sa.Column("insurance_cover_until", sa.Date(), nullable=True))
    op.add_column("customer", sa.Column("insurance_cover_reference", sa.Text(), nullable=True))
    op.create_check_constraint(op.f("customer_insurance_cover_known_check"), "customer", "insurance_cover in ('none', 'active')")
    op.create_check_constraint(op.f("customer_only_a_cover_has_an_end_check"), "customer", "insurance_cover = 'active' or insurance_cover_until is null")
    op.add_column("ledger", sa.Column("step_change_limit_percent", sa.Integer(), server_default=sa.text("50"), nullable=False))
    op.add_column("ledger", sa.Column("message_limit", postgresql.JSONB(), server_default=sa.text("'[]'::jsonb"), nullable=False))
    op.add_column("run", sa.Column("held_reasons", postgresql.JSONB(), server_default=sa.text("'[]'::jsonb"), nullable=False))


def _let_tests_be_without_action() -> None:
    op.add_column("message", sa.Column("kind", sa.Text(), server_default=sa.text("'notice'"), nullable=False))
    for column in (*BELONGS_TO_AN_ACTION, "template_version"):
        op.alter_column("message", column, nullable=True)
    op.create_check_constraint(op.f("message_kind_known_check"), "message", "kind in ('notice', 'test')")
    op.create_check_constraint(op.f("message_only_a_test_is_without_action_check"), "message", ONLY_A_TEST)
    op.create_table(
        "test_message",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("message_id", sa.Uuid(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("body_text", sa.Text(), nullable=False),
        sa.Column("body_html", sa.Text(), nullable=True),
        sa.Column("sender", postgresql.JSONB(), nullable=False),
        sa.Column("asked_by", sa.Text(), nullable=False),
        sa.Column("shown_customer_id", sa.Uuid(), nullable=True),
        sa.Column("shown_action_id", sa.Uuid(), nullable=True),
        sa.ForeignKeyConstraint(["tenant_id", "message_id"], ["message.tenant_id", "message.message_id"], name=op.f("test_message_message_id_fkey")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "shown_customer_id"], ["customer.tenant_id", "customer.customer_id"], name=op.f("test_message_shown_customer_id_fkey")
        ),
        sa.ForeignKeyConstraint(["tenant_id", "shown_action_id"], ["action.tenant_id", "action.action_id"], name=op.f("test_message_shown_action_id_fkey")),
        sa.PrimaryKeyConstraint("tenant_id", "message_id", name=op.f("test_message_pkey")),
    )


def downgrade() -> None:
    """Undo."""
    op.drop_column("run", "held_reasons")
    op.drop_column("ledger", "message_limit")
    op.drop_column("ledger", "step_change_limit_percent")
    for column in ("insurance_cover_reference", "insurance_cover_until", "insurance_cover"):
        op.drop_column("customer", column)
    op.drop_table("opt_out")
    op.drop_table("test_message")
    # Refuses while test messages are kept: without their own kind they would be taken for reminders that were sent.
    op.drop_constraint(op.f("message_only_a_test_is_without_action_check"), "message", type_="check")
    op.drop_constraint(op.f("message_kind_known_check"), "message", type_="check")
    for column in (*BELONGS_TO_AN_ACTION, "template_version"):
        op.alter_column("message", column, nullable=False)
    op.drop_column("message", "kind")
