"""The agenda: what is due, overdue, to approve and to do, for a person, a team, a ledger or everybody, and why."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import asyncpg

from dunning.collection import absences, ledger_days, worklist_store
from dunning.collection.ledger_days import LedgerDays
from dunning.collection.worklist_store import Bucket, Scope
from dunning.kit.clock import Clock
from dunning.kit.database import ReadSession
from dunning.kit.errors import Malformed
from dunning.kit.ids import PersonId, TeamId, TenantId
from dunning.tenancy import people, people_store


@dataclass(frozen=True, slots=True)
class Whose:
    """Whose work is asked for: a person's with that of those for whom they stand in, a team's, or everybody's; in one ledger or all."""

    person_id: PersonId | None = None
    team_id: TeamId | None = None
    ledger_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Agenda:
    """A page of live actions with the counts of all buckets; `person_ids` are those whose work it is, None for everybody's."""

    rows: Sequence[asyncpg.Record]
    counts: dict[str, int]
    person_ids: Sequence[UUID] | None


async def agenda(
    session: ReadSession, clock: Clock, *, tenant_id: TenantId, whose: Whose, bucket: Bucket | None, after: tuple[dt.date, UUID] | None, limit: int,
    task_kind: str | None = None,
) -> Agenda:  # fmt: skip
    """Return live actions by day, each with its customer, amounts, step and why, and how many are in each bucket; of one kind of task, or all.

    Raises `NotFound` for an unknown person, team or ledger, `Malformed` where both a person and a team are named.
    """
    scope = await scope_of(session, clock, tenant_id=tenant_id, whose=whose)
    rows = await worklist_store.agenda_after(session, tenant_id, scope, bucket, after, limit, task_kind)
    if not rows:
        # Somebody's work proves that there is such a person; where there is none, it is looked up.
        await known(session, tenant_id=tenant_id, whose=whose)
    return Agenda(rows, await worklist_store.counts_of(session, tenant_id, scope, task_kind), scope.person_ids)


async def scope_of(session: ReadSession, clock: Clock, *, tenant_id: TenantId, whose: Whose) -> Scope:
    """Return the people and ledgers that are meant. Raises what `agenda` does, except for an unknown person, who has no work (`known`)."""
    if whose.person_id is not None and whose.team_id is not None:
        msg = "person and team: name one of them."
        raise Malformed(msg, [{"field": "team", "message": "is given beside person"}])
    days = await ledger_days.days_of(session, clock, tenant_id=tenant_id, ledger_id=whose.ledger_id)
    return Scope(days, await _people(session, tenant_id, days, whose))


async def known(session: ReadSession, *, tenant_id: TenantId, whose: Whose) -> None:
    """Raise `NotFound` for a person who does not exist."""
    if whose.person_id is not None:
        await people.person_of(session, tenant_id=tenant_id, person_id=whose.person_id)


async def _people(session: ReadSession, tenant_id: TenantId, days: LedgerDays, whose: Whose) -> Sequence[UUID] | None:
    if whose.team_id is not None:
        await people.team_of(session, tenant_id=tenant_id, team_id=whose.team_id)
        return await people_store.members_of(session, tenant_id, whose.team_id)
    if whose.person_id is None:
        return None
    # Whoever is away in any ledger's day is stood in for: the list may show a colleague's work some hours early, and never too late.
    absent = await absences.stands_in_for(session, tenant_id, whose.person_id, days.latest) if days.todays else []
    return list(dict.fromkeys([whose.person_id, *absent]))


def why(row: asyncpg.Record) -> str:
    """Return in a code why an action is on the list: what it waits for, or what went wrong with it."""
    if row["state"] == "awaiting_approval":
        return "waits_for_approval"
    if row["state"] == "scheduled" and row["reason"] is None:
        return "goes_out_on_its_day"
    if row["reason"] is not None:
        return str(row["reason"])
    return "task" if row["origin"] == "scenario" else "task_outside_scenario"
