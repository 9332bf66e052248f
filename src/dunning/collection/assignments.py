"""Who looks after a customer, changed by hand: lead and further collectors, account managers, and handing over when somebody leaves.

What is open moves with the customer and nothing of it is lost; who did it before stays named in history.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg

from dunning.collection import absences, assignment_rule_store, assignment_store, owners
from dunning.collection.assignment_rules import ACCOUNT_MANAGER, COLLECTOR, NEEDS, change_to, next_of
from dunning.collection.assignment_store import Assignment, ByHand
from dunning.events import service as events
from dunning.events.service import NewEvent
from dunning.kit.clock import Clock, local_date
from dunning.kit.database import ReadSession, Session
from dunning.kit.errors import Conflict, Malformed
from dunning.kit.ids import CustomerId, PersonId, RuleId, TenantId
from dunning.ledger import customers
from dunning.ledger.customer_state import lock_customers
from dunning.tenancy import people
from dunning.tenancy.people_store import Person
from dunning.tenancy.rules import RIGHTS


class StillResponsible(Conflict):
    """The person looks after customers or has open work, which would be nobody's."""

    code = "still_responsible"


@dataclass(frozen=True, slots=True)
class Share:
    """What one heir got."""

    person_id: PersonId
    name: str
    customers: int
    actions: int
    disputes: int


@dataclass(frozen=True, slots=True)
class HandedOver:
    """What somebody who leaves handed over, to whom, and the assignment rules that still name them."""

    person: Person
    customers: int
    actions: int
    disputes: int
    shares: tuple[Share, ...]
    rules: tuple[RuleId, ...]


async def lead_of(session: ReadSession, tenant_id: TenantId, customer_ids: Collection[CustomerId]) -> dict[CustomerId, PersonId]:
    """Return the lead collector of each of some customers who has one."""
    return await assignment_store.leads_of(session, tenant_id, customer_ids, COLLECTOR) if customer_ids else {}


async def assignments_of(session: ReadSession, *, tenant_id: TenantId, customer_id: CustomerId, history: bool) -> list[Assignment]:
    """Return who looks after a customer, and with `history` who did; raise `NotFound`."""
    await customers.customer_of(session, tenant_id=tenant_id, customer_id=customer_id)
    return await assignment_store.assignments_of(session, tenant_id, customer_id, history=history)


async def collects_from(session: ReadSession, clock: Clock, *, tenant_id: TenantId, customer_id: CustomerId, person_id: PersonId) -> bool:
    """Tell whether somebody collects from a customer today, for themselves or for a colleague who is away; raise `NotFound`."""
    present = await assignments_of(session, tenant_id=tenant_id, customer_id=customer_id, history=False)
    mine = {person_id, *await absences.stands_in_for_now(session, clock, tenant_id=tenant_id, person_id=person_id)}
    return any(one.role == COLLECTOR and one.person_id in mine for one in present)


async def set_collectors(
    session: Session,
    clock: Clock,
    *,
    tenant_id: TenantId,
    actor: str,
    customer_id: CustomerId,
    lead_id: PersonId | None,
    other_ids: Sequence[PersonId],
    reason: str | None,
) -> list[Assignment]:
    """State the collectors of a customer: one who leads, and others. Open actions and disputes of whoever looks after it no more go to the lead.

    Raises `NotFound`, `Conflict` for somebody who left or a lead whose role collects from nobody, `Malformed` for others without a lead. The same again
    changes nothing.
    """
    if lead_id is None and other_ids:
        msg = "lead_id: further collectors need one who leads."
        raise Malformed(msg)
    return await _set(session, clock, tenant_id, actor, customer_id, COLLECTOR, lead_id, [p for p in dict.fromkeys(other_ids) if p != lead_id], reason)


async def set_account_manager(
    session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, customer_id: CustomerId, person_id: PersonId | None, reason: str | None
) -> list[Assignment]:
    """State the account manager of a customer, or none. Raises `NotFound`, `Conflict` for somebody who left. The same again changes nothing."""
    return await _set(session, clock, tenant_id, actor, customer_id, ACCOUNT_MANAGER, person_id, [], reason)


async def set_leads(
    session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, customer_ids: Collection[CustomerId], lead_id: PersonId | None, reason: str | None
) -> None:
    """State the only collector of each of many customers, or none, as `set_collectors` does for one, in the same number of statements for all.

    Customers that do not exist are passed over. Raises `NotFound` for an unknown person, `Conflict` for one who left.
    """
    await _set_many(session, clock, tenant_id, actor, customer_ids, COLLECTOR, lead_id, [], reason)


