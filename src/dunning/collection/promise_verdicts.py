"""Finding out what promises are: the books and the day are read, the rule decides, and what follows is written."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import asyncpg

from dunning.collection import promise_fact_store, promise_rules, promise_turns
from dunning.collection.despatch import Scene
from dunning.collection.promise_rules import Agreement, Apart, Instalment, Judgement, Payment, PromisedItem, Reason, State
from dunning.collection.promise_turns import Change
from dunning.kit.clock import Clock
from dunning.kit.database import ReadSession, Session
from dunning.kit.ids import CustomerId, TenantId


async def decide(session: Session, clock: Clock, scene: Scene, customer_ids: Sequence[CustomerId], since: dt.date) -> int:
    """Find out what the promises of some customers are, let it follow, and return how many became something else.

    Those that are over stay what they were found to be where their last day lies before `since`. The caller holds the customers' locks. A second call on
    the same facts and day finds nothing.
    """
    rows = await promise_fact_store.promises_to_judge(session, scene.tenant_id, customer_ids, since)
    judged = await judged_on(session, scene.tenant_id, rows, scene.today)
    changes = [Change(row, judged[row["promise_id"]]) for row in rows]
    return await promise_turns.follow(session, clock, scene, [change for change in changes if not change.is_none], rows)


async def take_back(session: Session, clock: Clock, scene: Scene, rows: Sequence[asyncpg.Record], *, why: str, plan_state: str | None = None) -> None:
    """End open promises, as `promise_fact_store.open_promises` returns them, that somebody takes back, and say why.

    `plan_state` is what a plan is then of which nothing is left open. The caller holds the customers' locks.
    """
    changes = [Change(row, Judgement(State.CANCELLED, Reason.BY_HAND, row["last_on"], None, row["received_minor"])) for row in rows]
    await promise_turns.follow(session, clock, scene, changes, rows, why=why, plan_state=plan_state)


async def judged_on(session: ReadSession, tenant_id: TenantId, rows: Sequence[asyncpg.Record], today: dt.date) -> dict[UUID, Judgement]:
    """Return what some promises are on a day, by the books as they stand; four statements however many."""
    if not rows:
        return {}
    by_agreement: dict[UUID, list[asyncpg.Record]] = defaultdict(list)
    for row in rows:
        by_agreement[row["agreement_id"]].append(row)
    # All instalments of a plan are about the same items since the same moment: the first speaks for them.
    heads = {own[0]["promise_id"]: agreement_id for agreement_id, own in by_agreement.items()}
    items = await _items(session, tenant_id, list(heads))
    agreements: dict[CustomerId, list[Agreement]] = defaultdict(list)
    for head, agreement_id in heads.items():
        own = by_agreement[agreement_id]
        agreements[CustomerId(own[0]["customer_id"])].append(_agreement(own, items[head]))
    payments: dict[UUID, list[Payment]] = defaultdict(list)
    item_ids = {item.item_id for of_one in items.values() for item in of_one}
    since = min(row["created_at"] for row in rows)
    for found in await promise_fact_store.payments_towards(session, tenant_id, list(agreements), list(item_ids), since):
        payments[found["customer_id"]].append(Payment(**{name: found[name] for name in Payment.__slots__}))
    judged: dict[UUID, Judgement] = {}
    for customer_id, of_customer in agreements.items():
        judged |= promise_rules.judge_all(of_customer, payments[customer_id], today)
    return judged


async def _items(session: ReadSession, tenant_id: TenantId, promise_ids: Sequence[UUID]) -> dict[UUID, tuple[PromisedItem, ...]]:
    apart: dict[tuple[UUID, UUID], list[Apart]] = defaultdict(list)
    for row in await promise_fact_store.set_apart(session, tenant_id, promise_ids):
        apart[row["promise_id"], row["item_id"]].append(Apart(row["from_on"], row["until_on"], row["minor"], Reason(row["why"]), row["ended"]))
    found: dict[UUID, list[PromisedItem]] = {promise_id: [] for promise_id in promise_ids}
    for row in await promise_fact_store.items_of(session, tenant_id, promise_ids):
        item = PromisedItem(row["item_id"], row["open_minor"], tuple(apart[row["promise_id"], row["item_id"]]))
        found[row["promise_id"]].append(item)
    return {promise_id: tuple(items) for promise_id, items in found.items()}


def _agreement(rows: Sequence[asyncpg.Record], items: tuple[PromisedItem, ...]) -> Agreement:
    first: Any = rows[0]
    terms = ("promise_id", "amount_minor", "due_by_then_minor", "tolerance_percent", "promised_on", "grace_days", "agreed_on")
    instalments = tuple(
        Instalment(**{name: row[name] for name in terms}, kept_with_minor=row["received_minor"] if row["state"] == State.KEPT else None) for row in rows
    )
    return Agreement(first["agreement_id"], first["currency"], first["created_at"], items, instalments, first["promised_anew"])
