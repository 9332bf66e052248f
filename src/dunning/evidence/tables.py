"""Signed links, what was read through them, and by whom, as far as they said: that last is kept apart, so that it can be erased."""

from __future__ import annotations

from sqlalchemy import Column, Index, Integer, LargeBinary, text

from dunning.kit.schema import instant_column, json_column, one_of, refers_to, tenant_table, text_column, uuid_column

GRADES = ("none", "fetched", "opened", "read_confirmed", "acknowledged")

link = tenant_table(
    "link",
    uuid_column("link_id"),
    uuid_column("ledger_id"),
    uuid_column("customer_id"),
    uuid_column("claim_id"),
    uuid_column("message_id"),
    text_column("key_id"),
    text_column("audience"),
    text_column("challenge"),
    text_column("grade", default="none"),
    Column("fetches", Integer, nullable=False, server_default=text("0")),
    Column("tries_left", Integer, nullable=False, server_default=text("5")),
    instant_column("locked_until", null=True),
    instant_column("expires_at"),
    instant_column("revoked_at", null=True),
    text_column("revoked_because", null=True),
    instant_column("created_at", now=True),
    refers_to("claim", "claim_id"),
    refers_to("message", "message_id"),
    Index("link_message_idx", "tenant_id", "message_id"),
    Index("link_claim_idx", "tenant_id", "claim_id"),
    one_of("audience", "customer", "internal"),
    one_of("grade", *GRADES),
    one_of("challenge", "tax_number", "document_number", "button"),
    key=("link_id",),
    postgresql_with={"fillfactor": 70},
)

reading = tenant_table(
    "reading",
    uuid_column("reading_id"),
    uuid_column("link_id"),
    text_column("kind"),
    text_column("grade"),
    json_column("data", default="{}"),
    Column("page_sha256", LargeBinary, nullable=True),
    instant_column("business_at"),
    instant_column("recorded_at", now=True),
    refers_to("link", "link_id"),
    Index("reading_link_idx", "tenant_id", "link_id", "reading_id"),
    one_of("kind", "fetched", "wrong_answer", "opened", "read_confirmed", "acknowledged", "refused", "vouched"),
    one_of("grade", *GRADES),
    key=("reading_id",),
    append_only=True,
)

reader = tenant_table(
    "reader",
    uuid_column("reading_id"),
    text_column("name"),
    text_column("role"),
    text_column("contact", null=True),
    text_column("salt"),
    instant_column("recorded_at", now=True),
    refers_to("reading", "reading_id"),
    key=("reading_id",),
)
