"""The last look before a message leaves: still allowed, still owed, not held, and saying what is true now."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import asyncpg

from dunning.collection.kept_back_store import kept_back
from dunning.kit.clock import Clock
from dunning.kit.database import Session
from dunning.kit.ids import ClaimId, CustomerId, MessageId, TenantId
from dunning.ledger.customer_state import lock_customers, lock_free_customers
from dunning.messages.ports import OutgoingMessage, Send, Stop
from dunning.tenancy import service as tenancy

DISPUTED, HELD = "disputed", "held"
NEVER, INHERIT, AUTOMATIC = "never", "inherit", "automatic"


class Open(NamedTuple):
    """One open item or receipt of a customer. Policy and method are None where it has none of its own."""

    open_minor: int
    direction: str
    currency: str
    policy: str | None
    collection_method: str | None


_NOTHING = Open(0, "", "", None, None)


async def fence(session: Session, clock: Clock, messages: Sequence[OutgoingMessage], *, waits: bool) -> dict[MessageId, Send | Stop]:
    """Decide, in the transaction that commits messages of a tenant to be sent, whether each may go.

    The customers' state rows are locked first: a payment, hold or change that committed before is seen, one that comes later waits for this
    commit. With `waits` a lock is waited for up to two seconds; then the driver's lock timeout is raised, upon which the message is tried again.
    Without, messages of customers that somebody is changing right now are left out. It is the lock that writers of facts take, not a shared one,
    because a message that is stopped writes facts itself, and two that had shared the row would then wait for each other.
    """
    tenant_id = messages[0].tenant_id
    await tenancy.sending_lock_shared(session, tenant_id, lock_timeout="2s")
    customers = {message.customer_id for message in messages}
    versions = await (lock_customers if waits else lock_free_customers)(session, tenant_id, customers)
    # Whoever waits is answered in any case; a customer without a state row has no facts to send on.
    looked_at = [message for message in messages if waits or message.customer_id in versions]
    standing = await _standing(session, clock, tenant_id, [message.message_id for message in looked_at]) if looked_at else {}
    found = {m.message_id: _stopped(m, standing.get(m.message_id), versions.get(m.customer_id)) for m in looked_at}
    # Facts that have not moved since the claim was frozen need no second look; what keeps items back begins and ends by the calendar alone.
    asked = [m for m in looked_at if found[m.message_id] is None]
    moved = {m.message_id for m in asked if versions[m.customer_id] != standing[m.message_id]["facts_version"]}
    # A policy may also change for a whole group or ledger, which moves no customer's facts.
    barred = {m.message_id for m in asked if standing[m.message_id]["origin"] == "scenario" and (m.message_id in moved or _bars(standing[m.message_id]))}
    questioned = [m for m in asked if m.message_id in moved | barred or standing[m.message_id]["kept_ids"]]
    claims = await _claims_shown(session, tenant_id, {m.claim_id for m in questioned}) if questioned else {}
    open_now = await _open_now(session, tenant_id, {m.customer_id for m in asked if m.message_id in moved | barred}) if moved | barred else {}
    for message in questioned:
        message_id, row, data = message.message_id, standing[message.message_id], claims[message.claim_id]
        now = open_now.get(message.customer_id, {})
        if message_id in moved:
            found[message_id] = _changed(data, now)
        if message_id in barred:
            found[message_id] = found[message_id] or _barred(data, now, row)
        if row["kept_ids"] and data.get("selection") != "internal":
            found[message_id] = found[message_id] or _kept_back(row, data)
    return {message_id: stop or Send() for message_id, stop in found.items()}


def _bars(row: asyncpg.Record) -> bool:
    """Tell whether a customer as a whole is not, or no longer, to be reminded by a scenario."""
    return bool(row["policy"] == NEVER or row["collection_method"] == AUTOMATIC)


def _barred(data: Mapping[str, Any], now: Mapping[str, Open], row: asyncpg.Record) -> Stop | None:
    """Return why candidates of a claim are no longer for a scenario to remind, or None: set to `never`, or collected by the company itself.

    Where that is so of some only, the rest is told by a new claim. An item's own policy and method go before its customer's.
    """
    why = []
    for candidate in (shown for block in data["blocks"] for shown in block["rows"] if shown["section"] == "candidate"):
        item = now.get(candidate["item_id"])
        policy = row["policy"] if item is None or item.policy in {None, INHERIT} else item.policy
        method = row["collection_method"] if item is None or item.collection_method is None else item.collection_method
        why.append("policy_never" if policy == NEVER else "automatic_collection" if method == AUTOMATIC else None)
    if not any(why):
        return None
    return Stop("amounts_changed") if None in why else Stop(str(why[0]))


def _stopped(message: OutgoingMessage, row: asyncpg.Record | None, facts_version: int | None) -> Stop | None:
    """Return why a message may not go whatever is owed, or None."""
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
    if row["opted_out"]:
        return Stop("opted_out")
    return None


_STANDING = f"""
select m.message_id, t.sending_enabled, t.stopped_at, t.sending_changed_at, m.created_at, k.state as claim_state, k.revision, k.facts_version,
       a.state as action_state, a.origin, c.collection_method,
       case when c.policy <> 'inherit' then c.policy when coalesce(g.policy, 'inherit') <> 'inherit' then g.policy else l.policy end as policy,
       m.audience = 'customer' and k.data ? 'opt_out_key_id' and exists (
         select from opt_out o where o.tenant_id = m.tenant_id and o.customer_id = m.customer_id and o.address_sha256 = m.address_sha256
       ) as opted_out,
       b.item_ids as kept_ids, b.whys as kept_whys
  from message m
  join tenant t on t.tenant_id = m.tenant_id
  join claim k on k.tenant_id = m.tenant_id and k.claim_id = m.claim_id
  join action a on a.tenant_id = m.tenant_id and a.action_id = m.action_id
  join ledger l on l.tenant_id = m.tenant_id and l.ledger_id = m.ledger_id
  join customer c on c.tenant_id = m.tenant_id and c.customer_id = m.customer_id
  left join customer_group g on g.tenant_id = c.tenant_id and g.customer_group_id = c.customer_group_id
 cross join lateral (select ($3::timestamptz at time zone l.time_zone)::date as today offset 0) d
  left join lateral (
    select array_agg(b.item_id::text) as item_ids, array_agg(b.why) as whys
      from ({kept_back(tenant="m.tenant_id", customer="m.customer_id", ledger="m.ledger_id", day="d.today", action="m.action_id")}) b
  ) b on true
 where m.tenant_id = $1 and m.message_id = any ($2::uuid[])
