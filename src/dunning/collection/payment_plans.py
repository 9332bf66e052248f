"""Payment plans: a debt paid in instalments, each a promise; one that is missing breaks the plan."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal
from uuid import UUID

import asyncpg

from dunning.collection import promise_fact_store, promise_rules, promise_store, promise_verdicts, promises, scenes
from dunning.collection.despatch import Outbound
from dunning.collection.promise_store import Terms
from dunning.collection.promises import Source
from dunning.events import service as events
from dunning.events.service import NewEvent
from dunning.kit.clock import Clock
from dunning.kit.database import ReadSession, Session
from dunning.kit.errors import Conflict, Malformed, NotFound
from dunning.kit.ids import CustomerId, ItemId, LedgerId, PlanId, TenantId, new_id
from dunning.kit.money import Money, split_by_weights
from dunning.ledger import customers, ledgers
from dunning.ledger.customer_state import lock_customers
from dunning.ledger.item_statuses import PROMISED

INSTALMENTS_MAX = 60


class PlanEnded(Conflict):
    """The plan is kept, broken or cancelled."""

    code = "plan_ended"
    title = "The payment plan is over"


@dataclass(frozen=True, slots=True)
class Rhythm:
    """Instalments of equal size: how many, from which day on, a month or a number of days apart."""

    count: int
    first_on: dt.date
    every: Literal["month"] | int = "month"

    def days(self) -> list[dt.date]:
        """Return the day of each instalment."""
        if self.every == "month":
            return promise_rules.monthly(self.first_on, self.count)
        return promise_rules.every(self.first_on, self.count, self.every)


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreed:
    """What is agreed. Without items the customer's oldest debts, without a total all that is open of them; instalments are given, or a rhythm is."""

    customer_id: CustomerId
    item_ids: Sequence[ItemId] | None
    total: Money | None
    currency: str | None
    instalments: Sequence[tuple[dt.date, Money]] | Rhythm
    grace_days: int = 0
    tolerance_percent: int = 0
    pauses: bool = True
    source: Source = "team"
    note: str | None = None


async def agree_plan(session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, agreed: Agreed, outbound: Outbound) -> asyncpg.Record:
    """Agree on a payment plan and return it. Its instalments add up to the total, to the cent; the first ones take what does not divide.

    Raises `NotFound`, `Malformed` where the sum differs or days do not rise, and what recording a promise raises.
    """
    customer = await customers.customer_of(session, tenant_id=tenant_id, customer_id=agreed.customer_id)
    scene = await scenes.scene_of(session, clock, tenant_id=tenant_id, ledger_id=customer.ledger_id, outbound=outbound, actor=actor)
    days = agreed.instalments.days() if isinstance(agreed.instalments, Rhythm) else [day for day, _ in agreed.instalments]
    _check_days(days, scene.today)
    items = await promises.chosen(session, tenant_id, agreed.customer_id, agreed.item_ids, agreed.total, scene.today, agreed.currency)
    total = agreed.total or Money(sum(item.open_minor for item in items), items[0].currency)
    amounts = _amounts(agreed.instalments, total)
    terms = Terms(
        ledger_id=customer.ledger_id, customer_id=customer.customer_id, plan_id=PlanId(new_id()), currency=total.currency, grace_days=agreed.grace_days,
        tolerance_percent=agreed.tolerance_percent, pauses=agreed.pauses, source=agreed.source, note=agreed.note, given_on=scene.today,
    )  # fmt: skip
    await promise_store.insert_plan(session, tenant_id, terms, total.minor, actor=actor)
    await promises.write(session, clock, scene, terms, items, list(zip(days, amounts, strict=True)), PROMISED)
    event = NewEvent("payment_plan.agreed", "payment_plan", terms.plan_id or new_id(), customer.customer_id, {"instalments": len(days), "source": terms.source})
    await events.record_many(session, clock, tenant_id=tenant_id, actor=actor, events=[event])
    return await plan_of(session, tenant_id=tenant_id, plan_id=PlanId(event.subject_id))


