"""Business days: weekends and public holidays of a country and subdivision, from the `holidays` package."""

from __future__ import annotations

import datetime as dt
from functools import lru_cache

SATURDAY = 5


@lru_cache(maxsize=256)
def holidays_of(country: str, subdivision: str | None, year: int) -> frozenset[dt.date]:
    """Return the public holidays of one year; empty when the country is not known to the package."""
    import holidays  # 150 ms to import, and not every process needs it

    try:
        return frozenset(holidays.country_holidays(country, subdiv=subdivision, years=year))
    except NotImplementedError:
        return frozenset()


@lru_cache(maxsize=1)
def _known() -> dict[str, frozenset[str]]:
    import holidays  # see above

    return {country: frozenset(parts) for country, parts in holidays.list_supported_countries(include_aliases=True).items()}


def knows(country: str, subdivision: str | None) -> bool:
    """Tell whether the calendar has this country and subdivision."""
    known = _known()
    return country in known and (subdivision is None or subdivision in known[country])


def is_closed(day: dt.date, country: str, subdivision: str | None) -> bool:
    """Tell whether a day is a Saturday, a Sunday or a public holiday."""
    return day.weekday() >= SATURDAY or day in holidays_of(country, subdivision, day.year)
