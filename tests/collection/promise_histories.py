"""Histories of promises, and a reading of the rule that goes through the days one by one and moves coins of 5.00: slow, plain, and not the product's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from hypothesis import strategies as st

COIN = 500
DAYS = 12
ITEMS = {"X": 6_000, "Y": 4_000, "Z": 5_000}
"""What three invoices owe, in cents. The first two are in the older promise, the third in the younger one."""
PROMISES = {"older": ("X", "Y"), "younger": ("Z",)}


class Terms(NamedTuple):
    """For which day a promise is given on day 0, with its grace and tolerance in percent."""

    day: int
    grace: int
    tolerance: int


class Step(NamedTuple):
    """Something that happens on a day. `number` chooses among the receipts, or says how far back money is dated; `minor` is how much."""

    day: int
    what: Literal["pay", "on_account", "return", "dispute", "dispute_part", "resolve"]
    item: str
    minor: int
    number: int


class History(NamedTuple):
    """Two promises and what happens to them, in order."""

    terms: tuple[Terms, Terms]
    steps: tuple[Step, ...]


_TERMS = st.builds(Terms, st.integers(0, 4), st.integers(0, 1), st.sampled_from([0, 0, 10]))
_WHAT = st.sampled_from(["pay", "pay", "pay", "on_account", "on_account", "return", "dispute", "dispute_part", "resolve"])
_STEPS = st.builds(
    Step, st.integers(0, DAYS), _WHAT, st.sampled_from(sorted(ITEMS)), st.sampled_from([COIN, 2_000, 4_000, 5_000, 6_000, 10_000]), st.integers(0, 4)
)
HISTORIES = st.builds(History, st.tuples(_TERMS, _TERMS), st.lists(_STEPS, max_size=12).map(lambda steps: tuple(sorted(steps, key=lambda step: step.day))))


@dataclass
class Receipt:
    """Money that came in: for an item, or None on account."""

    day: int
    value_day: int
    item: str | None
    minor: int
    returned: bool = False


@dataclass
class Dispute:
    """Days on which an item was contested; without an end it still is."""

    item: str
    minor: int
    whole: bool
    begins: int
    ends: int | None = None

    def on(self, day: int) -> bool:
        """Tell whether it covers a day."""
        return self.begins <= day and (self.ends is None or day <= self.ends)


class Verdict(NamedTuple):
    """What a promise is: its state, what has come in, and the last day on which it can be kept."""

    state: str
    received: int
    last: int | None


@dataclass
class Books:
    """What has happened so far, and what each promise was found to be."""

    terms: tuple[Terms, Terms]
    receipts: list[Receipt] = field(default_factory=list)
    disputes: list[Dispute] = field(default_factory=list)
    verdicts: dict[str, Verdict] = field(default_factory=lambda: {name: Verdict("open", 0, None) for name in PROMISES})

    def open(self, item: str) -> int:
        """Return what an item owes."""
        return ITEMS[item] - sum(one.minor for one in self.receipts if one.item == item and not one.returned)

    def disputed(self, item: str) -> Dispute | None:
        """Return the dispute that an item is in."""
        return next((one for one in self.disputes if one.item == item and one.ends is None), None)

    def possible(self, step: Step) -> bool:
        """Tell whether a step can happen as things stand."""
        if step.what == "pay":
            return self.open(step.item) > 0
        if step.what == "return":
            return any(not one.returned for one in self.receipts)
        if step.what in {"dispute", "dispute_part"}:
            enough = self.open(step.item) > (COIN if step.what == "dispute_part" else 0)
            return self.disputed(step.item) is None and enough
        return step.what == "on_account" or self.disputed(step.item) is not None

    def take(self, step: Step) -> None:
        """Let a step happen; a dispute about an item that owes nothing any more is over."""
        if step.what in {"pay", "on_account"}:
            on_item = step.what == "pay"
            minor = min(step.minor, self.open(step.item)) if on_item else step.minor
            self.receipts.append(Receipt(step.day, step.day - step.number, step.item if on_item else None, minor))
        elif step.what == "return":
            self.returning(step).returned = True
        elif step.what in {"dispute", "dispute_part"}:
            minor = COIN if step.what == "dispute_part" else self.open(step.item)
            self.disputes.append(Dispute(step.item, minor, step.what == "dispute", step.day))
        else:
            self.end(step.item, step.day)
        for item in ITEMS:
            if self.open(item) == 0:
                self.end(item, step.day)

    def returning(self, step: Step) -> Receipt:
        """Return the receipt that a step returns."""
        live = [one for one in self.receipts if not one.returned]
        return live[step.number % len(live)]

    def end(self, item: str, day: int) -> None:
        """End the dispute of an item."""
        found = self.disputed(item)
        if found is not None:
            found.ends = day

    def look(self, today: int) -> None:
        """Find out what the promises are: those that were kept first, then the older one first, each taking coins from what lies on account."""
        coins = [one.value_day for one in self.receipts if one.item is None and not one.returned for _ in range(one.minor // COIN)]
        for name in sorted(PROMISES, key=lambda name: (self.verdicts[name].state != "kept", name)):
            if self.verdicts[name].state != "cancelled":
                self.verdicts[name] = self._read(name, today, coins)

    def _read(self, name: str, today: int, coins: list[int]) -> Verdict:
        terms, items = self.terms[name == "younger"], PROMISES[name]
        promised = sum(ITEMS[item] for item in items)
        slack = promised * terms.tolerance // 100
        last = self._last(terms, items)
        over = last is not None and today > last
        paid = sum(one.minor for one in self.receipts if one.item in items and not one.returned and (last is None or one.value_day <= last))
        taken = []
        while paid + COIN * len(taken) < promised and (found := next((one for one in sorted(coins) if last is None or one <= last), None)) is not None:
            coins.remove(found)
            taken.append(found)
        received = paid + COIN * len(taken)
        seen_on = today if last is None else min(today, last)
        asked = sum(self._asked(item, last, seen_on) for item in items) - COIN * len(taken)
        apart = any(self._apart(item, seen_on) > 0 for item in items)
        before = self.verdicts[name]
        if promised - received <= slack or (received > 0 and asked <= slack and (over or not apart)):
            return before if before.state == "kept" else Verdict("kept", received, last)
        if asked <= slack and over:
            return Verdict("cancelled", 0, last)
        if not over:
            return Verdict("open", received, last)
        if before.state == "kept" and received >= before.received:
            return before
        coins += taken
        return Verdict("broken", received, last)

    def _last(self, terms: Terms, items: Sequence[str]) -> int | None:
        """Count days on which something was asked for, from the day of the promise on, until there are as many as were promised."""
        left = terms.day + terms.grace
        for day in range(200):
            if not self._waits(items, day):
                if left == 0:
                    return day
                left -= 1
        return None

    def _waits(self, items: Sequence[str], day: int) -> bool:
        concerned = [item for item in items if self.open(item) or any(one.item == item for one in self.receipts)]
        return bool(concerned) and all(any(one.whole and one.on(day) and one.ends != 0 for one in self.disputes if one.item == item) for item in concerned)

    def _apart(self, item: str, day: int) -> int:
        return max((ITEMS[item] if one.whole else one.minor for one in self.disputes if one.item == item and one.on(day)), default=0)

    def _asked(self, item: str, last: int | None, day: int) -> int:
        late = sum(one.minor for one in self.receipts if one.item == item and not one.returned and last is not None and one.value_day > last)
        return max(0, self.open(item) + late - self._apart(item, day))


def days_of(history: History) -> Iterator[tuple[int, list[Step]]]:
    """Yield each day with its steps, and one day after the last."""
    for day in range(DAYS + 2):
        yield day, [step for step in history.steps if step.day == day]
