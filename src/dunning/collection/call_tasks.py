"""Putting a selection of customers on the phone list, a result for each."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

import asyncpg

from dunning.collection import activity_store, call_task_store, contact_budget, leaving, owners
from dunning.collection.call_task_store import NewCalls
from dunning.collection.calls import CALL
from dunning.collection.contact_budget import ContactBudgetSpent
from dunning.collection.specific import FARTHEST_DAYS, ItemNotOpen, ItemTaken
from dunning.collection.specific_rules import AD_HOC, Content
from dunning.events import service as events
from dunning.events.service import NewEvent
from dunning.kit.clock import Clock, local_date
from dunning.kit.database import Session
from dunning.kit.errors import Malformed, NotFound
from dunning.kit.ids import CustomerId, LedgerId, PersonId, TenantId, new_id
from dunning.ledger import ledgers
from dunning.ledger.customer_state import lock_customers

AT_ONCE = 1_000
TITLE = "Call about open invoices"
ALREADY = "call_waits"

Outcome = Literal["created", "ready", "exists", "refused", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Calls:
    """Whom to call: customers, or those of some activities; when (None: today), who does it (None: the lead collector), and what about.

    With `beyond_budget` the contact budget keeps nobody from being called.
    """

    customer_ids: Sequence[UUID] = ()
    activity_ids: Sequence[UUID] = ()
    scheduled_on: dt.date | None = None
    person_id: PersonId | None = None
    title: str = TITLE
    text: str | None = None
    dry_run: bool = False
    beyond_budget: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one customer, or of an activity whose customer is unknown."""

    customer_id: UUID | None
    activity_id: UUID | None
    outcome: Outcome
    action_id: UUID | None = None
    code: str | None = None
    detail: str | None = None


async def create_call_tasks(session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, calls: Calls) -> list[Result]:
    """Put customers on the phone list, each once, and return what became of each; one that cannot be called for never stops the others.

    A call covers all open debts that may be asked for (none that is disputed, has an excluding status or is in an open specific action: what comes to
    be so later leaves it) and stands beside the scenario. A customer with a call that waits for that day or one before it keeps that one, so a
    second call adds nothing; one whose contact budget is spent on the day is refused, with the rule and the day that is free.
    Raises `NotFound` for an unknown person, `Malformed` for a day out of range.
    """
    await owners.check(session, tenant_id=tenant_id, person_id=calls.person_id)
    called = await activity_store.customers_of(session, tenant_id, calls.activity_ids) if calls.activity_ids else {}
    chosen = [CustomerId(one) for one in dict.fromkeys([*calls.customer_ids, *(called[one] for one in calls.activity_ids if one in called)])]
    if not calls.dry_run:
        await lock_customers(session, tenant_id, chosen)
    known = {CustomerId(row["customer_id"]): row for row in await call_task_store.candidates(session, tenant_id, chosen)}
    now = clock.now()
    days = {one: local_date(now, row["time_zone"]) for one, row in known.items()}
    _check(calls.scheduled_on, days.values() or [now.date()])
    waiting = {one: row["waiting_id"] for one, row in known.items() if row["waiting_id"] is not None and row["waiting_on"] <= (calls.scheduled_on or days[one])}
    free = [one for one, row in known.items() if one not in waiting and row["free"]]
    spent = await _spent(session, tenant_id, calls, {one: (known[one], days[one]) for one in free})
    free = [one for one in free if one not in spent]
    ids = dict.fromkeys(free) if calls.dry_run else {one: new_id() for one in free}
    if free and not calls.dry_run:
        text = calls.text or calls.title
        content = Content(kind="task", task_kind=CALL, task_text=text, beyond_budget=calls.beyond_budget, about_all=True).stored()
        new = NewCalls(
            action_ids=[one for one in ids.values() if one is not None], customer_ids=free, days=[days[one] for one in free],
            scheduled=[calls.scheduled_on or days[one] for one in free], title=calls.title, text=text, content=content, person_id=calls.person_id,
        )  # fmt: skip
        await call_task_store.insert_calls(session, tenant_id, new, actor=actor)
        made = [
            NewEvent("action.created", "action", action_id, CustomerId(one), {"origin": AD_HOC, "kind": "task", "mode": "manual", "task_kind": CALL})
            for one, action_id in ids.items()
            if action_id is not None
        ]
        await events.record_many(session, clock, tenant_id=tenant_id, actor=actor, events=made)
        await owners.let_see(session, clock, tenant_id=tenant_id, actor=actor, person_id=calls.person_id, customer_ids=free)
    lost = [Result(None, one, "unknown", None, NotFound.code, _UNKNOWN) for one in calls.activity_ids if one not in called]
    outcome: Outcome = "ready" if calls.dry_run else "created"
    results = [
        Result(one, None, outcome, ids[one])
        if one in ids
        else Result(one, None, "refused", None, spent[one].code, spent[one].detail)
        if one in spent
        else _refused(one, waiting.get(one), known.get(one))
        for one in chosen
    ]
    return results + lost


async def _spent(
    session: Session, tenant_id: TenantId, calls: Calls, free: Mapping[CustomerId, tuple[asyncpg.Record, dt.date]]
) -> dict[CustomerId, ContactBudgetSpent]:
    """Return the customers whom a call on its day would bring above the contact budget of their ledger; one statement a ledger with a budget."""
    found: dict[CustomerId, ContactBudgetSpent] = {}
    if calls.beyond_budget:
        return found
    by_ledger: dict[tuple[UUID, dt.date], list[CustomerId]] = {}
    for one, (row, today) in free.items():
        by_ledger.setdefault((row["ledger_id"], calls.scheduled_on or today), []).append(one)
    for (ledger_id, on), customer_ids in by_ledger.items():
        ledger = await ledgers.ledger_of(session, tenant_id=tenant_id, ledger_id=LedgerId(ledger_id))
        found |= await contact_budget.spent(session, tenant_id, ledger, customer_ids, on)
    return found


_UNKNOWN = "No such customer or activity. Check the id, and that it belongs to this tenant."
_NOT_ASKED_FOR = {
    leaving.DISPUTED: (leaving.DISPUTED, "Everything that the customer owes is kept back, by a dispute at least. Wait for the end of that."),
    leaving.EXCLUDED_STATUS: (leaving.EXCLUDED_STATUS, "Everything that the customer owes is kept back, by a status that stops reminding at least."),
    leaving.SPECIFIC_ACTION: (ItemTaken.code, "Everything that the customer owes is in specific actions. Wait for their end, or do what they say."),
}
"""What is answered where everything is kept back, by the cause; of several the first."""


def _refused(customer_id: UUID, waiting_id: UUID | None, row: asyncpg.Record | None) -> Result:
    if row is None:
        return Result(customer_id, None, "unknown", None, NotFound.code, _UNKNOWN)
    if waiting_id is not None:
        return Result(customer_id, None, "exists", waiting_id, ALREADY, "A call to this customer waits already.")
    code, detail = _NOT_ASKED_FOR[min(row["whys"])] if row["whys"] else (ItemNotOpen.code, "The customer owes nothing, so there is nothing to call about.")
    return Result(customer_id, None, "refused", None, code, detail)


def _check(scheduled_on: dt.date | None, days: Collection[dt.date]) -> None:
    first = min(days)
    if scheduled_on is not None and not first <= scheduled_on <= first + dt.timedelta(days=FARTHEST_DAYS):
        msg = f"scheduled_on: expected a day from {first} on, within a year."
        raise Malformed(msg, [{"field": "scheduled_on", "message": "expected a day from today on, within a year"}])
