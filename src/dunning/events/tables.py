"""What happened, as rows that a sequencer numbers once they are committed; and what is due, the one table without row level security."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Identity, Index, Table, UniqueConstraint, Uuid, text

from dunning.kit.schema import instant_column, json_column, metadata, tenant_table, text_column, uuid_column

event = tenant_table(
    "event",
    uuid_column("event_id"),
    Column("seq", BigInteger, nullable=True),
    text_column("kind"),
    text_column("subject_kind"),
    uuid_column("subject_id"),
    uuid_column("customer_id", null=True),
    json_column("data", default="{}"),
    text_column("actor"),
    instant_column("business_at"),
    instant_column("recorded_at", now=True),
    UniqueConstraint("tenant_id", "seq"),
    Index("event_unnumbered_idx", "tenant_id", "event_id", postgresql_where=text("seq is null")),
    Index("event_customer_id_idx", "tenant_id", "customer_id", "event_id", postgresql_where=text("customer_id is not null")),
    # What of a customer's timeline is told by events alone.
    Index(
        "event_turn_idx",
        "tenant_id",
        "customer_id",
        "event_id",
        postgresql_where=text(
            "kind in ('hold.set', 'hold.released', 'item.step_set', 'account.unblocked', 'promise.moved', 'promise.cancelled', 'payment_plan.cancelled')"
        ),
    ),
    key=("event_id",),
)

event_counter = tenant_table(
    "event_counter",
    Column("last_seq", BigInteger, nullable=False, server_default=text("0")),
    key=(),
)

due_work = Table(
    "due_work",
    metadata,
    Column("due_work_id", BigInteger, Identity(always=True), primary_key=True),
    Column("tenant_id", Uuid, nullable=False),
    text_column("kind"),
    instant_column("due_at"),
    Index("due_work_kind_idx", "kind", "due_at"),
)
