"""Shapes of opt-outs from notices before the due date."""

from __future__ import annotations

import datetime as dt
from uuid import UUID

from pydantic import ConfigDict

from dunning.ledger.opt_outs import OptOut
from dunning.ledger.rows import ExternalId
from dunning_api.schemas.base import Input, Output


class OptOutCreate(Input):
    """Whose address wants no notices before the due date."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"contact_external_id": "ap"}]})

    contact_external_id: ExternalId


class OptedOutContact(Output):
    """A contact that has the address now."""

    contact_id: UUID
    external_id: str
    name: str | None
    email: str | None


class OptOutOut(Output):
    """An opt-out. `message_id` is the mail whose link was used; `contacts` is empty where nobody of the customer has the address any more."""

    key: str
    contacts: list[OptedOutContact]
    message_id: UUID | None
    recorded_by: str
    opted_out_at: dt.datetime

    @classmethod
    def of(cls, one: OptOut) -> OptOutOut:
        """Show an opt-out."""
        contacts = [OptedOutContact(contact_id=c.contact_id, external_id=c.external_id, name=c.name, email=c.email) for c in one.contacts]
        return cls(key=one.key, contacts=contacts, message_id=one.message_id, recorded_by=one.recorded_by, opted_out_at=one.opted_out_at)


class OptOutList(Output):
    """All opt-outs of a customer."""

    data: list[OptOutOut]