"""


async def _standing(session: Session, clock: Clock, tenant_id: TenantId, message_ids: Sequence[MessageId]) -> dict[MessageId, asyncpg.Record]:
    """Return how messages, their claims, actions and tenant stand, with what keeps items of their customers from being told today."""
    rows = await session.rows(_STANDING, tenant_id, list(message_ids), clock.now())
    return {row["message_id"]: row for row in rows}


async def _claims_shown(session: Session, tenant_id: TenantId, claim_ids: Collection[ClaimId]) -> dict[ClaimId, Mapping[str, Any]]:
    """Return what claims say, by id."""
    rows = await session.rows("select claim_id, data from claim where tenant_id = $1 and claim_id = any ($2::uuid[])", tenant_id, list(claim_ids))
    return {row["claim_id"]: row["data"] for row in rows}


def _changed(data: Mapping[str, Any], now: Mapping[str, Open]) -> Stop | None:
    """Return why a claim is no longer true, or None; `now` has what is open by id."""
    shown = [row | {"currency": block["currency"]} for block in data["blocks"] for row in block["rows"]]
    candidates = [row for row in shown if row["section"] == "candidate"]
    if all(now.get(row["item_id"], _NOTHING).open_minor == 0 for row in candidates):
        return Stop("settled")
    if any(now.get(row["item_id"], _NOTHING).open_minor != row["open_minor"] for row in shown):
        return Stop("amounts_changed")
    if data.get("selection") is not None:
        # Outside the scenario a claim shows the chosen items and no credit, so that a new one changes nothing in it.
        return None
    said = {row["item_id"] for row in shown}
    currencies = {row["currency"] for row in candidates}
    new_credit = any(one.direction == "credit" and one.currency in currencies and item_id not in said for item_id, one in now.items())
    return Stop("amounts_changed") if new_credit else None


async def _open_now(session: Session, tenant_id: TenantId, customer_ids: Collection[CustomerId]) -> dict[CustomerId, dict[str, Open]]:
    """Return everything open of customers, by customer and by id as text."""
    rows = await session.rows(
        """select customer_id, item_id::text as id, amount_minor - allocated_minor as open_minor, direction, currency, policy, collection_method from item
            where tenant_id = $1 and customer_id = any ($2::uuid[]) and allocated_minor < amount_minor and state = 'posted'
           union all
           select customer_id, receipt_id::text, amount_minor - allocated_minor - returned_minor, 'credit', currency, null, null from receipt
            where tenant_id = $1 and customer_id = any ($2::uuid[]) and allocated_minor + returned_minor < amount_minor
              and state in ('received', 'cleared')""",
        tenant_id,
        list(customer_ids),
    )
    found: defaultdict[CustomerId, dict[str, Open]] = defaultdict(dict)
    for row in rows:
        found[row["customer_id"]][row["id"]] = Open(row["open_minor"], row["direction"], row["currency"], row["policy"], row["collection_method"])
    return found


def _kept_back(row: asyncpg.Record, data: Mapping[str, Any]) -> Stop | None:
    """Return why rows of a claim may not be told, or None. Where some may, the claim is made anew without the others."""
    shown = [(one["item_id"], one["section"]) for block in data["blocks"] for one in block["rows"] if one["section"] != "credit"]
    whys: defaultdict[str | None, set[str]] = defaultdict(set)
    for item_id, why in zip(row["kept_ids"], row["kept_whys"], strict=True):
        whys[item_id].add(why)
    found = {item_id: whys[item_id] | whys[None] for item_id, _ in shown}
    if not any(found.values()):
        return None
    candidates = [found[item_id] for item_id, section in shown if section == "candidate"]
    if not all(candidates):
        return Stop("amounts_changed")
    named = set().union(*candidates)
    return Stop(DISPUTED if DISPUTED in named else named.pop() if len(named) == 1 else HELD)
