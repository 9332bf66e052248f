"""What a colleague does who is asked about items by mail: sees their statuses and comments, takes charge, replies. The link in the mail is the key."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

import asyncpg

from dunning.collection import action_store, owners
from dunning.collection.action_store import NewActivity
from dunning.events import service as events
from dunning.kit.clock import Clock
from dunning.kit.database import ReadSession, Session
from dunning.kit.errors import NotFound
from dunning.kit.ids import ActionId, ClaimId, CustomerId, ItemId, LedgerId, MessageId, TenantId
from dunning.ledger import item_comments
from dunning.ledger.customer_state import lock_customers
from dunning.tenancy import people

COMMENTS_SHOWN = 20
TAKEN = "request_taken"
REPLY_CAP = 2_000


@dataclass(frozen=True, slots=True)
class Said:
    """One comment on an item, with the name of its author."""

    author: str
    on: dt.date
    text: str


@dataclass(frozen=True, slots=True)
class Asked:
    """One item that a colleague is asked about, as it stands now."""

    item_id: UUID
    number: str
    due_on: dt.date
    currency: str
    open_minor: int
    status: str | None
    comments: Sequence[Said]


@dataclass(frozen=True, slots=True)
class Request:
    """A question to colleagues: about which items of which customer, what was asked, and who has taken charge of it."""

    action_id: ActionId
    customer_id: CustomerId
    ledger_id: LedgerId
    customer_name: str
    text: str | None
    items: Sequence[Asked]
    taken_by: str | None
    is_taken_by_reader: bool


async def request_of(session: ReadSession, *, tenant_id: TenantId, claim_id: ClaimId, message_id: MessageId) -> Request | None:
    """Return the question that an internal message asks, as its reader meets it; None where it asks none, but tells of something."""
    row = await session.row(
        """select a.action_id, a.customer_id, a.ledger_id, k.data
             from claim k join action a on a.tenant_id = $1 and a.action_id = k.action_id
            where k.tenant_id = $1 and k.claim_id = $2 and a.origin <> 'scenario' and k.data->>'selection' = 'internal'""",
        tenant_id,
        claim_id,
    )
    if row is None:
        return None
    ids = [UUID(line["item_id"]) for block in row["data"]["blocks"] for line in block["rows"]]
    action_id = ActionId(row["action_id"])
    items = await session.rows(
        """select i.item_id, i.number, i.due_on, i.currency, i.amount_minor - i.allocated_minor as open_minor, s.name as status
             from item i left join item_status s on s.tenant_id = $1 and s.code = i.status_code
            where i.tenant_id = $1 and i.item_id = any ($2::uuid[]) order by i.due_on, i.number, i.item_id""",
        tenant_id,
        ids,
    )
    said = await _said(session, tenant_id, ids)
    taken = await session.value(
        "select actor from activity where tenant_id = $1 and customer_id = $2 and action_id = $3 and kind = $4 order by activity_id desc limit 1",
        tenant_id,
        row["customer_id"],
        action_id,
        TAKEN,
    )
    names = await _names(session, tenant_id, [taken] if taken else [])
    reader, _, _ = await _reader(session, tenant_id, message_id)
    asked = [Asked(comments=said[item["item_id"]], **dict(item)) for item in items]
    return Request(
        action_id, CustomerId(row["customer_id"]), LedgerId(row["ledger_id"]), row["data"]["customer"]["name"], row["data"].get("personal_text"), asked,
        names[taken] if taken else None, taken is not None and taken == reader,
    )  # fmt: skip


async def take_charge(session: Session, clock: Clock, *, tenant_id: TenantId, request: Request, message_id: MessageId) -> str:
    """Note that the reader of a message takes charge, and return the reader's name. Whoever says so last has it; saying it twice notes it once.

    The action is theirs from then on, where their role allows the work.
    """
    await lock_customers(session, tenant_id, [request.customer_id])
    actor, name, person_id = await _reader(session, tenant_id, message_id)
    if request.is_taken_by_reader:
        return name
    made = NewActivity(customer_id=request.customer_id, action_id=request.action_id, kind=TAKEN, text=None, data={"message_id": message_id})
    await action_store.insert_activities(session, tenant_id, request.ledger_id, [made], actor=actor, business_at=clock.now())
    if await owners.may_have(session, tenant_id, person_id):
        await session.execute(
            """update action set person_id = $3, revision = revision + 1, updated_at = clock_timestamp()
                where tenant_id = $1 and action_id = $2 and person_id is distinct from $3""",
            tenant_id,
            request.action_id,
            person_id,
        )
        await owners.let_see(session, clock, tenant_id=tenant_id, actor=actor, person_id=person_id, customer_ids=[request.customer_id])
    await _tell(session, clock, tenant_id, "action.taken_in_charge", request, actor, message_id)
    return name


async def reply(session: Session, clock: Clock, *, tenant_id: TenantId, request: Request, message_id: MessageId, text: str) -> str:
    """Store a colleague's reply as a comment on the items that were asked about, and return the author's name. A form sent twice is stored once."""
    await lock_customers(session, tenant_id, [request.customer_id])
    actor, name, _ = await _reader(session, tenant_id, message_id)
    again = await session.value(
        """select exists (select 1 from item_comment where tenant_id = $1 and customer_id = $2 and source_id = $3 and actor = $4 and text = $5)""",
        tenant_id,
        request.customer_id,
        request.action_id,
        actor,
        text[:REPLY_CAP],
    )
    if again:
        return name
    await item_comments.qualify(
        session, clock, tenant_id=tenant_id, actor=actor, ledger_id=request.ledger_id, customer_id=request.customer_id,
        item_ids=[ItemId(item.item_id) for item in request.items], status_code=None, text=text[:REPLY_CAP], source="action", source_id=request.action_id,
    )  # fmt: skip
    await _tell(session, clock, tenant_id, "action.replied", request, actor, message_id)
    return name


async def _reader(session: ReadSession, tenant_id: TenantId, message_id: MessageId) -> tuple[str, str, UUID | None]:
    """Return as whom the reader of a message acts: the person with its address, or the message's own reader; a comment never keeps an address."""
    row = await session.row(
        """select p.person_id, coalesce(p.name, d.to_name, d.to_email) as name
             from message m
             left join message_address d on d.tenant_id = $1 and d.message_id = m.message_id
             left join person p on p.tenant_id = $1 and lower(p.email) = lower(d.to_email) and p.active
            where m.tenant_id = $1 and m.message_id = $2""",
        tenant_id,
        message_id,
    )
    if row is None:
        noun = "message"
        raise NotFound(noun)
    if row["person_id"] is not None:
        return f"person:{row['person_id']}", row["name"], row["person_id"]
    actor = f"reader:{message_id}"
    return actor, row["name"] or actor, None


