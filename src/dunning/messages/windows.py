"""The hours in which a mail may leave: local to its reader, on days that are open there. Pure but for the calendar of holidays."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from dunning.kit.calendar import is_closed
from dunning.kit.clock import instant_of, local_date, local_time

_DAYS_LOOKED_AHEAD = 60


@dataclass(frozen=True, slots=True)
class SendWindow:
    """When mails may leave for one customer. `opens` and `closes` are wall-clock times of the zone; `closes` itself is outside."""

    time_zone: str
    opens: dt.time
    closes: dt.time
    on_closed_days: bool
    country: str
    subdivision: str | None


def next_opening(window: SendWindow, at: dt.datetime) -> dt.datetime:
    """Return `at` itself when the window is open then, else the next instant at which it opens.

    Where no day of the next two months is open, `at` is returned: a calendar that never opens must not keep a claim back for ever.
    """
    here = local_time(at, window.time_zone)
    for ahead in range(_DAYS_LOOKED_AHEAD):
        day = here.date() + dt.timedelta(days=ahead)
        if not window.on_closed_days and is_closed(day, window.country, window.subdivision):
            continue
        opening = instant_of(day, window.opens, window.time_zone)
        if at < instant_of(day, window.closes, window.time_zone):
            return max(at, opening)
    return at


def worth_sending_until(window: SendWindow, opening: dt.datetime, hours: int) -> dt.datetime:
    """Return until when a mail that may leave from `opening` on is worth sending: so many hours, and at least to the end of the window after its first.

    A reminder that missed the hours of a Friday, or the last ones before a holiday, thus has the next open day.
    """
    first = instant_of(local_date(opening, window.time_zone), window.closes, window.time_zone)
    following = next_opening(window, max(opening, first))
    return max(opening + dt.timedelta(hours=hours), instant_of(local_date(following, window.time_zone), window.closes, window.time_zone))
