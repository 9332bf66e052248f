"""What a claim would say about a customer as it stands now: shown in previews, never frozen, never sent."""

from __future__ import annotations

import datetime as dt
from typing import Any
from uuid import UUID

from dunning.collection import facts, freezing, sheet_store
from dunning.collection.composition import may_be_shown
from dunning.kit.clock import Clock, local_date
from dunning.kit.database import ReadSession
from dunning.kit.errors import Conflict, NotFound
from dunning.kit.ids import CustomerId, LedgerId, TenantId
from dunning.ledger import ledgers
from dunning.ledger.ledger_store import Ledger
from dunning.scenarios.netting import age_of, net_amounts
from dunning.scenarios.rules import CREDIT, DEBIT, Action, Item, Row
from dunning.scenarios.steps import Mode, Step, StepKind, Trigger, TriggerKind

PREVIEW_STEP = Step(rank=0, code="preview", name="Preview", mode=Mode.MANUAL, trigger=Trigger(TriggerKind.DUE_DATE), deadline_days=7)


class NothingOpen(Conflict):
    """The customer has no open item that could be shown."""

    code = "nothing_open"
    title = "The customer has nothing open"


async def customer_claim(session: ReadSession, clock: Clock, tenant_id: TenantId, customer_id: CustomerId) -> dict[str, Any]:
    """Return the content of a claim over all open items that may be shown: overdue ones as asked for, others beside them, credits netted.

    Its number is 0 and its step is `preview`. Raise `NotFound` for an unknown customer, `NothingOpen` where there is nothing to show.
    """
    sheet = (await sheet_store.customers_of(session, tenant_id, [customer_id])).get(customer_id)
    if sheet is None:
        noun = "customer"
        raise NotFound(noun)
    ledger_id = await ledger_of_customer(session, tenant_id, customer_id)
    ledger = await ledgers.ledger_of(session, tenant_id=tenant_id, ledger_id=ledger_id)
    today = local_date(clock.now(), ledger.time_zone)
    found, _ = await facts.facts_of(session, tenant_id, [customer_id], today)
    action = _action(list(found[0].position.items) if found else [], today)
    shown = [UUID(str(item_id)) for item_id in (*[row.item_id for row in action.rows], *action.not_due, *action.credits)]
    items = await sheet_store.items_of(session, tenant_id, shown)
    language = sheet.language or ledger.language
    deadline_on = today + dt.timedelta(days=PREVIEW_STEP.deadline_days or 0)
    customer = {"external_id": sheet.external_id, "name": sheet.name}
    heading = freezing.Heading(0, today, deadline_on, "full", language, PREVIEW_STEP, _creditor(ledger), customer)
    return freezing.freeze(heading, action, {item_id: dict(row) for item_id, row in items.items()}, {})


async def ledger_of_customer(session: ReadSession, tenant_id: TenantId, customer_id: CustomerId) -> LedgerId:
    """Return the ledger that a customer is in; raise `NotFound`."""
    ledger_id = await session.value("select ledger_id from customer where tenant_id = $1 and customer_id = $2", tenant_id, customer_id)
    if ledger_id is None:
        noun = "customer"
        raise NotFound(noun)
    return LedgerId(ledger_id)


async def creditor_of(session: ReadSession, tenant_id: TenantId, ledger_id: LedgerId) -> dict[str, object]:
    """Return the part of a claim that says who asks: names, addresses and bank accounts of a ledger; raise `NotFound`."""
    return _creditor(await ledgers.ledger_of(session, tenant_id=tenant_id, ledger_id=ledger_id))


def _action(items: list[Item], today: dt.date) -> Action:
    day = today.toordinal()
    debits = sorted([item for item in items if item.direction == DEBIT and item.open_minor > 0], key=age_of)
    credits_ = sorted([item for item in items if item.direction == CREDIT and item.open_minor > 0], key=age_of)
    net = net_amounts(debits, credits_)
    rows = [
        Row(item.id, item.episode, item.version, PREVIEW_STEP.code, 0, item.currency, net[item.id], item.open_minor, item.due_on >= day, None)
        for item in debits
        if net[item.id] > 0 and may_be_shown(item, day) and item.due_on < day
    ]
    asked = {row.item_id for row in rows}
    others = [item for item in debits if item.id not in asked and net[item.id] > 0 and may_be_shown(item, day)]
    if not rows:
        # A preview before anything is overdue asks for what will be.
        rows = [Row(i.id, i.episode, i.version, PREVIEW_STEP.code, 0, i.currency, net[i.id], i.open_minor, not_due=True, counted_from=None) for i in others]
        others = []
    if not rows:
        msg = "The customer has no open item that may be shown in a mail. Choose another customer, or leave it out for the sample."
        raise NothingOpen(msg)
    totals: dict[str, int] = {}
    for row in rows:
        totals[row.currency] = totals.get(row.currency, 0) + row.net_minor
    return Action(
        scenario_id="",
        version=0,
        step_code=PREVIEW_STEP.code,
        rank=0,
        mode=Mode.MANUAL.value,
        kind=StepKind.NOTICE.value,
        document_id=None,
        rows=tuple(rows),
        info=(),
        not_due=tuple(item.id for item in others),
        credits=tuple(credit.id for credit in credits_ if credit.currency in totals),
        totals=tuple(sorted(totals.items())),
    )


def _creditor(ledger: Ledger) -> dict[str, object]:
    names = ("beneficiary", "iban", "bic", "bank_name", "currency")
    return {
        "name": ledger.name,
        "country": ledger.country,
        "sender_name": ledger.sender_name,
        "sender_email": ledger.sender_email,
        "reply_to": ledger.reply_to,
        "bank_accounts": [{name: account.get(name) for name in names} for account in ledger.bank_accounts],
    }
