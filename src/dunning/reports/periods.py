"""The period of a report: its first and its last day."""

from __future__ import annotations

import datetime as dt

from dunning.kit.errors import Malformed

LONGEST_DAYS = 3660


def check_period(from_on: dt.date, to_on: dt.date) -> None:
    """Raise `Malformed`, naming both days, for a period that ends before it begins or is longer than ten years."""
    if from_on > to_on:
        msg = f"from, to: {from_on} lies after {to_on}. Give the first day of the period in from and its last day in to; one day is both."
        raise Malformed(msg, [{"field": "from", "message": f"expected a day up to {to_on}"}, {"field": "to", "message": f"expected a day from {from_on} on"}])
    if to_on - from_on > dt.timedelta(days=LONGEST_DAYS):
        msg = f"from, to: more than ten years lie between {from_on} and {to_on}. Ask for shorter periods, one after the other."
        raise Malformed(msg, [{"field": name, "message": "expected at most ten years between from and to"} for name in ("from", "to")])
