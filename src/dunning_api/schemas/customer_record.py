"""The shape of a customer's full record. A part that has an address of its own looks as it does there."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any
from uuid import UUID

from fastapi import Query
from pydantic import AfterValidator, ConfigDict, Field

from dunning.collection.customer_record import PARTS, SHOWN, Insurance, Terms
from dunning.collection.customer_record import CustomerRecord as Known
from dunning_api.schemas.account_blocks import BlockOut
from dunning_api.schemas.actions import operation_facts
from dunning_api.schemas.assignments import CollectorsOut
from dunning_api.schemas.base import MoneyOut, Output
from dunning_api.schemas.customers import ContactOut, CustomerRecord, PositionOut, customer_fields
from dunning_api.schemas.holds import HoldOut
from dunning_api.schemas.outlook import AgendaOut

_NAMES = "|".join(PARTS)


def _parts(given: list[str] | None) -> list[str] | None:
    if given is None:
        return None
    named = [name for text in given for name in text.split(",")]
    unknown = [name for name in named if name not in PARTS]
    if unknown:
        msg = f"unknown: {', '.join(repr(name[:40]) for name in unknown[:5])}; known are {', '.join(PARTS)}"
        raise ValueError(msg)
    return named


Expand = Annotated[
    list[Annotated[str, Field(json_schema_extra={"pattern": f"^({_NAMES})(,({_NAMES}))*$"})]] | None,
    AfterValidator(_parts),
    Query(
        max_length=len(PARTS),
        description=f"Parts to add, with commas or one a parameter: {', '.join(f'`{name}`' for name in PARTS)}. Those not asked for are null; contacts stand"
        " in every record.",
        examples=[["terms,insurance,collector,position,agenda"]],
    ),
]
"""The parts of a record that a request asks for."""

_CUSTOMER_ID, _LEDGER_ID, _SCENARIO_ID = (f"0198c0de-0000-7000-8000-00000000000{n}" for n in (1, 2, 3))
_EUR = {"currency": "EUR"}
EXAMPLE: dict[str, Any] = {
    "customer_id": _CUSTOMER_ID, "ledger_id": _LEDGER_ID, "external_id": "C-1001", "name": "Rossi Costruzioni S.p.A.", "language": "it", "country": "IT",
    "subdivision": None, "time_zone": None, "tax_number": "IT01234567890", "group_code": None, "policy": "inherit", "scenario_id": None,
    "collection_method": "transfer", "step_reached": None, "last_reminded_on": None, "crm_url": None,
    "insurance_cover": {"state": "active", "until_on": "2026-12-31", "reference": "POL-88/1001"}, "territory": "north", "tags": [], "custom": {}, "version": 3,
    "created_at": "2025-11-03T08:00:00Z", "updated_at": "2026-02-10T08:00:00Z",
    "contacts": [
        {
            "contact_id": "0198c0de-0000-7000-8000-000000000011", "external_id": "ap", "name": "Anna Rossi", "email": "ap@rossi.example", "phone": "+39 06 1234567",
            "pec": None, "postal_address": None, "language": "it", "roles": ["accounts_payable"], "internal": False,
        }
    ],
    "terms": {
        "currency": "EUR",
        "policy": {
            "policy": "scenario", "decided_by": "ledger", "scenario_id": _SCENARIO_ID, "scenario_code": "claims", "scenario_name": "Claim phases",
            "scenario_version": 2,
        },
        "days_granted": {"usual": 30, "shortest": 30, "longest": 60, "items": 24}, "holds": [], "blocks": [],
    },
    "insurance": {
        "covered_today": True,
        "notices": [
            {
                "action_id": "0198c0de-0000-7000-8000-000000000021", "operation_no": 1, "kind": "notify_insurer", "state": "done", "reason": None,
                "task_id": "0198c0de-0000-7000-8000-000000000022", "due_on": "2026-02-20", "done_on": "2026-02-21",
                "amounts": [{"amount": "1200.00", **_EUR}], "item_ids": ["0198c0de-0000-7000-8000-000000000041"], "policy": "POL-88/1001", "reference": "W-17",
                "note": None,
                "recorded_at": "2026-02-20T06:00:00Z", "done_at": "2026-02-21T09:30:00Z", "actor": "person:0198c0de-0000-7000-8000-000000000031", "author": "Anna Bianchi",
                "url": "/v1/actions/0198c0de-0000-7000-8000-000000000021",
            }
        ],
    },
    "collector": {"customer_id": _CUSTOMER_ID, "lead_id": None, "account_manager_id": None, "assignments": []},
    "position": {
        "customer_id": _CUSTOMER_ID, "as_of": "2026-03-02", "known_on": "2026-03-02",
        "currencies": [
            {
                **_EUR, "overdue": {"amount": "1200.00", **_EUR}, "not_due": {"amount": "800.00", **_EUR}, "disputed": {"amount": "0.00", **_EUR},
                "promised": {"amount": "300.00", **_EUR}, "open_credit": {"amount": "0.00", **_EUR}, "unapplied_receipts": {"amount": "0.00", **_EUR},
                "net": {"amount": "2000.00", **_EUR},
            }
        ],
    },
    "agenda": {"customer_id": _CUSTOMER_ID, "today": "2026-03-02", "current_step": "02", "actions": []},
}  # fmt: skip


class PolicyOut(Output):
    """What decides how the customer's items are reminded, unless an item says otherwise: `decided_by` customer, group or ledger."""

    policy: str
    decided_by: str
    scenario_id: UUID | None
    scenario_code: str | None
    scenario_name: str | None
    scenario_version: int | None


