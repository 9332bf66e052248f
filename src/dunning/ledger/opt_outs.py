"""Opt-outs from notices before the due date: who asked for silence until a document is due, and how that is taken back.

An opt-out is of an address, as seen from one customer: two contacts may share a mailbox, and whoever asks for silence means the mailbox. It stops
courtesy notices alone; a reminder of what is overdue is no advertisement and goes on.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from dunning.events import service as events
from dunning.kit.clock import Clock
from dunning.kit.database import ReadSession, Session
from dunning.kit.errors import Malformed, NotFound
from dunning.kit.ids import CustomerId, MessageId, TenantId
from dunning.ledger import customers, opt_out_store
from dunning.ledger.addresses import address_digest
from dunning.ledger.contact_store import StoredContact

RECIPIENT = "recipient"
"""The actor of what a reader did by the link of a mail."""


@dataclass(frozen=True, slots=True)
class OptOut:
    """One opt-out. `key` is the address's digest in hexadecimal; `contacts` are those of the customer that have this address now."""

    key: str
    contacts: Sequence[StoredContact]
    message_id: MessageId | None
    recorded_by: str
    opted_out_at: dt.datetime


async def opt_out(
    session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, customer_id: CustomerId, address_sha256: bytes, message_id: MessageId | None
) -> bool:
    """Record that an address wants no notices before the due date; False when it was recorded before, and then nothing changes."""
    new = await opt_out_store.insert_opt_out(session, tenant_id, customer_id, address_sha256, message_id=message_id, recorded_by=actor, at=clock.now())
    if new:
        await _tell(session, clock, tenant_id, actor, "contact.opted_out", customer_id, address_sha256, message_id)
    return new


async def opt_out_contact(session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, customer_id: CustomerId, external_id: str) -> OptOut:
    """Record an opt-out that somebody asked for in another way, such as by phone, for the address of a contact; raise `NotFound` or `Malformed`."""
    await customers.customer_of(session, tenant_id=tenant_id, customer_id=customer_id)
    known = {contact.external_id: contact for contact in await customers.contacts_of(session, tenant_id=tenant_id, customer_id=customer_id)}
    contact = known.get(external_id)
    if contact is None:
        noun = "contact of this customer"
        raise NotFound(noun)
    if contact.email is None:
        msg = f"Contact {external_id} has no e-mail address, so it gets no notices."
        raise Malformed(msg, [{"field": "contact_external_id", "message": "the contact has no e-mail address"}])
    digest = address_digest(contact.email)
    await opt_out(session, clock, tenant_id=tenant_id, actor=actor, customer_id=customer_id, address_sha256=digest, message_id=None)
    found = await opt_outs_of(session, tenant_id=tenant_id, customer_id=customer_id)
    return next(one for one in found if one.key == digest.hex())


async def opt_outs_of(session: ReadSession, *, tenant_id: TenantId, customer_id: CustomerId) -> list[OptOut]:
    """Return the opt-outs of a customer, the first one first, each with the contacts it concerns; raise `NotFound`."""
    await customers.customer_of(session, tenant_id=tenant_id, customer_id=customer_id)
    contacts = await customers.contacts_of(session, tenant_id=tenant_id, customer_id=customer_id)
    rows = await opt_out_store.opt_outs_of(session, tenant_id, customer_id)
    return [
        OptOut(
            key=row["address_sha256"].hex(),
            contacts=[c for c in contacts if c.email is not None and address_digest(c.email) == row["address_sha256"]],
            message_id=row["message_id"],
            recorded_by=row["recorded_by"],
            opted_out_at=row["opted_out_at"],
        )
        for row in rows
    ]


async def revoke_opt_out(session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, customer_id: CustomerId, key: str) -> None:
    """Let notices before the due date go to an address again, because its reader asked for them; raise `NotFound` when there is no such opt-out."""
    noun = "opt-out of this customer"
    try:
        digest = bytes.fromhex(key)
    except ValueError:
        raise NotFound(noun) from None
    if not await opt_out_store.delete_opt_out(session, tenant_id, customer_id, digest):
        raise NotFound(noun)
    await _tell(session, clock, tenant_id, actor, "contact.opt_out_revoked", customer_id, digest, None)


async def _tell(
    session: Session, clock: Clock, tenant_id: TenantId, actor: str, kind: str, customer_id: CustomerId, digest: bytes, message_id: MessageId | None
) -> None:
    await events.record(
        session,
        clock,
        tenant_id=tenant_id,
        kind=kind,
        subject_kind="customer",
        subject_id=customer_id,
        customer_id=customer_id,
        actor=actor,
        data={"key": digest.hex()} | ({"message_id": message_id} if message_id else {}),
    )
