"""Operations that people carry out are tasks of their own, and an action says who made it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0220"
down_revision = "0200"
branch_labels = None
depends_on = None

OPERATION = ["tenant_id", "operation_action_id", "operation_no"]


def upgrade() -> None:
    """Apply."""
    op.add_column("action", sa.Column("operation_action_id", sa.Uuid(), nullable=True))
    op.add_column("action", sa.Column("operation_no", sa.Integer(), nullable=True))
    op.add_column("action", sa.Column("created_by", sa.Text(), nullable=True))
    op.create_check_constraint(op.f("action_operation_is_named_whole_check"), "action", "(operation_action_id is null) = (operation_no is null)")
    op.create_index("action_operation_key", "action", OPERATION, unique=True, postgresql_where=sa.text("operation_action_id is not null"))
    # The owner is bound by the policies too, and checking a foreign key reads both tables.
    for table in ("action", "operation_record"):
        op.execute(f"alter table {table} no force row level security")
    op.create_foreign_key(
        op.f("action_operation_action_id_fkey"), "action", "operation_record", OPERATION, ["tenant_id", "action_id", "operation_no"], onupdate="CASCADE"
    )  # fmt: skip
    for table in ("action", "operation_record"):
        op.execute(f"alter table {table} force row level security")


def downgrade() -> None:
    """Undo."""
    op.drop_constraint(op.f("action_operation_action_id_fkey"), "action", type_="foreignkey")
    op.drop_index("action_operation_key", table_name="action", postgresql_where=sa.text("operation_action_id is not null"))
    op.drop_constraint(op.f("action_operation_is_named_whole_check"), "action", type_="check")
    op.drop_column("action", "created_by")
    op.drop_column("action", "operation_no")
    op.drop_column("action", "operation_action_id")
