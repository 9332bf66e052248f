"""A role for callers who see only some customers, and for each tenant table how far its sight goes."""

from __future__ import annotations

import os

from alembic import op

from dunning.kit.row_security import (
    BY_CUSTOMER,
    BY_CUSTOMER_IF_ANY,
    EVERYBODY,
    NOBODY,
    SEEN_CUSTOMERS,
    limited_role,
    sight_statements,
    through,
)

revision = "0140"
down_revision = "0130"
branch_labels = None
depends_on = None

OF_CUSTOMERS = (
    "account_block",
    "account_block_item",
    "action",
    "action_item",
    "activity",
    "assignment",
    "attachment",
    "claim",
    "contact",
    "customer",
    "customer_state",
    "customer_version",
    "dispute",
    "dispute_item",
    "document",
    "item",
    "item_comment",
    "item_fact",
    "item_progress",
    "link",
    "opt_out",
    "payment_plan",
    "payment_return",
    "promise",
    "promise_item",
    "receipt",
    "run_customer",
    "step_override",
)
OF_EVERYBODY = (
    "absence",
    "action_model",
    "customer_group",
    "event_counter",
    "folder",
    "idempotency_key",
    "item_status",
    "ledger",
    "ledger_counter",
    "person",
    "scenario",
    "scenario_version",
    "schedule_run",
    "suppression",
    "team",
    "template",
    "template_version",
    "tenant",
    "test_clock_walk",
)
OF_WHO_SEES_ALL = ("api_key", "assignment_rule", "import", "import_file", "import_row", "receipt_inbox", "run")
SIGHT_OF = {
    **dict.fromkeys(OF_CUSTOMERS, BY_CUSTOMER),
    **dict.fromkeys(OF_EVERYBODY, EVERYBODY),
    **dict.fromkeys(OF_WHO_SEES_ALL, NOBODY),
    "event": BY_CUSTOMER,
    "hold": BY_CUSTOMER_IF_ANY,
    "message": BY_CUSTOMER_IF_ANY,
    "allocation": through("allocation", "item", "item_id"),
    "document_version": through("document_version", "document", "document_id"),
    "item_dunning": through("item_dunning", "item", "item_id"),
    "message_address": through("message_address", "message", "message_id"),
    "message_event": through("message_event", "message", "message_id"),
    "operation_record": through("operation_record", "action", "action_id"),
    "reader": through("reader", "reading", "reading_id"),
    "reading": through("reading", "link", "link_id"),
    "test_message": "shown_customer_id is null or shown_customer_id in (select seen_customers())",
}
CHECK_OF = {"event": BY_CUSTOMER_IF_ANY, "hold": BY_CUSTOMER}
"""What happened to no customer in particular, such as a run, may be told by anybody and is read by who sees everything. A hold on a whole ledger is seen by
all of its collectors, and set by those who see the whole ledger."""
APPEND_ONLY = {
    "activity",
    "allocation",
    "attachment",
    "event",
    "item_comment",
    "item_fact",
    "message_event",
    "payment_return",
    "reading",
    "scenario_version",
    "template_version",
}
WITHOUT_TENANT = ("due_work", "relay_circuit", "relay_rate")


def upgrade() -> None:
    """Apply."""
    app_role = os.environ.get("DUNNING_APP_ROLE", "dunning_app")
    role = limited_role(app_role)
    if op.get_bind().exec_driver_sql(f"select to_regrole('{role}')").scalar() is None:
        msg = (
            f"The role {role} is missing: it serves callers who see only some customers. Run as an administrator what `dunning roles` prints,"
            f" or: create role {role} nologin; grant {role} to {app_role} with inherit false, set true. Then migrate again."
        )
        raise RuntimeError(msg)
    op.execute(SEEN_CUSTOMERS)
    op.execute("revoke all on function seen_customers() from public")
    op.execute(f"grant execute on function seen_customers() to {role}")
    for table, sight in SIGHT_OF.items():
        for statement in sight_statements(table, app_role, sight, append_only=table in APPEND_ONLY, check=CHECK_OF.get(table)):
            op.execute(statement)
    for table in WITHOUT_TENANT:
        op.execute(f"grant select, insert, update, delete on {table} to {role}")
    op.execute(f"grant select on alembic_version to {role}")


def downgrade() -> None:
    """Undo."""
    role = limited_role(os.environ.get("DUNNING_APP_ROLE", "dunning_app"))
    for table in (*WITHOUT_TENANT, "alembic_version"):
        op.execute(f"revoke all on {table} from {role}")
    for table in SIGHT_OF:
        op.execute(f'drop policy sight on "{table}"')
        op.execute(f'revoke all on "{table}" from {role}')
    op.execute("drop function seen_customers()")
