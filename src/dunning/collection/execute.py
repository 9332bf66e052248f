"""Carrying out what a run decided: a batch of customers in one transaction, looked at once more under their locks."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from dunning.collection import action_store, claims, composition, despatch, facts, operations, progress_store
from dunning.collection.action_store import NewAction, NewActivity, NewProgress, ProgressRow
from dunning.collection.catalogue import Catalogue, Published
from dunning.collection.composition import Choice, Composition, Dropped
from dunning.collection.despatch import Going, Scene, Standing
from dunning.collection.facts import CustomerFacts
from dunning.collection.operations import Ahead, At, Effects
from dunning.events import service as events
from dunning.events.service import NewEvent
from dunning.evidence.links import mint_links
from dunning.kit.clock import Clock
from dunning.kit.database import Session
from dunning.kit.ids import ActionId, CustomerId, RunId, new_id
from dunning.ledger.customer_state import facts_changed, lock_customers
from dunning.messages.queue import queue_messages
from dunning.scenarios.rules import Action, Plan, Skip, plan
from dunning.scenarios.steps import Mode, StepKind


@dataclass(frozen=True, slots=True)
class Planned:
    """Hold what a run stored about one customer: the plan and the version of the facts it was made on."""

    customer_id: CustomerId
    facts_version: int
    plan: Plan


@dataclass(frozen=True, slots=True)
class RunTerms:
    """Hold what a run gives its actions: the content chosen at launch, and whether its plans can still be taken as they are."""

    run_id: RunId
    content_mode: str | None
    plans_stand: bool
    """False once the day or the ledger's shared settings are others than those planned on."""


@dataclass(frozen=True, slots=True)
class _Draft:
    customer_id: CustomerId
    action: Action
    run: RunTerms


@dataclass(slots=True)
class _Batch:
    """Collect what one transaction writes."""

    scene: Scene
    clock: Clock
    numbers_from: int | None = None
    actions: list[NewAction] = field(default_factory=list)
    progress: list[NewProgress] = field(default_factory=list)
    goings: list[Going] = field(default_factory=list)
    deferred: dict[ActionId, _Draft] = field(default_factory=dict)
    events: list[NewEvent] = field(default_factory=list)


def claims_of(planned: Sequence[Planned]) -> int:
    """Count the claims that plans will issue at most: facts that moved make fewer, never more."""
    return sum(action.kind == StepKind.NOTICE and action.mode == Mode.AUTOMATIC for one in planned for action in one.plan.actions)


async def execute_customers(
    session: Session, clock: Clock, scene: Scene, *, run: RunTerms, planned: Sequence[Planned], numbers_from: int | None = None
) -> dict[CustomerId, str]:
    """Carry out the plans of some customers and return what became of each: `executed`, `moved` (facts had changed) or `nothing`.

    The customers' state rows are locked first. Where facts have moved since the plan it is made again, and only rows that both plans choose are
    carried out: settled ones drop out, new ones wait for the next run. The unique keys of actions and progress make a repetition harmless.
    `numbers_from` is the first of the claim numbers taken for them, as many as `claims_of` counts; without it they are taken here.
    """
    customer_ids = [one.customer_id for one in planned]
    await lock_customers(session, scene.tenant_id, customer_ids)
    found, _ = await facts.facts_of(session, scene.tenant_id, customer_ids, scene.today)
    by_customer = {one.customer_id: one for one in found}
    batch = _Batch(scene, clock, numbers_from)
    outcomes: dict[CustomerId, str] = {}
    for one in planned:
        now = by_customer[one.customer_id]
        outcomes[one.customer_id] = _execute_one(batch, run, one, now)
    await _write(session, batch)
    return outcomes


def _execute_one(batch: _Batch, run: RunTerms, planned: Planned, now: CustomerFacts) -> str:
    known = now.known
    today = batch.scene.today.toordinal()
    stands = run.plans_stand and planned.facts_version == now.facts_version
    fresh = planned.plan if stands else plan(now.position, known.compiled, today)
    carried = moved = 0
    for action in planned.plan.actions:
        key = (action.scenario_id, action.version)
        kept, left = (composition.choices_of(action), []) if stands else composition.still_planned(action, fresh)
        if kept:
            # Where a new version was published meanwhile, the rows belong to it.
            key = (action.scenario_id, kept[0].version)
        composed = _compose(now, known, key, action, kept, today)
        if composed.action is None:
            _drop(batch, run, now.customer_id, action, [*left, *composed.dropped])
            moved += 1
            continue
        carried += 1
        moved += bool(left or composed.dropped)
        skips = _skips_of(composed.action, fresh) if fresh.skips else []
        _add(batch, run, now, composed.action, composed.info_net_minor, known[key], skips)
    if not carried:
        return "nothing"
    return "moved" if moved else "executed"


