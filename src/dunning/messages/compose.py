"""From leased rows to the bytes of their mails. Facts are read in one short transaction; rendering holds none."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote
from uuid import UUID

import asyncpg

from dunning.kit.database import ReadSession
from dunning.kit.errors import Conflict
from dunning.kit.ids import ClaimId, MessageId, TenantId
from dunning.messages.mime import build_mime, header_address
from dunning.messages.opt_out_links import KEY_OF_CLAIM
from dunning.messages.ports import ClaimRow, OutgoingMessage, Ports
from dunning.messages.rendering import Rendered, render
from dunning.messages.template_store import contents_of
from dunning.messages.template_test_store import KeptTest, tests_of
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
    tests: Mapping[MessageId, KeptTest] = field(default_factory=dict)
    opt_outs: Mapping[MessageId, str] = field(default_factory=dict)


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
    """Read claims, links and templates of a batch: three statements, however long it is, and one for tests where there are any."""
    tests = await tests_of(session, tenant_id, [row["message_id"] for row in rows if row["kind"] == "test"]) if _has_tests(rows) else {}
    rows = [row for row in rows if row["kind"] != "test"]
    claims = await ports.claim_data(session, tenant_id, list({row["claim_id"] for row in rows}))
    # A message has a link of its own; one that repeats another without its own shows that one's, because its readings belong to the same letter.
    owners = {row["message_id"]: row["resend_of"] for row in rows}
    of_owner = await ports.link_urls(session, tenant_id, [*owners, *(owner for owner in set(owners.values()) if owner is not None)])
    links = {message_id: url for message_id, owner in owners.items() if (url := of_owner.get(message_id) or of_owner.get(owner)) is not None}
    wanted = {(row["template_id"], row["template_version"]) for row in rows}
    contents = {key: _contents[tenant_id, *key] for key in wanted if (tenant_id, *key) in _contents}
    missing = [key for key in wanted if key not in contents]
    if missing:
        read = await contents_of(session, tenant_id, missing)
        for key, value in read.items():
            _contents[tenant_id, *key] = contents[key] = value
        while len(_contents) > _KEPT_TEMPLATES:
            _contents.popitem(last=False)
    return Facts(claims, links, contents, tests, _opt_outs(tenant_id, ports, rows, claims))


def _opt_outs(tenant_id: TenantId, ports: Ports, rows: Sequence[asyncpg.Record], claims: Mapping[ClaimId, ClaimRow]) -> dict[MessageId, str]:
    """Return the one-click address of each mail that offers one: those to the customer before the due date."""
    found = {}
    for row in rows:
        claim = claims.get(row["claim_id"])
        key_id = claim.data.get(KEY_OF_CLAIM) if claim is not None and row["audience"] == "customer" else None
        url = ports.opt_out_url(tenant_id, row["message_id"], key_id) if key_id is not None else None
        if url is not None:
            found[row["message_id"]] = url
    return found


def _has_tests(rows: Sequence[asyncpg.Record]) -> bool:
    return any(row["kind"] == "test" for row in rows)


def compose(row: Row, facts: Facts, dated_at: dt.datetime) -> Mail:
    """Write one mail. The same row, facts and date give the same bytes.

    Copies are written without the customer's link. Raises a `DunningError` that says what is missing or wrong.
    """
    test = facts.tests.get(row["message_id"])
    if test is not None and row["to_email"] is not None:
        # A test was rendered when it was asked for, so that its writer was told at once what is wrong; only the envelope is made here.
        return mail_of(row, ClaimRow({"ledger": test.sender}, 0, "issued"), test.rendered, dated_at)
    claim = facts.claims.get(row["claim_id"])
    contents = facts.contents.get((row["template_id"], row["template_version"]))
    if claim is None or contents is None or row["to_email"] is None:
        what = "its claim" if claim is None else "its template version" if contents is None else "the recipient's address, which was erased"
        msg = f"The message lacks {what}."
        raise CannotCompose(msg)
    opt_out_url = facts.opt_outs.get(row["message_id"])
    rendered = rendering_of(row, claim.data, contents, facts.links.get(row["message_id"]), opt_out_url)
    return mail_of(row, claim, rendered, dated_at, opt_out_url)


def rendering_of(row: Row, claim: Mapping[str, Any], contents: Any, link_url: str | None, opt_out_url: str | None = None) -> Rendered:
    """Render subject, text and HTML of one message."""
    return render(
        compile_template(str(row["template_id"]), row["template_version"], contents),
        claim,
        row["language"],
        contact_name=row["to_name"],
        link_url=link_url,
        crm_url=_crm_url(row["crm_url"], claim) if row["audience"] == "internal" else None,
        opt_out_url=opt_out_url,
        content_mode=row["content_mode"],
    )


def _crm_url(template: str | None, claim: Mapping[str, Any]) -> str | None:
    """Return where colleagues find the customer: the ledger's address is a template, the customer's own has no placeholder to fill."""
    return None if template is None else template.replace("{external_id}", quote(claim["customer"]["external_id"], safe=""))


def mail_of(row: Row, claim: ClaimRow, rendered: Rendered, dated_at: dt.datetime, opt_out_url: str | None = None) -> Mail:
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
        # One click is promised only over https (RFC 8058, 3.1); an installation without it offers the address in the text alone.
        list_unsubscribe=opt_out_url if opt_out_url is not None and opt_out_url.startswith("https://") else None,
    )
    return Mail(
        sender=header_address("sender", ledger["sender_email"]),
        recipient=header_address("recipient", row["to_email"]),
        mime=mime,
        sha256=hashlib.sha256(mime).digest(),
        subject=rendered.subject,
        claim_revision=claim.revision,
        dated_at=dated_at.replace(microsecond=0),
    )
