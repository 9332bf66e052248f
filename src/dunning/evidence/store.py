"""Statements on links and readings."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

import asyncpg

from dunning.kit.columns import UNSEEN_TENANT
from dunning.kit.database import ReadSession, Session
from dunning.kit.ids import ClaimId, CustomerId, ItemId, LinkId, MessageId, ReadingId, TenantId

if TYPE_CHECKING:
    from dunning.evidence.links import NewLink
    from dunning.evidence.readings import Reader

_LINK = """l.link_id, l.ledger_id, l.customer_id, l.claim_id, l.message_id, l.audience, l.challenge, l.grade, l.fetches, l.tries_left,
           l.locked_until, l.expires_at, l.revoked_at, l.revoked_because, l.created_at"""
_ARRIVED = "clock_timestamp() as at, g.sender_name, g.sender_email, g.reply_to, c.tax_number, m.language"


async def insert_links(session: Session, tenant_id: TenantId, links: Sequence[NewLink]) -> int:
    """Insert links that are not there yet and return how many."""
    return await session.execute(
        """insert into link (tenant_id, link_id, ledger_id, customer_id, claim_id, message_id, key_id, audience, challenge, expires_at)
           select $1, n.* from unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::uuid[], $6::uuid[], $7::text[], $8::text[], $9::text[],
                                      $10::timestamptz[]) n
               on conflict (tenant_id, link_id) do nothing""",
        tenant_id,
        [link.link_id for link in links],
        [link.ledger_id for link in links],
        [link.customer_id for link in links],
        [link.claim_id for link in links],
        [link.message_id for link in links],
        [link.key_id for link in links],
        [link.audience for link in links],
        [link.challenge for link in links],
        [link.expires_at for link in links],
    )


async def targets_of(session: ReadSession, tenant_id: TenantId, message_ids: Sequence[MessageId]) -> list[asyncpg.Record]:
    """Return, a message that has one, its newest link and where the ledger's links lead."""
    return await session.rows(
        """select distinct on (l.message_id) l.message_id, l.link_id, l.key_id, l.audience, g.link_target
             from link l join ledger g on g.tenant_id = l.tenant_id and g.ledger_id = l.ledger_id
            where l.tenant_id = $1 and l.message_id = any($2)
            order by l.message_id, l.link_id desc""",
        tenant_id,
        list(message_ids),
    )


async def link_row(session: ReadSession, tenant_id: TenantId, link_id: LinkId) -> asyncpg.Record | None:
    """Return one link."""
    return await session.row(f"select {_LINK} from link l where l.tenant_id = $1 and l.link_id = $2", tenant_id, link_id)


async def visited(session: ReadSession, tenant_id: TenantId, link_id: LinkId) -> asyncpg.Record | None:
    """Return one link with what its pages need of the ledger, the customer and the message, and the database's instant."""
    return await session.row(
        f"""select {_LINK}, {_ARRIVED}, g.time_zone, g.crm_url as ledger_crm_url, c.external_id, c.crm_url as customer_crm_url, m.content_mode
              from link l
              join ledger g on g.tenant_id = l.tenant_id and g.ledger_id = l.ledger_id
              join customer c on c.tenant_id = l.tenant_id and c.customer_id = l.customer_id
              join message m on m.tenant_id = l.tenant_id and m.message_id = l.message_id
             where l.tenant_id = $1 and l.link_id = $2""",
        tenant_id,
        link_id,
    )


async def lock_link(session: Session, tenant_id: TenantId, link_id: LinkId) -> bool:
    """Wait for other visitors of the link to finish, so that answers are judged one after another; False when there is none."""
    return await session.value("select true from link where tenant_id = $1 and link_id = $2 for update", tenant_id, link_id) is True


