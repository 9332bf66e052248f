"""When a promise is kept or broken, and how an amount is paid in instalments. Pure."""

from __future__ import annotations

import calendar
import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """Name what became of a promise."""

    KEPT = "kept"
    BROKEN = "broken"
    NOTHING_OWED = "nothing_owed"


@dataclass(frozen=True, slots=True)
class Standing:
    """Hold what judging one promise reads; amounts are minor units of its currency.

    `due_by_then_minor` is what must have come in by its day: its own amount, and in a plan that of all instalments before. `received_minor` is what
    was set against its items since it was given, `open_minor` what they still owe.
    """

    amount_minor: int
    due_by_then_minor: int
    tolerance_percent: int
    promised_on: dt.date
    grace_days: int
    received_minor: int
    open_minor: int


def last_day(promised_on: dt.date, grace_days: int) -> dt.date:
    """Return the last day on which a promise can still be kept."""
    return promised_on + dt.timedelta(days=grace_days)


def broken_on(promised_on: dt.date, grace_days: int) -> dt.date:
    """Return the day on which a promise that was not kept is broken: the one after its last."""
    return last_day(promised_on, grace_days) + dt.timedelta(days=1)


def judge(standing: Standing, today: dt.date) -> Verdict | None:
    """Return what became of a promise, None while it is open.

    What came in is asked first: money that is there on the day on which somebody looks keeps the promise. Where nothing is owed any more although
    less came in (an invoice was taken back), there is nothing left to promise.
    """
    short_minor = standing.due_by_then_minor - standing.received_minor
    if short_minor * 100 <= standing.amount_minor * standing.tolerance_percent:
        return Verdict.KEPT
    if standing.open_minor == 0:
        return Verdict.NOTHING_OWED
    return Verdict.BROKEN if today > last_day(standing.promised_on, standing.grace_days) else None


def running_totals(amounts: Sequence[int]) -> list[int]:
    """Return, an instalment, what must have come in by its day."""
    totals: list[int] = []
    for amount in amounts:
        totals.append(amount + (totals[-1] if totals else 0))
    return totals


def monthly(first_on: dt.date, count: int) -> list[dt.date]:
    """Return one day a month, from the first on; the 31st becomes a shorter month's last day, and the 31st again in the next long one."""
    days = []
    for number in range(count):
        year, month = divmod(first_on.year * 12 + first_on.month - 1 + number, 12)
        days.append(dt.date(year, month + 1, min(first_on.day, calendar.monthrange(year, month + 1)[1])))
    return days


def every(first_on: dt.date, count: int, days: int) -> list[dt.date]:
    """Return days at a fixed distance, from the first on."""
    return [first_on + dt.timedelta(days=days * number) for number in range(count)]
