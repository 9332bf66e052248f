"""In which order customers are called: a score that is the sum of named parts, each a fact times a weight. Pure; the weights are a ledger's own data."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from dunning.kit.money import exponent_of

NEVER_CONTACTED_DAYS = 365
"""For how many days a customer with whom nobody has ever spoken counts as silent."""
BROKEN_WITHIN_DAYS = 365
"""How far back broken promises count."""


@dataclass(frozen=True, slots=True)
class Weight:
    """What a fact gives: `points` for each whole `per` of it, of which at most `most` count."""

    points: int
    per: int
    most: int

    def of(self, measure: int) -> int:
        """Return the points of a fact."""
        return self.points * min(self.most, max(0, measure) // self.per)


@dataclass(frozen=True, slots=True)
class Weights:
    """The weight of each part. The amount is counted in whole units of its currency, age and silence in days."""

    amount: Weight = Weight(1, 100, 100)
    age: Weight = Weight(1, 1, 120)
    broken_promises: Weight = Weight(30, 1, 3)
    silence: Weight = Weight(1, 2, 30)
    steps: Weight = Weight(10, 1, 6)

    @classmethod
    def read(cls, stored: Mapping[str, int]) -> Weights:
        """Read the points that a ledger states by part; a part that it does not state has its default."""
        default = cls()
        return replace(default, **{name: replace(getattr(default, name), points=points) for name, points in stored.items()})


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the score of a customer is made of. `overdue` holds pairs of currency and minor units; currencies are never added."""

    overdue: Sequence[tuple[str, int]]
    oldest_due_on: dt.date | None
    broken_promises: int
    last_contact_on: dt.date | None
    steps: int


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a score: the fact in its own unit, and the points it gives."""

    name: str
    measure: int
    unit: str
    points: int


def parts_of(facts: Facts, weights: Weights, today: dt.date) -> tuple[Part, ...]:
    """Return the parts of a customer's score. Of amounts in several currencies the one that gives the most points counts."""
    major = [(minor // 10 ** exponent_of(currency), currency) for currency, minor in facts.overdue]
    amount, currency = max(major, default=(0, ""))
    age = 0 if facts.oldest_due_on is None else max(0, (today - facts.oldest_due_on).days)
    silent = NEVER_CONTACTED_DAYS if facts.last_contact_on is None else max(0, (today - facts.last_contact_on).days)
    return (
        Part("amount", amount, currency, weights.amount.of(amount)),
        Part("age", age, "days", weights.age.of(age)),
        Part("broken_promises", facts.broken_promises, "promises", weights.broken_promises.of(facts.broken_promises)),
        Part("silence", silent, "days", weights.silence.of(silent)),
        Part("steps", facts.steps, "steps", weights.steps.of(facts.steps)),
    )


def score_of(parts: Sequence[Part]) -> int:
    """Return the sum of the parts."""
    return sum(part.points for part in parts)
