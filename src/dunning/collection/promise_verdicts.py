"""What follows when promises end: kept, broken or taken back, with the plans that they are instalments of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import asyncpg

from dunning.collection import action_store, carrying, follow_up_store, item_fact_store, promise_rules, promise_store
from dunning.collection.action_store import NewActivity
from dunning.collection.despatch import Scene
from dunning.collection.item_fact_store import NewFact
from dunning.collection.promise_rules import Standing, Verdict
from dunning.collection.promise_store import Decided
from dunning.events import service as events
from dunning.events.service import NewEvent
from dunning.kit.clock import Clock
from dunning.kit.database import Session
from dunning.kit.ids import CustomerId, ItemId
from dunning.kit.money import format_minor
from dunning.ledger import item_comments
from dunning.ledger.customer_state import facts_changed
from dunning.ledger.item_statuses import PROMISED

NOT_NEEDED = "not_needed"
Ending = tuple[asyncpg.Record, str]
"""An open promise as `promise_store.open_promises` returns it, and the state that it ends in."""


async def decide(session: Session, clock: Clock, scene: Scene, customer_ids: Sequence[CustomerId]) -> int:
    """Find out what became of the open promises of some customers and let it follow; return how many ended.

    The caller holds the customers' locks. A second call on the same facts and day finds nothing.
    """
    rows = await promise_store.open_promises(session, scene.tenant_id, customer_ids)
    verdicts = {row["promise_id"]: promise_rules.judge(_standing(row), scene.today) for row in rows}
    endings: list[Ending] = []
    broken: set[UUID] = set()
    for row in rows:
        verdict = verdicts[row["promise_id"]]
        if verdict is Verdict.KEPT:
            endings.append((row, "kept"))
        elif row["plan_id"] in broken or verdict is Verdict.NOTHING_OWED:
            # An instalment that is missing breaks the plan; those after it are not asked for any more.
            endings.append((row, "cancelled"))
        elif verdict is Verdict.BROKEN:
            endings.append((row, "broken"))
            if row["plan_id"] is not None:
                broken.add(row["plan_id"])
    await end(session, clock, scene, endings, reason=None, actions_end="promise_kept")
    return len(endings)


async def end(
    session: Session, clock: Clock, scene: Scene, endings: Sequence[Ending], *, reason: str | None, actions_end: str, plan_state: str | None = None
) -> None:
    """End open promises: write what became of them, give back statuses, note facts, end or bring forward their actions, and end their plans.

    `plan_state` is what a plan ends in of which nothing is left open; without it, what became of its instalments says that. The caller holds the
    customers' locks.
    """
    if not endings:
        return
    tenant_id = scene.tenant_id
    await promise_store.decide(session, tenant_id, [Decided(row["promise_id"], state, row["received_minor"]) for row, state in endings], scene.today)
    plans = await _end_plans(session, clock, scene, endings, reason, plan_state)
    await _give_back(session, clock, scene, endings, plans)
    await _note_broken(session, clock, scene, [row for row, state in endings if state == "broken"])
    await _end_actions(session, clock, scene, endings, plans, actions_end)
    told = [
        NewEvent(
            f"promise.{state}", "promise", row["promise_id"], CustomerId(row["customer_id"]),
            {"promised_on": row["promised_on"], "plan_id": row["plan_id"], "reason": reason},
        )
        for row, state in endings
    ]  # fmt: skip
    await events.record_many(session, clock, tenant_id=tenant_id, actor=scene.actor, events=told)
    await facts_changed(session, tenant_id, {CustomerId(row["customer_id"]) for row, _ in endings}, scene.today)


async def _end_plans(session: Session, clock: Clock, scene: Scene, endings: Sequence[Ending], reason: str | None, plan_state: str | None) -> Mapping[UUID, str]:
    """End the plans of which nothing is left open, and return their states."""
    plan_ids = {row["plan_id"] for row, _ in endings if row["plan_id"] is not None}
    if not plan_ids:
        return {}
    broken = {row["plan_id"] for row, state in endings if state == "broken"}
    done = await promise_store.plans_without_open(session, scene.tenant_id, sorted(plan_ids))
    found = {row["plan_id"]: "broken" if row["plan_id"] in broken else "kept" if row["kept"] else "cancelled" for row in done}
    states = dict.fromkeys(found, plan_state) if plan_state is not None else found
    ended = await promise_store.end_plans(session, scene.tenant_id, states, scene.today)
    told = [NewEvent(f"payment_plan.{row['state']}", "payment_plan", row["plan_id"], CustomerId(row["customer_id"]), {"reason": reason}) for row in ended]
    await events.record_many(session, clock, tenant_id=scene.tenant_id, actor=scene.actor, events=told)
    return {row["plan_id"]: row["state"] for row in ended}


async def _give_back(session: Session, clock: Clock, scene: Scene, endings: Sequence[Ending], plans: Mapping[UUID, str]) -> None:
    """Give items the status that they had before the promise; those of a plan when the plan is over."""
    single: dict[UUID, Sequence[ItemId]] = {row["promise_id"]: row["item_ids"] or [] for row, _ in endings if row["plan_id"] is None}
    planned: dict[UUID, Sequence[ItemId]] = {row["plan_id"]: row["item_ids"] or [] for row, _ in endings if row["plan_id"] in plans}
    for source, sources in (("promise", single), ("plan", planned)):
        if sources:
            await item_comments.take_back_status(
                session, clock, tenant_id=scene.tenant_id, actor=scene.actor, source=source, sources=sources, category=PROMISED,  # type: ignore[arg-type]
            )  # fmt: skip


async def _note_broken(session: Session, clock: Clock, scene: Scene, broken: Sequence[asyncpg.Record]) -> None:
    """Note the fact that steps wait for, from the day after the promise's last, and an activity that says what was missing."""
    facts = [
        NewFact(row["customer_id"], item_id, promise_rules.broken_on(row["promised_on"], row["grace_days"]), row["promise_id"])
        for row in broken
        for item_id in row["item_ids"] or []
    ]
    await item_fact_store.insert_facts(session, scene.tenant_id, "promise_broken", facts)
    activities = [
        NewActivity(customer_id=CustomerId(row["customer_id"]), action_id=None, kind="promise_broken", text=_missing(row), data=_subject(row)) for row in broken
    ]
    await action_store.insert_activities(session, scene.tenant_id, scene.ledger.ledger_id, activities, actor=scene.actor, business_at=clock.now())