async def count_fetches(session: Session, tenant_id: TenantId, visits: Mapping[LinkId, int], *, waits: bool) -> dict[LinkId, asyncpg.Record]:
    """Add the visits of some links to their counts and return the links that there are, with what their landing pages need.

    Without `waits` those that others hold are left out. Links are taken in id order. Who does not wait for any cannot be part of a deadlock with those
    who revoke many at once.
    """
    rows = await session.rows(
        f"""with held as (
              select link_id, ledger_id, customer_id, message_id from link where tenant_id = {UNSEEN_TENANT} and link_id = any ($2::uuid[]) order by link_id
                 for no key update{"" if waits else " skip locked"}
            )
            update link l set fetches = l.fetches + n.visits
              from held
              join unnest($2::uuid[], $3::int[]) as n(link_id, visits) on n.link_id = held.link_id
              join ledger g on g.tenant_id = {UNSEEN_TENANT} and g.ledger_id = held.ledger_id
              join customer c on c.tenant_id = {UNSEEN_TENANT} and c.customer_id = held.customer_id
              join message m on m.tenant_id = {UNSEEN_TENANT} and m.message_id = held.message_id
             where l.tenant_id = {UNSEEN_TENANT} and l.link_id = held.link_id
         returning {_LINK}, {_ARRIVED}""",  # fixed words
        tenant_id,
        list(visits),
        list(visits.values()),
    )
    return {LinkId(row["link_id"]): row for row in rows}


async def raise_grades(session: Session, tenant_id: TenantId, link_ids: Collection[LinkId], grade: str, weaker: Sequence[str]) -> set[LinkId]:
    """Set the grade of links whose present one is weaker and return those whose grade rose."""
    rows = await session.rows(
        "update link set grade = $3 where tenant_id = $1 and link_id = any ($2::uuid[]) and grade = any ($4) returning link_id",
        tenant_id,
        list(link_ids),
        grade,
        list(weaker),
    )
    return {LinkId(row["link_id"]) for row in rows}


async def raise_grade(session: Session, tenant_id: TenantId, link_id: LinkId, grade: str, weaker: Sequence[str]) -> bool:
    """Set the grade where the present one is weaker; tell whether it rose."""
    return bool(
        await session.execute(
            "update link set grade = $3 where tenant_id = $1 and link_id = $2 and grade = any($4)",
            tenant_id,
            link_id,
            grade,
            list(weaker),
        ),
    )


async def set_lock(session: Session, tenant_id: TenantId, link_id: LinkId, tries_left: int, locked_until: dt.datetime | None) -> None:
    """Store how many answers may still be tried."""
    await session.execute(
        "update link set tries_left = $3, locked_until = $4 where tenant_id = $1 and link_id = $2",
        tenant_id,
        link_id,
        tries_left,
        locked_until,
    )


async def insert_reading(
    session: Session,
    tenant_id: TenantId,
    reading_id: ReadingId,
    link_id: LinkId,
    *,
    kind: str,
    grade: str,
    data: Mapping[str, Any],
    page_sha256: bytes | None,
    business_at: dt.datetime,
) -> None:
    """Append one reading."""
    await session.execute(
        """insert into reading (tenant_id, reading_id, link_id, kind, grade, data, page_sha256, business_at)
           values ($1, $2, $3, $4, $5, $6, $7, $8)""",
        tenant_id,
        reading_id,
        link_id,
        kind,
        grade,
        dict(data),
        page_sha256,
        business_at,
    )


async def insert_visits(
    session: Session, tenant_id: TenantId, visits: Sequence[tuple[ReadingId, LinkId, Mapping[str, Any]]], *, kind: str, grade: str, business_at: dt.datetime
) -> None:
    """Append one reading of a kind for each visit: its id, its link and what is kept of it."""
    await session.execute(
        """insert into reading (tenant_id, reading_id, link_id, kind, grade, data, business_at)
           select $1, v.reading_id, v.link_id, $5, $6, v.data, $7 from unnest($2::uuid[], $3::uuid[], $4::jsonb[]) as v(reading_id, link_id, data)""",
        tenant_id,
        [reading_id for reading_id, _, _ in visits],
        [link_id for _, link_id, _ in visits],
        [dict(data) for _, _, data in visits],
        kind,
        grade,
        business_at,
    )


