"""Random customers: several scenarios and versions, histories with missed nights, and everything that can hold an item back."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from random import Random
from typing import Any, NamedTuple

from hypothesis import strategies as st

from dunning.scenarios.overrides import Override, varied
from dunning.scenarios.recording import record
from dunning.scenarios.rules import CREDIT, DEBIT, Calendar, Compiled, Defaults, Fact, Id, Item, Position, Sent, compile_scenario, plan
from dunning.scenarios.steps import (
    Amount,
    Conditions,
    Grouping,
    Ladder,
    LateEntry,
    Mode,
    Netting,
    Operation,
    OperationKind,
    OperationWhen,
    ResetPolicy,
    Scenario,
    Shift,
    Step,
    Task,
    TaskKind,
    Trigger,
    TriggerKind,
)
from tests.scenarios.worlds import DAY_ZERO, NOTICE

FULL = os.environ.get("DUNNING_HYPOTHESIS") == "full"
FACT_KINDS = (TriggerKind.PAYMENT_RETURNED, TriggerKind.PROMISE_BROKEN, TriggerKind.DISPUTE_RESOLVED)

HOLD, DISPUTE, PROMISE, PAYMENT_PLAN, STATUS, SPECIFIC, OWN_STEPS = "hold", "dispute", "promise", "payment plan", "status", "specific action", "own steps"
KEPT_BACK_BY = (HOLD, DISPUTE, PROMISE, PAYMENT_PLAN, STATUS, SPECIFIC)

Scenarios = dict[tuple[Id, int], Compiled]


class Cause(NamedTuple):
    """Hold one thing that keeps an item back, up to a last day; None: without an end."""

    item_id: Id
    kind: str
    until: int | None


@dataclass(frozen=True)
class World:
    """Hold a customer with a past, the scenarios, today, and the nights to come on which a run takes place."""

    position: Position
    scenarios: Scenarios
    today: int
    nights: tuple[int, ...]
    sources: dict[tuple[Id, int], Scenario]
    causes: tuple[Cause, ...] = ()
    own_steps: bool = False

    def kept(self, day: int) -> dict[Id, set[str]]:
        """Return what keeps each item back on a day."""
        found: dict[Id, set[str]] = {}
        for item_id, kind, until in self.causes:
            if until is None or until >= day:
                found.setdefault(item_id, set()).add(kind)
        return found


def examples(default: int) -> int:
    """Return how many examples a property takes in this profile."""
    return default * 25 if FULL else default


seeds = st.integers(0, 2**48)
sizes = st.integers(2, 7)


def world(seed: int, size: int, *, plain: bool = False, leading: bool = False) -> World:
    """Make a world of so many items: the past is walked by the rule itself, some nights are missed, then things happen.

    A plain world has due-date steps that repeat, the default distance, and nothing that couples one item to another. In a leading one the oldest item
    leads, often waits itself, and the others begin to follow it one by one: as they become overdue, or are free again.
    """
    random = Random(seed)
    sources = _sources(random, plain=plain)
    if leading:
        sources = {key: _led_by_the_oldest(random, source) for key, source in sources.items()}
    scenarios = {key: compile_scenario(source) for key, source in sources.items()}
    own_steps = not plain and random.random() < 0.3
    if own_steps:
        overrides = _overrides(random, sources["S", 1], sources["S", 2])
        scenarios |= {key: compile_scenario(varied(source, overrides)) for key, source in sources.items() if key[0] == "S"}
    calendar = Calendar(frozenset({5, 6}), frozenset({DAY_ZERO + random.randint(-9, 9)})) if random.random() < 0.5 else Calendar()
    items = tuple(_item(random, number, plain=plain) for number in range(size))
    if leading:
        items = tuple(_following(random, number, item) for number, item in enumerate(items))
    defaults = Defaults() if plain or random.random() < 0.7 else Defaults(random.randint(0, 3), random.choice([None, 0, 4]), {"EUR": 2000}, {})
    if not plain and random.random() < 0.15:
        defaults = defaults._replace(contact_budget=random.randint(1, 3), contact_budget_days=random.choice([3, 7, 14]))
    tags = frozenset() if plain else frozenset(tag for tag in ("vip", "frozen") if random.random() < 0.3)
    position = Position(items=items, calendar=calendar, defaults=defaults, tags=tags)
    position = walked(position, scenarios, sorted(random.sample(range(DAY_ZERO - 24, DAY_ZERO - 1), random.randint(0, 7))))
    causes: tuple[Cause, ...] = ()
    if not plain:
        causes = tuple(_agreed(random, [item.id for item in items]))
        position = _things_happen(random, position._replace(items=tuple(_kept_back(item, causes) for item in items)))
    nights = tuple(DAY_ZERO + day for day in sorted(random.sample(range(1, 60), random.randint(6, 16))))
    return World(position, scenarios, DAY_ZERO, nights, sources, causes, own_steps)


def walked(position: Position, scenarios: Scenarios, nights: list[int]) -> Position:
    """Return the position after runs on these nights, all actions completed at once."""
    for night in nights:
        position = record(position, plan(position, scenarios, night), scenarios, night)
    return position


def published(position: Position) -> Position:
    """Return the position once the second version of every scenario is in force."""
    return position._replace(items=tuple(item._replace(version=2) if item.scenario_id else item for item in position.items))


def without_repeats(source: Scenario) -> Scenario:
    """Return the scenario with each step done once."""
    return replace(source, steps=tuple(replace(step, repeat_every_days=None, max_repeats=None) for step in source.steps))


def _sources(random: Random, *, plain: bool) -> dict[tuple[Id, int], Scenario]:
    sources: dict[tuple[Id, int], Scenario] = {}
    for scenario_id in ("S", "T"):
        steps = _steps(random, plain=plain)
        first = Scenario(
            code=scenario_id,
            name=scenario_id,
            steps=steps,
            late_entry=random.choice(list(LateEntry)),
            grouping=random.choice([Grouping.CUSTOMER, Grouping.CUSTOMER, Grouping.DOCUMENT]),
            netting=random.choice([Netting.NET, Netting.NET, Netting.SHOW]),
            spacing_days=0 if plain or random.random() < 0.6 else random.randint(1, 4),
            grace_days=random.choice([None, None, 0, 3]),
            reset_policy=random.choice(list(ResetPolicy)),
            shift=random.choice(list(Shift)),
            ladder=Ladder.ITEM if plain or random.random() < 0.85 else Ladder.LEAD_ITEM,
            min_item=(Amount(3000, "EUR"),) if not plain and random.random() < 0.2 else (),
            min_customer=(Amount(9000, "EUR"),) if not plain and random.random() < 0.25 else (),
        )
        sources[scenario_id, 1] = first
        sources[scenario_id, 2] = first if plain else replace(first, steps=_next_version(random, steps))
    return sources


def _steps(random: Random, *, plain: bool) -> tuple[Step, ...]:
    steps = []
    day = random.choice([-7, -3, 0, 1])
    for number in range(random.randint(1, 4)):
        kind = TriggerKind.DUE_DATE
        if not plain and number and random.random() < 0.3:
            kind = random.choice([TriggerKind.AFTER_PREVIOUS, TriggerKind.DEADLINE_PASSED, TriggerKind.END_OF_MONTH])
        offset = random.randint(0, 6) if kind in (TriggerKind.AFTER_PREVIOUS, TriggerKind.DEADLINE_PASSED) else day
        until = day + random.randint(0, 8) if kind is TriggerKind.DUE_DATE and random.random() < 0.4 else None
        repeats = random.random() < (0.8 if plain else 0.25)
        steps.append(_step(random, f"c{number}", number * 10, Trigger(kind, offset, until, not plain and random.random() < 0.1), plain=plain, repeats=repeats))
        day += random.randint(1, 9)
    if not plain and random.random() < 0.5:
        steps.append(_step(random, "fact", 100, Trigger(random.choice(FACT_KINDS), random.randint(0, 3)), plain=False, repeats=False))
    return tuple(steps)


def _step(random: Random, code: str, rank: int, trigger: Trigger, *, plain: bool, repeats: bool) -> Step:
    does: dict[str, Any] = {"notices": (NOTICE if plain or random.random() < 0.7 else replace(NOTICE, to_roles=("board", "billing")),)}
    if random.random() < 0.2:
        does = {"task": Task(random.choice([TaskKind.CALL, TaskKind.CHECKPOINT]), "Call, or look at it.")}
    elif random.random() < 0.1:
        does = {"operations": (Operation(OperationKind.WEBHOOK, OperationWhen.EXECUTED),)}
    return Step(
        rank=rank,
        code=code,
        name=code,
        mode=random.choice([Mode.AUTOMATIC, Mode.AUTOMATIC, Mode.AUTOMATIC, Mode.APPROVE, Mode.MANUAL]),
        trigger=trigger,
        grace_days=random.choice([None, None, None, 2]),
        min_days_after_delivery=random.choice([None, None, 3]),
        min_days_between_steps=None if plain else random.choice([None, None, None, 1, 5]),
        repeat_every_days=random.randint(1, 4) if repeats else None,
        max_repeats=random.randint(1, 3) if repeats else None,
        min_item=(Amount(random.choice([0, 5000]), "EUR"),) if not plain and random.random() < 0.15 else (),
        min_customer=(Amount(random.choice([0, 12000]), "EUR"),) if not plain and random.random() < 0.15 else (),
        deadline_days=random.choice([None, 3, 7]),
        show_not_due=random.random() < 0.3,
        conditions=Conditions() if plain or random.random() < 0.85 else _conditions(random),
        **does,
    )


def _conditions(random: Random) -> Conditions:
    return random.choice(
        [Conditions(min_overdue_items=2), Conditions(min_oldest_days=12), Conditions(tags_any=("vip",)), Conditions(tags_none=("frozen",)), Conditions(2, 5)]
    )


def _overrides(random: Random, source: Scenario, newer: Scenario) -> list[Override]:
    """Return what one customer's collector changed: a step less, a step later, a step more."""
    step = random.choice(source.steps)
    found = [Override("remove", step.code, {})] if random.random() < 0.5 else [Override("change", step.code, {"mode": random.choice(["approve", "automatic"])})]
    if random.random() < 0.5:
        taken = {one.rank for one in (*source.steps, *newer.steps)}
        rank = next(rank for rank in range(step.rank + 1, step.rank + 20) if rank not in taken)
        trigger = {"kind": "due_date", "offset_days": step.trigger.offset_days + random.randint(0, 3)}
        task = {"kind": "checkpoint", "text": "Look first."}
        found.append(Override("insert", "own", {"rank": rank, "name": "own", "mode": "manual", "trigger": trigger, "task": task}))
    return found


