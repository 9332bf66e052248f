"""A shorthand for positions and plans: day 0 is Monday 2 March 2026, `A due -8 {00@-15 01@-7}` is an item."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import date

from dunning.scenarios.rules import (
    COMPLETED,
    CREDIT,
    DEBIT,
    Calendar,
    Compiled,
    Item,
    Plan,
    Position,
    Progress,
    Scenario,
    compile_scenario,
)
from dunning.scenarios.steps import (
    Amount,
    Channel,
    Mode,
    Notice,
    Step,
    Trigger,
    TriggerKind,
)

DAY_ZERO = date(2026, 3, 2).toordinal()
WEEKENDS = Calendar(closed_weekdays=frozenset({5, 6}))
NOTICE = Notice(code="main", channel=Channel.EMAIL, template="claim", to_roles=("dunning",))

_ITEM = re.compile(r"(?P<name>\w+) due (?P<due>-?\d+)(?: (?P<open>\d+))?(?: of (?P<amount>\d+))?(?: (?P<currency>[A-Z]{3}))?")
_DONE = re.compile(r"(?P<code>\w+)(?:#(?P<repeat>\d+))?@(?P<on>-?\d+)")


def step(  # noqa: PLR0913  # a step has that many settings
    code: str,
    offset: int,
    until: int | None = None,
    *,
    rank: int | None = None,
    kind: TriggerKind = TriggerKind.DUE_DATE,
    mode: Mode = Mode.AUTOMATIC,
    repeat: tuple[int, int] | None = None,
    min_item: int = 0,
    min_customer: int = 0,
    **settings: object,
) -> Step:
    """Return a step that sends one e-mail; amounts are EUR."""
    every, most = repeat or (None, None)
    settings.setdefault("notices", (NOTICE,))
    business_days = bool(settings.pop("business_days", False))
    return Step(
        rank=int(re.sub(r"\D", "", code) or 0) * 10 if rank is None else rank,
        code=code,
        name=f"Step {code}",
        mode=mode,
        trigger=Trigger(kind, offset, until, business_days),
        repeat_every_days=every,
        max_repeats=most,
        min_item=(Amount(min_item * 100, "EUR"),) if min_item else (),
        min_customer=(Amount(min_customer * 100, "EUR"),) if min_customer else (),
        **settings,  # type: ignore[arg-type]  # the caller names fields of Step
    )


def phases(*, final_mode: Mode = Mode.AUTOMATIC, later: Sequence[Step] = ()) -> tuple[Step, ...]:
    """Return the six claim phases of S0."""
    return (
        step("00", -7, -1),
        step("01", 1, 7),
        step("02", 8),
        *later,
        step("03", 15),
        step("04", 22),
        step("05", 30, mode=final_mode),
    )


def scenario(steps: Iterable[Step], **settings: object) -> Scenario:
    """Return a scenario with these steps."""
    return Scenario(code="S0", name="Claim phases", steps=tuple(steps), **settings)  # type: ignore[arg-type]


def compiled(steps: Iterable[Step], **settings: object) -> Compiled:
    """Return a compiled scenario with these steps."""
    return compile_scenario(scenario(steps, **settings))


def item(text: str, **settings: object) -> tuple[Item, tuple[Progress, ...]]:
    """Read an item and its history; `settings` are fields of Item, days counted from day 0."""
    found = _ITEM.match(text)
    assert found is not None, text
    name, opened = found["name"], int(found["open"] or 100)
    for field in ("held_until", "promise_until", "delivered_on", "deadline_on"):
        if isinstance(day := settings.get(field), int):
            settings[field] = DAY_ZERO + day
    one = Item(
        id=name,
        document_id=f"document-{name}",
        number=name,
        document_on=DAY_ZERO - 60,
        due_on=DAY_ZERO + int(found["due"]),
        currency=found["currency"] or "EUR",
        open_minor=opened * 100,
        amount_minor=int(found["amount"] or opened) * 100,
        direction=DEBIT,
        scenario_id="S0",
        version=1,
    )._replace(**settings)  # type: ignore[arg-type]
    history = tuple(
        Progress(
            name, 1, one.scenario_id or "", 1, done["code"], int(done["repeat"] or 0), COMPLETED, None,
            DAY_ZERO + int(done["on"]),
        )
        for done in _DONE.finditer(text)
    )  # fmt: skip
    return one, history


def credit(name: str, amount: int, currency: str = "EUR") -> tuple[Item, tuple[Progress, ...]]:
    """Return an open credit."""
    one, _ = item(f"{name} due 0 {amount} {currency}")
    return one._replace(direction=CREDIT, scenario_id=None), ()


def position(*items: tuple[Item, tuple[Progress, ...]], **settings: object) -> Position:
    """Return a position of these items; `contacts` counts from day 0."""
    contacts = settings.pop("contacts", ())
    return Position(
        items=tuple(one for one, _ in items),
        progress=tuple(row for _, rows in items for row in rows),
        contacts=tuple(DAY_ZERO + day for day in contacts),  # type: ignore[attr-defined]
        **settings,  # type: ignore[arg-type]
    )


def told(plan: Plan) -> dict[str, object]:
    """Write a plan as the worked examples do."""
    actions = []
    for action in plan.actions:
        mode = "" if action.mode == "automatic" else f" {action.mode}"
        rows = " ".join(f"{row.item_id}:{row.step_code}" + (f"#{row.repeat_no}" if row.repeat_no else "") for row in action.rows)
        info = "".join(f", info {name}" for name in action.info)
        totals = " + ".join(f"{minor // 100} {currency}" for currency, minor in action.totals)
        actions.append(f"[{action.step_code}{mode}: {rows}{info}, {totals}]")
    reasons = [f"{blocked.item_id} {' '.join(blocked.codes)} → {_relative(blocked.first_day)}" for blocked in plan.reasons]
    return {
        "actions": " ".join(actions) or "none",
        "skipped": ", ".join(f"{skip.item_id} {skip.step_code} {skip.reason}" for skip in plan.skips) or "–",
        "reasons": ", ".join(reasons) or "–",
        "review_on": _relative(plan.review_on),
    }


def _relative(day: int | None) -> str:
    return "null" if day is None else str(day - DAY_ZERO)
