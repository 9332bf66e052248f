"""Items that owe again after they were settled and for which the scenario has no step left: somebody is asked to call."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from uuid import UUID

from dunning.collection import facts, follow_ups, reopened_store
from dunning.collection.despatch import Scene
from dunning.collection.facts import CustomerFacts
from dunning.collection.follow_up_store import NewTask
from dunning.collection.specific_rules import Content
from dunning.kit.clock import Clock
from dunning.kit.database import Session
from dunning.kit.ids import ActionId, CustomerId, new_id
from dunning.scenarios.rules import Reason, next_step, plan

TITLE = "Owes again, and no step is left"


async def ask_what_next(session: Session, clock: Clock, scene: Scene, customer_ids: Sequence[CustomerId]) -> int:
    """Put a call on the list for each customer with items that owe again although their scenario has ended, and return how many.

    A hold on them does not matter: the question is whether anything is ever to come. Whatever was made about an item since, if only a call that somebody
    cancelled, ends the asking. The caller holds the customers' locks.
    """
    found = await reopened_store.without_action(session, scene.tenant_id, customer_ids)
    if not found:
        return 0
    numbers = {str(row["item_id"]): row["number"] for row in found}
    seen, _ = await facts.facts_of(session, scene.tenant_id, list({CustomerId(row["customer_id"]) for row in found}), scene.today)
    calls = []
    for one in seen:
        ended = _ended(one, numbers, scene.today.toordinal())
        if ended:
            names = ", ".join(numbers[item_id] for item_id in ended[:5]) + (f" and {len(ended) - 5} more" if len(ended) > 5 else "")
            text = f"{names}: settled before and owed again, and the scenario has no step left. Agree on what comes next."
            calls.append(NewTask(ActionId(new_id()), one.customer_id, scene.today, TITLE, text, [UUID(item_id) for item_id in ended]))
    await follow_ups.put_on_lists(session, clock, scene, Content(kind="task", task_kind="call"), calls)
    return len(calls)


def _ended(one: CustomerFacts, item_ids: Collection[str], today: int) -> list[str]:
    """Return those of some items of a customer about which its scenario would do nothing more, whatever the day, if they were not held."""
    position, scenarios = one.position, one.known.compiled
    position = position._replace(items=tuple(item._replace(held=False, held_until=None) for item in position.items))
    progress = defaultdict(list)
    for row in position.progress:
        progress[str(row.item_id)].append(row)
    codes = {str(blocked.item_id): blocked.codes for blocked in plan(position, scenarios, today).reasons}
    return [
        str(item.id)
        for item in position.items
        if str(item.id) in item_ids and set(codes.get(str(item.id), ())) & {Reason.SCENARIO_ENDED, Reason.WAITING_FOR_FACT}
        and next_step(item, progress[str(item.id)], scenarios, position.calendar, today) is None
    ]  # fmt: skip
