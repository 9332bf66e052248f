"""Actions outside the scenario: the items they are tied to, saved models, and one customer's own changes to future steps; registered attachments."""

from __future__ import annotations

from sqlalchemy import Column, Index, Integer, UniqueConstraint, text

from dunning.kit.schema import instant_column, json_column, minor_column, one_of, refers_to, tenant_table, text_column, uuid_column

action_item = tenant_table(
    "action_item",
    uuid_column("action_id"),
    uuid_column("item_id"),
    uuid_column("customer_id"),
    Column("episode", Integer, nullable=False),
    minor_column("open_minor"),
    text_column("state"),
    text_column("reason", null=True),
    instant_column("created_at", now=True),
    Index("action_item_one_specific_key", "tenant_id", "item_id", unique=True, postgresql_where=text("state = 'attached'")),
    Index("action_item_customer_idx", "tenant_id", "customer_id", postgresql_where=text("state = 'attached'")),
    Index("action_item_item_idx", "tenant_id", "item_id"),
    refers_to("action", "action_id"),
    refers_to("item", "item_id"),
    one_of("state", "attached", "listed", "released", "dropped"),
    key=("action_id", "item_id"),
)

action_model = tenant_table(
    "action_model",
    uuid_column("model_id"),
    text_column("code"),
    text_column("name"),
    json_column("content"),
    Column("version", Integer, nullable=False, server_default=text("1")),
    instant_column("created_at", now=True),
    instant_column("updated_at", now=True),
    UniqueConstraint("tenant_id", "code"),
    key=("model_id",),
)

step_override = tenant_table(
    "step_override",
    uuid_column("override_id"),
    uuid_column("ledger_id"),
    uuid_column("customer_id"),
    uuid_column("scenario_id"),
    text_column("kind"),
    text_column("step_code"),
    json_column("content", default="{}"),
    text_column("reason"),
    text_column("actor"),
    instant_column("created_at", now=True),
    instant_column("removed_at", null=True),
    text_column("removed_by", null=True),
    Index("step_override_once_key", "tenant_id", "customer_id", "scenario_id", "step_code", unique=True, postgresql_where=text("removed_at is null")),
    Index("step_override_customer_idx", "tenant_id", "customer_id", "override_id"),
    refers_to("customer", "customer_id"),
    refers_to("scenario", "scenario_id"),
    one_of("kind", "insert", "change", "remove"),
    key=("override_id",),
)

attachment = tenant_table(
    "attachment",
    uuid_column("attachment_id"),
    uuid_column("ledger_id"),
    uuid_column("customer_id"),
    text_column("subject_kind"),
    uuid_column("subject_id"),
    text_column("url"),
    text_column("name"),
    text_column("media_type", null=True),
    text_column("actor"),
    instant_column("created_at", now=True),
    Index("attachment_customer_idx", "tenant_id", "customer_id", "attachment_id"),
    Index("attachment_subject_idx", "tenant_id", "subject_kind", "subject_id"),
    refers_to("customer", "customer_id"),
    one_of("subject_kind", "customer", "item", "document", "action", "activity", "dispute", "promise"),
    key=("attachment_id",),
    append_only=True,
)
