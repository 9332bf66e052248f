"""Statements that show messages: the log of what was sent, one message with its history, and what a resend repeats."""

from __future__ import annotations

from dataclasses import dataclass

import asyncpg

from dunning.kit.database import ReadSession, Session
from dunning.kit.ids import ActionId, ClaimId, CustomerId, LedgerId, MessageId, TenantId
from dunning.messages.addresses import address_digest
from dunning.tenancy.people_store import author_of


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageFilter:
    """Which messages a list shows; what is None does not matter."""

    kind: str | None = None
    state: str | None = None
    delivery: str | None = None
    ledger_id: LedgerId | None = None
    customer_id: CustomerId | None = None
    action_id: ActionId | None = None
    claim_id: ClaimId | None = None
    to: str | None = None


_SHOWN = """
select m.*, a.to_email, a.to_name, a.subject, c.copies, s.cause as suppressed_because
  from message m
  left join message_address a on a.tenant_id = m.tenant_id and a.message_id = m.message_id
  left join suppression s on s.tenant_id = m.tenant_id and s.channel = m.channel and s.address_sha256 = m.address_sha256
  left join lateral (select coalesce(array_agg(ca.to_email order by ca.to_email), '{}') as copies
                       from message k join message_address ca on ca.tenant_id = k.tenant_id and ca.message_id = k.message_id
                      where k.tenant_id = m.tenant_id and k.action_id = m.action_id and k.notice = m.notice and k.is_copy and not m.is_copy
                        and k.state not in ('cancelled', 'suppressed', 'expired')) c on true
 where m.tenant_id = $1
"""


async def messages_before(session: ReadSession, tenant_id: TenantId, wanted: MessageFilter, before: MessageId | None, limit: int) -> list[asyncpg.Record]:
    """Return messages, newest first, each with its address and those of its copies: one statement, however many."""
    columns = {
        "m.kind": wanted.kind,
        "m.state": wanted.state,
        "m.delivery": wanted.delivery,
        "m.ledger_id": wanted.ledger_id,
        "m.customer_id": wanted.customer_id,
        "m.action_id": wanted.action_id,
        "m.claim_id": wanted.claim_id,
        "m.address_sha256": address_digest(wanted.to) if wanted.to else None,
    }
    given = {column: value for column, value in columns.items() if value is not None}
    values: list[object] = [tenant_id, limit, *given.values()]
    conditions = [f"{column} = ${place}" for place, column in enumerate(given, 3)]
    if before is not None:
        values.append(before)
        conditions.append(f"m.message_id < ${len(values)}")
    where = "".join(f" and {condition}" for condition in conditions)
    return await session.rows(f"{_SHOWN}{where} order by m.message_id desc limit $2", *values)


async def message_row(session: ReadSession, tenant_id: TenantId, message_id: MessageId) -> asyncpg.Record | None:
    """Return one message as lists show it."""
    return await session.row(f"{_SHOWN} and m.message_id = $2", tenant_id, message_id)


async def history_rows(session: ReadSession, tenant_id: TenantId, message_id: MessageId) -> list[asyncpg.Record]:
    """Return every change of a message, oldest first."""
    return await session.rows(
        f"""select from_state, to_state, reason, actor, {author_of("actor")} as author, data, recorded_at from message_event
            where tenant_id = $1 and message_id = $2 order by recorded_at, message_event_id""",
        tenant_id,
        message_id,
    )


async def crm_url_of(session: ReadSession, tenant_id: TenantId, customer_id: CustomerId) -> str | None:
    """Return the address of a customer in the company's own CRM, the ledger's where the customer has none."""
    found: str | None = await session.value(
        """select coalesce(c.crm_url, l.crm_url) from customer c join ledger l on l.tenant_id = c.tenant_id and l.ledger_id = c.ledger_id
            where c.tenant_id = $1 and c.customer_id = $2""",
        tenant_id,
        customer_id,
    )
    return found


async def lock_message(session: Session, tenant_id: TenantId, message_id: MessageId) -> asyncpg.Record | None:
    """Lock one message and return it with its address."""
    return await session.row(
        """select m.*, a.to_email, a.to_name from message m
             left join message_address a on a.tenant_id = m.tenant_id and a.message_id = m.message_id
            where m.tenant_id = $1 and m.message_id = $2 for update of m""",
        tenant_id,
        message_id,
    )