async def reasons_of_refusals(session: ReadSession, tenant_id: TenantId, link_ids: Collection[LinkId]) -> set[tuple[LinkId, str]]:
    """Return which links have a reading `refused`, with its reason."""
    rows = await session.rows(
        "select link_id, data ->> 'reason' as reason from reading where tenant_id = $1 and link_id = any ($2::uuid[]) and kind = 'refused'",
        tenant_id,
        list(link_ids),
    )
    return {(LinkId(row["link_id"]), row["reason"]) for row in rows}


async def grade_of(session: ReadSession, tenant_id: TenantId, link_id: LinkId) -> str:
    """Return the present grade of a link that exists."""
    return str(await session.value("select grade from link where tenant_id = $1 and link_id = $2", tenant_id, link_id))


async def insert_reader(session: Session, tenant_id: TenantId, reading_id: ReadingId, reader: Reader, salt: str) -> None:
    """Keep who a reading was by, in a row of its own that can be erased."""
    await session.execute(
        "insert into reader (tenant_id, reading_id, name, role, contact, salt) values ($1, $2, $3, $4, $5, $6)",
        tenant_id,
        reading_id,
        reader.name,
        reader.role,
        reader.contact,
        salt,
    )


async def has_acknowledged(session: ReadSession, tenant_id: TenantId, link_id: LinkId, name: str, role: str) -> bool:
    """Tell whether the same name and role acknowledged through this link before."""
    return bool(
        await session.value(
            """select exists (select 1 from reading r join reader w on w.tenant_id = r.tenant_id and w.reading_id = r.reading_id
                where r.tenant_id = $1 and r.link_id = $2 and r.kind = 'acknowledged' and w.name = $3 and w.role = $4)""",
            tenant_id,
            link_id,
            name,
            role,
        ),
    )


async def readings_of_link(session: ReadSession, tenant_id: TenantId, link_id: LinkId, kind: str) -> list[asyncpg.Record]:
    """Return the readings of one kind of a link, oldest first."""
    return await session.rows(
        "select reading_id, data from reading where tenant_id = $1 and link_id = $2 and kind = $3 order by reading_id",
        tenant_id,
        link_id,
        kind,
    )


async def readings_of_message(session: ReadSession, tenant_id: TenantId, message_id: MessageId) -> list[asyncpg.Record]:
    """Return all readings through the links of a message, oldest first."""
    return await session.rows(
        """select r.reading_id, r.link_id, r.kind, r.grade, r.data, r.page_sha256, r.business_at, r.recorded_at,
                  w.name as reader_name, w.role as reader_role, w.contact as reader_contact
             from link l join reading r on r.tenant_id = l.tenant_id and r.link_id = l.link_id
             left join reader w on w.tenant_id = r.tenant_id and w.reading_id = r.reading_id
            where l.tenant_id = $1 and l.message_id = $2 order by r.reading_id""",
        tenant_id,
        message_id,
    )


async def readings_of_claim(
    session: ReadSession,
    tenant_id: TenantId,
    claim_id: ClaimId,
    after: UUID | None,
    limit: int,
) -> list[asyncpg.Record]:
    """Return a page of the readings through all links of a claim, oldest first."""
    return await session.rows(
        """select r.reading_id, r.link_id, l.message_id, l.audience, r.kind, r.grade, r.data, r.page_sha256, r.business_at, r.recorded_at,
                  w.name as reader_name, w.role as reader_role, w.contact as reader_contact
             from link l join reading r on r.tenant_id = l.tenant_id and r.link_id = l.link_id
             left join reader w on w.tenant_id = r.tenant_id and w.reading_id = r.reading_id
            where l.tenant_id = $1 and l.claim_id = $2 and ($3::uuid is null or r.reading_id > $3) order by r.reading_id limit $4""",
        tenant_id,
        claim_id,
        after,
        limit,
    )


