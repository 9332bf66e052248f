"""One visit to a claim's door: which link it is, whether it may be used, what is asked, and what stands behind it now."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import quote, urlsplit
from uuid import UUID

import asyncpg

from dunning.evidence import store
from dunning.evidence.challenge import Challenge, Known, asked
from dunning.evidence.links import Link, link_from
from dunning.evidence.live import ItemNow, Live, live_of
from dunning.evidence.rules import Door
from dunning.kit.clock import Clock, local_date
from dunning.kit.database import ReadSession
from dunning.kit.ids import ItemId, LinkId, TenantId
from dunning.messages.ports import ClaimData, ClaimRow


@dataclass(frozen=True, slots=True)
class Sender:
    """Who wrote the claim, as its page names them."""

    name: str
    email: str


@dataclass(frozen=True, slots=True)
class Visit:
    """One link at the moment of a visit: whether its door is open, what is asked, and the frozen claim behind it."""

    tenant_id: TenantId
    link: Link
    door: Door
    asks: Challenge
    known: Known
    claim: ClaimRow
    sender: Sender
    language: str
    content_mode: str
    today: dt.date
    at: dt.datetime
    crm_url: str | None

    @property
    def answer_in_mail(self) -> bool:
        """Whether the mail itself shows what is asked for."""
        return self.asks is Challenge.DOCUMENT_NUMBER and self.content_mode == "full"


async def visit_of(session: ReadSession, clock: Clock, claim_data: ClaimData, *, tenant_id: TenantId, link_id: LinkId) -> Visit | None:
    """Return a link as a visitor finds it now; None when there is no such link or claim. A void claim's door counts as revoked."""
    return (await visits_of(session, clock, claim_data, tenant_id=tenant_id, link_ids=[link_id])).get(link_id)


async def visits_of(session: ReadSession, clock: Clock, claim_data: ClaimData, *, tenant_id: TenantId, link_ids: Collection[LinkId]) -> dict[LinkId, Visit]:
    """Return links as their visitors find them now, with two statements however many; one without its claim is left out."""
    found = [(link_from(row), row) for row in await store.visited(session, tenant_id, link_ids)] if link_ids else []
    claims = await claim_data(session, tenant_id, list({link.claim_id for link, _ in found})) if found else {}
    business_at = clock.now()
    return {link.link_id: _visit(tenant_id, link, row, claims[link.claim_id], business_at) for link, row in found if link.claim_id in claims}


def _visit(tenant_id: TenantId, link: Link, row: asyncpg.Record, claim: ClaimRow, business_at: dt.datetime) -> Visit:
    known = Known.of(row["tax_number"], (line["number"] for block in claim.data["blocks"] for line in block["rows"]))
    return Visit(
        tenant_id=tenant_id,
        link=link,
        door=Door.REVOKED if claim.state == "void" else link.door(business_at=business_at, at=row["at"]),
        asks=Challenge.BUTTON if link.audience == "internal" else asked(link.challenge, known),
        known=known,
        claim=claim,
        sender=Sender(row["sender_name"], row["reply_to"] or row["sender_email"]),
        language=row["language"],
        content_mode=row["content_mode"],
        today=local_date(business_at, row["time_zone"]),
        at=row["at"],
        crm_url=_crm_url(row["customer_crm_url"], row["ledger_crm_url"], row["external_id"]),
    )


def _crm_url(customer_url: str | None, ledger_url: str | None, external_id: str) -> str | None:
    return web_address(customer_url or (ledger_url.replace("{external_id}", quote(external_id, safe="")) if ledger_url else None))


def web_address(url: str | None) -> str | None:
    """Return an address that may stand in a link of the page: http or https with a host; anything else is left out."""
    if not url or not url.isprintable():
        return None
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    return url if parts.scheme in {"http", "https"} and parts.netloc else None


async def live_now(session: ReadSession, visit: Visit) -> Live:
    """Return how the claim's documents, and what else the customer has open, stand now."""
    ids = [ItemId(UUID(row["item_id"])) for block in visit.claim.data["blocks"] for row in block["rows"]]
    rows = await store.items_now(session, visit.tenant_id, visit.link.customer_id, ids)
    items = [
        ItemNow(
            row["item_id"], row["number"], row["kind"], row["direction"], row["document_on"], row["due_on"], row["currency"],
            row["amount_minor"], row["allocated_minor"], row["state"] == "void", web_address(row["file_url"]),
        )
        for row in rows
    ]  # fmt: skip
    return live_of(visit.claim.data, items, visit.today)


async def present(session: ReadSession) -> dt.datetime:
    """Return the database's present, by which forms grow old and locks end."""
    return await store.present(session)
