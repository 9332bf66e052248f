"""A document's customer is one of its ledger, an item's customer is its document's: one composite reference each instead of two single ones."""

from __future__ import annotations

from alembic import op

revision = "0050"
down_revision = "0140"
branch_labels = None
depends_on = None

_OF_TENANTS = ("customer", "document", "item", "ledger")


def _bind_owner(force: str) -> None:
    # Existing rows are checked as the tables' owner, of all tenants at once; nobody else gets in meanwhile, because the tables are locked.
    for table in _OF_TENANTS:
        op.execute(f"alter table {table} {force} row level security")


def upgrade() -> None:
    """Apply."""
    _bind_owner("no force")
    op.create_unique_constraint(op.f("customer_tenant_id_ledger_id_customer_id_key"), "customer", ["tenant_id", "ledger_id", "customer_id"])
    op.create_unique_constraint(op.f("document_tenant_id_customer_id_document_id_key"), "document", ["tenant_id", "customer_id", "document_id"])
    op.drop_index("document_customer_idx", table_name="document")
    op.drop_constraint(op.f("item_customer_id_fkey"), "item", type_="foreignkey")
    op.drop_constraint(op.f("item_document_id_fkey"), "item", type_="foreignkey")
    op.drop_constraint(op.f("document_customer_id_fkey"), "document", type_="foreignkey")
    op.drop_constraint(op.f("document_ledger_id_fkey"), "document", type_="foreignkey")
    op.create_foreign_key(
        op.f("document_customer_id_fkey"),
        "document",
        "customer",
        ["tenant_id", "customer_id", "ledger_id"],
        ["tenant_id", "customer_id", "ledger_id"],
    )
    op.create_foreign_key(
        op.f("item_document_id_fkey"),
        "item",
        "document",
        ["tenant_id", "document_id", "customer_id"],
        ["tenant_id", "document_id", "customer_id"],
    )
    _bind_owner("force")


def downgrade() -> None:
    """Undo."""
    _bind_owner("no force")
    op.drop_constraint(op.f("item_document_id_fkey"), "item", type_="foreignkey")
    op.drop_constraint(op.f("document_customer_id_fkey"), "document", type_="foreignkey")
    op.create_foreign_key(op.f("document_ledger_id_fkey"), "document", "ledger", ["tenant_id", "ledger_id"], ["tenant_id", "ledger_id"])
    op.create_foreign_key(op.f("document_customer_id_fkey"), "document", "customer", ["tenant_id", "customer_id"], ["tenant_id", "customer_id"])
    op.create_foreign_key(op.f("item_document_id_fkey"), "item", "document", ["tenant_id", "document_id"], ["tenant_id", "document_id"])
    op.create_foreign_key(op.f("item_customer_id_fkey"), "item", "customer", ["tenant_id", "customer_id"], ["tenant_id", "customer_id"])
    op.create_index("document_customer_idx", "document", ["tenant_id", "customer_id"])
    op.drop_constraint(op.f("document_tenant_id_customer_id_document_id_key"), "document", type_="unique")
    op.drop_constraint(op.f("customer_tenant_id_ledger_id_customer_id_key"), "customer", type_="unique")
    _bind_owner("force")