def _next_version(random: Random, steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """Return the steps of the next version: one may be gone, one may be new, two may have changed places."""
    kept = list(steps)
    if len(kept) > 1 and random.random() < 0.3:
        kept.pop(random.randrange(len(kept)))
    if random.random() < 0.4:
        near = random.choice(kept)
        taken = {step.rank for step in kept}
        rank = next(rank for rank in range(max(1, near.rank + random.choice([-5, 5])), near.rank + 20) if rank not in taken)
        trigger = Trigger(TriggerKind.DUE_DATE, near.trigger.offset_days + random.randint(-2, 4))
        kept.append(_step(random, "new", rank, trigger, plain=False, repeats=False))
    if len(kept) > 1 and random.random() < 0.15:
        one, other = random.sample(range(len(kept)), 2)
        kept[one], kept[other] = replace(kept[one], rank=kept[other].rank), replace(kept[other], rank=kept[one].rank)
    return tuple(kept)


def _item(random: Random, number: int, *, plain: bool) -> Item:
    opened = random.choice([1000, 4000, 10000, 10000])
    return Item(
        id=f"i{number}",
        document_id=f"d{random.randint(0, 3)}",
        number=f"{random.randint(1, 3)}",
        document_on=DAY_ZERO - 60,
        due_on=DAY_ZERO + random.randint(-26, 6),
        currency=random.choice(["EUR", "EUR", "EUR", "USD"]),
        open_minor=opened,
        amount_minor=10000,
        direction=DEBIT,
        scenario_id=random.choice(["S", "S", "S", "T"] if plain or random.random() < 0.95 else [None]),
        version=1,
        delivered_on=random.choice([None, DAY_ZERO - 20, DAY_ZERO - 2]),
    )


def _led_by_the_oldest(random: Random, source: Scenario) -> Scenario:
    """Return the scenario with a lead item, and often with a minimum in one currency, below which a lead waits and does not keep the others waiting."""
    minimum = (Amount(random.choice([6000, 12000]), "EUR"),) if random.random() < 0.8 else ()
    if random.random() < 0.5:
        return replace(source, ladder=Ladder.LEAD_ITEM, min_item=minimum)
    return replace(source, ladder=Ladder.LEAD_ITEM, min_customer=minimum)


def _following(random: Random, number: int, item: Item) -> Item:
    """Return an item of a leading world: the first one is overdue and owed in the currency of the minimum, the others become due before and after today."""
    if not number:
        return item._replace(due_on=DAY_ZERO - random.randint(5, 26), currency="EUR", scenario_id="S")
    return item._replace(due_on=DAY_ZERO + random.randint(-8, 20), currency=random.choice(["EUR", "USD", "USD"]))


def _agreed(random: Random, item_ids: list[Id]) -> list[Cause]:
    """Return what keeps items back: in half of the worlds now and then one thing, in the others several kinds at once, on items that overlap."""
    if random.random() < 0.5:
        return [cause for item_id in item_ids if random.random() < 0.2 for cause in _causes(random, random.choice([HOLD, HOLD, *KEPT_BACK_BY]), [item_id])]
    kinds = random.sample(KEPT_BACK_BY, random.choice([2, 2, 3, 3, 4]))
    most = max(1, len(item_ids) // 2)
    return [cause for kind in kinds for cause in _causes(random, kind, random.sample(item_ids, random.randint(1, most)))]


def _causes(random: Random, kind: str, item_ids: list[Id]) -> list[Cause]:
    """Return the causes of one agreement about some items: a payment plan keeps them with each of its instalments."""
    ends: list[int | None] = [None]
    if kind == HOLD:
        ends = [random.choice([None, DAY_ZERO - 1, DAY_ZERO, DAY_ZERO + 2, DAY_ZERO + 9])]
    elif kind == PROMISE:
        ends = [DAY_ZERO + random.randint(-2, 6)]
    elif kind == PAYMENT_PLAN:
        first, every = DAY_ZERO + random.randint(-8, 3), random.choice([3, 7, 14])
        ends = [first + every * number for number in range(random.randint(2, 4))]
    return [Cause(item_id, kind, until) for item_id in item_ids for until in ends]


def _kept_back(item: Item, causes: tuple[Cause, ...]) -> Item:
    """Return the item as planning is told of it: of several holds or promises the longest counts."""
    own = [cause for cause in causes if cause.item_id == item.id]
    holds = [cause.until for cause in own if cause.kind == HOLD]
    promised = [cause.until for cause in own if cause.kind in {PROMISE, PAYMENT_PLAN} and cause.until is not None]
    return item._replace(
        held=bool(holds),
        held_until=None if None in holds else max((day for day in holds if day is not None), default=None),
        promise_until=max(promised, default=None),
        excluded=any(cause.kind in {DISPUTE, STATUS} for cause in own),
        specific_action=any(cause.kind == SPECIFIC for cause in own),
    )


def _things_happen(random: Random, position: Position) -> Position:
    """Let returns, waiting actions, direct debits, credits and a new version come to the customer."""
    items, facts = [], []
    for item in position.items:
        chance = random.random()
        if chance < 0.05:
            item = item._replace(pending_action=True)
        elif chance < 0.07:
            item = item._replace(automatic_collection=True)
        elif chance < 0.17:
            item = item._replace(episode=2)
            facts.append(Fact(item.id, "payment_returned", DAY_ZERO - random.randint(0, 4)))
        if random.random() < 0.15:
            facts.append(Fact(item.id, random.choice(FACT_KINDS).value, DAY_ZERO - random.randint(0, 9)))
        items.append(item)
    for number in range(random.choice([0, 0, 0, 1, 2])):
        items.append(_item(random, 90 + number, plain=False)._replace(direction=CREDIT, scenario_id=None))
    position = position._replace(items=tuple(items), facts=tuple(facts))
    if random.random() < 0.15:
        position = position._replace(contacts=(*position.contacts, DAY_ZERO + random.randint(-3, 2)))
    if random.random() < 0.3:
        position = position._replace(counted=(*position.counted, *[DAY_ZERO + random.randint(-9, 2) for _ in range(random.randint(1, 3))]))
    if random.random() < 0.1:
        roles = random.sample(["dunning", "billing", "board"], random.randint(1, 3))
        position = position._replace(reachable=tuple((role, random.choice([0, DAY_ZERO, DAY_ZERO + random.randint(1, 20)])) for role in roles))
    if random.random() < 0.1:
        position = position._replace(already_today=position.already_today | {Sent(DAY_ZERO, "S", "notice", None)})
    return published(position) if random.random() < 0.4 else position


__all__ = ["FULL", "World", "examples", "published", "walked", "without_repeats", "seeds", "sizes", "world"]
