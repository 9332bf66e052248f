"""Shapes of links and of the claim that a company's own extranet shows for one."""

from __future__ import annotations

import datetime as dt
from typing import Any, Literal
from uuid import UUID

from pydantic import ConfigDict, EmailStr, Field

from dunning.evidence.links import Link
from dunning.evidence.live import Live, LiveBlock, LiveRow
from dunning.evidence.rules import Grade, meaning_of
from dunning.evidence.visits import Visit
from dunning_api.schemas.base import Input, LongText, MoneyOut, Output, Text


class GradeOut(Output):
    """A grade in words, with what it does not prove."""

    grade: str
    words: str
    weakness: str

    @classmethod
    def of(cls, grade: Grade, *, vouched: bool = False) -> GradeOut:
        """Show a grade; `vouched` where the company's own extranet stands for its reader."""
        meaning = meaning_of(grade, vouched=vouched)
        return cls(grade=grade, words=meaning.words, weakness=meaning.weakness)


class LinkOut(Output):
    """A link. Its address is never shown: who may open the page got it by mail."""

    link_id: UUID
    ledger_id: UUID
    customer_id: UUID
    claim_id: UUID
    message_id: UUID
    audience: str
    challenge: str
    reading: GradeOut
    fetches: int
    tries_left: int
    locked_until: dt.datetime | None
    expires_at: dt.datetime
    revoked_at: dt.datetime | None
    revoked_because: str | None
    created_at: dt.datetime

    @classmethod
    def of(cls, link: Link) -> LinkOut:
        """Show a link."""
        return cls(
            link_id=link.link_id,
            ledger_id=link.ledger_id,
            customer_id=link.customer_id,
            claim_id=link.claim_id,
            message_id=link.message_id,
            audience=link.audience,
            challenge=link.challenge,
            reading=GradeOut.of(link.grade),
            fetches=link.fetches,
            tries_left=link.lock.tries_left,
            locked_until=link.lock.locked_until,
            expires_at=link.expires_at,
            revoked_at=link.revoked_at,
            revoked_because=link.revoked_because,
            created_at=link.created_at,
        )


class LinkRevoke(Input):
    """Why the link must no longer be used."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "Sent to a person who has left the customer."}]})

    reason: LongText


class ReaderIn(Input):
    """Who the extranet's login says the reader is."""

    name: Text
    role: Text = Field(description="Function in the customer's company, such as accounting.")
    contact: EmailStr | None = Field(default=None, description="The account's mail address.")