async def cancel_plan(session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, plan_id: PlanId, reason: str, outbound: Outbound) -> asyncpg.Record:
    """Take back what is left of an active plan; kept instalments stay kept. Raises `NotFound`, `PlanEnded` on a second call."""
    seen = await plan_of(session, tenant_id=tenant_id, plan_id=plan_id)
    customer_id = CustomerId(seen["customer_id"])
    await lock_customers(session, tenant_id, [customer_id])
    plan = await plan_of(session, tenant_id=tenant_id, plan_id=plan_id)
    if plan["state"] != "active":
        msg = f"The plan was {plan['state']} on {plan['ended_on']}. Agree on a new one for what is still open."
        raise PlanEnded(msg, state=plan["state"])
    scene = await scenes.scene_of(session, clock, tenant_id=tenant_id, ledger_id=LedgerId(plan["ledger_id"]), outbound=outbound, actor=actor)
    rows = [row for row in await promise_fact_store.open_promises(session, tenant_id, customer_id) if row["plan_id"] == plan_id]
    await promise_verdicts.take_back(session, clock, scene, rows, why=reason, plan_state="cancelled")
    return await plan_of(session, tenant_id=tenant_id, plan_id=plan_id)


async def plan_of(session: ReadSession, *, tenant_id: TenantId, plan_id: PlanId) -> asyncpg.Record:
    """Return a plan; raise `NotFound`."""
    row = await promise_store.plan_of(session, tenant_id, plan_id)
    if row is None:
        noun = "payment plan"
        raise NotFound(noun)
    return row


async def history_of(session: ReadSession, *, tenant_id: TenantId, plan: asyncpg.Record) -> list[asyncpg.Record]:
    """Return what happened to a plan, the oldest first: when it was agreed, kept, broken or cancelled, by whom, and why where somebody said so."""
    return await promise_store.history_of(session, tenant_id, CustomerId(plan["customer_id"]), plan["plan_id"])


async def instalments_of(session: ReadSession, *, tenant_id: TenantId, plan_ids: Sequence[UUID]) -> dict[UUID, list[asyncpg.Record]]:
    """Return the instalments of some plans by plan, in their order."""
    found: dict[UUID, list[asyncpg.Record]] = {plan_id: [] for plan_id in plan_ids}
    for row in await promise_store.promises_of_plans(session, tenant_id, plan_ids):
        found[row["plan_id"]].append(row)
    return found


async def plans_after(
    session: ReadSession,
    *,
    tenant_id: TenantId,
    after: UUID | None,
    limit: int,
    ledger_id: UUID | None = None,
    customer_id: UUID | None = None,
    state: str | None = None,
) -> list[asyncpg.Record]:
    """Return plans past an id, by id; raise `NotFound` for an unknown ledger or customer."""
    if ledger_id is not None:
        await ledgers.ledger_of(session, tenant_id=tenant_id, ledger_id=LedgerId(ledger_id))
    if customer_id is not None:
        await customers.customer_of(session, tenant_id=tenant_id, customer_id=CustomerId(customer_id))
    return await promise_store.plans_after(session, tenant_id, after, limit, ledger_id=ledger_id, customer_id=customer_id, state=state)


def _check_days(days: Sequence[dt.date], today: dt.date) -> None:
    if not 2 <= len(days) <= INSTALMENTS_MAX:
        msg = f"instalments: expected 2 to {INSTALMENTS_MAX}; a single payment is a promise."
        raise Malformed(msg, errors=[{"field": "instalments", "message": f"expected 2 to {INSTALMENTS_MAX}"}])
    if days[0] < today or any(later <= earlier for earlier, later in pairwise(days)):
        msg = f"instalments: expected rising days, the first from {today} on."
        raise Malformed(msg, errors=[{"field": "instalments", "message": "expected rising days from today on"}])


def _amounts(instalments: Sequence[tuple[dt.date, Money]] | Rhythm, total: Money) -> list[int]:
    """Return the amount of each instalment. Raises `Malformed` where given ones do not add up to the total."""
    if isinstance(instalments, Rhythm):
        if total.minor < instalments.count:
            msg = f"instalments: {total} cannot be paid in {instalments.count} parts."
            raise Malformed(msg, errors=[{"field": "instalments", "message": "are more than the total has parts"}])
        return split_by_weights(total.minor, [1] * instalments.count)
    whole = Money(0, total.currency)
    for _, money in instalments:
        whole += money
    if whole.minor != total.minor:
        msg = f"The instalments add up to {whole}, the total is {total}. Change one of them."
        raise Malformed(msg, errors=[{"field": "instalments", "message": "do not add up to the total"}], instalments=str(whole), total=str(total))
    return [money.minor for _, money in instalments]
