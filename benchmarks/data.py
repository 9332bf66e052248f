"""Companies with data, made by set-based statements inside one tenant: a ledger, customers with a contact each, overdue invoices."""

from __future__ import annotations

import datetime as dt
from uuid import UUID

from dunning.kit.database import Session
from dunning.kit.ids import LedgerId, TenantId, new_id

_LEDGER = """
insert into ledger (tenant_id, ledger_id, external_id, name, currency, time_zone, country, language, sender_name, sender_email, bank_accounts,
                    send_from, send_until, send_on_closed_days, run_mode, first_run_approved, challenge, policy, scenario_id)
values ($1, $2, 'bench', 'Acme S.p.A.', 'EUR', 'Europe/Rome', 'IT', 'en', 'Acme Accounts Receivable', 'ar@acme.example', $4,
        '00:00', '23:59', true, 'automatic', true, 'button', 'scenario', $3)
"""
_BANK_ACCOUNT = {"beneficiary": "Acme S.p.A.", "iban": "IT60X0542811101000000123456", "bic": "BPMOIT22XXX", "bank_name": "Banca Esempio", "currency": "EUR"}

_CUSTOMERS = """
with made as (
  insert into customer (tenant_id, customer_id, ledger_id, external_id, name, name_search, language, country, content_sha256)
  select $1, uuidv7(), $2, 'K' || n, 'Customer ' || n || ' S.r.l.', 'customer ' || n || ' s.r.l.', (array['en', 'es', 'it', 'fr'])[1 + n % 4], 'IT',
         sha256(n::text::bytea)
    from generate_series(1, $3::int) as n
  returning customer_id, external_id
), states as (
  insert into customer_state (tenant_id, customer_id, ledger_id, review_on) select $1, customer_id, $2, $4::date from made
)
insert into contact (tenant_id, contact_id, customer_id, external_id, name, email, roles)
select $1, uuidv7(), customer_id, 'main', 'Accounts payable', 'ap@' || lower(external_id) || '.example', array['dunning'] from made
"""

# 99 of 100 invoices are 12 to 100 days overdue, one is not due yet: nearly the worst case of a night.
_INVOICES = """
with wanted as (
  select c.customer_id, c.external_id || '-' || n as number, k, case when k % 100 = 99 then $4::date + 40 else $4::date - (12 + k % 89)::int end as due_on,
         10000 + (k * 7919) % 500000 as amount_minor, uuidv7() as document_id, uuidv7() as item_id
    from (select customer_id, external_id, row_number() over (order by customer_id) as place from customer where tenant_id = $1 and ledger_id = $2) c
    cross join generate_series(1, $3::int) as n
    cross join lateral (select c.place * 31 + n * 17 as k) as spread
), documents as (
  insert into document (tenant_id, document_id, ledger_id, customer_id, external_id, kind, number, document_on, currency, total_minor,
                        payment_reference, content_sha256, value_on)
  select $1, document_id, $2, customer_id, number, 'invoice', number, due_on - 30, 'EUR', amount_minor, number, sha256(number::bytea), due_on - 30
    from wanted
)
insert into item (tenant_id, item_id, ledger_id, customer_id, document_id, external_id, kind, direction, number, document_on, due_on, currency,
                  amount_minor, value_on)
select $1, item_id, $2, customer_id, document_id, number, 'invoice', 'debit', number, due_on - 30, due_on, 'EUR', amount_minor, due_on - 30
  from wanted
"""


async def insert_ledger(session: Session, tenant_id: TenantId, scenario_id: UUID) -> LedgerId:
    """Insert a ledger that sends at any hour, whose first run was approved, and that follows the scenario."""
    ledger_id = LedgerId(new_id())
    await session.execute(_LEDGER, tenant_id, ledger_id, scenario_id, [_BANK_ACCOUNT])
    return ledger_id


async def insert_customers(session: Session, tenant_id: TenantId, ledger_id: LedgerId, count: int, today: dt.date) -> None:
    """Insert customers that are to be looked at today, each with one contact and a mail domain of its own."""
    await session.execute(_CUSTOMERS, tenant_id, ledger_id, count, today)


async def insert_invoices(session: Session, tenant_id: TenantId, ledger_id: LedgerId, a_customer: int, today: dt.date) -> None:
    """Insert invoices of one instalment each for every customer of the ledger."""
    await session.execute(_INVOICES, tenant_id, ledger_id, a_customer, today)
