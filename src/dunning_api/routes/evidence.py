"""Evidence: what is known to have happened to a message, and who read a claim, each with its grade and its weakness."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from dunning.collection.claims import claim_data
from dunning.evidence import proof
from dunning.kit.ids import ClaimId, MessageId
from dunning_api import paging
from dunning_api.deps import Work, reads
from dunning_api.idempotency import Router
from dunning_api.problems import problems
from dunning_api.schemas.base import Page
from dunning_api.schemas.evidence import MessageEvidenceOut, ReadingOut

router = Router(tags=["evidence"])


@router.get("/messages/{message_id}/evidence", summary="Get the evidence of a message", responses=problems(404))
async def get_message_evidence(message_id: UUID, work: Annotated[Work, reads()]) -> MessageEvidenceOut:
    """Return everything that is known to have happened to a message, dated, oldest first.

    Each entry carries a grade in words and what it does not prove: a fetch by a mail scanner is never shown as reading. Delivery and
    reading are two axes. What colleagues do with their internal links never counts as the customer's reading.
    """
    return MessageEvidenceOut.of(await proof.message_evidence(work.session, tenant_id=work.tenant_id, message_id=MessageId(message_id)))


@router.get("/claims/{claim_id}/readings", summary="List the readings of a claim", responses=problems(404))
async def list_claim_readings(
    claim_id: UUID,
    work: Annotated[Work, reads()],
    limit: paging.Limit = 100,
    cursor: paging.Cursor = None,
) -> Page[ReadingOut]:
    """List what was done through all links of a claim, oldest first."""
    key = paging.unseal(work.keyring, "readings", cursor, 1)
    rows = await proof.readings_of_claim(
        work.session,
        claim_data,
        tenant_id=work.tenant_id,
        claim_id=ClaimId(claim_id),
        after=UUID(key[0]) if key else None,
        limit=limit + 1,
    )
    page = [ReadingOut.of(message_id, audience, reading) for message_id, audience, reading in rows[:limit]]
    more = len(rows) > limit
    return Page(data=page, next_cursor=paging.seal(work.keyring, "readings", page[-1].reading_id) if more else None)
