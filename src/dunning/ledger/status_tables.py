"""What people say about items: statuses of the tenant's own, the folders they lie in, and comments."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Index, Integer, text

from dunning.kit.schema import instant_column, one_of, refers_to, tenant_table, text_column, uuid_column

STATUS_CATEGORIES = ("ongoing", "promised", "disputed", "dispute_resolved", "litigation", "uncollectible")

folder = tenant_table(
    "folder",
    text_column("code"),
    text_column("name"),
    Column("position", Integer, nullable=False, server_default=text("0")),
    instant_column("created_at", now=True),
    key=("code",),
)

item_status = tenant_table(
    "item_status",
    text_column("code"),
    text_column("name"),
    text_column("category"),
    Column("excludes", Boolean, nullable=False, server_default=text("false")),
    Column("follow_up_days", Integer, nullable=True),
    text_column("folder_code", null=True),
    Column("position", Integer, nullable=False, server_default=text("0")),
    Column("version", Integer, nullable=False, server_default=text("1")),
    instant_column("created_at", now=True),
    instant_column("updated_at", now=True),
    refers_to("folder", "folder_code", "code"),
    one_of("category", *STATUS_CATEGORIES),
    key=("code",),
)

item_comment = tenant_table(
    "item_comment",
    uuid_column("item_comment_id"),
    uuid_column("ledger_id"),
    uuid_column("customer_id"),
    uuid_column("item_id"),
    text_column("status_code", null=True),
    text_column("previous_status_code", null=True),
    text_column("text", null=True),
    text_column("source"),
    uuid_column("source_id", null=True),
    text_column("actor"),
    instant_column("business_at"),
    instant_column("recorded_at", now=True),
    Index("item_comment_item_idx", "tenant_id", "item_id", "item_comment_id"),
    Index("item_comment_customer_idx", "tenant_id", "customer_id", "item_comment_id"),
    refers_to("item", "item_id"),
    refers_to("customer", "customer_id"),
    one_of("source", "person", "dispute", "promise", "plan", "action", "rule"),
    key=("item_comment_id",),
    append_only=True,
)