async def _end_actions(session: Session, clock: Clock, scene: Scene, endings: Sequence[Ending], plans: Mapping[UUID, str], reason: str) -> None:
    """Cancel the actions of promises that need none any more; the call about a broken one comes today at the latest."""
    needless: list[UUID | None] = [row["reminder_action_id"] for row, _ in endings]
    late: list[UUID | None] = []
    for row, state in endings:
        became = state if row["plan_id"] is None else plans.get(row["plan_id"], "active")
        if became == "broken":
            late.append(row["follow_up_action_id"])
        elif became != "active":
            needless.append(row["follow_up_action_id"])
    live = await follow_up_store.live_actions(session, scene.tenant_id, needless)
    await carrying.cancel(session, clock, scene, live, reason)
    await follow_up_store.bring_forward(session, scene.tenant_id, late, scene.today)


def _standing(row: asyncpg.Record) -> Standing:
    return Standing(**{name: row[name] for name in Standing.__slots__})


def _missing(row: asyncpg.Record) -> str:
    currency = row["currency"]
    due, received = format_minor(row["due_by_then_minor"], currency), format_minor(row["received_minor"], currency)
    return f"{due} {currency} was promised until {row['promised_on']}; {received} {currency} has come in."


def _subject(row: asyncpg.Record) -> dict[str, Any]:
    return {"promise_id": row["promise_id"], "plan_id": row["plan_id"]}
