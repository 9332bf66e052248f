"""Watching agreements: promises that are kept or broken, blocks whose causes are settled, and what is about nothing any more."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence

from dunning.collection import blocks, carrying, disputes, follow_up_store, promise_verdicts, scenes, watch_store
from dunning.collection.despatch import Outbound
from dunning.kit.clock import Clock, instant_of, local_date
from dunning.kit.database import ReadSession, Session
from dunning.kit.ids import CustomerId, LedgerId, TenantId
from dunning.ledger import ledger_store
from dunning.ledger.customer_state import lock_customers
from dunning.tenancy import service as tenancy

ACTOR = "watch"
BATCH = 200


async def to_look_at(
    session: ReadSession, clock: Clock, *, tenant_id: TenantId, ledger_id: LedgerId, without: Collection[CustomerId] = (), limit: int = BATCH
) -> list[CustomerId]:
    """Return watched customers of a ledger whose facts have moved since they were looked at, or whose promises' days are over, but for some."""
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
    await lock_customers(session, tenant_id, customer_ids)
    await promise_verdicts.decide(session, clock, scene, customer_ids)
    await blocks.lift_settled(session, clock, tenant_id=tenant_id, actor=ACTOR, customer_ids=customer_ids, today=scene.today)
    await disputes.resolve_settled(session, clock, scene, customer_ids)
    settled = await follow_up_store.settled_specific_actions(session, tenant_id, customer_ids)
    await carrying.cancel(session, clock, scene, settled, "settled")
    await watch_store.note_looked_at(session, tenant_id, customer_ids)


async def ledgers_watched(session: ReadSession, *, tenant_id: TenantId) -> list[LedgerId]:
    """Return the ledgers of a tenant in which some customer is watched."""
    return await watch_store.ledgers_watched(session, tenant_id)


async def plan_next_look(session: Session, *, tenant_id: TenantId, ledger_id: LedgerId) -> None:
    """Have a ledger looked at again when the last day of its next open promise is over there. A test tenant's nights look instead: its clock is its own."""
    ledger = await ledger_store.ledger_of(session, tenant_id, ledger_id)
    last_day = await watch_store.next_promise_end(session, tenant_id, ledger_id)
    if ledger is None or last_day is None or (await tenancy.tenant_of(session, tenant_id)).mode != "live":
        return
    await watch_store.ring_once(session, tenant_id, instant_of(last_day + dt.timedelta(days=1), dt.time(), ledger.time_zone))
