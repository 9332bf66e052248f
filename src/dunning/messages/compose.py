"""From leased rows to the bytes of their mails. Facts are read in one short transaction; rendering holds none."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg

from dunning.kit.database import ReadSession
from dunning.kit.errors import Conflict
from dunning.kit.ids import ClaimId, MessageId, TenantId
from dunning.messages.mime import ascii_address, build_mime
from dunning.messages.ports import ClaimRow, OutgoingMessage, Ports
from dunning.messages.rendering import Rendered, render
from dunning.messages.template_store import contents_of
from dunning.messages.templates import compile_template

_KEPT_TEMPLATES = 512

Row = asyncpg.Record | Mapping[str, Any]
"""A message with the address, and the CRM link for internal readers."""

_contents: OrderedDict[tuple[UUID, UUID, int], Any] = OrderedDict()
"""Contents of template versions, which never change, by tenant, template and version."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a batch of messages needs to be written."""

    claims: Mapping[ClaimId, ClaimRow]
    links: Mapping[MessageId, str]
    contents: Mapping[tuple[UUID, int], Any]


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail, ready for the relay."""

    sender: str
    recipient: str
    mime: bytes
    sha256: bytes
    subject: str
    claim_revision: int
    dated_at: dt.datetime


class CannotCompose(Conflict):
    """A message cannot be written; a person must look at it."""

    code = "message_cannot_be_composed"
    title = "The message cannot be composed"


def outgoing(row: asyncpg.Record, *, claim_revision: int | None = None, reason: str | None = None) -> OutgoingMessage:
    """Return a row of `message` as the ports see it."""
    return OutgoingMessage(
        tenant_id=row["tenant_id"],
        message_id=row["message_id"],
        ledger_id=row["ledger_id"],
        customer_id=row["customer_id"],
        action_id=row["action_id"],
        claim_id=row["claim_id"],
        notice=row["notice"],
        channel=row["channel"],
        recipient_key=row["recipient_key"],
        audience=row["audience"],
        is_primary=row["is_primary"],
        is_copy=row["is_copy"],
        resend_of=row["resend_of"],
        claim_revision=claim_revision,
        reason=reason,
    )


async def facts_for(session: ReadSession, tenant_id: TenantId, ports: Ports, rows: Sequence[asyncpg.Record]) -> Facts:
    """Read claims, links and templates of a batch: three statements, however long it is."""
    claims = await ports.claim_data(session, tenant_id, list({row["claim_id"] for row in rows}))
    # A resend says what the message it repeats said, so it shows that one's link: its readings belong to the same letter.
    link_owner = {row["message_id"]: row["resend_of"] or row["message_id"] for row in rows}
    of_owner = await ports.link_urls(session, tenant_id, list(set(link_owner.values())))
    links = {message_id: of_owner[owner] for message_id, owner in link_owner.items() if owner in of_owner}
    wanted = {(row["template_id"], row["template_version"]) for row in rows}
    contents = {key: _contents[tenant_id, *key] for key in wanted if (tenant_id, *key) in _contents}
    missing = [key for key in wanted if key not in contents]
    if missing:
        read = await contents_of(session, tenant_id, missing)
        for key, value in read.items():
            _contents[tenant_id, *key] = contents[key] = value
        while len(_contents) > _KEPT_TEMPLATES:
            _contents.popitem(last=False)
    return Facts(claims, links, contents)


def compose(row: Row, facts: Facts, dated_at: dt.datetime) -> Mail:
    """Write one mail. The same row, facts and date give the same bytes.

    Copies are written without the customer's link. Raises a `DunningError` that says what is missing or wrong.
    """
    claim = facts.claims.get(row["claim_id"])
    contents = facts.contents.get((row["template_id"], row["template_version"]))
    if claim is None or contents is None or row["to_email"] is None:
        what = "its claim" if claim is None else "its template version" if contents is None else "the recipient's address, which was erased"
        msg = f"The message lacks {what}."
        raise CannotCompose(msg)
    rendered = rendering_of(row, claim.data, contents, facts.links.get(row["message_id"]))
    return mail_of(row, claim, rendered, dated_at)


def rendering_of(row: Row, claim: Mapping[str, Any], contents: Any, link_url: str | None) -> Rendered:
    """Render subject, text and HTML of one message."""
    return render(
        compile_template(str(row["template_id"]), row["template_version"], contents),
        claim,
        row["language"],
        contact_name=row["to_name"],
        link_url=link_url,
        crm_url=row["crm_url"] if row["audience"] == "internal" else None,
        content_mode=row["content_mode"],
    )


def mail_of(row: Row, claim: ClaimRow, rendered: Rendered, dated_at: dt.datetime) -> Mail:
    """Build the bytes of a rendered message. The envelope's sender is the same in all attempts, because greylists remember it."""
    ledger = claim.data["ledger"]
    mime = build_mime(
        rendered,
        message_id=row["header_message_id"],
        date=dated_at.replace(microsecond=0),
        from_name=ledger["sender_name"],
        from_email=ledger["sender_email"],
        reply_to=ledger.get("reply_to"),
        to_name=row["to_name"] or "",
        to_email=row["to_email"],
    )
    return Mail(
        sender=ascii_address(ledger["sender_email"]),
        recipient=ascii_address(row["to_email"]),
        mime=mime,
        sha256=hashlib.sha256(mime).digest(),
        subject=rendered.subject,
        claim_revision=claim.revision,
        dated_at=dated_at.replace(microsecond=0),
    )
