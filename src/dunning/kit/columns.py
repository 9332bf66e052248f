"""Many rows in one statement: a column that is the same in all of them is sent once, the others as arrays.

Most columns of most batches are of the first sort (no delivery date, the same currency, the same state), and an array costs the driver and the
server a step for each of its elements.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

UNSEEN_TENANT = "(select $1::uuid)"
"""How a statement on many rows names its tenant, so that the planner takes it for any tenant.

Statistics that were taken before a tenant had rows say that it has none. Then every index that begins with the tenant looks as good as the right
one, and joins read all of its rows again for each of a batch.
"""


@dataclass(frozen=True, slots=True)
class Columns:
    """A part of a statement: `selected` stands after `select`, `source` after `from`, `values` are its parameters in order."""

    selected: str
    source: str
    values: list[Any]


def columns_of(types: Mapping[str, str], rows: Sequence[Sequence[Any]], first: int) -> Columns:
    """Return rows as columns in the order of `types`, which names each column's SQL type; parameters are numbered from `first`.

    There is at least one row. The first column is always sent as an array, because it says how many rows there are.
    """
    selected: list[str] = []
    arrays: list[str] = []
    names: list[str] = []
    values: list[Any] = []
    for (name, sql_type), column in zip(types.items(), zip(*rows, strict=True), strict=True):
        place = first + len(values)
        if names and _is_same(column):
            selected.append(f"${place}::{sql_type}")
            values.append(column[0])
        else:
            selected.append(f"u.{name}")
            arrays.append(f"${place}::{sql_type}[]")
            names.append(name)
            values.append(column)
    return Columns(", ".join(selected), f"unnest({', '.join(arrays)}) as u({', '.join(names)})", values)


def _is_same(column: Sequence[Any]) -> bool:
    value = column[0]
    # Objects that Python calls equal can be different JSON (true and 1), so only empty ones are compared.
    if isinstance(value, dict | list) and value:
        return False
    return bool(column[-1] == value) and column.count(value) == len(column)
