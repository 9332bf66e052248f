"""Links: minted with a message, put into its mail, revoked when what they lead to no longer stands."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import asyncpg

from dunning.events import service as events
from dunning.events.service import NewEvent
from dunning.evidence import store
from dunning.evidence.challenge import Challenge
from dunning.evidence.rules import Door, Grade, Lock, door_of
from dunning.evidence.tokens import PORTAL, token_of, url_of
from dunning.kit.clock import Clock
from dunning.kit.database import ReadSession, Session
from dunning.kit.errors import NotFound
from dunning.kit.ids import ClaimId, CustomerId, LedgerId, LinkId, MessageId, TenantId
from dunning.kit.signing import Keyring


@dataclass(frozen=True, slots=True)
class NewLink:
    """A link to be minted: for whom (`customer` or `internal`), what is asked (`tax_number`, `document_number`, `button`), until when."""

    link_id: LinkId
    ledger_id: LedgerId
    customer_id: CustomerId
    claim_id: ClaimId
    message_id: MessageId
    key_id: str
    audience: str
    challenge: str
    expires_at: dt.datetime


@dataclass(frozen=True, slots=True)
class Link:
    """A link as it stands. It never shows its token: who may open the page got it by mail."""

    link_id: LinkId
    ledger_id: LedgerId
    customer_id: CustomerId
    claim_id: ClaimId
    message_id: MessageId
    audience: str
    challenge: Challenge
    grade: Grade
    fetches: int
    lock: Lock
    expires_at: dt.datetime
    revoked_at: dt.datetime | None
    revoked_because: str | None
    created_at: dt.datetime

    def door(self, *, business_at: dt.datetime, at: dt.datetime) -> Door:
        """Tell whether the link may be used at an instant of the tenant's clock and of the database's."""
        return door_of(expires_at=self.expires_at, revoked_at=self.revoked_at, lock=self.lock, business_at=business_at, at=at)


def link_from(row: asyncpg.Record) -> Link:
    """Read a link from its row."""
    return Link(
        link_id=LinkId(row["link_id"]),
        ledger_id=LedgerId(row["ledger_id"]),
        customer_id=CustomerId(row["customer_id"]),
        claim_id=ClaimId(row["claim_id"]),
        message_id=MessageId(row["message_id"]),
        audience=row["audience"],
        challenge=Challenge(row["challenge"]),
        grade=Grade(row["grade"]),
        fetches=row["fetches"],
        lock=Lock(row["tries_left"], row["locked_until"]),
        expires_at=row["expires_at"],
        revoked_at=row["revoked_at"],
        revoked_because=row["revoked_because"],
        created_at=row["created_at"],
    )


async def mint_links(session: Session, tenant_id: TenantId, links: Sequence[NewLink]) -> int:
    """Insert links in one statement and return how many are new; minting the same link again changes nothing.

    The claim and the message must be there already in this transaction.
    """
    return await store.insert_links(session, tenant_id, links) if links else 0


async def link_urls(
    session: ReadSession,
    tenant_id: TenantId,
    message_ids: Sequence[MessageId],
    *,
    keyring: Keyring,
    public_url: str,
) -> dict[MessageId, str]:
    """Return the address for the mail of each message that has a link: the page of this service, or the ledger's own extranet.

    An internal recipient is never sent to the customers' extranet. A message whose link was signed by a key that is no longer in
    the ring is left out.
    """
    urls: dict[MessageId, str] = {}
    for row in await store.targets_of(session, tenant_id, message_ids):
        if row["key_id"] in keyring.keys:
            token = token_of(keyring, tenant_id, LinkId(row["link_id"]), row["key_id"])
            target = PORTAL if row["audience"] == "internal" else row["link_target"]
            urls[MessageId(row["message_id"])] = url_of(public_url, target, token)
    return urls


async def link_of(session: ReadSession, *, tenant_id: TenantId, link_id: LinkId) -> Link:
    """Return one link; raise `NotFound`."""
    row = await store.link_row(session, tenant_id, link_id)
    if row is None:
        noun = "link"
        raise NotFound(noun)
    return link_from(row)


async def revoke_link(session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, link_id: LinkId, reason: str) -> Link:
    """Revoke one link: its page says no more than that it is not available. A second call keeps the first reason; raises `NotFound`."""
    revoked = await store.revoke_one(session, tenant_id, link_id, reason, clock.now())
    await _tell(session, clock, revoked, tenant_id=tenant_id, actor=actor, reason=reason)
    return await link_of(session, tenant_id=tenant_id, link_id=link_id)


async def revoke_links_of_claims(
    session: Session,
    clock: Clock,
    *,
    tenant_id: TenantId,
    actor: str,
    claim_ids: Sequence[ClaimId],
    reason: str,
) -> int:
    """Revoke the links of claims that no longer stand (void, replaced) and return how many; those revoked before keep their reason."""
    revoked = await store.revoke_by_claims(session, tenant_id, claim_ids, reason, clock.now()) if claim_ids else []
    await _tell(session, clock, revoked, tenant_id=tenant_id, actor=actor, reason=reason)
    return len(revoked)


async def revoke_links_of_messages(
    session: Session,
    clock: Clock,
    *,
    tenant_id: TenantId,
    actor: str,
    message_ids: Sequence[MessageId],
    reason: str,
) -> int:
    """Revoke the links of messages that did not reach their recipient (cancelled, bounced) and return how many."""
    revoked = await store.revoke_by_messages(session, tenant_id, message_ids, reason, clock.now()) if message_ids else []
    await _tell(session, clock, revoked, tenant_id=tenant_id, actor=actor, reason=reason)
    return len(revoked)


async def _tell(session: Session, clock: Clock, revoked: Sequence[asyncpg.Record], *, tenant_id: TenantId, actor: str, reason: str) -> None:
    made = [_revoked(row["link_id"], CustomerId(row["customer_id"]), reason) for row in revoked]
    await events.record_many(session, clock, tenant_id=tenant_id, actor=actor, events=made)


def _revoked(link_id: UUID, customer_id: CustomerId, reason: str) -> NewEvent:
    return NewEvent("link.revoked", "link", link_id, customer_id, {"reason": reason})