async def links_of_message(session: ReadSession, tenant_id: TenantId, message_id: MessageId) -> list[asyncpg.Record]:
    """Return the links of a message, oldest first."""
    return await session.rows(
        f"select {_LINK} from link l where l.tenant_id = $1 and l.message_id = $2 order by l.link_id",
        tenant_id,
        message_id,
    )


async def history_of_message(session: ReadSession, tenant_id: TenantId, message_id: MessageId) -> list[asyncpg.Record]:
    """Return the states a message went through, oldest first."""
    return await session.rows(
        """select message_event_id, to_state, reason, recorded_at from message_event
            where tenant_id = $1 and message_id = $2 order by message_event_id""",
        tenant_id,
        message_id,
    )


async def message_row(session: ReadSession, tenant_id: TenantId, message_id: MessageId) -> asyncpg.Record | None:
    """Return what the evidence of a message says about its sending."""
    return await session.row(
        """select message_id, customer_id, claim_id, channel, audience, is_copy, content_mode, state, delivery, header_message_id, mime_sha256,
                  template_id, template_version, provider_id, created_at, accepted_at
             from message where tenant_id = $1 and message_id = $2""",
        tenant_id,
        message_id,
    )


async def revoke_by_claims(session: Session, tenant_id: TenantId, claim_ids: Sequence[ClaimId], because: str, at: dt.datetime) -> list[asyncpg.Record]:
    """Revoke the links of claims that are not revoked, and return them."""
    return await session.rows(
        """update link set revoked_at = $4, revoked_because = $3
            where tenant_id = $1 and claim_id = any($2) and revoked_at is null returning link_id, customer_id""",
        tenant_id,
        list(claim_ids),
        because,
        at,
    )


async def revoke_by_messages(
    session: Session,
    tenant_id: TenantId,
    message_ids: Sequence[MessageId],
    because: str,
    at: dt.datetime,
) -> list[asyncpg.Record]:
    """Revoke the links of messages that are not revoked, and return them."""
    return await session.rows(
        """update link set revoked_at = $4, revoked_because = $3
            where tenant_id = $1 and message_id = any($2) and revoked_at is null returning link_id, customer_id""",
        tenant_id,
        list(message_ids),
        because,
        at,
    )


async def revoke_one(session: Session, tenant_id: TenantId, link_id: LinkId, because: str, at: dt.datetime) -> list[asyncpg.Record]:
    """Revoke a link that is not revoked, and return it."""
    return await session.rows(
        """update link set revoked_at = $4, revoked_because = $3
            where tenant_id = $1 and link_id = $2 and revoked_at is null returning link_id, customer_id""",
        tenant_id,
        link_id,
        because,
        at,
    )


async def items_now(session: ReadSession, tenant_id: TenantId, customer_id: CustomerId, item_ids: Sequence[ItemId]) -> list[asyncpg.Record]:
    """Return the named items of a customer and all its open ones as they stand now, by due date."""
    return await session.rows(
        """select i.item_id, i.number, i.kind, i.direction, i.document_on, i.due_on, i.currency, i.amount_minor, i.allocated_minor, i.state,
                  d.file_url
             from item i join document d on d.tenant_id = i.tenant_id and d.document_id = i.document_id
            where i.tenant_id = $1 and i.customer_id = $2 and i.allocated_minor < i.amount_minor and i.state = 'posted'
           union
           select i.item_id, i.number, i.kind, i.direction, i.document_on, i.due_on, i.currency, i.amount_minor, i.allocated_minor, i.state,
                  d.file_url
             from item i join document d on d.tenant_id = i.tenant_id and d.document_id = i.document_id
            where i.tenant_id = $1 and i.customer_id = $2 and i.item_id = any($3)
           order by due_on, number, item_id""",
        tenant_id,
        customer_id,
        list(item_ids),
    )


async def present(session: ReadSession) -> dt.datetime:
    """Return the database's clock."""
    at: dt.datetime = await session.value("select clock_timestamp()")
    return at
