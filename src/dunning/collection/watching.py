"""Watching agreements: promises that are kept or broken, blocks whose causes are settled or owed again, disputes, and what is about nothing any more."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence

from dunning.collection import blocks, carrying, dispute_credits, disputes, follow_up_store, promise_verdicts, reopened, scenes, watch_store
from dunning.collection.despatch import Outbound
from dunning.kit.clock import Clock, instant_of, local_date
from dunning.kit.database import ReadSession, Session
from dunning.kit.ids import CustomerId, LedgerId, TenantId
from dunning.ledger import ledger_store
from dunning.ledger.customer_state import lock_customers
from dunning.tenancy import service as tenancy

ACTOR = "watch"
BATCH = 200
FINAL_AFTER_DAYS = 400
"""For how long an entry may change what a promise was found to be, or bring a block back that was lifted by a payment.

A direct debit that nobody authorised can be returned for thirteen months (Directive (EU) 2015/2366, article 71).
"""


async def to_look_at(
    session: ReadSession, clock: Clock, *, tenant_id: TenantId, ledger_id: LedgerId, without: Collection[CustomerId] = (), limit: int = BATCH
) -> list[CustomerId]:
    """Return watched customers of a ledger whose facts have moved since they were looked at, or for whom the day may have changed something, but for some."""
    ledger = await ledger_store.ledger_of(session, tenant_id, ledger_id)
    if ledger is None:
        return []
    return await watch_store.customers_to_look_at(session, tenant_id, ledger_id, local_date(clock.now(), ledger.time_zone), without, limit)


async def look(session: Session, clock: Clock, *, tenant_id: TenantId, ledger_id: LedgerId, customer_ids: Sequence[CustomerId], outbound: Outbound) -> None:
    """Look at some customers of a ledger and let follow what their facts and the day bring.

    Their state rows are locked first. What is found is written with its events; a customer for whom nothing is left to wait is watched no longer.
    A second look on the same facts and day changes nothing.
    """
    scene = await scenes.scene_of(session, clock, tenant_id=tenant_id, ledger_id=ledger_id, outbound=outbound, actor=ACTOR)
    since = scene.today - dt.timedelta(days=FINAL_AFTER_DAYS)
    await lock_customers(session, tenant_id, customer_ids)
    await dispute_credits.end_credited(session, clock, scene, customer_ids)
    await disputes.resolve_settled(session, clock, scene, customer_ids)
    await disputes.note_overdue(session, clock, scene, customer_ids)
    await promise_verdicts.decide(session, clock, scene, customer_ids, since)
    await blocks.lift_settled(session, clock, tenant_id=tenant_id, actor=ACTOR, customer_ids=customer_ids, today=scene.today)
    await blocks.renew_owed(session, clock, tenant_id=tenant_id, actor=ACTOR, customer_ids=customer_ids, today=scene.today, since=since)
    await reopened.ask_what_next(session, clock, scene, customer_ids)
    settled = await follow_up_store.settled_own_actions(session, tenant_id, customer_ids, scene.today)
    await carrying.cancel(session, clock, scene, settled, "settled")
    await watch_store.note_looked_at(session, tenant_id, customer_ids, since)


async def ledgers_watched(session: ReadSession, *, tenant_id: TenantId) -> list[LedgerId]:
    """Return the ledgers of a tenant in which some customer is watched."""
    return await watch_store.ledgers_watched(session, tenant_id)


async def plan_next_look(session: Session, *, tenant_id: TenantId, ledger_id: LedgerId) -> None:
    """Have a ledger looked at again when the next day begins there that may change a promise or dispute. A test tenant's nights look: its clock is its own."""
    ledger = await ledger_store.ledger_of(session, tenant_id, ledger_id)
    day = await watch_store.next_day(session, tenant_id, ledger_id)
    if ledger is None or day is None or (await tenancy.tenant_of(session, tenant_id)).mode != "live":
        return
    await watch_store.ring_once(session, tenant_id, instant_of(day, dt.time(), ledger.time_zone))
