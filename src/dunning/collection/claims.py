"""Claims: the numbered, frozen record of what an executed action tells a customer."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg

from dunning.evidence.visits import ClaimFace
from dunning.kit.database import ReadSession, Session
from dunning.kit.errors import Conflict, NotFound
from dunning.kit.ids import ActionId, ClaimId, CustomerId, LedgerId, TenantId
from dunning.messages.ports import ClaimRow
from dunning.messages.template_tests import ToldBy


class NothingTold(Conflict):
    """The action has no claim: a task, or one that was not carried out."""

    code = "nothing_told"
    title = "The action has told nothing"


@dataclass(frozen=True, slots=True)
class NewClaim:
    """A claim to be issued; `data` is its frozen content."""

    claim_id: ClaimId
    customer_id: CustomerId
    action_id: ActionId
    claim_no: int
    replaces_id: ClaimId | None
    language: str
    content_mode: str
    data: Mapping[str, Any]
    facts_version: int
    deadline_on: dt.date | None
    issued_on: dt.date


async def issue(session: Session, tenant_id: TenantId, ledger_id: LedgerId, claims: Sequence[NewClaim]) -> None:
    """Insert claims in one statement; the actions must be there already."""
    if not claims:
        return
    await session.execute(
        """insert into claim (tenant_id, ledger_id, claim_id, customer_id, action_id, claim_no, replaces_id, language, content_mode, data,
                              facts_version, deadline_on, issued_on)
           select $1, $2, g.* from unnest($3::uuid[], $4::uuid[], $5::uuid[], $6::int8[], $7::uuid[], $8::text[], $9::text[], $10::jsonb[],
                                          $11::int8[], $12::date[], $13::date[]) as g""",
        tenant_id,
        ledger_id,
        [c.claim_id for c in claims],
        [c.customer_id for c in claims],
        [c.action_id for c in claims],
        [c.claim_no for c in claims],
        [c.replaces_id for c in claims],
        [c.language for c in claims],
        [c.content_mode for c in claims],
        [dict(c.data) for c in claims],
        [c.facts_version for c in claims],
        [c.deadline_on for c in claims],
        [c.issued_on for c in claims],
    )


async def claim_data(session: ReadSession, tenant_id: TenantId, claim_ids: Sequence[ClaimId]) -> dict[ClaimId, ClaimRow]:
    """Return the frozen content, revision and state of claims by id; unknown ids are left out."""
    rows = await session.rows(
        "select claim_id, data, revision, state from claim where tenant_id = $1 and claim_id = any ($2::uuid[])", tenant_id, list(claim_ids)
    )
    return {ClaimId(row["claim_id"]): ClaimRow(row["data"], row["revision"], row["state"]) for row in rows}


async def claim_faces(session: ReadSession, tenant_id: TenantId, claim_ids: Collection[ClaimId]) -> dict[ClaimId, ClaimFace]:
    """Return the state of claims and the numbers of the documents they show, by id; unknown ids are left out."""
    rows = await session.rows(
        """select claim_id, state, jsonb_path_query_array(data, '$.blocks[*].rows[*].number') as numbers
             from claim where tenant_id = $1 and claim_id = any ($2::uuid[])""",
        tenant_id,
        list(claim_ids),
    )
    return {ClaimId(row["claim_id"]): ClaimFace(row["state"], row["numbers"]) for row in rows}


async def told_by(session: ReadSession, tenant_id: TenantId, action_id: ActionId) -> ToldBy:
    """Return the newest claim of an action; raise `NotFound` for an unknown action, `NothingTold` for one without a claim."""
    row = await session.row(
        """select a.ledger_id, k.claim_id, k.data from action a left join claim k on k.tenant_id = a.tenant_id and k.action_id = a.action_id
            where a.tenant_id = $1 and a.action_id = $2 order by k.claim_no desc limit 1""",
        tenant_id,
        action_id,
    )
    if row is None:
        noun = "action"
        raise NotFound(noun)
    if row["claim_id"] is None:
        msg = "This action told the customer nothing, so there is no claim to show. Take one with a notice that was carried out, or a customer."
        raise NothingTold(msg)
    return ToldBy(LedgerId(row["ledger_id"]), ClaimId(row["claim_id"]), row["data"])


async def void(session: Session, tenant_id: TenantId, action_ids: Sequence[ActionId], reason: str) -> list[ClaimId]:
    """Make the claims of some actions void and return those that became so; a claim that was told stays told."""
    rows = await session.rows(
        """update claim set state = 'void', void_reason = $3, revision = revision + 1
            where tenant_id = $1 and action_id = any ($2::uuid[]) and state = 'issued' returning claim_id""",
        tenant_id,
        list(action_ids),
        reason,
    )
    return [ClaimId(row["claim_id"]) for row in rows]


async def claim_of(session: ReadSession, *, tenant_id: TenantId, claim_id: ClaimId) -> asyncpg.Record:
    """Return one claim; raise `NotFound`."""
    row = await session.row("select * from claim where tenant_id = $1 and claim_id = $2", tenant_id, claim_id)
    if row is None:
        noun = "claim"
        raise NotFound(noun)
    return row


async def claims_of(session: ReadSession, *, tenant_id: TenantId, action_id: ActionId) -> list[asyncpg.Record]:
    """Return the claims of an action, the first one first."""
    return await session.rows("select * from claim where tenant_id = $1 and action_id = $2 order by claim_no", tenant_id, action_id)