async def _said(session: ReadSession, tenant_id: TenantId, item_ids: Sequence[UUID]) -> Mapping[UUID, list[Said]]:
    rows = await session.rows(
        """select c.item_id, c.actor, (c.business_at at time zone l.time_zone)::date as said_on, c.text from unnest($2::uuid[]) as wanted (item_id)
             cross join lateral (
               select c.* from item_comment c where c.tenant_id = $1 and c.item_id = wanted.item_id and c.text is not null
                order by c.item_comment_id desc limit $3) c
             join ledger l on l.tenant_id = $1 and l.ledger_id = c.ledger_id
            order by c.item_comment_id""",
        tenant_id,
        list(item_ids),
        COMMENTS_SHOWN,
    )
    names = await _names(session, tenant_id, [row["actor"] for row in rows])
    found: defaultdict[UUID, list[Said]] = defaultdict(list)
    for row in rows:
        found[row["item_id"]].append(Said(names[row["actor"]], row["said_on"], row["text"]))
    return found


async def _names(session: ReadSession, tenant_id: TenantId, actors: Sequence[str]) -> Mapping[str, str]:
    """Return what to show for actors: people and readers of messages by name, keys by theirs."""
    names = await people.names_of(session, tenant_id=tenant_id, actors=actors)
    readers = {actor: actor.removeprefix("reader:") for actor in actors if actor.startswith("reader:")}
    if readers:
        rows: list[asyncpg.Record] = await session.rows(
            "select message_id, coalesce(to_name, to_email) as name from message_address where tenant_id = $1 and message_id = any ($2::uuid[])",
            tenant_id,
            [UUID(message_id) for message_id in readers.values()],
        )
        by_message = {str(row["message_id"]): row["name"] for row in rows}
        names |= {actor: by_message.get(message_id, actor) for actor, message_id in readers.items()}
    return {actor: name.removeprefix("key:") for actor, name in names.items()}


async def _tell(session: Session, clock: Clock, tenant_id: TenantId, kind: str, request: Request, actor: str, message_id: MessageId) -> None:
    await events.record(
        session, clock, tenant_id=tenant_id, kind=kind, subject_kind="action", subject_id=request.action_id, actor=actor,
        customer_id=request.customer_id, data={"message_id": message_id},
    )  # fmt: skip
