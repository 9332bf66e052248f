"""One visit to a claim's door: which link it is, whether it may be used, what is asked, and what stands behind it now."""

from __future__ import annotations

import datetime as dt
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple
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
from dunning.kit.ids import ClaimId, ItemId, LinkId, TenantId
from dunning.messages.ports import ClaimData, ClaimRow


@dataclass(frozen=True, slots=True)
class Sender:
    """Who wrote the claim, as its page names them."""

    name: str
    email: str


class ClaimFace(NamedTuple):
    """What the page before a claim has to know of it: whether it is void, and which documents can be asked for."""

    state: str
    document_numbers: Sequence[str]


ClaimFaces = Callable[[ReadSession, TenantId, Collection[ClaimId]], Awaitable[Mapping[ClaimId, ClaimFace]]]


@dataclass(frozen=True, slots=True)
class Arrival:
    """One link at the moment somebody comes to it: whether its door is open and what is asked there."""

    tenant_id: TenantId
    link: Link
    door: Door
    asks: Challenge
    sender: Sender
    language: str
    at: dt.datetime


@dataclass(frozen=True, slots=True)
class Visit(Arrival):
    """An arrival with what is behind the door: what an answer is compared with, and the frozen claim."""

    known: Known
    claim: ClaimRow
    content_mode: str
    today: dt.date
    crm_url: str | None

    @property
    def answer_in_mail(self) -> bool:
        """Whether the mail itself shows what is asked for."""
        return self.asks is Challenge.DOCUMENT_NUMBER and self.content_mode == "full"


async def visit_of(session: ReadSession, clock: Clock, claim_data: ClaimData, *, tenant_id: TenantId, link_id: LinkId) -> Visit | None:
    """Return a link as a visitor finds it now; None when there is no such link or claim. A void claim's door counts as revoked."""
    row = await store.visited(session, tenant_id, link_id)
    if row is None:
        return None
    link = link_from(row)
    claim = (await claim_data(session, tenant_id, [link.claim_id])).get(link.claim_id)
    if claim is None:
        return None
    known = Known.of(row["tax_number"], (line["number"] for block in claim.data["blocks"] for line in block["rows"]))
    business_at = clock.now()
    return Visit(
        tenant_id=tenant_id,
        link=link,
        door=_door(link, claim.state, business_at, row["at"]),
        asks=_asks(link, lambda: known),
        sender=_sender(row),
        language=row["language"],
        at=row["at"],
        known=known,
        claim=claim,
        content_mode=row["content_mode"],
        today=local_date(business_at, row["time_zone"]),
        crm_url=_crm_url(row["customer_crm_url"], row["ledger_crm_url"], row["external_id"]),
    )


async def arrivals_of(
    session: ReadSession, clock: Clock, claim_faces: ClaimFaces, *, tenant_id: TenantId, rows: Collection[asyncpg.Record]
) -> dict[LinkId, Arrival]:
    """Return the links of some rows as those who come to them find them, with one statement however many; one without its claim is left out."""
    found = [(link_from(row), row) for row in rows]
    faces = await claim_faces(session, tenant_id, {link.claim_id for link, _ in found}) if found else {}
    business_at = clock.now()
    arrivals: dict[LinkId, Arrival] = {}
    for link, row in found:
        face = faces.get(link.claim_id)
        if face is not None:
            asks = _asks(link, partial(Known.of, row["tax_number"], face.document_numbers))
            door = _door(link, face.state, business_at, row["at"])
            arrivals[link.link_id] = Arrival(tenant_id, link, door, asks, _sender(row), row["language"], row["at"])
    return arrivals


def _door(link: Link, claim_state: str, business_at: dt.datetime, at: dt.datetime) -> Door:
    return Door.REVOKED if claim_state == "void" else link.door(business_at=business_at, at=at)


def _asks(link: Link, known: Callable[[], Known]) -> Challenge:
    """Return what is asked for, looking up what is known only where that matters."""
    return Challenge.BUTTON if link.audience == "internal" or link.challenge is Challenge.BUTTON else asked(link.challenge, known())


def _sender(row: asyncpg.Record) -> Sender:
    return Sender(row["sender_name"], row["reply_to"] or row["sender_email"])


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
