"""Built-in statuses and folders of tenants that exist; what has been watched up to; the actions that belong to a promise."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0130"
down_revision = "0100"
branch_labels = None
depends_on = None

BUILT_IN = (
    ("ongoing", "Ongoing", False, None),
    ("promised", "Payment promised", False, None),
    ("disputed", "Disputed", True, 14),
    ("dispute_resolved", "Dispute resolved", False, None),
    ("litigation", "In litigation", True, 30),
    ("uncollectible", "Uncollectible", True, None),
)
WRITTEN = ("tenant", "folder", "item_status")
FOLDER = "insert into folder (tenant_id, code, name, position) select tenant_id, :code, :name, :position from tenant on conflict do nothing"
STATUS = """insert into item_status (tenant_id, code, name, category, excludes, follow_up_days, folder_code, position)
select tenant_id, :code, :name, :code, :excludes, :days, :code, :position from tenant on conflict do nothing"""
ACTIONS_OF_A_PROMISE = ("follow_up_action_id", "reminder_action_id")


def upgrade() -> None:
    """Apply."""
    op.add_column("customer_state", sa.Column("watched_version", sa.BigInteger(), server_default=sa.text("0"), nullable=False))
    op.create_index("customer_state_watched_idx", "customer_state", ["tenant_id", "customer_id"], unique=False, postgresql_where=sa.text("watched"))
    for column in ACTIONS_OF_A_PROMISE:
        op.add_column("promise", sa.Column(column, sa.Uuid(), nullable=True))
    # The owner is subject to row level security too: it reads every tenant, and proves a foreign key by reading the table.
    for table in (*WRITTEN, "promise"):
        op.execute(f"alter table {table} no force row level security")
    for column in ACTIONS_OF_A_PROMISE:
        op.create_foreign_key(op.f(f"promise_{column}_fkey"), "promise", "action", ["tenant_id", column], ["tenant_id", "action_id"])
    for position, (code, name, excludes, days) in enumerate(BUILT_IN):
        values = {"code": code, "name": name, "excludes": excludes, "days": days, "position": position}
        for statement in (FOLDER, STATUS):
            named = {key: value for key, value in values.items() if f":{key}" in statement}
            op.execute(sa.text(statement).bindparams(*(sa.bindparam(key, value, type_=_type(value)) for key, value in named.items())))
    for table in (*WRITTEN, "promise"):
        op.execute(f"alter table {table} force row level security")


def _type(value: object) -> sa.types.TypeEngine[Any]:
    if isinstance(value, bool):
        return sa.Boolean()
    return sa.Text() if isinstance(value, str) else sa.Integer()


def downgrade() -> None:
    """Undo. The built-in rows stay: items may be in them."""
    for column in reversed(ACTIONS_OF_A_PROMISE):
        op.drop_constraint(op.f(f"promise_{column}_fkey"), "promise", type_="foreignkey")
        op.drop_column("promise", column)
    op.drop_index("customer_state_watched_idx", table_name="customer_state", postgresql_where=sa.text("watched"))
    op.drop_column("customer_state", "watched_version")
