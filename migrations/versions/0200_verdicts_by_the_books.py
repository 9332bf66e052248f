"""Promises are judged by the books whenever these change; disputes await credit notes and fall overdue; blocks come back with their debts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0200"
down_revision = "0170"
branch_labels = None
depends_on = None

REASONS = "reason in ('paid', 'rest_paid', 'not_paid', 'payment_returned', 'nothing_owed', 'plan_broken', 'by_hand', 'disputed', 'held')"
ORIGINS = "origin in ('set', 'stated', 'payment_return'{})"
OPEN = sa.text("state = 'open'")


def upgrade() -> None:
    """Apply."""
    op.add_column("promise", sa.Column("reason", sa.Text(), nullable=True))
    op.add_column("promise", sa.Column("agreed_on", sa.Date(), nullable=True))
    for name in ("last_on", "look_on", "paid_on"):
        op.add_column("promise", sa.Column(name, sa.Date(), nullable=True))
    # The owner is bound by the policies too.
    _force("no force", "promise", "customer_state", "account_block")
    op.execute(
        """update promise set agreed_on = given_on, last_on = promised_on + grace_days, look_on = promised_on + grace_days + 1,
                  received_minor = coalesce(received_minor, 0),
                  reason = case state when 'kept' then 'paid' when 'broken' then 'not_paid' when 'cancelled' then 'by_hand' end"""
    )
    op.execute(
        """update customer_state s set watched = true
            where exists (select from promise p where p.tenant_id = s.tenant_id and p.customer_id = s.customer_id and p.state in ('kept', 'broken'))"""
    )
    op.alter_column("promise", "agreed_on", nullable=False)
    op.alter_column("promise", "received_minor", nullable=False, server_default=sa.text("0"))
    op.create_check_constraint(op.f("promise_reason_known_check"), "promise", REASONS)
    op.drop_index("promise_open_idx", table_name="promise", postgresql_where=OPEN)
    op.create_index("promise_open_idx", "promise", ["tenant_id", "ledger_id", "look_on"], unique=False, postgresql_where=OPEN)
    op.drop_index("item_fact_once_key", table_name="item_fact")
    op.create_index("item_fact_once_key", "item_fact", ["tenant_id", "item_id", "kind", "source_id", "on"], unique=True)
    op.add_column("dispute", sa.Column("overdue_on", sa.Date(), nullable=True))
    op.add_column("dispute", sa.Column("held_until", sa.Date(), nullable=True))
    op.add_column("dispute", sa.Column("credit_awaited", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.create_index("dispute_credit_idx", "dispute", ["tenant_id", "customer_id"], unique=False, postgresql_where=sa.text("credit_awaited"))
    op.add_column("dispute_item", sa.Column("whole", sa.Boolean(), server_default=sa.text("true"), nullable=False))
    op.add_column("dispute_item", sa.Column("credit_minor", sa.BigInteger(), nullable=True))
    op.add_column("account_block", sa.Column("renewable", sa.Boolean(), server_default=sa.text("true"), nullable=False))
    op.add_column("account_block", sa.Column("renews_id", sa.Uuid(), nullable=True))
    op.create_index(
        "account_block_renews_key", "account_block", ["tenant_id", "renews_id"], unique=True, postgresql_where=sa.text("renews_id is not null")
    )  # fmt: skip
    op.create_foreign_key(
        op.f("account_block_renews_id_fkey"), "account_block", "account_block", ["tenant_id", "renews_id"], ["tenant_id", "block_id"]
    )  # fmt: skip
    _force("force", "promise", "customer_state", "account_block")
    _hold_origins(", 'dispute'")
    _hold_indexes("", "scope = 'ledger'")


def downgrade() -> None:
    """Undo."""
    _hold_indexes("released_at is null", "scope = 'ledger' and released_at is null")
    _hold_origins("")
    op.drop_constraint(op.f("account_block_renews_id_fkey"), "account_block", type_="foreignkey")
    op.drop_index("account_block_renews_key", table_name="account_block")
    for name in ("renews_id", "renewable"):
        op.drop_column("account_block", name)
    for name in ("credit_minor", "whole"):
        op.drop_column("dispute_item", name)
    op.drop_index("dispute_credit_idx", table_name="dispute")
    for name in ("credit_awaited", "held_until", "overdue_on"):
        op.drop_column("dispute", name)
    op.drop_index("item_fact_once_key", table_name="item_fact")
    op.create_index("item_fact_once_key", "item_fact", ["tenant_id", "item_id", "kind", "source_id"], unique=True)
    op.drop_index("promise_open_idx", table_name="promise", postgresql_where=OPEN)
    op.create_index("promise_open_idx", "promise", ["tenant_id", "ledger_id", "promised_on"], unique=False, postgresql_where=OPEN)
    op.drop_constraint(op.f("promise_reason_known_check"), "promise", type_="check")
    op.alter_column("promise", "received_minor", nullable=True, server_default=None)
    for name in ("paid_on", "look_on", "last_on", "agreed_on", "reason"):
        op.drop_column("promise", name)


def _force(how: str, *tables: str) -> None:
    for table in tables:
        op.execute(f"alter table {table} {how} row level security")


def _hold_origins(further: str) -> None:
    op.drop_constraint(op.f("hold_origin_known_check"), "hold", type_="check")
    op.create_check_constraint(op.f("hold_origin_known_check"), "hold", ORIGINS.format(further))


def _hold_indexes(of_customer: str, of_ledger: str) -> None:
    op.drop_index("hold_customer_idx", table_name="hold")
    op.create_index("hold_customer_idx", "hold", ["tenant_id", "customer_id"], unique=False, postgresql_where=sa.text(of_customer) if of_customer else None)
    op.drop_index("hold_ledger_idx", table_name="hold")
    op.create_index("hold_ledger_idx", "hold", ["tenant_id", "ledger_id"], unique=False, postgresql_where=sa.text(of_ledger))
