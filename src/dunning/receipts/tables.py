"""Receipts, allocations and payment returns. Counters are conditional, allocations append-only."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, Date, ForeignKeyConstraint, Index, Integer, LargeBinary, UniqueConstraint, text

from dunning.kit.schema import instant_column, json_column, minor_column, one_of, refers_to, tenant_table, text_column, uuid_column
from dunning.ledger.tables import recorded_on_column

receipt = tenant_table(
    "receipt",
    uuid_column("receipt_id"),
    uuid_column("ledger_id"),
    uuid_column("customer_id"),
    text_column("external_id"),
    text_column("currency"),
    minor_column("amount_minor"),
    minor_column("allocated_minor", default=0),
    minor_column("returned_minor", default=0),
    text_column("state", default="received"),
    text_column("method", default="transfer"),
    text_column("reference", null=True),
    Column("received_on", Date, nullable=False),
    Column("final_on", Date, nullable=True),
    recorded_on_column(),
    Column("ended_on", Date, nullable=True),
    Column("end_recorded_on", Date, nullable=True),
    text_column("ended_because", null=True),
    json_column("instrument", default="{}"),
    json_column("content"),
    Column("content_sha256", LargeBinary, nullable=False),
    instant_column("recorded_at", now=True),
    UniqueConstraint("tenant_id", "ledger_id", "external_id"),
    UniqueConstraint("tenant_id", "currency", "receipt_id"),
    Index("receipt_customer_idx", "tenant_id", "customer_id", "received_on"),
    Index("receipt_unapplied_idx", "tenant_id", "customer_id", postgresql_where=text("allocated_minor + returned_minor < amount_minor")),
    refers_to("ledger", "ledger_id"),
    refers_to("customer", "customer_id"),
    one_of("state", "received", "cleared", "returned", "reversed"),
    CheckConstraint("amount_minor > 0", name="amount_is_positive"),
    CheckConstraint("allocated_minor >= 0 and returned_minor >= 0 and allocated_minor + returned_minor <= amount_minor", name="spent_once"),
    CheckConstraint("(state in ('returned', 'reversed')) = (ended_on is not null and end_recorded_on is not null)", name="an_end_has_its_days"),
    CheckConstraint("state not in ('returned', 'reversed') or returned_minor = amount_minor", name="nothing_left_after_the_end"),
    key=("receipt_id",),
)

allocation = tenant_table(
    "allocation",
    uuid_column("allocation_id"),
    text_column("kind"),
    uuid_column("receipt_id", null=True),
    uuid_column("credit_item_id", null=True),
    uuid_column("item_id"),
    Column("episode", Integer, nullable=False),
    text_column("currency"),
    minor_column("amount_minor"),
    uuid_column("reverses_id", null=True),
    text_column("reason", null=True),
    Column("value_on", Date, nullable=False),
    recorded_on_column(),
    instant_column("recorded_at", now=True),
    text_column("actor"),
    ForeignKeyConstraint(["tenant_id", "currency", "item_id"], ["item.tenant_id", "item.currency", "item.item_id"]),
    ForeignKeyConstraint(
        ["tenant_id", "currency", "credit_item_id"],
        ["item.tenant_id", "item.currency", "item.item_id"],
        name="allocation_credit_item_id_fkey",
    ),
    ForeignKeyConstraint(
        ["tenant_id", "currency", "receipt_id"],
        ["receipt.tenant_id", "receipt.currency", "receipt.receipt_id"],
        name="allocation_receipt_id_fkey",
    ),
    refers_to("allocation", "reverses_id", "allocation_id"),
    UniqueConstraint("tenant_id", "reverses_id"),
    Index("allocation_item_idx", "tenant_id", "item_id"),
    Index("allocation_receipt_idx", "tenant_id", "receipt_id", postgresql_where=text("receipt_id is not null")),
    Index("allocation_credit_item_idx", "tenant_id", "credit_item_id", postgresql_where=text("credit_item_id is not null")),
    one_of("kind", "receipt", "credit", "erp_adjustment", "void"),
    CheckConstraint("amount_minor > 0", name="amount_is_positive"),
    CheckConstraint(
        "(kind = 'receipt' and receipt_id is not null and credit_item_id is null)"
        " or (kind = 'credit' and credit_item_id is not null and receipt_id is null)"
        " or (kind in ('erp_adjustment', 'void') and receipt_id is null and credit_item_id is null)",
        name="kind_names_its_source",
    ),
    key=("allocation_id",),
    append_only=True,
)

payment_return = tenant_table(
    "payment_return",
    uuid_column("payment_return_id"),
    uuid_column("receipt_id"),
    uuid_column("ledger_id"),
    uuid_column("customer_id"),
    Column("returned_on", Date, nullable=False),
    text_column("reason"),
    minor_column("charges_minor", default=0),
    instant_column("recorded_at", now=True),
    text_column("actor"),
    UniqueConstraint("tenant_id", "receipt_id"),
    refers_to("receipt", "receipt_id"),
    Index("payment_return_customer_idx", "tenant_id", "customer_id"),
    key=("payment_return_id",),
    append_only=True,
)

receipt_inbox = tenant_table(
    "receipt_inbox",
    uuid_column("receipt_inbox_id"),
    uuid_column("ledger_id"),
    text_column("source"),
    text_column("external_id"),
    json_column("content"),
    Column("content_sha256", LargeBinary, nullable=False),
    text_column("state", default="parked"),
    text_column("reason"),
    instant_column("recorded_at", now=True),
    instant_column("resolved_at", null=True),
    text_column("resolved_by", null=True),
    UniqueConstraint("tenant_id", "ledger_id", "external_id", "content_sha256"),
    refers_to("ledger", "ledger_id"),
    one_of("state", "parked", "applied", "dismissed"),
    key=("receipt_inbox_id",),
)
