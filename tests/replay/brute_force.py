"""What a replay must find, computed another way: no scenario, no plan, no database; each invoice is walked night by night.

The six claim phases are written out here a second time, as conditions on days overdue, on purpose.
"""

from __future__ import annotations

import csv
import datetime as dt
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

ONE_DAY = dt.timedelta(days=1)


@dataclass
class Expected:
    """The figures, and the item-steps behind them as (invoice, step, day)."""

    steps: set[tuple[str, str, dt.date]] = field(default_factory=set)
    mails: set[tuple[str, dt.date]] = field(default_factory=set)

    @property
    def by_step(self) -> dict[str, int]:
        """Item-steps completed, by step."""
        return dict(sorted(Counter(step for _, step, _ in self.steps).items()))


def _day(text: str) -> dt.date:
    month, day, year = text.split("/")
    return dt.date(int(year), int(month), int(day))


def compute(path: Path) -> Expected:
    """Walk every invoice of the file from its date to its settlement."""
    found = Expected()
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            if row["Disputed"] == "Yes":
                continue
            due, settled = _day(row["DueDate"]), _day(row["SettledDate"])
            told: dict[str, dt.date] = {}
            night = _day(row["InvoiceDate"])
            while night < settled:
                step = _step_of((night - due).days, told, night)
                if step is not None:
                    told[step] = night
                    found.steps.add((row["invoiceNumber"], step, night))
                    found.mails.add((row["customerID"], night))
                night += ONE_DAY
    return found


def _step_of(overdue: int, told: dict[str, dt.date], night: dt.date) -> str | None:
    """Say what one invoice is told on one night."""
    if -7 <= overdue <= -1 and not told:
        return "00"
    if 1 <= overdue <= 7 and "01" not in told and "02" not in told:
        return "01"
    # From 02 on a step keeps seven days (the last: eight) from the one before, however late that one was.
    for before, step, first_overdue, distance in (("01", "02", 8, 7), ("02", "03", 15, 7), ("03", "04", 22, 7), ("04", "05", 30, 8)):
        if step in told or overdue < first_overdue:
            continue
        if before in told:
            return step if night >= told[before] + distance * ONE_DAY else None
        if step == "02":
            # 01's window has passed; the first step whose window is open is 02.
            return step
        return None
    return None
