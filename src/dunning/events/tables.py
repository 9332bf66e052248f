"""What happened, as rows written in the transaction that made it happen; a sequencer numbers them once they are committed."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, UniqueConstraint, text

from dunning.kit.schema import instant_column, json_column, tenant_table, text_column, uuid_column

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
    key=("event_id",),
)

event_counter = tenant_table(
    "event_counter",
    Column("last_seq", BigInteger, nullable=False, server_default=text("0")),
    key=(),
)
