"""The rule itself, `plan()`, on one customer in memory, beside a loop that only looks up steps and adds amounts."""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence

from benchmarks.ground import TODAY, Ground
from benchmarks.results import Line, Result
from dunning.scenarios import definition
from dunning.scenarios.rules import COMPLETED, DEBIT, Compiled, Id, Item, Position, Progress, Row, compile_scenario, plan
from dunning.scenarios.shipped import shipped_scenarios

LIMIT = "a bare loop: sort by age, look the step up by days overdue, make a row, add the amounts"
FEW = Line("plan() of 5 items", "µs", 0.1, None, LIMIT)
MANY = Line("plan() of 50 items", "µs", 0.1, None, LIMIT)
SCENARIO_ID = "00000000-0000-7000-8000-000000000001"


def position_of(items: int) -> Position:
    """Return a customer of the shipped claim phases: a third of the items is new, the others have steps behind them."""
    today = TODAY.toordinal()
    made, progress = [], []
    for n in range(items):
        overdue_days = 1 + (n * 17) % 60
        item_id = f"00000000-0000-7000-8000-{n:012d}"
        made.append(
            Item(item_id, f"D{n}", f"1{n:05d}", today - overdue_days - 30, today - overdue_days, "EUR", 10_000 + n, 12_000 + n, DEBIT, 1, SCENARIO_ID, 1)
        )
        for step_code, after_days in (("01", 1), ("02", 8)):
            if n % 3 and overdue_days > after_days + 9:
                day = today - overdue_days + after_days
                progress.append(Progress(item_id, 1, SCENARIO_ID, 1, step_code, 0, COMPLETED, None, day))
    return Position(tuple(made), tuple(progress), (max(row.completed_on for row in progress),))


def bare_loop(items: Sequence[Item], starts: Sequence[int], codes: Sequence[str], today: int) -> tuple[list[Row], dict[str, int]]:
    """Do the arithmetic that no way of planning can avoid, and nothing that makes it right."""
    totals: dict[str, int] = {}
    rows = []
    for item in sorted(items, key=lambda i: (i.due_on, i.document_on, i.number, i.id)):
        place = bisect_right(starts, today - item.due_on) - 1
        if place >= 0:
            rows.append(
                Row(item.id, item.episode, item.version, codes[place], 0, item.currency, item.open_minor, item.open_minor, not_due=False, counted_from=None)
            )
            totals[item.currency] = totals.get(item.currency, 0) + item.open_minor
    return rows, totals


def microseconds(work: Callable[[], object], seconds: float) -> float:
    """Return how long one call takes, over at least the given seconds, warmed up before."""
    for _ in range(20):
        work()
    calls, began = 0, time.perf_counter()
    while (passed := time.perf_counter() - began) < seconds:
        for _ in range(20):
            work()
        calls += 20
    return passed / calls * 1e6


async def measure(ground: Ground) -> list[Result]:
    """Plan a customer of few and one of many items, again and again."""
    compiled = compile_scenario(definition.parse(shipped_scenarios()["claims"]))
    scenarios: Mapping[tuple[Id, int], Compiled] = {(SCENARIO_ID, 1): compiled}
    starts, codes = list(compiled.starts), [step.code for step in compiled.ladder]
    today, seconds = TODAY.toordinal(), ground.sizes.request_seconds / 4
    results = []
    for line, items in ((FEW, 5), (MANY, 50)):
        position = position_of(items)
        decided = plan(position, scenarios, today)
        if not decided.actions:
            msg = "The benchmark's customer gets no action, so nothing would be measured."
            raise RuntimeError(msg)
        pairs = [
            (
                microseconds(lambda p=position: plan(p, scenarios, today), seconds),
                microseconds(lambda p=position: bare_loop(p.items, starts, codes, today), seconds),
            )
            for _ in range(ground.sizes.repeats)
        ]
        results.append(Result(line, pairs))
    return results