async def _set(
    session: Session,
    clock: Clock,
    tenant_id: TenantId,
    actor: str,
    customer_id: CustomerId,
    role: str,
    lead_id: PersonId | None,
    other_ids: Sequence[PersonId],
    reason: str | None,
) -> list[Assignment]:
    await customers.customer_of(session, tenant_id=tenant_id, customer_id=customer_id)
    changed = await _set_many(session, clock, tenant_id, actor, [customer_id], role, lead_id, other_ids, reason)
    return changed or await assignment_store.assignments_of(session, tenant_id, customer_id, history=False)


async def _set_many(
    session: Session,
    clock: Clock,
    tenant_id: TenantId,
    actor: str,
    customer_ids: Collection[CustomerId],
    role: str,
    lead_id: PersonId | None,
    other_ids: Sequence[PersonId],
    reason: str | None,
) -> list[Assignment]:
    """Return who looks after the customers for whom anything changed, after it."""
    await lock_customers(session, tenant_id, customer_ids)
    standings = await assignment_store.standings_of(session, tenant_id, customer_ids, role)
    wanted = [(one, change_to(one.present, lead_id, other_ids)) for one in standings]
    new = {person_id for _, change in wanted for person_id, _ in change.added}
    found = await people.active_ones(session, tenant_id=tenant_id, person_ids=new)
    # Who leads gets the work; the others may be people who only see the customer by it.
    people.may_work([person for person_id, person in found.items() if person_id == lead_id], NEEDS[role])
    changing = [(one, change) for one, change in wanted if not change.is_none]
    if not changing:
        return []
    # First what belongs to the customer, then who sees it: whoever gives it away may not see it any more.
    removed = {one.customer_id: change.removed for one, change in changing}
    moved = await assignment_store.move_work(session, tenant_id, removed, lead_id) if role == COLLECTOR else {}
    told = {"role": role, "lead_id": None if lead_id is None else str(lead_id), "others": [str(person_id) for person_id in other_ids], "reason": reason}
    made = [
        NewEvent(
            "customer.assigned", "customer", one.customer_id, one.customer_id,
            {**told, "before": [str(p.person_id) for p in one.present], "moved_actions": moved.get(one.customer_id, 0)},
        )
        for one, _ in changing
    ]  # fmt: skip
    await events.record_many(session, clock, tenant_id=tenant_id, actor=actor, events=made)
    now = clock.now()
    by_hand = [ByHand(one.ledger_id, one.customer_id, local_date(now, one.time_zone), change.ended, change.added) for one, change in changing]
    return await assignment_store.change(session, tenant_id, role, by_hand, reason, actor)


async def change_person(
    session: Session,
    clock: Clock,
    *,
    tenant_id: TenantId,
    actor: str,
    person_id: PersonId,
    changes: dict[str, Any],
    expected_version: int | None,
    by_admin: bool,
) -> Person:
    """Change what is given about a person, as `people.update_person`; raise `StillResponsible` when somebody with customers or work would be deactivated.

    Whoever sees less from now on still sees the customers with whom they have open work, as a further collector.
    """
    if changes.get("active") is False:
        await _nothing_left(session, tenant_id, person_id)
    narrows = changes.get("sees", "all") != "all"
    worked = [CustomerId(row["customer_id"]) for row in await assignment_store.customers_worked_by(session, tenant_id, person_id)] if narrows else []
    if worked:
        await lock_customers(session, tenant_id, worked)
    person = await people.update_person(
        session, clock, tenant_id=tenant_id, actor=actor, person_id=person_id, changes=changes, expected_version=expected_version, by_admin=by_admin
    )
    await owners.let_see(session, clock, tenant_id=tenant_id, actor=actor, person_id=person_id, customer_ids=worked)
    return person


