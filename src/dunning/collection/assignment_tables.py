"""Who looks after a customer: assignments with their history, the rules that make them, and absences."""

from __future__ import annotations

from sqlalchemy import ARRAY, Boolean, CheckConstraint, Column, Date, Index, Integer, Uuid, text

from dunning.kit.schema import instant_column, json_column, one_of, refers_to, tenant_table, text_column, uuid_column

assignment_rule = tenant_table(
    "assignment_rule",
    uuid_column("rule_id"),
    uuid_column("ledger_id"),
    Column("rank", Integer, nullable=False),
    text_column("name"),
    text_column("role", default="collector"),
    Column("person_ids", ARRAY(Uuid), nullable=False),
    json_column("conditions", default="{}"),
    Column("active", Boolean, nullable=False, server_default=text("true")),
    Column("version", Integer, nullable=False, server_default=text("1")),
    instant_column("created_at", now=True),
    instant_column("updated_at", now=True),
    Index("assignment_rule_rank_key", "tenant_id", "ledger_id", "role", "rank", unique=True, postgresql_where=text("active")),
    refers_to("ledger", "ledger_id"),
    one_of("role", "collector", "account_manager"),
    CheckConstraint("cardinality(person_ids) > 0", name="names_somebody"),
    key=("rule_id",),
)

assignment = tenant_table(
    "assignment",
    uuid_column("assignment_id"),
    uuid_column("ledger_id"),
    uuid_column("customer_id"),
    uuid_column("person_id"),
    text_column("role"),
    Column("lead", Boolean, nullable=False, server_default=text("true")),
    text_column("origin"),
    uuid_column("rule_id", null=True),
    text_column("reason", null=True),
    Column("from_on", Date, nullable=False),
    Column("ended_on", Date, nullable=True),
    text_column("actor"),
    text_column("ended_by", null=True),
    instant_column("created_at", now=True),
    Index("assignment_lead_key", "tenant_id", "customer_id", "role", unique=True, postgresql_where=text("lead and ended_on is null")),
    Index("assignment_once_key", "tenant_id", "customer_id", "role", "person_id", unique=True, postgresql_where=text("ended_on is null")),
    Index("assignment_person_idx", "tenant_id", "person_id", "customer_id", postgresql_where=text("ended_on is null")),
    Index("assignment_customer_idx", "tenant_id", "customer_id", "assignment_id"),
    refers_to("customer", "customer_id"),
    refers_to("person", "person_id"),
    refers_to("assignment_rule", "rule_id"),
    one_of("role", "collector", "account_manager"),
    one_of("origin", "rule", "hand"),
    CheckConstraint("ended_on is null or ended_on >= from_on", name="ends_after_it_begins"),
    key=("assignment_id",),
)

absence = tenant_table(
    "absence",
    uuid_column("absence_id"),
    uuid_column("person_id"),
    uuid_column("substitute_id", null=True),
    Column("from_on", Date, nullable=False),
    Column("until_on", Date, nullable=False),
    text_column("note", null=True),
    text_column("actor"),
    instant_column("created_at", now=True),
    instant_column("cancelled_at", null=True),
    Index("absence_person_idx", "tenant_id", "person_id", "until_on"),
    Index("absence_until_idx", "tenant_id", "until_on", postgresql_where=text("cancelled_at is null")),
    refers_to("person", "person_id"),
    refers_to("person", "substitute_id", "person_id"),
    CheckConstraint("until_on >= from_on", name="ends_after_it_begins"),
    CheckConstraint("substitute_id is null or substitute_id <> person_id", name="substitute_is_somebody_else"),
    key=("absence_id",),
)
