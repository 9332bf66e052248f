"""The only file that reads the time.

Business time (today, windows, spacing, expiry) comes from a `Clock` that is passed as a value: the system's for live tenants, a settable
one for test-mode tenants. Technical time (leases, retries) is the database's and is written as `now()` in SQL.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Protocol
from zoneinfo import ZoneInfo


class Clock(Protocol):
    """What tells business time."""

    def now(self) -> dt.datetime:
        """Return the present instant in UTC."""
        ...


@dataclass(frozen=True, slots=True)
class SystemClock:
    """The machine's clock."""

    def now(self) -> dt.datetime:
        """Return the present instant in UTC."""
        return dt.datetime.now(dt.UTC)


@dataclass(frozen=True, slots=True)
class FixedClock:
    """A clock that stands at one instant: a test-mode tenant's, as stored in its row."""

    at: dt.datetime

    def __post_init__(self) -> None:
        if self.at.tzinfo is None:
            msg = "a clock needs an instant with its zone"
            raise ValueError(msg)

    def now(self) -> dt.datetime:
        """Return the instant at which the clock stands."""
        return self.at.astimezone(dt.UTC)


def local_date(at: dt.datetime, time_zone: str) -> dt.date:
    """Return the calendar day of an instant in an IANA zone."""
    return at.astimezone(ZoneInfo(time_zone)).date()


def local_time(at: dt.datetime, time_zone: str) -> dt.datetime:
    """Return an instant as the wall clock of an IANA zone shows it."""
    return at.astimezone(ZoneInfo(time_zone))


def instant_of(day: dt.date, at: dt.time, time_zone: str) -> dt.datetime:
    """Return the UTC instant of a wall-clock time; a time that daylight saving skips moves forward, one that it repeats is taken once, the first."""
    return dt.datetime.combine(day, at, ZoneInfo(time_zone)).astimezone(dt.UTC)
