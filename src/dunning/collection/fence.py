"""The last look before a message leaves: still allowed, still owed, not held, and saying what is true now."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import asyncpg

from dunning.kit.clock import Clock, local_date
from dunning.kit.database import Session
from dunning.kit.ids import ClaimId, CustomerId, MessageId, TenantId
from dunning.ledger.customer_state import lock_customers, lock_free_customers
from dunning.messages.ports import OutgoingMessage, Send, Stop
from dunning.tenancy import service as tenancy

DISPUTE = "dispute"
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
    standing = await _standing(session, tenant_id, [message.message_id for message in looked_at]) if looked_at else {}
    found = {m.message_id: _stopped(m, standing.get(m.message_id), versions.get(m.customer_id)) for m in looked_at}
    # Facts that have not moved since the claim was frozen need no second look; holds begin and end by the calendar alone.
    asked = [m for m in looked_at if found[m.message_id] is None]
    moved = {m.message_id for m in asked if versions[m.customer_id] != standing[m.message_id]["facts_version"]}
    # A policy may also change for a whole group or ledger, which moves no customer's facts.
    barred = {m.message_id for m in asked if standing[m.message_id]["origin"] == "scenario" and (m.message_id in moved or _bars(standing[m.message_id]))}
    questioned = [m for m in asked if m.message_id in moved | barred or standing[m.message_id]["holds"]]
    claims = await _claims_shown(session, tenant_id, {m.claim_id for m in questioned}) if questioned else {}
    open_now = await _open_now(session, tenant_id, {m.customer_id for m in asked if m.message_id in moved | barred}) if moved | barred else {}
    for message in questioned:
        message_id, row, data = message.message_id, standing[message.message_id], claims[message.claim_id]
        now = open_now.get(message.customer_id, {})
        if message_id in moved:
            found[message_id] = _changed(data, now)
        if message_id in barred:
            found[message_id] = found[message_id] or _barred(data, now, row)
        if found[message_id] is None and row["holds"] and data.get("selection") != "internal":
            found[message_id] = _held(row["holds"], data, local_date(clock.now(), row["time_zone"]))
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


async def _standing(session: Session, tenant_id: TenantId, message_ids: Sequence[MessageId]) -> dict[MessageId, asyncpg.Record]:
    """Return how messages, their claims, actions and tenant stand, with what keeps items from being told.

    These are the holds on their customers and ledgers that nobody has released, and, in the same form, disputes, statuses that exclude, promises
    that pause (which their own reminder may name), and other actions that have taken items out of the scenario.
    """
    rows = await session.rows(
        """select m.message_id, t.sending_enabled, t.stopped_at, t.sending_changed_at, m.created_at, k.state as claim_state, k.revision, k.facts_version,
                  a.state as action_state, a.origin, l.time_zone, c.collection_method,
                  case when c.policy <> 'inherit' then c.policy when coalesce(g.policy, 'inherit') <> 'inherit' then g.policy else l.policy end as policy,
                  m.audience = 'customer' and k.data ? 'opt_out_key_id' and exists (
                    select from opt_out o where o.tenant_id = m.tenant_id and o.customer_id = m.customer_id and o.address_sha256 = m.address_sha256
                  ) as opted_out,
                  (select jsonb_agg(jsonb_build_object('item_id', h.item_id, 'reason', h.reason, 'from_on', h.from_on, 'until_on', h.until_on))
                     from (
                       select h.item_id, h.reason, h.from_on, h.until_on from hold h
                        where h.tenant_id = m.tenant_id and h.released_at is null
                          and (h.customer_id = m.customer_id or (h.scope = 'ledger' and h.ledger_id = m.ledger_id))
                       union all
                       select d.item_id, 'dispute', date '0001-01-01', null from dispute_item d
                        where d.tenant_id = m.tenant_id and d.customer_id = m.customer_id and d.open
                       union all
                       select i.item_id, 'status', date '0001-01-01', null from item i
                         join item_status s on s.tenant_id = i.tenant_id and s.code = i.status_code and s.excludes
                        where i.tenant_id = m.tenant_id and i.customer_id = m.customer_id and i.allocated_minor < i.amount_minor and i.state = 'posted'
                       union all
                       select o.item_id, 'promise', p.given_on, p.promised_on + p.grace_days from promise_item o
                         join promise p on p.tenant_id = o.tenant_id and p.promise_id = o.promise_id and p.state = 'open' and p.pauses
                          and p.reminder_action_id is distinct from m.action_id
                        where o.tenant_id = m.tenant_id and o.customer_id = m.customer_id and o.open
                       union all
                       select t.item_id, 'specific_action', date '0001-01-01', null from action_item t
                        where t.tenant_id = m.tenant_id and t.customer_id = m.customer_id and t.state = 'attached' and t.action_id <> m.action_id
                     ) h) as holds
             from message m
             join tenant t on t.tenant_id = m.tenant_id
             join claim k on k.tenant_id = m.tenant_id and k.claim_id = m.claim_id
             join action a on a.tenant_id = m.tenant_id and a.action_id = m.action_id
             join ledger l on l.tenant_id = m.tenant_id and l.ledger_id = m.ledger_id
             join customer c on c.tenant_id = m.tenant_id and c.customer_id = m.customer_id
             left join customer_group g on g.tenant_id = c.tenant_id and g.customer_group_id = c.customer_group_id
            where m.tenant_id = $1 and m.message_id = any ($2::uuid[])""",
        tenant_id,
        list(message_ids),
    )
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


def _held(unreleased: Sequence[Mapping[str, Any]], data: Mapping[str, Any], today: dt.date) -> Stop | None:
    day = today.isoformat()
    holds = [hold for hold in unreleased if hold["from_on"] <= day and (hold["until_on"] is None or hold["until_on"] >= day)]
    if not holds:
        return None
    candidates = {row["item_id"] for block in data["blocks"] for row in block["rows"] if row["section"] == "candidate"}
    hit = [hold for hold in holds if hold["item_id"] is None or hold["item_id"] in candidates]
    if not hit:
        return None
    everything = any(hold["item_id"] is None for hold in hit) or {hold["item_id"] for hold in hit} >= candidates
    if not everything:
        # Some rows are held: the rest is told by a new claim.
        return Stop("amounts_changed")
    return Stop("disputed" if any(hold["reason"] == DISPUTE for hold in hit) else "held")
