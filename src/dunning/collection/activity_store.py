"""Statements on activities: what people did about a customer, or what happened to it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg

from dunning.kit.database import ReadSession, Session
from dunning.kit.ids import ActivityId, CustomerId, LedgerId, TenantId
from dunning.tenancy.people_store import name_of

SPOKEN_KINDS = ("call", "visit", "meeting")
"""Activities in which somebody of ours speaks with the customer."""
NOT_REACHED = ("no_answer", "wrong_number")
"""Outcomes of a call that nobody took."""
COMPLETED_ON = "completed_on"
"""Names in an activity's data the day on which it completed its task, where that is not its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewActivity:
    """An activity to be inserted."""

    activity_id: ActivityId
    ledger_id: LedgerId
    customer_id: CustomerId
    kind: str
    text: str | None
    action_id: UUID | None
    outcome: str | None
    person_id: UUID | None
    contact_id: UUID | None
    data: Mapping[str, Any]
    business_at: dt.datetime
    address_sha256: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivityFilter:
    """Which activities a list holds; None leaves a column out of account. `since` and `until` are instants, or days of each activity's ledger; `until` is included."""

    customer_id: UUID | None = None
    ledger_id: UUID | None = None
    kind: str | None = None
    outcome: str | None = None
    person_id: UUID | None = None
    since: dt.datetime | dt.date | None = None
    until: dt.date | None = None


SHOWN = f"n.*, {name_of('n.person_id')} as person_name"
"""What is shown of an activity `n` of the tenant $1."""
WHERE = """
 where n.tenant_id = $1 and ($4::uuid is null or n.customer_id = $4) and ($5::uuid is null or n.ledger_id = $5) and ($6::text is null or n.kind = $6)
   and ($7::text is null or n.outcome = $7) and ($8::uuid is null or n.person_id = $8) and ($9::timestamptz is null or n.business_at >= $9)
   and ($10::date is null or n.business_at >= (select $10::date::timestamp at time zone l.time_zone from ledger l
                                                where l.tenant_id = $1 and l.ledger_id = n.ledger_id))
   and ($11::date is null or n.business_at < (select ($11::date + 1)::timestamp at time zone l.time_zone from ledger l
                                               where l.tenant_id = $1 and l.ledger_id = n.ledger_id))
"""


def values_of(where: ActivityFilter) -> tuple[object, ...]:
    """Return the values $4 to $11 of the condition."""
    at, day = (where.since, None) if isinstance(where.since, dt.datetime) else (None, where.since)
    return where.customer_id, where.ledger_id, where.kind, where.outcome, where.person_id, at, day, where.until


async def insert_activity(session: Session, tenant_id: TenantId, new: NewActivity, actor: str) -> None:
    """Insert an activity."""
    await session.execute(
        """insert into activity (tenant_id, activity_id, ledger_id, customer_id, action_id, kind, outcome, person_id, contact_id, text, data, actor, business_at,
                                 address_sha256)
           values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)""",
        tenant_id, new.activity_id, new.ledger_id, new.customer_id, new.action_id, new.kind, new.outcome, new.person_id, new.contact_id, new.text,
        dict(new.data), actor, new.business_at, new.address_sha256,
    )  # fmt: skip


async def activity_of(session: ReadSession, tenant_id: TenantId, activity_id: ActivityId) -> asyncpg.Record | None:
    """Return one activity, with the name of who did it."""
    return await session.row(f"select {SHOWN} from activity n where n.tenant_id = $1 and n.activity_id = $2", tenant_id, activity_id)


async def activities_before(session: ReadSession, tenant_id: TenantId, where: ActivityFilter, before: UUID | None, limit: int) -> list[asyncpg.Record]:
    """Return activities below an id, the newest first, each with the name of who did it."""
    return await session.rows(
        f"select {SHOWN} from activity n {WHERE} and ($2::uuid is null or n.activity_id < $2) order by n.activity_id desc limit $3",
        tenant_id,
        before,
        limit,
        *values_of(where),
    )


async def customers_of(session: ReadSession, tenant_id: TenantId, activity_ids: Sequence[UUID]) -> dict[UUID, UUID]:
    """Return whose activities some are, by id; unknown ones are missing."""
    rows = await session.rows("select activity_id, customer_id from activity where tenant_id = $1 and activity_id = any ($2::uuid[])", tenant_id, activity_ids)
    return {row["activity_id"]: row["customer_id"] for row in rows}


_RECORDED_BY_STEPS = """select o -> 'params' ->> 'type' as kind from scenario_version v
            cross join lateral jsonb_array_elements(v.content -> 'steps') s cross join lateral jsonb_array_elements(s -> 'operations') o
            where v.tenant_id = $1 and jsonb_typeof(s -> 'operations') = 'array' and o -> 'params' ->> 'type' is not null"""


async def is_kind(session: ReadSession, tenant_id: TenantId, kind: str) -> bool:
    """Tell whether an activity is of a kind, or a step of a scenario records it."""
    return bool(
        await session.value(
            f"select exists (select from activity where tenant_id = $1 and kind = $2) or exists (select from ({_RECORDED_BY_STEPS}) r where r.kind = $2)",
            tenant_id,
            kind,
        )
    )


async def kinds(session: ReadSession, tenant_id: TenantId) -> list[str]:
    """Return the kinds of activities that were recorded, and those that the steps of a tenant's scenarios record. It reads all activities."""
    rows = await session.rows(f"select kind from activity where tenant_id = $1 union {_RECORDED_BY_STEPS}", tenant_id)
    return [row["kind"] for row in rows]


class Whose(NamedTuple):
    """The ledger of a customer, its zone, and whether it has a contact budget."""

    ledger_id: LedgerId
    time_zone: str
    has_budget: bool


async def whose(session: ReadSession, tenant_id: TenantId, customer_id: CustomerId) -> Whose | None:
    """Return what an activity about a customer needs to know of its ledger."""
    row = await session.row(
        """select l.ledger_id, l.time_zone, l.contact_budget is not null as has_budget from customer c join ledger l on l.tenant_id = $1 and l.ledger_id = c.ledger_id
            where c.tenant_id = $1 and c.customer_id = $2""",
        tenant_id,
        customer_id,
    )
    return None if row is None else Whose(*row)


async def contact_of(session: ReadSession, tenant_id: TenantId, customer_id: CustomerId, contact_id: UUID) -> asyncpg.Record | None:
    """Return the address of one of the customer's contacts."""
    return await session.row("select email from contact where tenant_id = $1 and customer_id = $2 and contact_id = $3", tenant_id, customer_id, contact_id)
