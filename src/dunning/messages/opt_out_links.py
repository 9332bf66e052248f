"""The one-click address in mails before the due date (RFC 8058), and what its click does.

The address is derived from the message, like a link's: a repeated attempt renders the same bytes, and nothing of the reader stands in it.
"""

from __future__ import annotations

from typing import Any

from dunning.kit.clock import Clock
from dunning.kit.database import ReadSession, Session
from dunning.kit.ids import CustomerId, MessageId, TenantId
from dunning.kit.signing import Keyring
from dunning.ledger import opt_outs

KEY_OF_CLAIM = "opt_out_key_id"
"""Where a frozen claim says that its mails offer an opt-out, and with which key their addresses are signed."""
_PURPOSE = "opt_out"
_IDS = 2


def opt_out_url(tenant_id: TenantId, message_id: MessageId, key_id: str, *, keyring: Keyring, public_url: str) -> str | None:
    """Return the address of a message's opt-out; None where its key has been removed from the ring."""
    if key_id not in keyring.keys:
        return None
    return f"{public_url.rstrip('/')}/o/{keyring.sign(_PURPOSE, tenant_id, message_id, key_id=key_id)}"


def read_opt_out(keyring: Keyring, token: str) -> tuple[TenantId, MessageId] | None:
    """Return whose opt-out a token names, or None when any part of it is not right."""
    ids = keyring.verify(_PURPOSE, token)
    return None if ids is None or len(ids) != _IDS else (TenantId(ids[0]), MessageId(ids[1]))


async def language_of_message(session: ReadSession, *, tenant_id: TenantId, message_id: MessageId) -> str | None:
    """Return the language a message was written in, None where there is none."""
    found: str | None = await session.value("select language from message where tenant_id = $1 and message_id = $2", tenant_id, message_id)
    return found


async def opt_out_by_message(session: Session, clock: Clock, *, tenant_id: TenantId, message_id: MessageId) -> bool:
    """Record the opt-out of the address a message went to; False when there is no such message. A second click changes nothing."""
    row: Any = await session.row("select customer_id, address_sha256 from message where tenant_id = $1 and message_id = $2", tenant_id, message_id)
    if row is None or row["customer_id"] is None:
        return False
    await opt_outs.opt_out(
        session,
        clock,
        tenant_id=tenant_id,
        actor=opt_outs.RECIPIENT,
        customer_id=CustomerId(row["customer_id"]),
        address_sha256=row["address_sha256"],
        message_id=message_id,
    )
    return True