def _skips_of(action: Action, fresh: Plan) -> list[Skip]:
    item_ids = {row.item_id for row in action.rows}
    return [skip for skip in fresh.skips if skip.item_id in item_ids]


def _compose(now: CustomerFacts, known: Catalogue, key: tuple[Any, int], action: Action, kept: Sequence[Choice], today: int) -> Composition:
    if not kept:
        return Composition(None, (), {})
    return composition.compose(now.position, known[key].compiled, today, kept, scenario_id=key[0], version=key[1], document_id=action.document_id)


def _drop(batch: _Batch, run: RunTerms, customer_id: CustomerId, action: Action, dropped: Sequence[Dropped]) -> None:
    """Keep the record of an action that fell away between plan and execution."""
    action_id = ActionId(new_id())
    reason = composition.cause_of(dropped)
    draft = _Draft(customer_id, action, run)
    batch.actions.append(_new_action(batch.scene, action_id, draft, Standing("cancelled", reason), step_name=None, executed_at=None))
    batch.events.append(NewEvent("action.cancelled", "action", action_id, customer_id, {"reason": reason}))


def _add(batch: _Batch, run: RunTerms, now: CustomerFacts, action: Action, info_net: Mapping[str, int], published: Published, skips: Sequence[Skip]) -> None:
    action_id = ActionId(new_id())
    draft = _Draft(now.customer_id, action, run)
    batch.progress.append(progress_rows(now.customer_id, action_id, action, skips))
    batch.events.append(NewEvent("action.created", "action", action_id, now.customer_id, {"step_code": action.step_code, "mode": action.mode}))
    if action.mode == Mode.APPROVE:
        standing = Standing("awaiting_approval")
    elif action.mode == Mode.MANUAL and action.kind == StepKind.NOTICE:
        step = published.steps[action.step_code]
        standing = Standing("waiting", "manual", "other", f"Send by hand or approve: {step.name}.")
    else:
        # What the customers' state rows will say when this transaction commits: facts_changed below raises it once.
        batch.goings.append(Going(action_id, now.customer_id, action, info_net, published, now.facts_version + 1, content_mode=run.content_mode))
        batch.deferred[action_id] = draft
        return
    name = published.steps[action.step_code].name
    batch.actions.append(_new_action(batch.scene, action_id, draft, standing, step_name=name, executed_at=None))


async def _write(session: Session, batch: _Batch) -> None:
    scene, tenant_id = batch.scene, batch.scene.tenant_id
    ahead, _ = await operations.look_ahead(session, batch.clock, scene, batch.goings, ())
    made = await despatch.prepare(session, batch.clock, scene, [g for g in batch.goings if g.action_id not in ahead.waiting], numbers_from=batch.numbers_from)
    made.standings |= dict.fromkeys(ahead.waiting, operations.WAITING)
    for going in batch.goings:
        draft, standing = batch.deferred[going.action_id], made.standings[going.action_id]
        if standing.state == "cancelled":
            batch.actions.append(_new_action(scene, going.action_id, draft, standing, step_name=going.step.name, executed_at=None))
            kind = "action.skipped" if standing.put_off_to is None else "action.cancelled"
            told = {"reason": standing.reason} if standing.put_off_to is None else {"reason": standing.reason, "free_on": standing.put_off_to}
            batch.events.append(NewEvent(kind, "action", going.action_id, going.customer_id, told))
            continue
        executed_at = None if going.action_id in ahead.waiting else batch.clock.now()
        batch.actions.append(_new_action(scene, going.action_id, draft, standing, step_name=going.step.name, executed_at=executed_at))
    effects = begin(scene, batch.goings, made.standings, ahead)
    done = {action_id for action_id, standing in made.standings.items() if standing.state == "completed"}
    passed = {action_id: standing.reason for action_id, standing in made.standings.items() if standing.state == "cancelled"}
    # What is put off is planned anew, and may then be another step: nothing of it is kept but that it was tried.
    put_off = {action_id for action_id, standing in made.standings.items() if standing.put_off_to is not None}
    progress = [replace(one, completed_on=scene.today) if one.action_id in done else one for one in batch.progress if one.action_id not in put_off]
    progress = [_passed_over(one, passed[one.action_id], scene.today) if one.action_id in passed else one for one in progress]
    await action_store.insert_actions(session, tenant_id, scene.ledger.ledger_id, batch.actions)
    await action_store.insert_progress(session, tenant_id, progress)
    if reached := [(UUID(str(row.item_id)), row.step_code) for one in progress if one.completed_on for row in one.rows if row.reason is None]:
        await progress_store.show_step(session, tenant_id, reached)
    await write_despatch(session, batch.clock, scene, made, effects)
    customer_ids = sorted({action.customer_id for action in batch.actions}, key=lambda c: c.bytes)
    await facts_changed(session, tenant_id, customer_ids, scene.today)
    await events.record_many(session, batch.clock, tenant_id=tenant_id, actor=scene.actor, events=[*batch.events, *effects.events])


