"""Statements on absences."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from uuid import UUID

from dunning.collection.absence_rules import Away
from dunning.kit.database import ReadSession, Session
from dunning.kit.ids import AbsenceId, PersonId, TenantId

_SELECT = """select a.absence_id, a.person_id, p.name as person_name, a.substitute_id, s.name as substitute_name, a.from_on, a.until_on, a.note, a.actor,
       a.created_at, a.cancelled_at
  from absence a join person p on p.tenant_id = a.tenant_id and p.person_id = a.person_id
  left join person s on s.tenant_id = a.tenant_id and s.person_id = a.substitute_id"""


@dataclass(frozen=True, slots=True)
class Absence:
    """Days on which somebody is away, both included, and who stands in."""

    absence_id: AbsenceId
    person_id: PersonId
    person_name: str
    substitute_id: PersonId | None
    substitute_name: str | None
    from_on: dt.date
    until_on: dt.date
    note: str | None
    actor: str
    created_at: dt.datetime
    cancelled_at: dt.datetime | None

    @property
    def away(self) -> Away:
        """The days and people, as rules read them."""
        return Away(self.person_id, self.substitute_id, self.from_on, self.until_on)


async def insert_absence(
    session: Session,
    tenant_id: TenantId,
    absence_id: AbsenceId,
    person_id: PersonId,
    substitute_id: PersonId | None,
    from_on: dt.date,
    until_on: dt.date,
    note: str | None,
    actor: str,
) -> None:
    """Insert an absence."""
    await session.execute(
        """insert into absence (tenant_id, absence_id, person_id, substitute_id, from_on, until_on, note, actor)
           values ($1, $2, $3, $4, $5, $6, $7, $8)""",
        tenant_id, absence_id, person_id, substitute_id, from_on, until_on, note, actor,
    )  # fmt: skip


async def cancel(session: Session, tenant_id: TenantId, absence_id: AbsenceId) -> int:
    """Cancel an absence that is not."""
    return await session.execute(
        "update absence set cancelled_at = clock_timestamp() where tenant_id = $1 and absence_id = $2 and cancelled_at is null", tenant_id, absence_id
    )


async def absence_of(session: ReadSession, tenant_id: TenantId, absence_id: AbsenceId) -> Absence | None:
    """Return one absence."""
    row = await session.row(f"{_SELECT} where a.tenant_id = $1 and a.absence_id = $2", tenant_id, absence_id)
    return None if row is None else Absence(**dict(row))


async def absences_after(
    session: ReadSession, tenant_id: TenantId, person_id: UUID | None, on: dt.date | None, after: UUID | None, limit: int
) -> list[Absence]:
    """Return absences that were not cancelled, past an id; of one person, or of one day."""
    rows = await session.rows(
        f"""{_SELECT} where a.tenant_id = $1 and a.cancelled_at is null and ($2::uuid is null or a.person_id = $2)
               and ($3::date is null or $3 between a.from_on and a.until_on) and ($4::uuid is null or a.absence_id > $4)
             order by a.absence_id limit $5""",
        tenant_id, person_id, on, after, limit,
    )  # fmt: skip
    return [Absence(**dict(row)) for row in rows]


async def absences_between(session: ReadSession, tenant_id: TenantId, from_on: dt.date, until_on: dt.date) -> list[Absence]:
    """Return all absences that share a day with a time and were not cancelled, in the order in which they were noted."""
    rows = await session.rows(
        f"{_SELECT} where a.tenant_id = $1 and a.cancelled_at is null and a.until_on >= $2 and a.from_on <= $3 order by a.absence_id",
        tenant_id,
        from_on,
        until_on,
    )
    return [Absence(**dict(row)) for row in rows]


async def named_now(session: ReadSession, tenant_id: TenantId, at: dt.datetime) -> list[dict[UUID, UUID | None]]:
    """Return who is away at an instant and whom they name: once for each local day that it is in some ledger of the tenant."""
    rows = await session.rows(
        """select jsonb_object_agg(a.person_id, a.substitute_id) as named
             from (select distinct ($2::timestamptz at time zone time_zone)::date as today from ledger where tenant_id = $1) d
             join absence a on a.tenant_id = $1 and a.cancelled_at is null and d.today between a.from_on and a.until_on
            group by d.today""",
        tenant_id,
        at,
    )
    return [{UUID(person): None if substitute is None else UUID(substitute) for person, substitute in row["named"].items()} for row in rows]


async def lock_absences(session: Session, tenant_id: TenantId) -> None:
    """Keep others of the tenant from noting absences until the transaction ends, so that two that contradict each other are not noted at once."""
    await session.execute("select pg_advisory_xact_lock(hashtextextended('dunning.absences.' || $1::text, 0))", str(tenant_id))
