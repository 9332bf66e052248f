"""Scenarios as drafts and immutable published versions."""

from __future__ import annotations

from sqlalchemy import Column, Integer, LargeBinary, UniqueConstraint, text

from dunning.kit.schema import instant_column, json_column, refers_to, tenant_table, text_column, uuid_column

scenario = tenant_table(
    "scenario",
    uuid_column("scenario_id"),
    text_column("code"),
    text_column("name"),
    json_column("draft"),
    Column("draft_revision", Integer, nullable=False, server_default=text("1")),
    Column("published_version", Integer, nullable=True),
    instant_column("archived_at", null=True),
    instant_column("created_at", now=True),
    instant_column("updated_at", now=True),
    UniqueConstraint("tenant_id", "code"),
    key=("scenario_id",),
)

scenario_version = tenant_table(
    "scenario_version",
    uuid_column("scenario_id"),
    Column("version", Integer, nullable=False),
    json_column("content"),
    json_column("template_versions", default="{}"),
    Column("content_sha256", LargeBinary, nullable=False),
    text_column("published_by"),
    instant_column("published_at", now=True),
    refers_to("scenario", "scenario_id"),
    key=("scenario_id", "version"),
    append_only=True,
)