def _passed_over(progress: NewProgress, reason: str | None, today: dt.date) -> NewProgress:
    """Return the rows of an action that told nobody anything: its steps are passed over on this day, for its reason."""
    return replace(progress, completed_on=today, rows=[row._replace(reason=row.reason or reason, counted_from_on=None) for row in progress.rows])


def begin(scene: Scene, goings: Sequence[Going], standings: Mapping[ActionId, Standing], ahead: Ahead) -> Effects:
    """Return what actions do by being carried out beside what they tell: that it has happened, and the operations of their steps.

    What has begun of these before is the caller's. Of an action whose notice waits, what it waits for is begun, and the rest is to come.
    """
    at = At(today=scene.today, actor=scene.actor, background=ahead.background)
    effects = Effects()
    for going in goings:
        standing = standings[going.action_id]
        if standing.state == "cancelled":
            continue
        kind = "action.waiting" if going.action_id in ahead.waiting else "action.executed"
        effects.events.append(NewEvent(kind, "action", going.action_id, going.customer_id, {"state": standing.state, "reason": standing.reason}))
        if going.action_id not in ahead.begun:
            operations.begin(
                effects, action_id=going.action_id, customer_id=going.customer_id, steps=operations.steps_of(going),
                moments=operations.moments_of(standing), at=at,
            )  # fmt: skip
    return effects


async def write_despatch(session: Session, clock: Clock, scene: Scene, made: despatch.Despatch, effects: Effects) -> None:
    """Write claims, messages, links, operations and the activity of each claim; the actions must be there already."""
    tenant_id, ledger_id = scene.tenant_id, scene.ledger.ledger_id
    await claims.issue(session, tenant_id, ledger_id, made.claims)
    queued = set(await queue_messages(session, tenant_id, made.messages, actor=scene.actor))
    await mint_links(session, tenant_id, [link for link in made.links if link.message_id in queued])
    effects.activities += [
        NewActivity(
            customer_id=claim.customer_id,
            action_id=claim.action_id,
            kind="claim_issued",
            text=None,
            data={"claim_id": claim.claim_id, "claim_no": claim.data["claim_no"], "step_code": claim.data["step"]["code"]},
        )
        for claim in made.claims
    ]
    effects.events += [
        NewEvent("claim.issued", "claim", claim.claim_id, claim.customer_id, {"claim_no": claim.data["claim_no"], "action_id": claim.action_id})
        for claim in made.claims
    ]
    await operations.write(session, clock, tenant_id, ledger_id, effects, actor=scene.actor)


def progress_rows(customer_id: CustomerId, action_id: ActionId, action: Action, skips: Sequence[Skip]) -> NewProgress:
    """Return the rows of an action: its candidate rows, and with a reason the steps that completing it passes over."""
    rows = [
        ProgressRow(
            row.item_id, row.episode, row.version, row.step_code, row.repeat_no, None, row.open_minor,
            None if row.counted_from is None else dt.date.fromordinal(row.counted_from),
        )
        for row in action.rows
    ]  # fmt: skip
    rows += [ProgressRow(skip.item_id, skip.episode, skip.version, skip.step_code, 0, skip.reason.value, None, None) for skip in skips]
    return NewProgress(customer_id, action_id, action.scenario_id, rows)


def _new_action(scene: Scene, action_id: ActionId, draft: _Draft, standing: Standing, *, step_name: str | None, executed_at: dt.datetime | None) -> NewAction:
    action = draft.action
    return NewAction(
        action_id=action_id, customer_id=draft.customer_id, run_id=draft.run.run_id, origin="scenario", scenario_id=UUID(str(action.scenario_id)),
        scenario_version=action.version, step_code=action.step_code, step_name=step_name, kind=action.kind, mode=action.mode,
        content_mode=standing.content_mode or draft.run.content_mode, document_id=None if action.document_id is None else UUID(str(action.document_id)),
        local_date=scene.today, scheduled_on=scene.today, state=standing.state, reason=standing.reason, task_kind=standing.task_kind,
        task_text=standing.task_text, totals=[list(total) for total in action.totals], deadline_on=standing.deadline_on,
        one_a_day=action.mode == Mode.AUTOMATIC, executed_at=executed_at, completed_on=scene.today if standing.state == "completed" else None,
    )  # fmt: skip
