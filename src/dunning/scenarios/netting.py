"""What credits leave of each debt: the oldest is covered first, so that no credit is used twice."""

from __future__ import annotations

from collections.abc import Sequence

from dunning.scenarios.position import Id, Item


def age_of(item: Item) -> tuple[int, int, str, str]:
    """Return the key that puts the oldest debt first: due date, document date, number, id."""
    return item.due_on, item.document_on, item.number, str(item.id)


def net_amounts(debits: Sequence[Item], credits_: Sequence[Item]) -> dict[Id, int]:
    """Return what is still owed of each debt, in minor units, once the credits of its currency are set against it.

    `debits` come oldest first. Held, waiting and not-due debts are covered like any other, so that the answer does
    not depend on the day.
    """
    left: dict[str, int] = {}
    for credit in credits_:
        left[credit.currency] = left.get(credit.currency, 0) + credit.open_minor
    if not left:
        return {item.id: item.open_minor for item in debits}
    owed: dict[Id, int] = {}
    for item in debits:
        available = left.get(item.currency, 0)
        used = min(available, item.open_minor)
        owed[item.id] = item.open_minor - used
        if used:
            left[item.currency] = available - used
    return owed
