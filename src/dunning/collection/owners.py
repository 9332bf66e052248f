"""To whom an action or a dispute is given: somebody active whose role allows the work, and who sees the customer from then on."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from dunning.collection import assignment_store, dispute_store
from dunning.collection.assignment_rules import COLLECTOR
from dunning.events import service as events
from dunning.events.service import NewEvent
from dunning.kit.clock import Clock
from dunning.kit.database import ReadSession, Session
from dunning.kit.errors import NotFound
from dunning.kit.ids import ActionId, CustomerId, PersonId, TenantId
from dunning.tenancy import people, people_store
from dunning.tenancy.rules import RIGHTS

NEEDS = "notes:write"
"""What the role of whoever has an action must allow: at the least to write down what was done."""

BECAUSE = "has work with this customer"


async def check(session: ReadSession, *, tenant_id: TenantId, person_id: UUID | None) -> None:
    """Raise `NotFound` for a person who is unknown or has left, and `RoleDoesNotFit` for one whose role or sight cannot do the work. None is nobody."""
    if person_id is None:
        return
    found = (await people_store.active_people(session, tenant_id, {person_id})).get(PersonId(person_id))
    if found is None:
        noun = "active person"
        raise NotFound(noun)
    people.may_work([found], NEEDS)
    if found.sees == "nothing":
        msg = f"{found.name} sees no customers. Give them the sight `own` with PATCH /v1/people/{found.person_id} first, or name somebody else."
        raise people.RoleDoesNotFit(msg, people=[str(found.person_id)])


async def own_disputes(session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, person_id: UUID | None, action_ids: Collection[ActionId]) -> None:
    """Make whoever has got the task that follows a dispute up the owner of that dispute, as the owner of a dispute has its task. The caller holds the locks."""
    moved = await dispute_store.give(session, tenant_id, action_ids, person_id)
    made = [
        NewEvent(
            "dispute.changed",
            "dispute",
            row["dispute_id"],
            CustomerId(row["customer_id"]),
            {"from": {"owner_id": row["former_id"]}, "to": {"owner_id": person_id}},
        )
        for row in moved
    ]
    await events.record_many(session, clock, tenant_id=tenant_id, actor=actor, events=made)


async def may_have(session: ReadSession, tenant_id: TenantId, person_id: UUID | None) -> bool:
    """Tell whether somebody is named to whom work can be given."""
    found = (await people_store.active_people(session, tenant_id, {person_id})).get(PersonId(person_id)) if person_id is not None else None
    return found is not None and NEEDS in RIGHTS[found.role].scopes and found.sees != "nothing"


async def let_see(session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, person_id: UUID | None, customer_ids: Collection[CustomerId]) -> None:
    """Make somebody who has been given work a further collector of those of some customers whom they do not look after yet.

    Work that its owner cannot see is in nobody's agenda, and sight by way of a team mate would end with the mate's. The assignment stands in the
    customer's history with its reason and ends as any other does: by stating the collectors without that person, which moves the work to the lead.
    Whoever sees all customers needs none. The caller holds the customers' locks.
    """
    if person_id is None or not customer_ids:
        return
    added = await assignment_store.add_helper(session, tenant_id, PersonId(person_id), customer_ids, clock.now(), BECAUSE, actor)
    made = [
        NewEvent(
            "customer.assigned", "customer", CustomerId(row["customer_id"]), CustomerId(row["customer_id"]),
            {
                "role": COLLECTOR, "lead_id": None if row["lead_id"] is None else str(row["lead_id"]),
                "others": [*map(str, row["other_ids"]), str(person_id)],
                "before": [*([] if row["lead_id"] is None else [str(row["lead_id"])]), *map(str, row["other_ids"])],
                "reason": BECAUSE, "moved_actions": 0,
            },
        )
        for row in added
    ]  # fmt: skip
    await events.record_many(session, clock, tenant_id=tenant_id, actor=actor, events=made)
