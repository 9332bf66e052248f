"""A claim that was told: ledger, customer, two invoices and a credit, the frozen claim, its message and its link, as rows."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from dunning.evidence.links import NewLink, mint_links
from dunning.evidence.tokens import token_of
from dunning.kit.database import Session
from dunning.kit.ids import ClaimId, CustomerId, ItemId, LedgerId, LinkId, MessageId, TenantId, new_id
from tests.conftest import KEYRING, MONDAY, TenantWorld

TAX_NUMBER = "IT 01234567890"
LAST_FOUR = "7890"
SECRETS = ("Ferramenta Verdi", "C1042", "1001", "1002", "NC-7", "C-000123", "IT60", "1,204.50", "1.204,50", "7890", "Phase 02", "Deliveries")
"""What belongs to the claim and must be on no page that a link alone opens."""


@dataclass(slots=True)
class Told:
    """The ids and the token of one told claim."""

    world: TenantWorld
    ledger_id: LedgerId
    customer_id: CustomerId
    claim_id: ClaimId
    message_id: MessageId
    link_id: LinkId
    action_id: UUID
    items: dict[str, ItemId]
    token: str
    others: dict[str, Any] = field(default_factory=dict)

    @property
    def path(self) -> str:
        """Where the customer's page is."""
        return f"/c/{self.token}"

    async def link(self) -> dict[str, Any]:
        """The link's row."""
        return dict((await self.world.rows("select * from link where link_id = $1", self.link_id))[0])

    async def grade(self) -> str:
        """The link's grade."""
        return str((await self.link())["grade"])

    async def readings(self) -> list[dict[str, Any]]:
        """The readings through the link, oldest first."""
        return await self.world.rows("select * from reading where link_id = $1 order by reading_id", self.link_id)

    async def kinds(self) -> list[str]:
        """The kinds of the readings."""
        return [str(row["kind"]) for row in await self.readings()]

    async def settle(self, *numbers: str) -> None:
        """Let documents be settled in full."""
        async with self.world.database.transaction(self.world.tenant_id) as session:
            for number in numbers:
                await allocate(session, self.world.tenant_id, self.items[number], None)

    async def owe(self, number: str, minor: int) -> None:
        """Let the customer owe one more document, which the claim does not name."""
        async with self.world.database.transaction(self.world.tenant_id) as session:
            await _document(
                session, self.world.tenant_id, self.ledger_id, self.customer_id, new_id(), new_id(), number, "invoice", "debit", "2026-02-20", minor
            )  # fmt: skip

    async def pay(self, number: str, minor: int) -> None:
        """Let a part of a document be paid."""
        async with self.world.database.transaction(self.world.tenant_id) as session:
            await allocate(session, self.world.tenant_id, self.items[number], minor)


async def allocate(session: Session, tenant_id: TenantId, item_id: ItemId, minor: int | None) -> None:
    """Settle an item by an adjustment, fully or in part."""
    amount = await session.value(
        """update item set allocated_minor = coalesce(allocated_minor + $3, amount_minor) where tenant_id = $1 and item_id = $2
           returning coalesce($3, amount_minor)""",
        tenant_id, item_id, minor,
    )  # fmt: skip
    await session.execute(
        """insert into allocation (tenant_id, allocation_id, kind, item_id, episode, currency, amount_minor, value_on, actor)
           select $1, $2, 'erp_adjustment', item_id, episode, currency, $4, due_on, 'test' from item where tenant_id = $1 and item_id = $3""",
        tenant_id, new_id(), item_id, amount,
    )  # fmt: skip


def _line(item_id: UUID, document_id: UUID, number: str, section: str, due_on: str, days: int, minor: int, kind: str = "invoice") -> dict[str, Any]:
    return {
        "item_id": str(item_id), "document_id": str(document_id), "number": number, "kind": kind, "section": section,
        "document_on": "2026-01-21", "due_on": due_on, "days_overdue": days, "original_minor": minor, "open_minor": minor,
        "status": {"credit": "credit", "not_due": "not_due"}.get(section, "overdue"), "step_code": "02" if section == "candidate" else None,
    }  # fmt: skip


