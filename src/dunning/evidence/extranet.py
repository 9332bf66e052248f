"""A company's own extranet brings a token and vouches for its reader: it shows the claim itself, under its own login."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from dunning.evidence.landings import record_refusals
from dunning.evidence.live import Live
from dunning.evidence.readings import Reader, vouch
from dunning.evidence.rules import Door, Grade
from dunning.evidence.tokens import read_token
from dunning.evidence.trace import Trace
from dunning.evidence.visits import Visit, live_now, visit_of
from dunning.kit.clock import Clock
from dunning.kit.database import Session, encode_json
from dunning.kit.errors import NotFound
from dunning.kit.ids import TenantId
from dunning.kit.signing import Keyring
from dunning.messages.ports import ClaimData

ACKNOWLEDGED_THERE = "Receipt was confirmed in the company's own extranet."


@dataclass(frozen=True, slots=True)
class Resolved:
    """The claim behind a token, as told and as of now, and the link's grade after the reading was recorded."""

    visit: Visit
    live: Live
    grade: Grade


@dataclass(frozen=True, slots=True)
class Closed:
    """The link was revoked or has expired; the visit is recorded."""

    door: Door


async def resolve_link(
    session: Session,
    clock: Clock,
    claim_data: ClaimData,
    *,
    keyring: Keyring,
    tenant_id: TenantId,
    actor: str,
    token: str,
    reader: Reader,
    acknowledged: bool,
    statement: str | None,
) -> Resolved | Closed:
    """Return the claim for the extranet to show, and record its reader as vouched for by `actor`; with `acknowledged`, receipt too.

    Raises `NotFound` for a token that is not one of this tenant's customers', an internal recipient's included. The lock after wrong
    answers does not apply: the extranet has its own login. A repeated call records a further reading; a repeated acknowledgement by the
    same name and role does not.
    """
    ids = read_token(keyring, token)
    visit = None
    if ids is not None and ids[0] == tenant_id:
        visit = await visit_of(session, clock, claim_data, tenant_id=tenant_id, link_id=ids[1])
    if visit is None or visit.link.audience != "customer":
        noun = "link"
        raise NotFound(noun)
    if visit.door in {Door.REVOKED, Door.EXPIRED}:
        await record_refusals(session, clock, [(visit, Trace("RESOLVE", "extranet", "extranet"))])
        return Closed(visit.door)
    live = await live_now(session, visit)
    grade = await vouch(
        session,
        clock,
        visit,
        actor=actor,
        reader=reader,
        shown_sha256=hashlib.sha256(encode_json(visit.claim.data).encode()).digest(),
        statement=(statement or ACKNOWLEDGED_THERE) if acknowledged else None,
    )
    return Resolved(visit, live, grade)
