"""Activities: calls, visits, notes and whatever else is done about a customer, with what was agreed in them. Never changed or removed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import asyncpg

from dunning.collection import activity_store, filter_words, specific_store
from dunning.collection.activity_store import NOT_REACHED, SPOKEN_KINDS, ActivityFilter, NewActivity
from dunning.events import service as events
from dunning.kit.clock import Clock, local_date
from dunning.kit.database import ReadSession, Session
from dunning.kit.errors import Malformed, NotFound
from dunning.kit.ids import ActivityId, CustomerId, PersonId, TenantId, new_id
from dunning.ledger import customers
from dunning.ledger.addresses import address_digest
from dunning.ledger.customer_state import facts_changed, lock_customers


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """Something that was done. `person_id` is who did it, `contact_id` with whom; `at` None is now."""

    kind: str
    text: str | None = None
    outcome: str | None = None
    person_id: PersonId | None = None
    contact_id: UUID | None = None
    action_id: UUID | None = None
    at: dt.datetime | None = None
    data: Mapping[str, Any] = field(default_factory=dict)


async def record_activity(session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, customer_id: CustomerId, done: Done) -> asyncpg.Record:
    """Record something that was done about a customer and return it. A second call records a second one.

    Speaking with the customer counts for the contact budget and is never refused by it. Raises `NotFound` for an unknown customer, contact or person,
    `Malformed` for an instant that is still to come.
    """
    whose = await activity_store.whose(session, tenant_id, customer_id)
    if whose is None:
        noun = "customer"
        raise NotFound(noun)
    spoken = done.kind in SPOKEN_KINDS and done.outcome not in NOT_REACHED
    if spoken and whose.has_budget:
        await lock_customers(session, tenant_id, [customer_id])
    with_whom = None if done.contact_id is None else await activity_store.contact_of(session, tenant_id, customer_id, done.contact_id)
    if done.contact_id is not None and with_whom is None:
        noun = "contact of this customer"
        raise NotFound(noun)
    if done.person_id is not None and not await specific_store.is_active_person(session, tenant_id, done.person_id):
        noun = "active person"
        raise NotFound(noun)
    now = clock.now()
    if done.at is not None and done.at > now:
        msg = "at: is still to come; an activity is something that was done. Put what is to be done on the list as a task."
        raise Malformed(msg, [{"field": "at", "message": "expected an instant that is past"}])
    new = NewActivity(
        activity_id=ActivityId(new_id()), ledger_id=whose.ledger_id, customer_id=customer_id, kind=done.kind, text=done.text, action_id=done.action_id,
        outcome=done.outcome, person_id=done.person_id, contact_id=done.contact_id, data=done.data, business_at=done.at or now,
        address_sha256=address_digest(with_whom["email"]) if spoken and with_whom is not None and with_whom["email"] else None,
    )  # fmt: skip
    await activity_store.insert_activity(session, tenant_id, new, actor)
    if spoken and whose.has_budget:
        # A plan that was made without it is not carried out as it stands.
        await facts_changed(session, tenant_id, [customer_id], local_date(now, whose.time_zone))
    told = {"kind": done.kind, "outcome": done.outcome, "action_id": done.action_id}
    await events.record(
        session, clock, tenant_id=tenant_id, kind="activity.recorded", subject_kind="activity", subject_id=new.activity_id, actor=actor,
        customer_id=customer_id, data={name: value for name, value in told.items() if value is not None},
    )  # fmt: skip
    return await activity_of(session, tenant_id=tenant_id, activity_id=new.activity_id)


async def activity_of(session: ReadSession, *, tenant_id: TenantId, activity_id: ActivityId) -> asyncpg.Record:
    """Return one activity; raise `NotFound`."""
    row = await activity_store.activity_of(session, tenant_id, activity_id)
    if row is None:
        noun = "activity"
        raise NotFound(noun)
    return row


async def activities_before(session: ReadSession, *, tenant_id: TenantId, where: ActivityFilter, before: UUID | None, limit: int) -> list[asyncpg.Record]:
    """Return activities, the newest first. Raises `NotFound` for an unknown customer, `Malformed` for a kind that no activity has and no step records."""
    if where.customer_id is not None:
        await customers.customer_of(session, tenant_id=tenant_id, customer_id=CustomerId(where.customer_id))
    if where.kind is not None:
        await filter_words.check_activity_kind(session, tenant_id, where.kind)
    return await activity_store.activities_before(session, tenant_id, where, before, limit)
