"""The collector's day: people and who looks after whom, statuses and comments, disputes, promises, plans, blocks, specific actions, overrides."""

from __future__ import annotations

import os

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from dunning.kit.row_security import guard_statements

revision = "0100"
down_revision = "0080"
branch_labels = None
depends_on = None

TABLES = (
    "action_model",
    "folder",
    "team",
    "item_status",
    "person",
    "absence",
    "assignment_rule",
    "assignment",
    "attachment",
    "payment_plan",
    "step_override",
    "account_block",
    "dispute",
    "promise",
    "account_block_item",
    "action_item",
    "dispute_item",
    "item_comment",
    "item_fact",
    "promise_item",
)
APPEND_ONLY = {"item_comment", "item_fact", "attachment"}


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "action_model",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("model_id", sa.Uuid(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("content", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "model_id", name=op.f("action_model_pkey")),
        sa.UniqueConstraint("tenant_id", "code", name=op.f("action_model_tenant_id_code_key")),
    )
    op.create_table(
        "folder",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "code", name=op.f("folder_pkey")),
    )
    op.create_table(
        "team",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("team_id", sa.Uuid(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "team_id", name=op.f("team_pkey")),
        sa.UniqueConstraint("tenant_id", "code", name=op.f("team_tenant_id_code_key")),
    )
    op.create_table(
        "item_status",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("excludes", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("follow_up_days", sa.Integer(), nullable=True),
        sa.Column("folder_code", sa.Text(), nullable=True),
        sa.Column("position", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.CheckConstraint(
            "category in ('ongoing', 'promised', 'disputed', 'dispute_resolved', 'litigation', 'uncollectible')", name=op.f("item_status_category_known_check")
        ),
        sa.ForeignKeyConstraint(["tenant_id", "folder_code"], ["folder.tenant_id", "folder.code"], name=op.f("item_status_folder_code_fkey")),
        sa.PrimaryKeyConstraint("tenant_id", "code", name=op.f("item_status_pkey")),
    )
    op.create_table(
        "person",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("person_id", sa.Uuid(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("phone", sa.Text(), nullable=True),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("sees", sa.Text(), nullable=False),
        sa.Column("team_id", sa.Uuid(), nullable=True),
        sa.Column("language", sa.Text(), nullable=True),
        sa.Column("active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.CheckConstraint(
            "role in ('admin', 'manager', 'collector', 'account_manager', 'counsel', 'operator', 'viewer')", name=op.f("person_role_known_check")
        ),
        sa.CheckConstraint("sees in ('all', 'team', 'own', 'nothing')", name=op.f("person_sees_known_check")),
        sa.ForeignKeyConstraint(["tenant_id", "team_id"], ["team.tenant_id", "team.team_id"], name=op.f("person_team_id_fkey")),
        sa.PrimaryKeyConstraint("tenant_id", "person_id", name=op.f("person_pkey")),
    )
    op.create_index("person_email_key", "person", ["tenant_id", sa.literal_column("lower(email)")], unique=True)
    op.create_index("person_external_id_key", "person", ["tenant_id", "external_id"], unique=True, postgresql_where=sa.text("external_id is not null"))
    op.create_index("person_team_idx", "person", ["tenant_id", "team_id"], unique=False)
    op.create_table(
        "absence",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("absence_id", sa.Uuid(), nullable=False),
        sa.Column("person_id", sa.Uuid(), nullable=False),
        sa.Column("substitute_id", sa.Uuid(), nullable=True),
        sa.Column("from_on", sa.Date(), nullable=False),
        sa.Column("until_on", sa.Date(), nullable=False),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("cancelled_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("substitute_id is null or substitute_id <> person_id", name=op.f("absence_substitute_is_somebody_else_check")),
        sa.CheckConstraint("until_on >= from_on", name=op.f("absence_ends_after_it_begins_check")),
        sa.ForeignKeyConstraint(["tenant_id", "person_id"], ["person.tenant_id", "person.person_id"], name=op.f("absence_person_id_fkey")),
        sa.ForeignKeyConstraint(["tenant_id", "substitute_id"], ["person.tenant_id", "person.person_id"], name=op.f("absence_substitute_id_fkey")),
        sa.PrimaryKeyConstraint("tenant_id", "absence_id", name=op.f("absence_pkey")),
    )
    op.create_index("absence_person_idx", "absence", ["tenant_id", "person_id", "until_on"], unique=False)
    op.create_index("absence_substitute_idx", "absence", ["tenant_id", "substitute_id", "until_on"], unique=False)
    op.create_table(
        "assignment_rule",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("rule_id", sa.Uuid(), nullable=False),
        sa.Column("ledger_id", sa.Uuid(), nullable=False),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), server_default=sa.text("'collector'"), nullable=False),
        sa.Column("person_ids", sa.ARRAY(sa.Uuid()), nullable=False),
        sa.Column("conditions", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.CheckConstraint("role in ('collector', 'account_manager')", name=op.f("assignment_rule_role_known_check")),
        sa.CheckConstraint("cardinality(person_ids) > 0", name=op.f("assignment_rule_names_somebody_check")),
        sa.ForeignKeyConstraint(["tenant_id", "ledger_id"], ["ledger.tenant_id", "ledger.ledger_id"], name=op.f("assignment_rule_ledger_id_fkey")),
        sa.PrimaryKeyConstraint("tenant_id", "rule_id", name=op.f("assignment_rule_pkey")),
    )
    op.create_index("assignment_rule_rank_key", "assignment_rule", ["tenant_id", "ledger_id", "role", "rank"], unique=True, postgresql_where=sa.text("active"))
    op.create_table(
        "assignment",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("assignment_id", sa.Uuid(), nullable=False),
        sa.Column("ledger_id", sa.Uuid(), nullable=False),
        sa.Column("customer_id", sa.Uuid(), nullable=False),
        sa.Column("person_id", sa.Uuid(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("lead", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("rule_id", sa.Uuid(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("from_on", sa.Date(), nullable=False),
        sa.Column("ended_on", sa.Date(), nullable=True),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("ended_by", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.CheckConstraint("origin in ('rule', 'hand')", name=op.f("assignment_origin_known_check")),
        sa.CheckConstraint("role in ('collector', 'account_manager')", name=op.f("assignment_role_known_check")),
        sa.CheckConstraint("ended_on is null or ended_on >= from_on", name=op.f("assignment_ends_after_it_begins_check")),
        sa.ForeignKeyConstraint(["tenant_id", "customer_id"], ["customer.tenant_id", "customer.customer_id"], name=op.f("assignment_customer_id_fkey")),
        sa.ForeignKeyConstraint(["tenant_id", "person_id"], ["person.tenant_id", "person.person_id"], name=op.f("assignment_person_id_fkey")),
        sa.ForeignKeyConstraint(["tenant_id", "rule_id"], ["assignment_rule.tenant_id", "assignment_rule.rule_id"], name=op.f("assignment_rule_id_fkey")),
        sa.PrimaryKeyConstraint("tenant_id", "assignment_id", name=op.f("assignment_pkey")),
    )
    op.create_index("assignment_customer_idx", "assignment", ["tenant_id", "customer_id", "assignment_id"], unique=False)
    op.create_index(
        "assignment_lead_key", "assignment", ["tenant_id", "customer_id", "role"], unique=True, postgresql_where=sa.text("lead and ended_on is null")
    )
    op.create_index(
        "assignment_once_key", "assignment", ["tenant_id", "customer_id", "role", "person_id"], unique=True, postgresql_where=sa.text("ended_on is null")
    )
    op.create_index(
        "assignment_person_idx", "assignment", ["tenant_id", "person_id", "customer_id"], unique=False, postgresql_where=sa.text("ended_on is null")
    )
    op.create_table(
        "attachment",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("attachment_id", sa.Uuid(), nullable=False),
        sa.Column("ledger_id", sa.Uuid(), nullable=False),
        sa.Column("customer_id", sa.Uuid(), nullable=False),
        sa.Column("subject_kind", sa.Text(), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("media_type", sa.Text(), nullable=True),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.CheckConstraint(
            "subject_kind in ('customer', 'item', 'document', 'action', 'activity', 'dispute', 'promise')", name=op.f("attachment_subject_kind_known_check")
        ),
        sa.ForeignKeyConstraint(["tenant_id", "customer_id"], ["customer.tenant_id", "customer.customer_id"], name=op.f("attachment_customer_id_fkey")),
        sa.PrimaryKeyConstraint("tenant_id", "attachment_id", name=op.f("attachment_pkey")),
    )
    op.create_index("attachment_customer_idx", "attachment", ["tenant_id", "customer_id", "attachment_id"], unique=False)
    op.create_index("attachment_subject_idx", "attachment", ["tenant_id", "subject_kind", "subject_id"], unique=False)
    op.create_table(
        "payment_plan",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("plan_id", sa.Uuid(), nullable=False),
        sa.Column("ledger_id", sa.Uuid(), nullable=False),
        sa.Column("customer_id", sa.Uuid(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("total_minor", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), server_default=sa.text("'active'"), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("agreed_on", sa.Date(), nullable=False),
        sa.Column("ended_on", sa.Date(), nullable=True),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.CheckConstraint("source in ('team', 'customer')", name=op.f("payment_plan_source_known_check")),
        sa.CheckConstraint("state in ('active', 'kept', 'broken', 'cancelled')", name=op.f("payment_plan_state_known_check")),
        sa.ForeignKeyConstraint(["tenant_id", "customer_id"], ["customer.tenant_id", "customer.customer_id"], name=op.f("payment_plan_customer_id_fkey")),
        sa.PrimaryKeyConstraint("tenant_id", "plan_id", name=op.f("payment_plan_pkey")),
    )
    op.create_index("payment_plan_customer_idx", "payment_plan", ["tenant_id", "customer_id", "plan_id"], unique=False)
    op.create_table(
        "step_override",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("override_id", sa.Uuid(), nullable=False),
        sa.Column("ledger_id", sa.Uuid(), nullable=False),
        sa.Column("customer_id", sa.Uuid(), nullable=False),
        sa.Column("scenario_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("step_code", sa.Text(), nullable=False),
        sa.Column("content", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("removed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("removed_by", sa.Text(), nullable=True),
        sa.CheckConstraint("kind in ('insert', 'change', 'remove')", name=op.f("step_override_kind_known_check")),
        sa.ForeignKeyConstraint(["tenant_id", "customer_id"], ["customer.tenant_id", "customer.customer_id"], name=op.f("step_override_customer_id_fkey")),
        sa.ForeignKeyConstraint(["tenant_id", "scenario_id"], ["scenario.tenant_id", "scenario.scenario_id"], name=op.f("step_override_scenario_id_fkey")),
        sa.PrimaryKeyConstraint("tenant_id", "override_id", name=op.f("step_override_pkey")),
    )
    op.create_index(
        "step_override_once_key",
        "step_override",
        ["tenant_id", "customer_id", "scenario_id", "step_code"],
        unique=True,
        postgresql_where=sa.text("removed_at is null"),
    )
    op.create_table(
        "account_block",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("block_id", sa.Uuid(), nullable=False),
        sa.Column("ledger_id", sa.Uuid(), nullable=False),
        sa.Column("customer_id", sa.Uuid(), nullable=False),
        sa.Column("degree", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("action_id", sa.Uuid(), nullable=True),
        sa.Column("operation_no", sa.Integer(), nullable=True),
        sa.Column("state", sa.Text(), server_default=sa.text("'active'"), nullable=False),
        sa.Column("placed_on", sa.Date(), nullable=False),
        sa.Column("placed_by", sa.Text(), nullable=False),
        sa.Column("lifted_on", sa.Date(), nullable=True),
        sa.Column("lifted_by", sa.Text(), nullable=True),
        sa.Column("lifted_because", sa.Text(), nullable=True),
        sa.Column("lifts_when_settled", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("confirmed", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.CheckConstraint("(state = 'lifted') = (lifted_on is not null)", name=op.f("account_block_lifted_has_its_day_check")),
        sa.CheckConstraint("degree in ('no_changes', 'no_new_orders', 'no_deliveries', 'full')", name=op.f("account_block_degree_known_check")),
        sa.CheckConstraint("origin in ('step', 'hand')", name=op.f("account_block_origin_known_check")),
        sa.CheckConstraint("state in ('active', 'lifted')", name=op.f("account_block_state_known_check")),
        sa.ForeignKeyConstraint(["tenant_id", "action_id"], ["action.tenant_id", "action.action_id"], name=op.f("account_block_action_id_fkey")),
        sa.ForeignKeyConstraint(["tenant_id", "customer_id"], ["customer.tenant_id", "customer.customer_id"], name=op.f("account_block_customer_id_fkey")),
        sa.PrimaryKeyConstraint("tenant_id", "block_id", name=op.f("account_block_pkey")),
    )
    op.create_index(
        "account_block_active_idx", "account_block", ["tenant_id", "ledger_id", "block_id"], unique=False, postgresql_where=sa.text("state = 'active'")
    )
    op.create_index("account_block_customer_idx", "account_block", ["tenant_id", "customer_id", "block_id"], unique=False)
    op.create_index(
        "account_block_operation_key",
        "account_block",
        ["tenant_id", "action_id", "operation_no"],
        unique=True,
        postgresql_where=sa.text("action_id is not null"),
    )
    op.create_table(
        "dispute",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("dispute_id", sa.Uuid(), nullable=False),
        sa.Column("ledger_id", sa.Uuid(), nullable=False),
        sa.Column("customer_id", sa.Uuid(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=True),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=True),
        sa.Column("deadline_on", sa.Date(), nullable=True),
        sa.Column("state", sa.Text(), server_default=sa.text("'open'"), nullable=False),
        sa.Column("resolution", sa.Text(), nullable=True),
        sa.Column("resolution_text", sa.Text(), nullable=True),
        sa.Column("follow_up_action_id", sa.Uuid(), nullable=True),
        sa.Column("opened_on", sa.Date(), nullable=False),
        sa.Column("resolved_on", sa.Date(), nullable=True),
        sa.Column("opened_by", sa.Text(), nullable=False),
        sa.Column("resolved_by", sa.Text(), nullable=True),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.CheckConstraint("(state = 'resolved') = (resolved_on is not null)", name=op.f("dispute_resolved_has_its_day_check")),
        sa.CheckConstraint("resolution in ('accepted', 'partly_accepted', 'rejected', 'withdrawn')", name=op.f("dispute_resolution_known_check")),
        sa.CheckConstraint("source in ('team', 'customer')", name=op.f("dispute_source_known_check")),
        sa.CheckConstraint("state in ('open', 'resolved')", name=op.f("dispute_state_known_check")),
        sa.ForeignKeyConstraint(["tenant_id", "customer_id"], ["customer.tenant_id", "customer.customer_id"], name=op.f("dispute_customer_id_fkey")),
        sa.ForeignKeyConstraint(["tenant_id", "follow_up_action_id"], ["action.tenant_id", "action.action_id"], name=op.f("dispute_follow_up_action_id_fkey")),
        sa.ForeignKeyConstraint(["tenant_id", "owner_id"], ["person.tenant_id", "person.person_id"], name=op.f("dispute_owner_id_fkey")),
        sa.PrimaryKeyConstraint("tenant_id", "dispute_id", name=op.f("dispute_pkey")),
    )
    op.create_index("dispute_customer_idx", "dispute", ["tenant_id", "customer_id", "dispute_id"], unique=False)
    op.create_index("dispute_ledger_idx", "dispute", ["tenant_id", "ledger_id", "dispute_id"], unique=False)
    op.create_index("dispute_open_idx", "dispute", ["tenant_id", "ledger_id", "deadline_on"], unique=False, postgresql_where=sa.text("state = 'open'"))
    op.create_table(
        "promise",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("promise_id", sa.Uuid(), nullable=False),
        sa.Column("ledger_id", sa.Uuid(), nullable=False),
        sa.Column("customer_id", sa.Uuid(), nullable=False),
        sa.Column("plan_id", sa.Uuid(), nullable=True),
        sa.Column("instalment", sa.Integer(), nullable=True),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("due_by_then_minor", sa.BigInteger(), nullable=False),
        sa.Column("promised_on", sa.Date(), nullable=False),
        sa.Column("grace_days", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("tolerance_percent", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("pauses", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), server_default=sa.text("'open'"), nullable=False),
        sa.Column("given_on", sa.Date(), nullable=False),
        sa.Column("decided_on", sa.Date(), nullable=True),
        sa.Column("received_minor", sa.BigInteger(), nullable=True),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.CheckConstraint("(state = 'open') = (decided_on is null)", name=op.f("promise_decided_has_its_day_check")),
        sa.CheckConstraint("source in ('team', 'customer')", name=op.f("promise_source_known_check")),
        sa.CheckConstraint("state in ('open', 'kept', 'broken', 'cancelled')", name=op.f("promise_state_known_check")),
        sa.CheckConstraint("amount_minor > 0", name=op.f("promise_amount_is_positive_check")),
        sa.CheckConstraint("grace_days between 0 and 365", name=op.f("promise_grace_is_a_year_at_most_check")),
        sa.CheckConstraint("tolerance_percent between 0 and 100", name=op.f("promise_tolerance_is_a_share_check")),
        sa.ForeignKeyConstraint(["tenant_id", "customer_id"], ["customer.tenant_id", "customer.customer_id"], name=op.f("promise_customer_id_fkey")),
        sa.ForeignKeyConstraint(["tenant_id", "plan_id"], ["payment_plan.tenant_id", "payment_plan.plan_id"], name=op.f("promise_plan_id_fkey")),
        sa.PrimaryKeyConstraint("tenant_id", "promise_id", name=op.f("promise_pkey")),
    )
    op.create_index("promise_customer_idx", "promise", ["tenant_id", "customer_id", "promise_id"], unique=False)
    op.create_index("promise_open_idx", "promise", ["tenant_id", "ledger_id", "promised_on"], unique=False, postgresql_where=sa.text("state = 'open'"))
    op.create_table(
        "account_block_item",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("block_id", sa.Uuid(), nullable=False),
        sa.Column("item_id", sa.Uuid(), nullable=False),
        sa.Column("customer_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "block_id"], ["account_block.tenant_id", "account_block.block_id"], name=op.f("account_block_item_block_id_fkey")
        ),
        sa.ForeignKeyConstraint(["tenant_id", "item_id"], ["item.tenant_id", "item.item_id"], name=op.f("account_block_item_item_id_fkey")),
        sa.PrimaryKeyConstraint("tenant_id", "block_id", "item_id", name=op.f("account_block_item_pkey")),
    )
    op.create_index("account_block_item_customer_idx", "account_block_item", ["tenant_id", "customer_id"], unique=False)
    op.create_index("account_block_item_item_idx", "account_block_item", ["tenant_id", "item_id"], unique=False)
    op.create_table(
        "action_item",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("action_id", sa.Uuid(), nullable=False),
        sa.Column("item_id", sa.Uuid(), nullable=False),
        sa.Column("customer_id", sa.Uuid(), nullable=False),
        sa.Column("episode", sa.Integer(), nullable=False),
        sa.Column("open_minor", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.CheckConstraint("state in ('attached', 'listed', 'released', 'dropped')", name=op.f("action_item_state_known_check")),
        sa.ForeignKeyConstraint(["tenant_id", "action_id"], ["action.tenant_id", "action.action_id"], name=op.f("action_item_action_id_fkey")),
        sa.ForeignKeyConstraint(["tenant_id", "item_id"], ["item.tenant_id", "item.item_id"], name=op.f("action_item_item_id_fkey")),
        sa.PrimaryKeyConstraint("tenant_id", "action_id", "item_id", name=op.f("action_item_pkey")),
    )
    op.create_index("action_item_customer_idx", "action_item", ["tenant_id", "customer_id"], unique=False, postgresql_where=sa.text("state = 'attached'"))
    op.create_index("action_item_item_idx", "action_item", ["tenant_id", "item_id"], unique=False)
    op.create_index("action_item_one_specific_key", "action_item", ["tenant_id", "item_id"], unique=True, postgresql_where=sa.text("state = 'attached'"))
    op.create_table(
        "dispute_item",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("dispute_id", sa.Uuid(), nullable=False),
        sa.Column("item_id", sa.Uuid(), nullable=False),
        sa.Column("customer_id", sa.Uuid(), nullable=False),
        sa.Column("disputed_minor", sa.BigInteger(), nullable=False),
        sa.Column("open", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id", "dispute_id"], ["dispute.tenant_id", "dispute.dispute_id"], name=op.f("dispute_item_dispute_id_fkey")),
        sa.ForeignKeyConstraint(["tenant_id", "item_id"], ["item.tenant_id", "item.item_id"], name=op.f("dispute_item_item_id_fkey")),
        sa.PrimaryKeyConstraint("tenant_id", "dispute_id", "item_id", name=op.f("dispute_item_pkey")),
    )
    op.create_index("dispute_item_customer_idx", "dispute_item", ["tenant_id", "customer_id"], unique=False)
    op.create_index("dispute_item_open_key", "dispute_item", ["tenant_id", "item_id"], unique=True, postgresql_where=sa.text("open"))
    op.create_table(
        "item_comment",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("item_comment_id", sa.Uuid(), nullable=False),
        sa.Column("ledger_id", sa.Uuid(), nullable=False),
        sa.Column("customer_id", sa.Uuid(), nullable=False),
        sa.Column("item_id", sa.Uuid(), nullable=False),
        sa.Column("status_code", sa.Text(), nullable=True),
        sa.Column("previous_status_code", sa.Text(), nullable=True),
        sa.Column("text", sa.Text(), nullable=True),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("source_id", sa.Uuid(), nullable=True),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("business_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.CheckConstraint("source in ('person', 'dispute', 'promise', 'plan', 'action', 'rule')", name=op.f("item_comment_source_known_check")),
        sa.ForeignKeyConstraint(["tenant_id", "customer_id"], ["customer.tenant_id", "customer.customer_id"], name=op.f("item_comment_customer_id_fkey")),
        sa.ForeignKeyConstraint(["tenant_id", "item_id"], ["item.tenant_id", "item.item_id"], name=op.f("item_comment_item_id_fkey")),
        sa.PrimaryKeyConstraint("tenant_id", "item_comment_id", name=op.f("item_comment_pkey")),
    )
    op.create_index("item_comment_customer_idx", "item_comment", ["tenant_id", "customer_id", "item_comment_id"], unique=False)
    op.create_index("item_comment_item_idx", "item_comment", ["tenant_id", "item_id", "item_comment_id"], unique=False)
    op.create_table(
        "item_fact",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("item_fact_id", sa.Uuid(), nullable=False),
        sa.Column("customer_id", sa.Uuid(), nullable=False),
        sa.Column("item_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("on", sa.Date(), nullable=False),
        sa.Column("source_id", sa.Uuid(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.CheckConstraint("kind in ('promise_broken', 'dispute_resolved')", name=op.f("item_fact_kind_known_check")),
        sa.ForeignKeyConstraint(["tenant_id", "item_id"], ["item.tenant_id", "item.item_id"], name=op.f("item_fact_item_id_fkey")),
        sa.PrimaryKeyConstraint("tenant_id", "item_fact_id", name=op.f("item_fact_pkey")),
    )
    op.create_index("item_fact_customer_idx", "item_fact", ["tenant_id", "customer_id"], unique=False)
    op.create_index("item_fact_once_key", "item_fact", ["tenant_id", "item_id", "kind", "source_id"], unique=True)
    op.create_table(
        "promise_item",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("promise_id", sa.Uuid(), nullable=False),
        sa.Column("item_id", sa.Uuid(), nullable=False),
        sa.Column("customer_id", sa.Uuid(), nullable=False),
        sa.Column("open_at_start_minor", sa.BigInteger(), nullable=False),
        sa.Column("open", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id", "item_id"], ["item.tenant_id", "item.item_id"], name=op.f("promise_item_item_id_fkey")),
        sa.ForeignKeyConstraint(["tenant_id", "promise_id"], ["promise.tenant_id", "promise.promise_id"], name=op.f("promise_item_promise_id_fkey")),
        sa.PrimaryKeyConstraint("tenant_id", "promise_id", "item_id", name=op.f("promise_item_pkey")),
    )
    op.create_index("promise_item_customer_idx", "promise_item", ["tenant_id", "customer_id"], unique=False, postgresql_where=sa.text("open"))
    op.create_index("promise_item_item_idx", "promise_item", ["tenant_id", "item_id"], unique=False)
    op.add_column("action", sa.Column("title", sa.Text(), nullable=True))
    op.add_column("action", sa.Column("content", postgresql.JSONB(astext_type=sa.Text()), nullable=True))
    op.add_column("action", sa.Column("person_id", sa.Uuid(), nullable=True))
    op.add_column("action", sa.Column("model_id", sa.Uuid(), nullable=True))
    op.add_column("action", sa.Column("copied_from_action_id", sa.Uuid(), nullable=True))
    op.add_column("action", sa.Column("superseded_by", sa.Uuid(), nullable=True))
    op.add_column("action", sa.Column("afterwards", sa.Text(), nullable=True))
    op.add_column("action", sa.Column("afterwards_step_code", sa.Text(), nullable=True))
    op.add_column("action", sa.Column("counts_as_step", sa.Text(), nullable=True))
    op.add_column("action", sa.Column("approved_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("action", sa.Column("approved_by", sa.Text(), nullable=True))
    op.create_index(
        "action_person_idx",
        "action",
        ["tenant_id", "person_id", "scheduled_on", "action_id"],
        unique=False,
        postgresql_where=sa.text("state in ('awaiting_approval', 'scheduled', 'executed', 'waiting')"),
    )
    op.add_column("activity", sa.Column("outcome", sa.Text(), nullable=True))
    op.add_column("activity", sa.Column("person_id", sa.Uuid(), nullable=True))
    op.add_column("activity", sa.Column("contact_id", sa.Uuid(), nullable=True))
    op.create_index("activity_kind_idx", "activity", ["tenant_id", "customer_id", "kind", "business_at"], unique=False)
    op.add_column("api_key", sa.Column("person_id", sa.Uuid(), nullable=True))
    op.add_column("customer", sa.Column("territory", sa.Text(), nullable=True))
    op.add_column("customer", sa.Column("tags", sa.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False))
    op.add_column("customer_state", sa.Column("watched", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.add_column("item", sa.Column("status_code", sa.Text(), nullable=True))
    op.create_index("item_status_idx", "item", ["tenant_id", "status_code", "item_id"], unique=False, postgresql_where=sa.text("status_code is not null"))
    op.add_column("ledger", sa.Column("contact_budget", sa.Integer(), nullable=True))
    op.add_column("ledger", sa.Column("contact_budget_days", sa.Integer(), nullable=True))
    op.add_column("ledger", sa.Column("priority_weights", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False))
    # The owner is subject to row level security too, and a foreign key on a table that exists is proved by reading it.
    for table in ("action", "activity", "api_key", "item"):
        op.execute(f"alter table {table} no force row level security")
    op.create_foreign_key(op.f("action_person_id_fkey"), "action", "person", ["tenant_id", "person_id"], ["tenant_id", "person_id"])
    op.create_foreign_key(op.f("action_superseded_by_fkey"), "action", "action", ["tenant_id", "superseded_by"], ["tenant_id", "action_id"])
    op.create_foreign_key(op.f("activity_person_id_fkey"), "activity", "person", ["tenant_id", "person_id"], ["tenant_id", "person_id"])
    op.create_foreign_key(op.f("api_key_person_id_fkey"), "api_key", "person", ["tenant_id", "person_id"], ["tenant_id", "person_id"])
    op.create_foreign_key(op.f("item_status_code_fkey"), "item", "item_status", ["tenant_id", "status_code"], ["tenant_id", "code"])
    for table in ("action", "activity", "api_key", "item"):
        op.execute(f"alter table {table} force row level security")
    op.create_check_constraint(op.f("action_afterwards_known_check"), "action", "afterwards in ('resume', 'step')")
    for table in TABLES:
        for statement in guard_statements(table, os.environ.get("DUNNING_APP_ROLE", "dunning_app"), append_only=table in APPEND_ONLY):
            op.execute(statement)


def downgrade() -> None:
    """Undo."""
    op.drop_constraint(op.f("action_afterwards_known_check"), "action", type_="check")
    op.drop_column("ledger", "priority_weights")
    op.drop_column("ledger", "contact_budget_days")
    op.drop_column("ledger", "contact_budget")
    op.drop_constraint(op.f("item_status_code_fkey"), "item", type_="foreignkey")
    op.drop_index("item_status_idx", table_name="item", postgresql_where=sa.text("status_code is not null"))
    op.drop_column("item", "status_code")
    op.drop_column("customer_state", "watched")
    op.drop_column("customer", "tags")
    op.drop_column("customer", "territory")
    op.drop_constraint(op.f("api_key_person_id_fkey"), "api_key", type_="foreignkey")
    op.drop_column("api_key", "person_id")
    op.drop_constraint(op.f("activity_person_id_fkey"), "activity", type_="foreignkey")
    op.drop_index("activity_kind_idx", table_name="activity")
    op.drop_column("activity", "contact_id")
    op.drop_column("activity", "person_id")
    op.drop_column("activity", "outcome")
    op.drop_constraint(op.f("action_superseded_by_fkey"), "action", type_="foreignkey")
    op.drop_constraint(op.f("action_person_id_fkey"), "action", type_="foreignkey")
    op.drop_index("action_person_idx", table_name="action", postgresql_where=sa.text("state in ('awaiting_approval', 'scheduled', 'executed', 'waiting')"))
    op.drop_column("action", "approved_by")
    op.drop_column("action", "approved_at")
    op.drop_column("action", "counts_as_step")
    op.drop_column("action", "afterwards_step_code")
    op.drop_column("action", "afterwards")
    op.drop_column("action", "superseded_by")
    op.drop_column("action", "copied_from_action_id")
    op.drop_column("action", "model_id")
    op.drop_column("action", "person_id")
    op.drop_column("action", "content")
    op.drop_column("action", "title")
    op.drop_index("promise_item_item_idx", table_name="promise_item")
    op.drop_index("promise_item_customer_idx", table_name="promise_item", postgresql_where=sa.text("open"))
    op.drop_table("promise_item")
    op.drop_index("item_fact_once_key", table_name="item_fact")
    op.drop_index("item_fact_customer_idx", table_name="item_fact")
    op.drop_table("item_fact")
    op.drop_index("item_comment_item_idx", table_name="item_comment")
    op.drop_index("item_comment_customer_idx", table_name="item_comment")
    op.drop_table("item_comment")
    op.drop_index("dispute_item_open_key", table_name="dispute_item", postgresql_where=sa.text("open"))
    op.drop_index("dispute_item_customer_idx", table_name="dispute_item")
    op.drop_table("dispute_item")
    op.drop_index("action_item_one_specific_key", table_name="action_item", postgresql_where=sa.text("state = 'attached'"))
    op.drop_index("action_item_item_idx", table_name="action_item")
    op.drop_index("action_item_customer_idx", table_name="action_item", postgresql_where=sa.text("state = 'attached'"))
    op.drop_table("action_item")
    op.drop_index("account_block_item_item_idx", table_name="account_block_item")
    op.drop_index("account_block_item_customer_idx", table_name="account_block_item")
    op.drop_table("account_block_item")
    op.drop_index("promise_open_idx", table_name="promise", postgresql_where=sa.text("state = 'open'"))
    op.drop_index("promise_customer_idx", table_name="promise")
    op.drop_table("promise")
    op.drop_index("dispute_open_idx", table_name="dispute", postgresql_where=sa.text("state = 'open'"))
    op.drop_index("dispute_ledger_idx", table_name="dispute")
    op.drop_index("dispute_customer_idx", table_name="dispute")
    op.drop_table("dispute")
    op.drop_index("account_block_operation_key", table_name="account_block", postgresql_where=sa.text("action_id is not null"))
    op.drop_index("account_block_customer_idx", table_name="account_block")
    op.drop_index("account_block_active_idx", table_name="account_block", postgresql_where=sa.text("state = 'active'"))
    op.drop_table("account_block")
    op.drop_index("step_override_once_key", table_name="step_override", postgresql_where=sa.text("removed_at is null"))
    op.drop_table("step_override")
    op.drop_index("payment_plan_customer_idx", table_name="payment_plan")
    op.drop_table("payment_plan")
    op.drop_index("attachment_subject_idx", table_name="attachment")
    op.drop_index("attachment_customer_idx", table_name="attachment")
    op.drop_table("attachment")
    op.drop_index("assignment_person_idx", table_name="assignment", postgresql_where=sa.text("ended_on is null"))
    op.drop_index("assignment_once_key", table_name="assignment", postgresql_where=sa.text("ended_on is null"))
    op.drop_index("assignment_lead_key", table_name="assignment", postgresql_where=sa.text("lead and ended_on is null"))
    op.drop_index("assignment_customer_idx", table_name="assignment")
    op.drop_table("assignment")
    op.drop_index("assignment_rule_rank_key", table_name="assignment_rule", postgresql_where=sa.text("active"))
    op.drop_table("assignment_rule")
    op.drop_index("absence_substitute_idx", table_name="absence")
    op.drop_index("absence_person_idx", table_name="absence")
    op.drop_table("absence")
    op.drop_index("person_team_idx", table_name="person")
    op.drop_index("person_external_id_key", table_name="person", postgresql_where=sa.text("external_id is not null"))
    op.drop_index("person_email_key", table_name="person")
    op.drop_table("person")
    op.drop_table("item_status")
    op.drop_table("team")
    op.drop_table("folder")
    op.drop_table("action_model")