async def make_told(
    world: TenantWorld,
    *,
    challenge: str = "tax_number",
    tax_number: str | None = TAX_NUMBER,
    audience: str = "customer",
    content_mode: str = "link_only",
    language: str = "en",
    link_target: str = "portal",
    crm_url: str | None = "https://crm.acme.example/customers/{external_id}",
    expires_in_days: int = 90,
) -> Told:
    """Write everything up to a link that was sent on the morning of Monday 2 March 2026."""
    tenant_id = world.tenant_id
    ledger_id, customer_id, action_id = LedgerId(new_id()), CustomerId(new_id()), new_id()
    claim_id, message_id, link_id = ClaimId(new_id()), MessageId(new_id()), LinkId(new_id())
    lines = (("1001", "invoice", "debit", "2026-02-21", 100_000), ("1002", "invoice", "debit", "2026-02-24", 20_450),
             ("1003", "invoice", "debit", "2026-03-20", 3_000), ("NC-7", "credit_note", "credit", "2026-02-10", 1_000))  # fmt: skip
    items = {number: ItemId(new_id()) for number, *_ in lines}
    documents = {number: new_id() for number, *_ in lines}
    data = {
        "claim_no": "C-000123", "issued_on": "2026-03-02", "reminder_no": 2, "deadline_on": "2026-03-09", "consequence": "Deliveries stop after that day.",
        "content_mode": content_mode, "language": language, "step": {"code": "02", "name": "Phase 02", "rank": 2},
        "ledger": {
            "name": "Acme S.p.A.", "country": "IT", "sender_name": "Acme S.p.A. Receivables", "sender_email": "ar@acme.example", "reply_to": None,
            "bank_accounts": [{"beneficiary": "Acme S.p.A.", "iban": "IT60X0542811101000000123456", "bic": "BPPIITRRXXX", "bank_name": "Banca Popolare", "currency": "EUR"}],
        },
        "customer": {"external_id": "C1042", "name": "Ferramenta Verdi S.r.l."},
        "blocks": [{
            "currency": "EUR", "overdue_minor": 120_450, "not_due_minor": 3_000, "credit_minor": 1_000, "total_minor": 122_450,
            "rows": [
                _line(items["1001"], documents["1001"], "1001", "candidate", "2026-02-21", 9, 100_000),
                _line(items["1002"], documents["1002"], "1002", "candidate", "2026-02-24", 6, 20_450),
                _line(items["1003"], documents["1003"], "1003", "not_due", "2026-03-20", -18, 3_000),
                _line(items["NC-7"], documents["NC-7"], "NC-7", "credit", "2026-02-10", 20, 1_000, "credit_note"),
            ],
        }],
        "payment_reference": "1001 1002",
    }  # fmt: skip
    async with world.database.transaction(tenant_id) as session:
        await session.execute(
            """insert into ledger (tenant_id, ledger_id, external_id, name, currency, time_zone, country, language, sender_name, sender_email,
                                   link_target, crm_url, challenge)
               values ($1, $2, $3, 'Acme S.p.A.', 'EUR', 'Europe/Rome', 'IT', 'it', 'Acme S.p.A. Receivables', 'ar@acme.example', $4, $5, $6)""",
            tenant_id, ledger_id, str(ledger_id), link_target, crm_url, challenge,
        )  # fmt: skip
        await session.execute(
            """insert into customer (tenant_id, customer_id, ledger_id, external_id, name, name_search, tax_number, content_sha256)
               values ($1, $2, $3, 'C1042', 'Ferramenta Verdi S.r.l.', 'ferramenta verdi', $4, '')""",
            tenant_id, customer_id, ledger_id, tax_number,
        )  # fmt: skip
        for number, kind, direction, due_on, minor in lines:
            await _document(session, tenant_id, ledger_id, customer_id, documents[number], items[number], number, kind, direction, due_on, minor)
        await session.execute(
            """insert into action (tenant_id, action_id, ledger_id, customer_id, origin, kind, mode, local_date, scheduled_on, state)
               values ($1, $2, $3, $4, 'ad_hoc', 'notice', 'automatic', '2026-03-02', '2026-03-02', 'executed')""",
            tenant_id, action_id, ledger_id, customer_id,
        )  # fmt: skip
        await session.execute(
            """insert into claim (tenant_id, claim_id, ledger_id, customer_id, action_id, claim_no, state, language, content_mode, data,
                                  facts_version, deadline_on, issued_on, told_at)
               values ($1, $2, $3, $4, $5, 123, 'told', $6, $7, $8, 1, '2026-03-09', '2026-03-02', now())""",
            tenant_id, claim_id, ledger_id, customer_id, action_id, language, content_mode, data,
        )  # fmt: skip
        await _message(session, tenant_id, ledger_id, customer_id, action_id, claim_id, message_id, audience, language, content_mode)
        link = NewLink(link_id, ledger_id, customer_id, claim_id, message_id, KEYRING.newest, audience, challenge, MONDAY + dt.timedelta(days=expires_in_days))
        await mint_links(session, tenant_id, [link])
    token = token_of(KEYRING, tenant_id, link_id, KEYRING.newest)
    return Told(world, ledger_id, customer_id, claim_id, message_id, link_id, action_id, items, token)


