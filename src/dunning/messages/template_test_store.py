"""Statements about test messages: mails of templates to one's own colleagues, kept as they were rendered."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dunning.kit.database import ReadSession, Session
from dunning.kit.ids import ActionId, CustomerId, LedgerId, MessageId, TemplateId, TenantId, new_id
from dunning.messages.addresses import address_digest, domain_key
from dunning.messages.queue import header_message_id
from dunning.messages.rendering import Rendered


@dataclass(frozen=True, slots=True)
class NewTest:
    """One test message in one language. `template_version` is None for the draft; `sender` holds sender_name, sender_email and reply_to."""

    message_id: MessageId
    ledger_id: LedgerId
    template_id: TemplateId
    template_version: int | None
    content_mode: str
    relay: str
    to_email: str
    rendered: Rendered
    sender: Mapping[str, Any]
    not_before: dt.datetime
    valid_until: dt.datetime
    shown_customer_id: CustomerId | None
    shown_action_id: ActionId | None


@dataclass(frozen=True, slots=True)
class KeptTest:
    """What a test message says and as whom it is sent."""

    rendered: Rendered
    sender: Mapping[str, Any]


_INSERT = """
with given as (
  select * from unnest($3::uuid[], $4::uuid[], $5::uuid[], $6::int[], $7::text[], $8::text[], $9::text[], $10::text[], $11::text[], $12::bytea[],
                       $13::timestamptz[], $14::timestamptz[], $15::text[], $16::text[], $17::text[], $18::text[], $19::jsonb[], $20::uuid[], $21::uuid[],
                       $22::uuid[])
    as g (message_id, ledger_id, template_id, template_version, content_mode, relay, language, header_message_id, recipient_domain, address_sha256,
          not_before, valid_until, to_email, subject, body_text, body_html, sender, shown_customer_id, shown_action_id, message_event_id)
), queued as (
  insert into message (tenant_id, message_id, kind, ledger_id, notice, channel, recipient_key, audience, is_primary, language, template_id,
                       template_version, content_mode, header_message_id, relay, recipient_domain, address_sha256, not_before, valid_until)
  select $1, g.message_id, 'test', g.ledger_id, 'test', 'email', encode(g.address_sha256, 'hex'), 'internal', false, g.language, g.template_id,
         g.template_version, g.content_mode, g.header_message_id, g.relay, g.recipient_domain, g.address_sha256, g.not_before, g.valid_until
    from given g
), addressed as (
  insert into message_address (tenant_id, message_id, to_email, subject) select $1, g.message_id, g.to_email, g.subject from given g
), noted as (
  insert into message_event (tenant_id, message_event_id, message_id, to_state, reason, actor)
  select $1, g.message_event_id, g.message_id, 'ready', 'queued', $2 from given g
)
insert into test_message (tenant_id, message_id, subject, body_text, body_html, sender, asked_by, shown_customer_id, shown_action_id)
select $1, g.message_id, g.subject, g.body_text, g.body_html, g.sender, $2, g.shown_customer_id, g.shown_action_id from given g
"""


async def insert_tests(session: Session, tenant_id: TenantId, tests: Sequence[NewTest], *, actor: str) -> None:
    """Queue test messages with their address, text and first line of history: one statement."""
    await session.execute(
        _INSERT,
        tenant_id,
        actor,
        [t.message_id for t in tests],
        [t.ledger_id for t in tests],
        [t.template_id for t in tests],
        [t.template_version for t in tests],
        [t.content_mode for t in tests],
        [t.relay for t in tests],
        [t.rendered.language for t in tests],
        [header_message_id(t.message_id, t.sender["sender_email"].rsplit("@", 1)[-1]) for t in tests],
        [domain_key(t.to_email) for t in tests],
        [address_digest(t.to_email) for t in tests],
        [t.not_before for t in tests],
        [t.valid_until for t in tests],
        [t.to_email for t in tests],
        [t.rendered.subject for t in tests],
        [t.rendered.text for t in tests],
        [t.rendered.html for t in tests],
        [dict(t.sender) for t in tests],
        [t.shown_customer_id for t in tests],
        [t.shown_action_id for t in tests],
        [new_id() for _ in tests],
    )


async def tests_of(session: ReadSession, tenant_id: TenantId, message_ids: Collection[MessageId]) -> dict[MessageId, KeptTest]:
    """Return what test messages say, by message; messages of another kind are missing from the answer."""
    rows = await session.rows(
        """select t.message_id, m.language, t.subject, t.body_text, t.body_html, t.sender
             from test_message t join message m on m.tenant_id = t.tenant_id and m.message_id = t.message_id
            where t.tenant_id = $1 and t.message_id = any ($2::uuid[])""",
        tenant_id,
        list(message_ids),
    )
    return {MessageId(r["message_id"]): KeptTest(Rendered(r["language"], r["subject"], r["body_text"], r["body_html"]), r["sender"]) for r in rows}
