"""Blocks that come with customers and items from the system before: kept as holds, which follow what is stated last."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from dunning.kit.clock import Clock
from dunning.kit.database import Session
from dunning.kit.ids import CustomerId, ItemId, LedgerId, TenantId
from dunning.ledger import hold_store, holds
from dunning.ledger.rows import DunningBlock


@dataclass(frozen=True, slots=True)
class StatedBlock:
    """What a statement says about one customer, or about one of its items; no block means that none is in force."""

    customer_id: CustomerId
    item_id: ItemId | None
    block: DunningBlock | None


async def put_blocks(
    session: Session,
    clock: Clock,
    *,
    tenant_id: TenantId,
    actor: str,
    ledger_id: LedgerId,
    today: dt.date,
    stated: Sequence[StatedBlock],
    fresh: bool,
) -> None:
    """Set, keep or release the stated blocks. `fresh` says that all are about objects just created, which have none yet.

    Blocks that ended before today are not kept. The caller locked the customers and says that facts changed.
    """
    if fresh and not any(s.block for s in stated):
        return
    subjects = {(s.customer_id, s.item_id): s.block for s in stated}
    present = await hold_store.stated_holds_of(session, tenant_id, list({s.customer_id for s in stated}))
    ended = []
    for hold in present:
        key = (hold.customer_id, hold.item_id)
        if hold.customer_id is None or key not in subjects:
            continue
        block = subjects[hold.customer_id, hold.item_id]
        if block is not None and (block.reason, block.until_on, block.comment) == (hold.reason, hold.until_on, hold.comment):
            del subjects[hold.customer_id, hold.item_id]
        else:
            ended.append(hold.hold_id)
    await holds.release_holds(session, clock, tenant_id=tenant_id, actor=actor, hold_ids=ended)
    added = [
        holds.new_hold(
            ledger_id,
            "customer" if item_id is None else "item",
            customer_id=customer_id,
            item_id=item_id,
            origin="stated",
            reason=block.reason,
            comment=block.comment,
            from_on=today,
            until_on=block.until_on,
            actor=actor,
            at=clock.now(),
        )
        for (customer_id, item_id), block in subjects.items()
        if block is not None and (block.until_on is None or block.until_on >= today)
    ]
    await holds.add_holds(session, clock, tenant_id=tenant_id, actor=actor, holds=added)
