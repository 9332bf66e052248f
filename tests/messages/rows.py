"""The least that a message stands on: a ledger, a customer, an action, a claim and a template, written straight into their tables."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from dunning.kit.clock import Clock
from dunning.kit.database import Database, ReadSession, Session
from dunning.kit.ids import TenantId, new_id
from dunning.messages.ports import ClaimRow, Outcome, OutgoingMessage, Ports, Send, Stop
from dunning.messages.queue import NewMessage, queue_messages
from dunning.tenancy import service as tenancy
from tests.messages import claims

CONTENTS = {
    "en": {
        "subject": "Reminder {{claim_number}}",
        "text": "Dear {{customer_name}},\n\n{{items_list}}\n\n{{link_url}}\n",
        "html": '<p>Dear {{customer_name}}</p>{{items_list}}<p><a href="{{link_url}}">Read</a></p>',
    }
}


@dataclass
class Ground:
    """What all messages of a test tenant share."""

    tenant_id: TenantId
    ledger_id: UUID
    template_id: UUID
    customers: list[UUID] = field(default_factory=list)


async def lay_ground(
    session: Session,
    tenant_id: TenantId,
    *,
    time_zone: str = "Europe/Madrid",
    send_from: str = "00:00",
    send_until: str = "23:59",
    contents: dict[str, Any] | None = None,
) -> Ground:
    """Insert a ledger and a published template."""
    ledger_id, template_id = new_id(), new_id()
    await session.execute(
        """insert into ledger (tenant_id, ledger_id, external_id, name, currency, time_zone, country, language, sender_name, sender_email, send_from, send_until,
                               send_on_closed_days)
           values ($1, $2, $3, 'Acme', 'EUR', $4, 'ES', 'en', 'Acme', 'billing@acme.example', $5, $6, $7)""",
        tenant_id,
        ledger_id,
        str(ledger_id),
        time_zone,
        send_from,
        send_until,
        send_from == "00:00",
    )
    await session.execute(
        "insert into template (tenant_id, template_id, code, name, draft, published_version) values ($1, $2, $3, 'T', $4, 1)",
        tenant_id,
        template_id,
        str(template_id),
        contents or CONTENTS,
    )
    await session.execute(
        """insert into template_version (tenant_id, template_id, version, contents, content_sha256, published_by)
           values ($1, $2, 1, $3, '\\x00', 'test')""",
        tenant_id,
        template_id,
        contents or CONTENTS,
    )
    return Ground(tenant_id, ledger_id, template_id)


async def queue(
    session: Session,
    ground: Ground,
    addresses: Sequence[str],
    *,
    relay: str = "sink",
    not_before: dt.datetime | None = None,
    valid_hours: float = 48,
    claim_changes: dict[str, Any] | None = None,
) -> list[UUID]:
    """Queue a message to each address, each with a customer, an action and a claim of its own; return the message ids."""
    tenant_id = ground.tenant_id
    tenant = await tenancy.tenant_of(session, tenant_id)
    now = tenancy.clock_of(tenant).now()
    n = len(addresses)
    customers, actions, claim_ids, messages = ([new_id() for _ in range(n)] for _ in range(4))
    first_no = await session.value("select count(*) from claim where tenant_id = $1", tenant_id)
    await session.execute(
        """insert into customer (tenant_id, customer_id, ledger_id, external_id, name, name_search, content_sha256)
           select $1, c, $2, c::text, 'Customer', 'customer', '\\x00' from unnest($3::uuid[]) c""",
        tenant_id,
        ground.ledger_id,
        customers,
    )
    await session.execute(
        "insert into customer_state (tenant_id, customer_id, ledger_id) select $1, c, $2 from unnest($3::uuid[]) c", tenant_id, ground.ledger_id, customers
    )
    await session.execute(
        """insert into action (tenant_id, action_id, ledger_id, customer_id, origin, kind, mode, local_date, scheduled_on, state)
           select $1, a, $2, c, 'ad_hoc', 'notice', 'automatic', $5, $5, 'executed' from unnest($3::uuid[], $4::uuid[]) g(a, c)""",
        tenant_id,
        ground.ledger_id,
        actions,
        customers,
        now.date(),
    )
    data = claims.claim(claims.block("EUR", claims.row("1001")), language="en", **(claim_changes or {}))
    await session.execute(
        """insert into claim (tenant_id, claim_id, ledger_id, customer_id, action_id, claim_no, language, content_mode, data, facts_version, issued_on)
           select $1, k, $2, c, a, $7 + n, 'en', 'full', $8, 0, $6
             from unnest($3::uuid[], $4::uuid[], $5::uuid[]) with ordinality g(k, c, a, n)""",
        tenant_id,
        ground.ledger_id,
        claim_ids,
        customers,
        actions,
        now.date(),
        first_no,
        json.loads(json.dumps(data)),
    )
    ground.customers += customers
    new = [
        NewMessage(
            message_id=messages[i],
            ledger_id=ground.ledger_id,
            customer_id=customers[i],
            action_id=actions[i],
            claim_id=claim_ids[i],
            notice="main",
            channel="email",
            recipient_key=f"contact:{i}",
            audience="customer",
            is_primary=True,
            is_copy=False,
            contact_id=None,
            language="en",
            template_id=ground.template_id,
            template_version=1,
            content_mode="full",
            relay=relay,
            to_email=addresses[i],
            to_name="Someone",
            not_before=not_before or now,
            valid_until=now + dt.timedelta(hours=valid_hours),
            resend_of=None,
            header_domain="acme.example",
        )
        for i in range(n)
    ]
    return list(await queue_messages(session, tenant_id, new))


@dataclass
class SimplePorts:
    """Doors that let everything pass unless told otherwise, and remember what they were told."""

    stops: dict[UUID, str] = field(default_factory=dict)
    outcomes: list[tuple[UUID, str, str | None]] = field(default_factory=list)
    fences: list[UUID] = field(default_factory=list)

    async def fence(self, session: Session, clock: Clock, messages: Sequence[OutgoingMessage], *, waits: bool) -> dict[UUID, Send | Stop]:
        """One statement locks all; without `waits`, whoever is locked is left out, as in the product."""
        tenant = await tenancy.tenant_of(session, messages[0].tenant_id)
        customers = [message.customer_id for message in messages]
        skip = "" if waits else "skip locked"
        free = await session.rows(
            f"select customer_id from customer_state where tenant_id = $1 and customer_id = any ($2::uuid[]) order by 1 for no key update {skip}",
            messages[0].tenant_id,
            customers,
        )
        self.fences += [message.message_id for message in messages]
        return {m.message_id: self._verdict(m, tenant.may_send) for m in messages if m.customer_id in {row["customer_id"] for row in free}}

    def _verdict(self, message: OutgoingMessage, may_send: bool) -> Send | Stop:  # noqa: FBT001  # a fact, not a switch
        reason = self.stops.get(message.message_id) if may_send else "sending_off"
        return Stop(reason) if reason else Send()

    async def on_outcome(self, session: Session, clock: Clock, messages: Sequence[OutgoingMessage], outcome: Outcome) -> None:
        self.outcomes += [(message.message_id, outcome, message.reason) for message in messages]

    async def claim_data(self, session: ReadSession, tenant_id: TenantId, claim_ids: Sequence[UUID]) -> dict[UUID, ClaimRow]:
        rows = await session.rows(
            "select claim_id, data, revision, state from claim where tenant_id = $1 and claim_id = any ($2::uuid[])", tenant_id, list(claim_ids)
        )
        return {row["claim_id"]: ClaimRow(row["data"], row["revision"], row["state"]) for row in rows}

    async def link_urls(self, session: ReadSession, tenant_id: TenantId, message_ids: Sequence[UUID]) -> dict[UUID, str]:
        return {message_id: f"https://pay.acme.example/c/{message_id.hex}" for message_id in message_ids}

    def ports(self) -> Ports:
        return Ports(fence=self.fence, on_outcome=self.on_outcome, link_urls=self.link_urls, claim_data=self.claim_data)


async def states(database: Database, tenant_id: TenantId) -> dict[UUID, str]:
    """Return the state of every message of a tenant."""
    async with database.reading(tenant_id) as session:
        return {row["message_id"]: row["state"] for row in await session.rows("select message_id, state from message where tenant_id = $1", tenant_id)}
