"""Templates and their versions, messages with their attempts and history, suppressed addresses, relays."""

from __future__ import annotations

from sqlalchemy import Boolean, CheckConstraint, Column, Date, Index, Integer, LargeBinary, PrimaryKeyConstraint, Table, UniqueConstraint, text

from dunning.kit.schema import (
    instant_column,
    json_column,
    metadata,
    one_of,
    refers_to,
    tenant_table,
    text_column,
    uuid_column,
)

MESSAGE_STATES = (
    "ready",
    "leased",
    "committing",
    "retry_wait",
    "uncertain",
    "held",
    "parked",
    "accepted",
    "rejected",
    "suppressed",
    "expired",
    "cancelled",
    "closed_unknown",
)

template = tenant_table(
    "template",
    uuid_column("template_id"),
    text_column("code"),
    text_column("name"),
    json_column("draft"),
    Column("draft_revision", Integer, nullable=False, server_default=text("1")),
    Column("published_version", Integer, nullable=True),
    instant_column("created_at", now=True),
    instant_column("updated_at", now=True),
    UniqueConstraint("tenant_id", "code"),
    key=("template_id",),
)

template_version = tenant_table(
    "template_version",
    uuid_column("template_id"),
    Column("version", Integer, nullable=False),
    json_column("contents"),
    Column("content_sha256", LargeBinary, nullable=False),
    text_column("published_by"),
    instant_column("published_at", now=True),
    refers_to("template", "template_id"),
    key=("template_id", "version"),
    append_only=True,
)

message = tenant_table(
    "message",
    uuid_column("message_id"),
    text_column("kind", default="notice"),
    uuid_column("ledger_id"),
    uuid_column("customer_id", null=True),
    uuid_column("action_id", null=True),
    uuid_column("claim_id", null=True),
    text_column("notice"),
    text_column("channel"),
    text_column("recipient_key"),
    text_column("audience"),
    Column("is_primary", Boolean, nullable=False),
    Column("is_copy", Boolean, nullable=False, server_default=text("false")),
    uuid_column("contact_id", null=True),
    text_column("language"),
    uuid_column("template_id"),
    Column("template_version", Integer, nullable=True),
    text_column("content_mode"),
    text_column("header_message_id"),
    text_column("relay"),
    # The first half of a digest, not the domain: the counters of a relay's rate are shared by all tenants.
    text_column("recipient_domain"),
    Column("address_sha256", LargeBinary, nullable=False),
    text_column("state", default="ready"),
    text_column("reason", null=True),
    text_column("delivery", default="none"),
    Column("attempt", Integer, nullable=False, server_default=text("0")),
    Column("lease_token", Integer, nullable=False, server_default=text("0")),
    instant_column("lease_until", null=True),
    Column("failures", Integer, nullable=False, server_default=text("0")),
    Column("mailbox_full", Integer, nullable=False, server_default=text("0")),
    instant_column("retry_at", null=True),
    instant_column("uncertain_at", null=True),
    instant_column("not_before"),
    instant_column("valid_until"),
    uuid_column("resend_of", null=True),
    Column("mime_sha256", LargeBinary, nullable=True),
    text_column("reply", null=True),
    text_column("provider_id", null=True),
    instant_column("created_at", now=True),
    instant_column("sent_at", null=True),
    instant_column("accepted_at", null=True),
    Column("accepted_on", Date, nullable=True),
    instant_column("updated_at", now=True),
    UniqueConstraint("tenant_id", "header_message_id"),
    Index(
        "message_once_key",
        "tenant_id",
        "action_id",
        "notice",
        "recipient_key",
        "channel",
        unique=True,
        postgresql_where=text("resend_of is null and state not in ('rejected', 'suppressed', 'expired', 'cancelled', 'closed_unknown')"),
    ),
    Index("message_due_idx", "tenant_id", "not_before", "message_id", postgresql_where=text("state in ('ready', 'retry_wait')")),
    Index("message_open_idx", "tenant_id", "lease_until", postgresql_where=text("state in ('leased', 'committing', 'uncertain', 'held')")),
    Index("message_ending_idx", "tenant_id", "valid_until", postgresql_where=text("state in ('ready', 'retry_wait')")),
    Index("message_recipient_idx", "tenant_id", "address_sha256", "message_id"),
    Index("message_customer_idx", "tenant_id", "customer_id", "message_id"),
    Index("message_action_idx", "tenant_id", "action_id"),
    refers_to("customer", "customer_id"),
    refers_to("action", "action_id"),
    refers_to("claim", "claim_id"),
    one_of("kind", "notice", "test"),
    # A test belongs to no customer, so that nothing that looks at a customer's messages ever counts it.
    CheckConstraint(
        "case when kind = 'test' then num_nonnulls(customer_id, action_id, claim_id) = 0"
        " else num_nulls(customer_id, action_id, claim_id, template_version) = 0 end",
        name="only_a_test_is_without_action",
    ),
    one_of("state", *MESSAGE_STATES),
    one_of("delivery", "none", "delayed", "delivered", "failed"),
    one_of("channel", "email"),
    one_of("audience", "customer", "internal"),
    one_of("content_mode", "full", "link_only"),
    key=("message_id",),
    postgresql_with={"fillfactor": 70},
)

message_address = tenant_table(
    "message_address",
    uuid_column("message_id"),
    text_column("to_email"),
    text_column("to_name", null=True),
    text_column("subject", null=True),
    refers_to("message", "message_id"),
    key=("message_id",),
)

test_message = tenant_table(
    "test_message",
    uuid_column("message_id"),
    text_column("subject"),
    text_column("body_text"),
    text_column("body_html", null=True),
    json_column("sender"),
    text_column("asked_by"),
    uuid_column("shown_customer_id", null=True),
    uuid_column("shown_action_id", null=True),
    refers_to("message", "message_id"),
    refers_to("customer", "shown_customer_id", "customer_id"),
    refers_to("action", "shown_action_id", "action_id"),
    key=("message_id",),
)

message_event = tenant_table(
    "message_event",
    uuid_column("message_event_id"),
    uuid_column("message_id"),
    text_column("from_state", null=True),
    text_column("to_state"),
    text_column("reason", null=True),
    text_column("actor"),
    json_column("data", default="{}"),
    instant_column("recorded_at", now=True),
    refers_to("message", "message_id"),
    Index("message_event_message_idx", "tenant_id", "message_id", "message_event_id"),
    key=("message_event_id",),
    append_only=True,
)

suppression = tenant_table(
    "suppression",
    text_column("channel"),
    Column("address_sha256", LargeBinary, nullable=False),
    text_column("cause"),
    uuid_column("message_id", null=True),
    instant_column("created_at", now=True),
    instant_column("expires_at", null=True),
    key=("channel", "address_sha256"),
)

relay_circuit = Table(
    "relay_circuit",
    metadata,
    text_column("relay"),
    Column("failures", Integer, nullable=False, server_default=text("0")),
    instant_column("closed_until", null=True),
    text_column("reason", null=True),
    Column("suspended", Boolean, nullable=False, server_default=text("false")),
    instant_column("updated_at", now=True),
)
relay_circuit.append_constraint(PrimaryKeyConstraint("relay"))

relay_rate = Table(
    "relay_rate",
    metadata,
    text_column("relay"),
    text_column("recipient_domain"),
    instant_column("bucket_at"),
    Column("sent", Integer, nullable=False, server_default=text("0")),
)
relay_rate.append_constraint(PrimaryKeyConstraint("relay", "recipient_domain", "bucket_at"))
