"""Row level security, grants, append-only tables, and counters that must equal their entries at commit."""

from __future__ import annotations

import os

from alembic import op

from dunning.kit.row_security import REFUSE_CHANGE, guard_statements

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TENANT_TABLES = (
    "run",
    "run_customer",
    "action",
    "claim",
    "item_progress",
    "item_dunning",
    "operation_record",
    "activity",
    "schedule_run",
    "event",
    "event_counter",
    "link",
    "reading",
    "ledger",
    "ledger_counter",
    "customer_group",
    "customer",
    "customer_version",
    "customer_state",
    "contact",
    "document",
    "document_version",
    "item",
    "hold",
    "import",
    "import_file",
    "import_row",
    "template",
    "template_version",
    "message",
    "message_address",
    "message_event",
    "suppression",
    "receipt",
    "allocation",
    "payment_return",
    "receipt_inbox",
    "scenario",
    "scenario_version",
    "tenant",
    "api_key",
    "idempotency_key",
    "test_clock_walk",
)
APPEND_ONLY = {
    "activity",
    "reading",
    "template_version",
    "message_event",
    "allocation",
    "payment_return",
    "scenario_version",
}

COUNTERS = """
create function check_allocation_counters() returns trigger language plpgsql as $$
declare
  live bigint;
  counted bigint;
begin
  select coalesce(sum(a.amount_minor), 0) into live
    from allocation a
   where a.tenant_id = new.tenant_id and a.item_id = new.item_id and a.reverses_id is null
     and not exists (select 1 from allocation r where r.tenant_id = a.tenant_id and r.reverses_id = a.allocation_id);
  select coalesce(sum(a.amount_minor), 0) + live into live
    from allocation a
   where a.tenant_id = new.tenant_id and a.credit_item_id = new.item_id and a.reverses_id is null
     and not exists (select 1 from allocation r where r.tenant_id = a.tenant_id and r.reverses_id = a.allocation_id);
  select allocated_minor into counted from item where tenant_id = new.tenant_id and item_id = new.item_id;
  if live <> counted then
    raise exception 'item % counts % allocated, its entries say %', new.item_id, counted, live
      using errcode = 'integrity_constraint_violation';
  end if;
  if new.credit_item_id is not null then
    select coalesce(sum(a.amount_minor), 0) into live
      from allocation a
     where a.tenant_id = new.tenant_id and (a.credit_item_id = new.credit_item_id or a.item_id = new.credit_item_id) and a.reverses_id is null
       and not exists (select 1 from allocation r where r.tenant_id = a.tenant_id and r.reverses_id = a.allocation_id);
    select allocated_minor into counted from item where tenant_id = new.tenant_id and item_id = new.credit_item_id;
    if live <> counted then
      raise exception 'credit % counts % used, its entries say %', new.credit_item_id, counted, live
        using errcode = 'integrity_constraint_violation';
    end if;
  end if;
  if new.receipt_id is not null then
    select coalesce(sum(a.amount_minor), 0) into live
      from allocation a
     where a.tenant_id = new.tenant_id and a.receipt_id = new.receipt_id and a.reverses_id is null
       and not exists (select 1 from allocation r where r.tenant_id = a.tenant_id and r.reverses_id = a.allocation_id);
    select allocated_minor into counted from receipt where tenant_id = new.tenant_id and receipt_id = new.receipt_id;
    if live <> counted then
      raise exception 'receipt % counts % allocated, its entries say %', new.receipt_id, counted, live
        using errcode = 'integrity_constraint_violation';
    end if;
  end if;
  return null;
end $$
"""

COUNTERS_TRIGGER = """
create constraint trigger counters_equal_entries after insert on allocation
  deferrable initially deferred for each row execute function check_allocation_counters()
"""

NUMBERING = """
create function refuse_rewriting_events() returns trigger language plpgsql as $$
begin
  if tg_op = 'DELETE' or old.seq is not null or (to_jsonb(new) - 'seq') <> (to_jsonb(old) - 'seq') then
    raise exception 'an event is never changed or deleted; only its number is set, once' using errcode = 'restrict_violation';
  end if;
  return new;
end $$
"""

NUMBERING_TRIGGER = """
create trigger only_numbered_once before update or delete on event for each row execute function refuse_rewriting_events()
"""


def upgrade() -> None:
    """Apply."""
    app_role = os.environ.get("DUNNING_APP_ROLE", "dunning_app")
    op.execute(REFUSE_CHANGE)
    for table in TENANT_TABLES:
        for statement in guard_statements(table, app_role, append_only=table in APPEND_ONLY):
            op.execute(statement)
    for table in ("due_work", "relay_circuit", "relay_rate"):
        op.execute(f"grant select, insert, update, delete on {table} to {app_role}")
    op.execute(f"grant select on alembic_version to {app_role}")
    op.execute(f"revoke update, delete on event from {app_role}")
    op.execute(f"grant update (seq) on event to {app_role}")
    op.execute(COUNTERS)
    op.execute(COUNTERS_TRIGGER)
    op.execute(NUMBERING)
    op.execute(NUMBERING_TRIGGER)


def downgrade() -> None:
    """Undo."""
    app_role = os.environ.get("DUNNING_APP_ROLE", "dunning_app")
    op.execute("drop trigger only_numbered_once on event")
    op.execute("drop function refuse_rewriting_events()")
    op.execute("drop trigger counters_equal_entries on allocation")
    op.execute("drop function check_allocation_counters()")
    for table in TENANT_TABLES:
        if table in APPEND_ONLY:
            op.execute(f'drop trigger append_only on "{table}"')
        op.execute(f'drop policy tenant_only on "{table}"')
        op.execute(f'alter table "{table}" no force row level security')
        op.execute(f'alter table "{table}" disable row level security')
        op.execute(f'revoke all on "{table}" from {app_role}')
    for table in ("due_work", "relay_circuit", "relay_rate", "alembic_version"):
        op.execute(f"revoke all on {table} from {app_role}")
    op.execute("drop function refuse_change()")