class DaysGrantedOut(Output):
    """Days between document and due date of the latest invoices; `usual` is the most frequent number, `items` how many instalments were counted."""

    usual: int
    shortest: int
    longest: int
    items: int


class TermsOut(Output):
    """How the customer is collected: currency of the ledger, policy, days to pay, and what keeps reminders back today."""

    currency: str
    policy: PolicyOut
    days_granted: DaysGrantedOut | None
    holds: Annotated[list[HoldOut], Field(description=f"In force today for the ledger, the customer or its items, the widest first; at most {SHOWN}.")]
    blocks: Annotated[list[BlockOut], Field(description=f"Active account blocks; at most {SHOWN}.")]

    @classmethod
    def told(cls, terms: Terms) -> TermsOut:
        """Show terms."""
        days = None if terms.days_granted is None else DaysGrantedOut.model_validate(terms.days_granted)
        return cls(
            currency=terms.currency, policy=PolicyOut.model_validate(terms.policy), days_granted=days, holds=[HoldOut.of(hold, terms.names) for hold in terms.holds],
            blocks=[BlockOut.of(row) for row in terms.blocks],
        )  # fmt: skip


class InsurerNoticeOut(Output):
    """An operation that tells the credit insurer something: `waiting` until a person has done it, whose task is `task_id`; `reason` says why it is not needed.

    Once it is done: when, for which amounts and items, under which policy and reference.
    """

    action_id: UUID
    operation_no: int
    kind: str
    state: str
    reason: str | None
    task_id: UUID | None
    due_on: dt.date | None
    done_on: dt.date | None
    amounts: list[MoneyOut]
    item_ids: list[UUID]
    policy: str | None
    reference: str | None
    note: str | None
    recorded_at: dt.datetime
    done_at: dt.datetime | None
    actor: str | None
    author: Annotated[str | None, Field(description="The name behind `actor`.")]
    url: str


class InsuranceOut(Output):
    """Whether the cover stated in `insurance_cover` holds today, and what the insurer was told or is to be told, the last first."""

    covered_today: bool
    notices: list[InsurerNoticeOut]

    @classmethod
    def told(cls, insurance: Insurance) -> InsuranceOut:
        """Show insurance."""
        plain = ("action_id", "operation_no", "kind", "state", "task_id", "recorded_at", "done_at", "actor", "author")
        notices = [
            InsurerNoticeOut(
                **{name: getattr(one, name) for name in plain}, **operation_facts(one.result, one.params), url=f"/v1/actions/{one.action_id}"
            )
            for one in insurance.notices
        ]  # fmt: skip
        return cls(covered_today=insurance.covered_today, notices=notices)


class FullCustomerRecord(CustomerRecord):
    """A customer with its contacts, and with those parts that were asked for; the others are null."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    terms: TermsOut | None
    insurance: InsuranceOut | None
    collector: CollectorsOut | None
    position: PositionOut | None
    agenda: AgendaOut | None

    @classmethod
    def told(cls, known: Known) -> FullCustomerRecord:
        """Show a record."""
        who = known.collector
        return cls(
            **customer_fields(known.customer),
            contacts=[ContactOut.of(contact) for contact in known.contacts],
            terms=None if known.terms is None else TermsOut.told(known.terms),
            insurance=None if known.insurance is None else InsuranceOut.told(known.insurance),
            collector=None if who is None else CollectorsOut.of(known.customer.customer_id, who.assignments, who.names),
            position=None if known.position is None else PositionOut.of(known.position),
            agenda=None if known.agenda is None else AgendaOut.of(known.agenda),
        )