async def hand_over(
    session: Session,
    clock: Clock,
    *,
    tenant_id: TenantId,
    actor: str,
    person_id: PersonId,
    heir_ids: Sequence[PersonId],
    reason: str | None,
    by_admin: bool,
) -> HandedOver:
    """Give all customers, open actions and open disputes of somebody to one or several others, and deactivate that person.

    Shared out by the fewest customers; actions and disputes follow their customer, or its lead collector where it was another. Raises
    `StillResponsible` when nobody is named and something is left, `NotFound`, `Conflict` for an heir who left or whose role does not allow the work. A second call finds nothing to hand over.
    """
    leaver = await people.person_of(session, tenant_id=tenant_id, person_id=person_id)
    people.may_state(leaver, by_admin=by_admin)
    heirs = list(dict.fromkeys(heir_ids))
    if person_id in heirs:
        msg = "to: nobody hands over to themselves; name others."
        raise Malformed(msg)
    found = await people.active_ones(session, tenant_id=tenant_id, person_ids=set(heirs))
    people.may_work(found.values(), NEEDS[COLLECTOR] if NEEDS[COLLECTOR] in RIGHTS[leaver.role].scopes else NEEDS[ACCOUNT_MANAGER])
    if not heirs:
        await _nothing_left(session, tenant_id, person_id)
    held, worked = await _locked_duties(session, tenant_id, person_id) if heirs else ([], [])
    await assignment_store.lock_shares(session, tenant_id)
    loads = await assignment_store.loads_of(session, tenant_id, heirs, COLLECTOR)
    heir_of, counts = _shared(held, heirs, loads)
    by_customer: dict[UUID, UUID] = {}
    for row in held:
        # Led rows come first: whoever takes the lead takes the work.
        by_customer.setdefault(row["customer_id"], heir_of[row["assignment_id"]])
    for row in worked:
        by_customer.setdefault(row["customer_id"], row["lead_id"] or heirs[0])
    work = await assignment_store.hand_over_work(session, tenant_id, person_id, by_customer)
    if heir_of:
        await assignment_store.hand_over(session, tenant_id, heir_of, clock.now(), reason, actor)
    led_by_nobody = [CustomerId(row["customer_id"]) for row in worked if by_customer[row["customer_id"]] == heirs[0]]
    await owners.let_see(session, clock, tenant_id=tenant_id, actor=actor, person_id=heirs[0] if heirs else None, customer_ids=led_by_nobody)
    await people.deactivate(session, clock, tenant_id=tenant_id, actor=actor, person_id=person_id)
    actions, disputes = work["actions"], work["disputes"]
    told = {
        "customers": len({row["customer_id"] for row in held}),
        "actions": sum(actions.values()),
        "disputes": sum(disputes.values()),
        "to": [str(heir) for heir in heirs],
        "reason": reason,
    }
    await events.record(session, clock, tenant_id=tenant_id, kind="person.handed_over", subject_kind="person", subject_id=person_id, actor=actor, data=told)
    getting = list(dict.fromkeys([*map(str, heirs), *actions, *disputes]))
    names = await people.names_of(session, tenant_id=tenant_id, actors=[people.actor_of(PersonId(UUID(p))) for p in getting if PersonId(UUID(p)) not in found])
    shares = tuple(
        Share(
            PersonId(UUID(p)),
            found[PersonId(UUID(p))].name if PersonId(UUID(p)) in found else names[people.actor_of(PersonId(UUID(p)))],
            counts.get(UUID(p), 0),
            actions.get(p, 0),
            disputes.get(p, 0),
        )
        for p in getting
    )
    person = await people.person_of(session, tenant_id=tenant_id, person_id=person_id)
    rules = await assignment_rule_store.rules_naming(session, tenant_id, person_id)
    return HandedOver(person, told["customers"], told["actions"], told["disputes"], shares, tuple(rules))


async def _locked_duties(session: Session, tenant_id: TenantId, person_id: PersonId) -> tuple[list[asyncpg.Record], list[asyncpg.Record]]:
    """Lock all customers somebody looks after or works on, and return both as they stand then."""
    held = await assignment_store.held_by(session, tenant_id, person_id)
    worked = await assignment_store.customers_worked_by(session, tenant_id, person_id)
    await lock_customers(session, tenant_id, {CustomerId(row["customer_id"]) for row in (*held, *worked)})
    return await assignment_store.held_by(session, tenant_id, person_id), await assignment_store.customers_worked_by(session, tenant_id, person_id)


def _shared(held: Sequence[asyncpg.Record], heirs: Sequence[PersonId], loads: Mapping[UUID, int]) -> tuple[dict[UUID, UUID], dict[UUID, int]]:
    """Return the heir of each assignment, all of a customer the same one, and how many customers each gets."""
    load = dict(loads)
    of_customer: dict[UUID, UUID] = {}
    counts: dict[UUID, int] = {}
    for row in held:
        if row["customer_id"] not in of_customer:
            heir = next_of(heirs, load)
            of_customer[row["customer_id"]] = heir
            load[heir] = load.get(heir, 0) + 1
            counts[heir] = counts.get(heir, 0) + 1
    return {row["assignment_id"]: of_customer[row["customer_id"]] for row in held}, counts


async def _nothing_left(session: Session, tenant_id: TenantId, person_id: PersonId) -> None:
    left = await assignment_store.duties_of(session, tenant_id, person_id)
    if any(left.values()):
        msg = (
            f"This person still looks after {left['customers']} customers and has {left['actions']} open actions and {left['disputes']} open disputes."
            " Name who takes them over with `POST /v1/people/{person_id}/hand-over`."
        )
        raise StillResponsible(msg, customers=left["customers"], actions=left["actions"], disputes=left["disputes"])