class LinkResolve(Input):
    """A token that a customer brought to the company's own extranet, and who brought it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "token": f"k1.{'A' * 43}.{'B' * 27}",
                    "reader": {"name": "Anna Rossi", "role": "accounting", "contact": "anna.rossi@customer.example"},
                    "act": "view",
                    "statement": None,
                },
            ],
        },
    )

    token: str = Field(
        min_length=1,
        max_length=400,
        description="What stood for `{token}` in the address of the mail. The example is none that was ever sent (404): put a live token in its place.",
    )
    reader: ReaderIn
    act: Literal["view", "acknowledge"] = Field(description="`view`: the claim is shown to the reader; `acknowledge`: the reader also confirmed receipt.")
    statement: LongText | None = Field(default=None, description="With `acknowledge`: the sentence that the reader confirmed, as your page showed it.")


class ResolvedRow(Output):
    """One document of the claim, as it was told and as it stands today."""

    item_id: UUID
    document_id: UUID | None
    number: str
    kind: str
    section: str
    document_on: dt.date | None
    due_on: dt.date
    days_overdue: int
    status: str
    original: MoneyOut
    open: MoneyOut
    open_now: MoneyOut
    standing_now: str
    file_url: str | None


class ResolvedBank(Output):
    """Where to pay one currency."""

    beneficiary: str
    iban: str
    bic: str | None
    bank_name: str | None


class ResolvedBlock(Output):
    """One currency of the claim: rows, sums as told, what is open today, and where to pay it."""

    currency: str
    rows: list[ResolvedRow]
    overdue: MoneyOut
    not_due: MoneyOut
    credit: MoneyOut
    total: MoneyOut
    open_now: MoneyOut
    bank_accounts: list[ResolvedBank]


class BesideRow(Output):
    """A document that is open today and not part of the claim."""

    item_id: UUID
    number: str
    kind: str
    due_on: dt.date
    open_now: MoneyOut
    standing_now: str
    file_url: str | None


class LinkResolved(Output):
    """The claim behind a token, frozen as it was told, beside its state of today, and the grade now recorded."""

    link_id: UUID
    claim_no: str
    claim_revision: int
    issued_on: dt.date
    reminder_no: int | None
    deadline_on: dt.date | None
    consequence: str | None
    language: str
    customer_external_id: str
    customer_name: str
    creditor_name: str
    payment_reference: str | None
    blocks: list[ResolvedBlock]
    also_open: list[BesideRow]
    settled: bool
    today: dt.date
    vouched_by: str
    reading: GradeOut

    @classmethod
    def of(cls, visit: Visit, live: Live, grade: Grade, vouched_by: str) -> LinkResolved:
        """Show a claim to the company's own extranet."""
        data, now = visit.claim.data, {str(row.item.item_id): row for block in live.blocks for row in block.rows}
        live_blocks = {block.currency: block for block in live.blocks}
        return cls(
            link_id=visit.link.link_id,
            claim_no=data["claim_no"],
            claim_revision=visit.claim.revision,
            issued_on=data["issued_on"],
            reminder_no=data.get("reminder_no"),
            deadline_on=data.get("deadline_on"),
            consequence=data.get("consequence"),
            language=visit.language,
            customer_external_id=data["customer"]["external_id"],
            customer_name=data["customer"]["name"],
            creditor_name=data["ledger"]["name"],
            payment_reference=data.get("payment_reference"),
            blocks=[_block(block, data["ledger"]["bank_accounts"], now, live_blocks.get(block["currency"])) for block in data["blocks"]],
            also_open=[_beside(row) for block in live.blocks for row in block.rows if not row.in_claim],
            settled=live.settled,
            today=visit.today,
            vouched_by=vouched_by,
            reading=GradeOut.of(grade, vouched=True),
        )


def _block(block: dict[str, Any], accounts: list[dict[str, Any]], now: dict[str, LiveRow], live: LiveBlock | None) -> ResolvedBlock:
    currency = block["currency"]
    return ResolvedBlock(
        currency=currency,
        rows=[_row(row, currency, now.get(str(row["item_id"]))) for row in block["rows"]],
        overdue=MoneyOut.of(block["overdue_minor"], currency),
        not_due=MoneyOut.of(block["not_due_minor"], currency),
        credit=MoneyOut.of(block["credit_minor"], currency),
        total=MoneyOut.of(block["total_minor"], currency),
        open_now=MoneyOut.of(0 if live is None else live.claim_minor, currency),
        bank_accounts=[
            ResolvedBank(beneficiary=account["beneficiary"], iban=account["iban"], bic=account.get("bic"), bank_name=account.get("bank_name"))
            for account in accounts
            if account["currency"] == currency
        ],
    )


def _row(row: dict[str, Any], currency: str, now: LiveRow | None) -> ResolvedRow:
    return ResolvedRow(
        item_id=row["item_id"],
        document_id=row["document_id"],
        number=row["number"],
        kind=row["kind"],
        section=row["section"],
        document_on=row.get("document_on"),
        due_on=row["due_on"],
        days_overdue=row["days_overdue"],
        status=row["status"],
        original=MoneyOut.of(row["original_minor"], currency),
        open=MoneyOut.of(row["open_minor"], currency),
        open_now=MoneyOut.of(0 if now is None else now.open_minor, currency),
        standing_now="withdrawn" if now is None else now.standing,
        file_url=None if now is None else now.item.file_url,
    )


def _beside(row: LiveRow) -> BesideRow:
    return BesideRow(
        item_id=row.item.item_id,
        number=row.item.number,
        kind=row.item.kind,
        due_on=row.item.due_on,
        open_now=MoneyOut.of(row.open_minor, row.item.currency),
        standing_now=row.standing,
        file_url=row.item.file_url,
    )
