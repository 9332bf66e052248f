"""What a benchmark says: figure, limit and how much of the limit is reached, for people and for machines."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

LESS_IS_BETTER = frozenset({"s", "ms", "µs", "MB"})


@dataclass(frozen=True, slots=True)
class Line:
    """What is measured, and what is asked of it: `target` is the goal, below `floor` nothing is released. None asks nothing."""

    name: str
    unit: str
    target: float
    floor: float | None
    limit_is: str


@dataclass(frozen=True, slots=True)
class Result:
    """The repetitions of one line: pairs of figure and limit, measured one after the other."""

    line: Line
    pairs: Sequence[tuple[float, float]]

    def _ratio_of(self, figure: float, limit: float) -> float:
        """Return the share of the limit that is reached; more is better, whatever the unit."""
        over, under = (limit, figure) if self.line.unit in LESS_IS_BETTER else (figure, limit)
        # Growth of memory can be nothing at all, or less: that is then better than any limit.
        return over / under if under > 0 else 100.0

    @property
    def figure(self) -> float:
        """The median of what the product did."""
        return statistics.median(figure for figure, _ in self.pairs)

    @property
    def limit(self) -> float:
        """The median of what is possible."""
        return statistics.median(limit for _, limit in self.pairs)

    @property
    def ratio(self) -> float:
        """The share of the limit that is reached by the medians."""
        return self._ratio_of(self.figure, self.limit)

    @property
    def holds(self) -> bool:
        """Whether the goal is reached."""
        return self.ratio >= self.line.target

    def breaks_floor(self, *, forgiving: bool) -> bool:
        """Tell whether the release must wait: the medians lie below the floor; where noise is forgiven, each repetition has to."""
        floor = self.line.floor
        if floor is None:
            return False
        if forgiving:
            return all(self._ratio_of(figure, limit) < floor for figure, limit in self.pairs)
        return self.ratio < floor

    def as_json(self) -> dict[str, Any]:
        """Return what machines read."""
        return {
            "name": self.line.name,
            "figure": _short(self.figure),
            "unit": self.line.unit,
            "limit": _short(self.limit),
            "ratio": round(self.ratio, 3),
            "target": self.line.target,
            "holds": self.holds,
        }


def _short(value: float) -> float:
    return round(value, 1 if value >= 100 else 4)


def _shown(value: float) -> str:
    if value >= 1000:
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.1f}" if value >= 10 else f"{value:.3f}"


def print_table(results: Sequence[Result], out: Console, *, forgiving: bool) -> None:
    """Print all lines, the misses loudly."""
    table = Table(title="Figure beside limit, both measured now on this machine", title_justify="left", caption_justify="left")
    table.caption = "ratio = share of the limit that is reached; the goal holds when ratio is at least target"
    for heading in ("what", "figure", "limit", "unit", "ratio", "target", "floor", ""):
        table.add_column(heading, justify="right" if heading in {"figure", "limit", "ratio", "target", "floor"} else "left")
    for result in results:
        broken = result.breaks_floor(forgiving=forgiving)
        verdict = "[bold white on red] BELOW FLOOR [/]" if broken else "[green]holds[/]" if result.holds else "[bold yellow]MISSED[/]"
        floor = "" if result.line.floor is None else f"{result.line.floor:.2f}"
        table.add_row(
            f"{result.line.name}\n[dim]limit: {result.line.limit_is}[/]", _shown(result.figure), _shown(result.limit), result.line.unit,
            f"{result.ratio:.2f}", f"{result.line.target:.2f}", floor, verdict,
        )  # fmt: skip
    out.print(table)
