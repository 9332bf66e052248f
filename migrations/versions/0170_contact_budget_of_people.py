"""A contact budget a person, across the customers of a ledger; absences are found by their days."""

from __future__ import annotations

import os

import sqlalchemy as sa
from alembic import op

from dunning.kit.row_security import CONTACTS_OF_ADDRESSES, limited_role

revision = "0170"
down_revision = "0160"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    app_role = os.environ.get("DUNNING_APP_ROLE", "dunning_app")
    op.add_column("ledger", sa.Column("person_contact_budget", sa.Integer(), nullable=True))
    op.add_column("ledger", sa.Column("person_contact_budget_days", sa.Integer(), nullable=True))
    op.add_column("activity", sa.Column("address_sha256", sa.LargeBinary(), nullable=True))
    op.create_index(
        "activity_address_idx", "activity", ["tenant_id", "address_sha256", "business_at"], unique=False,
        postgresql_where=sa.text("address_sha256 is not null"),
    )  # fmt: skip
    op.drop_index("absence_substitute_idx", table_name="absence")
    op.create_index("absence_until_idx", "absence", ["tenant_id", "until_on"], unique=False, postgresql_where=sa.text("cancelled_at is null"))
    op.execute(CONTACTS_OF_ADDRESSES)
    op.execute("revoke all on function contacts_of_addresses(uuid, bytea[], date) from public")
    op.execute(f"grant execute on function contacts_of_addresses(uuid, bytea[], date) to {app_role}, {limited_role(app_role)}")


def downgrade() -> None:
    """Undo."""
    op.execute("drop function contacts_of_addresses(uuid, bytea[], date)")
    op.drop_index("absence_until_idx", table_name="absence")
    op.create_index("absence_substitute_idx", "absence", ["tenant_id", "substitute_id", "until_on"], unique=False)
    op.drop_index("activity_address_idx", table_name="activity")
    op.drop_column("activity", "address_sha256")
    op.drop_column("ledger", "person_contact_budget_days")
    op.drop_column("ledger", "person_contact_budget")
