"""The last look before a message leaves: still allowed, still owed, not held, and saying what is true now."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg

from dunning.kit.clock import Clock, local_date
from dunning.kit.database import Session
from dunning.kit.ids import CustomerId, TenantId
from dunning.messages.ports import OutgoingMessage, Send, Stop
from dunning.tenancy import service as tenancy

DISPUTE = "dispute"


async def fence(session: Session, clock: Clock, message: OutgoingMessage) -> Send | Stop:
    """Decide, in the transaction that commits a message to be sent, whether it may go.

    The customer's state row is locked first, for at most two seconds: a payment, hold or change that committed before is seen, one that comes
    later waits for this commit. It is the lock that writers of facts take, not a shared one, because a message that is stopped writes facts
    itself, and two that had shared the row would then wait for each other. Raises the driver's lock timeout, upon which the message is
    tried again.
    """
    await tenancy.sending_lock_shared(session, message.tenant_id, lock_timeout="2s")
    facts_version = await session.value(
        "select facts_version from customer_state where tenant_id = $1 and customer_id = $2 for no key update", message.tenant_id, message.customer_id
    )
    row = await _standing(session, message)
    if row is None or facts_version is None:
        return Stop("claim_void")
    if row["stopped_at"] is not None:
        return Stop("stopped")
    if not row["sending_enabled"] or (row["sending_changed_at"] is not None and row["created_at"] < row["sending_changed_at"]):
        return Stop("sending_off")
    if row["claim_state"] == "void" or (message.claim_revision is not None and message.claim_revision != row["revision"]):
        return Stop("claim_void")
    if row["action_state"] in {"cancelled", "rejected", "superseded"}:
        return Stop("claim_void")
    today = local_date(clock.now(), row["time_zone"])
    # Facts that have not moved since the claim was frozen need no second look; holds begin and end by the calendar alone.
    if facts_version != row["facts_version"]:
        changed = await _changed(session, message, row["data"])
        if changed is not None:
            return Stop(changed)
    return _held(row["holds"], row["data"], today)


async def _standing(session: Session, message: OutgoingMessage) -> asyncpg.Record | None:
    return await session.row(
        """select t.sending_enabled, t.stopped_at, t.sending_changed_at, m.created_at, k.state as claim_state, k.revision, k.facts_version, k.data,
                  a.state as action_state, l.time_zone,
                  (select coalesce(jsonb_agg(jsonb_build_object('item_id', h.item_id, 'reason', h.reason, 'from_on', h.from_on, 'until_on', h.until_on)), '[]')
                     from hold h
                    where h.tenant_id = m.tenant_id and h.released_at is null
                      and (h.customer_id = m.customer_id or (h.scope = 'ledger' and h.ledger_id = m.ledger_id))) as holds
             from message m
             join tenant t on t.tenant_id = m.tenant_id
             join claim k on k.tenant_id = m.tenant_id and k.claim_id = m.claim_id
             join action a on a.tenant_id = m.tenant_id and a.action_id = m.action_id
             join ledger l on l.tenant_id = m.tenant_id and l.ledger_id = m.ledger_id
            where m.tenant_id = $1 and m.message_id = $2""",
        message.tenant_id,
        message.message_id,
    )


async def _changed(session: Session, message: OutgoingMessage, data: Mapping[str, Any]) -> str | None:
    """Return why a claim is no longer true, or None."""
    shown = [row | {"currency": block["currency"]} for block in data["blocks"] for row in block["rows"]]
    candidates = [row for row in shown if row["section"] == "candidate"]
    now = await _open_now(session, message.tenant_id, message.customer_id)
    if all(now.get(row["item_id"], (0, "", ""))[0] == 0 for row in candidates):
        return "settled"
    if any(now.get(row["item_id"], (0, "", ""))[0] != row["open_minor"] for row in shown):
        return "amounts_changed"
    said = {row["item_id"] for row in shown}
    currencies = {row["currency"] for row in candidates}
    new_credit = any(direction == "credit" and currency in currencies and item_id not in said for item_id, (_, direction, currency) in now.items())
    return "amounts_changed" if new_credit else None


async def _open_now(session: Session, tenant_id: TenantId, customer_id: CustomerId) -> dict[str, tuple[int, str, str]]:
    """Return open amount, direction and currency of everything open of a customer, by id as text."""
    rows = await session.rows(
        """select item_id::text as id, amount_minor - allocated_minor as open_minor, direction, currency from item
            where tenant_id = $1 and customer_id = $2 and allocated_minor < amount_minor and state = 'posted'
           union all
           select receipt_id::text, amount_minor - allocated_minor - returned_minor, 'credit', currency from receipt
            where tenant_id = $1 and customer_id = $2 and allocated_minor + returned_minor < amount_minor and state in ('received', 'cleared')""",
        tenant_id,
        customer_id,
    )
    return {row["id"]: (row["open_minor"], row["direction"], row["currency"]) for row in rows}


def _held(unreleased: Sequence[Mapping[str, Any]], data: Mapping[str, Any], today: dt.date) -> Send | Stop:
    day = today.isoformat()
    holds = [hold for hold in unreleased if hold["from_on"] <= day and (hold["until_on"] is None or hold["until_on"] >= day)]
    if not holds:
        return Send()
    candidates = {row["item_id"] for block in data["blocks"] for row in block["rows"] if row["section"] == "candidate"}
    hit = [hold for hold in holds if hold["item_id"] is None or hold["item_id"] in candidates]
    if not hit:
        return Send()
    everything = any(hold["item_id"] is None for hold in hit) or {hold["item_id"] for hold in hit} >= candidates
    if not everything:
        # Some rows are held: the rest is told by a new claim.
        return Stop("amounts_changed")
    return Stop("disputed" if any(hold["reason"] == DISPUTE for hold in hit) else "held")
