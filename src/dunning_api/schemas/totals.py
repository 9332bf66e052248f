"""What an action asks for, and as of when."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import asyncpg
from pydantic import Field

from dunning_api.schemas.base import MoneyOut

Totals = Annotated[
    list[MoneyOut],
    Field(
        description="What the action asks for, a currency: its own items less what credits cover of them, without items that its message only shows beside them."
        " `totals_as_of` says as of when."
    ),
]
TotalsAsOf = Annotated[
    Literal["now", "then"],
    Field(
        description="`now`: what is open at this moment of the items that are still in it, of an action that waits for its day, an approval, an operation or a"
        " person; it is what would be told, but for items that were held or promised meanwhile, which drop out when it is carried out. `then`: of any other, as it was frozen in its claim, or planned, before it ended."
    ),
]


def told_totals(row: asyncpg.Record) -> dict[str, Any]:
    """Return the fields that say what an action asks for."""
    now = row["totals_now"]
    return {"totals": amounts(row["totals"] if now is None else now), "totals_as_of": "then" if now is None else "now"}


def amounts(pairs: Sequence[tuple[str, int]]) -> list[MoneyOut]:
    """Show `[currency, minor]` pairs."""
    return [MoneyOut.of(minor, currency) for currency, minor in pairs]
