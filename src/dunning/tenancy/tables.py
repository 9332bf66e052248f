"""Tenants, people and teams, API keys, stored answers of repeated requests, and walks of test clocks."""

from __future__ import annotations

from sqlalchemy import ARRAY, Boolean, CheckConstraint, Column, ForeignKeyConstraint, Index, Integer, LargeBinary, Text, UniqueConstraint, text

from dunning.kit.schema import instant_column, json_column, one_of, refers_to, tenant_table, text_column, uuid_column

ROLES = ("admin", "manager", "collector", "account_manager", "counsel", "operator", "viewer")

tenant = tenant_table(
    "tenant",
    text_column("name"),
    text_column("mode"),
    Column("sending_enabled", Boolean, nullable=False, server_default=text("false")),
    instant_column("sending_changed_at", null=True),
    instant_column("stopped_at", null=True),
    text_column("stopped_by", null=True),
    text_column("stopped_because", null=True),
    instant_column("clock_at", null=True),
    Column("internal_domains", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    Column("languages", ARRAY(Text), nullable=False, server_default=text("'{en}'")),
    instant_column("created_at", now=True),
    one_of("mode", "live", "test"),
    CheckConstraint("(mode = 'test') = (clock_at is not null)", name="only_test_mode_sets_the_clock"),
    key=(),
)

team = tenant_table(
    "team",
    uuid_column("team_id"),
    text_column("code"),
    text_column("name"),
    instant_column("created_at", now=True),
    UniqueConstraint("tenant_id", "code"),
    key=("team_id",),
)

person = tenant_table(
    "person",
    uuid_column("person_id"),
    text_column("external_id", null=True),
    text_column("name"),
    text_column("email"),
    text_column("phone", null=True),
    text_column("role"),
    text_column("sees"),
    uuid_column("team_id", null=True),
    text_column("language", null=True),
    Column("active", Boolean, nullable=False, server_default=text("true")),
    Column("version", Integer, nullable=False, server_default=text("1")),
    instant_column("created_at", now=True),
    instant_column("updated_at", now=True),
    Index("person_email_key", "tenant_id", text("lower(email)"), unique=True),
    Index("person_external_id_key", "tenant_id", "external_id", unique=True, postgresql_where=text("external_id is not null")),
    Index("person_team_idx", "tenant_id", "team_id"),
    refers_to("team", "team_id"),
    one_of("role", *ROLES),
    one_of("sees", "all", "team", "own", "nothing"),
    key=("person_id",),
)

api_key = tenant_table(
    "api_key",
    uuid_column("key_id"),
    text_column("name"),
    Column("secret_sha256", LargeBinary, nullable=False),
    Column("scopes", ARRAY(Text), nullable=False),
    instant_column("created_at", now=True),
    instant_column("expires_at", null=True),
    instant_column("revoked_at", null=True),
    instant_column("last_used_at", null=True),
    uuid_column("rotated_from", null=True),
    uuid_column("person_id", null=True),
    refers_to("person", "person_id"),
    ForeignKeyConstraint(["tenant_id"], ["tenant.tenant_id"]),
    key=("key_id",),
)

idempotency_key = tenant_table(
    "idempotency_key",
    uuid_column("key_id"),
    text_column("route"),
    text_column("key"),
    Column("request_sha256", LargeBinary, nullable=False),
    Column("status", Integer, nullable=True),
    Column("body", LargeBinary, nullable=True),
    json_column("headers", null=True),
    instant_column("created_at", now=True),
    instant_column("expires_at"),
    Index("idempotency_key_expires_at_idx", "tenant_id", "expires_at"),
    key=("key_id", "route", "key"),
)

test_clock_walk = tenant_table(
    "test_clock_walk",
    uuid_column("walk_id"),
    instant_column("from_at"),
    instant_column("to_at"),
    text_column("state", default="queued"),
    json_column("nights", default="[]"),
    text_column("error", null=True),
    Column("lease_token", Integer, nullable=False, server_default=text("0")),
    instant_column("lease_until", null=True),
    instant_column("created_at", now=True),
    instant_column("finished_at", null=True),
    one_of("state", "queued", "walking", "done", "failed"),
    Index("test_clock_walk_one_open_key", "tenant_id", unique=True, postgresql_where=text("state in ('queued', 'walking')")),
    key=("walk_id",),
)