async def _document(
    session: Session, tenant_id: TenantId, ledger_id: UUID, customer_id: UUID, document_id: UUID, item_id: UUID,
    number: str, kind: str, direction: str, due_on: str, minor: int,
) -> None:  # fmt: skip
    due = dt.date.fromisoformat(due_on)
    await session.execute(
        """insert into document (tenant_id, document_id, ledger_id, customer_id, external_id, kind, number, document_on, currency, total_minor,
                                 content_sha256, value_on, file_url)
           values ($1, $2, $3, $4, $5, $6, $5, '2026-01-21', 'EUR', $7, '', '2026-01-21', $8)""",
        tenant_id, document_id, ledger_id, customer_id, number, kind, minor,
        f"https://files.acme.example/{number}.pdf" if number == "1001" else "javascript:alert(1)" if number == "1002" else None,
    )  # fmt: skip
    await session.execute(
        """insert into item (tenant_id, item_id, ledger_id, customer_id, document_id, external_id, kind, direction, number, document_on, due_on,
                             currency, amount_minor, value_on)
           values ($1, $2, $3, $4, $5, $6, $7, $8, $6, '2026-01-21', $9, 'EUR', $10, '2026-01-21')""",
        tenant_id, item_id, ledger_id, customer_id, document_id, number, kind, direction, due, minor,
    )  # fmt: skip


async def _message(
    session: Session, tenant_id: TenantId, ledger_id: UUID, customer_id: UUID, action_id: UUID, claim_id: UUID, message_id: UUID,
    audience: str, language: str, content_mode: str,
) -> None:  # fmt: skip
    await session.execute(
        """insert into message (tenant_id, message_id, ledger_id, customer_id, action_id, claim_id, notice, channel, recipient_key, audience,
                                is_primary, language, template_id, template_version, content_mode, header_message_id, relay, recipient_domain,
                                state, not_before, valid_until, accepted_at, accepted_on, address_sha256)
           values ($1, $2, $3, $4, $5, $6, 'main', 'email', $7, $8, true, $9, $10, 1, $11, $12, 'sink', 'verdi.example',
                   'accepted', $13, $13, $13, '2026-03-02', '')""",
        tenant_id, message_id, ledger_id, customer_id, action_id, claim_id, str(message_id), audience, language, new_id(), content_mode,
        f"<{message_id}@acme.example>", MONDAY,
    )  # fmt: skip
    for state in ("ready", "committing", "accepted"):
        await session.execute(
            "insert into message_event (tenant_id, message_event_id, message_id, to_state, actor) values ($1, $2, $3, $4, 'dispatch')",
            tenant_id, new_id(), message_id, state,
        )  # fmt: skip
