"""The agenda of collectors, teams and ledgers."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Literal
from uuid import UUID

from fastapi import Query

from dunning.collection import worklist
from dunning.collection.worklist import Whose
from dunning.kit.ids import PersonId, TeamId
from dunning_api import paging
from dunning_api.deps import Work, reads
from dunning_api.idempotency import Router
from dunning_api.problems import problems
from dunning_api.schemas.agenda import AgendaPage

router = Router(tags=["agenda"])

PersonQuery = Annotated[
    UUID | None, Query(description="Work of this person and of those for whom they stand in; missing: of the person for whom the key acts, else everybody's.")
]
TeamQuery = Annotated[UUID | None, Query(description="Work of this team.")]
LedgerQuery = Annotated[UUID | None, Query(description="Only work of this ledger.")]
EverybodyQuery = Annotated[bool, Query(description="Everybody's work, as far as the caller sees, also where the key acts for a person.")]


def whose(work: Work, person: UUID | None, team: UUID | None, ledger: UUID | None, *, everybody: bool) -> Whose:
    """Return whose work a request means."""
    chosen = person
    if chosen is None and team is None and not everybody:
        chosen = work.person_id
    return Whose(None if chosen is None else PersonId(chosen), None if team is None else TeamId(team), ledger)


@router.get("/agenda", summary="What is due, to approve and to do", responses=problems(404))
async def get_work_agenda(
    work: Annotated[Work, reads()],
    person: PersonQuery = None,
    team: TeamQuery = None,
    ledger: LedgerQuery = None,
    everybody: EverybodyQuery = False,
    bucket: Annotated[
        Literal["due", "overdue", "coming", "to_approve", "to_do"] | None, Query(description="Only this bucket; the counts are of all of them.")
    ] = None,
    task_kind: Annotated[
        str | None, Query(max_length=40, description="Only tasks of this kind, such as `call` or `declare_to_insurer`; the counts are of these then.")
    ] = None,
    limit: paging.Limit = 100,
    cursor: paging.Cursor = None,
) -> AgendaPage:
    """List live actions by their day, each with customer, amounts, step and why it is there, and count each bucket. Ids are those of the customer's page and `/actions`."""
    key = paging.unseal(work.keyring, "agenda", cursor, 2)
    found = await worklist.agenda(
        work.session, work.clock, tenant_id=work.tenant_id, whose=whose(work, person, team, ledger, everybody=everybody), bucket=bucket,
        after=(dt.date.fromisoformat(key[0]), UUID(key[1])) if key else None, limit=limit + 1,
        task_kind=task_kind,
    )  # fmt: skip
    last = found.rows[limit - 1] if len(found.rows) > limit else None
    more = None if last is None else paging.seal(work.keyring, "agenda", last["scheduled_on"], last["action_id"])
    return AgendaPage.of(found, limit, more)
