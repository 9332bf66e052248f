"""The statement behind the timeline: one arm a kind, each ending at the page's length by itself, and one for all turns that stand nowhere but in events."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import lru_cache
from uuid import UUID

import asyncpg

from dunning.collection.totals_store import TOTALS_NOW
from dunning.kit.database import ReadSession
from dunning.kit.ids import CustomerId, TenantId
from dunning.tenancy.people_store import author_of, name_of

_OWN = "{0}.tenant_id = $1 and {0}.customer_id = $2"
_HIGHEST = UUID(int=2**128 - 1)


def _arm(kind: str, tables: str, alias: str, key: str, instant: str, on: str, action: str, actor: str, /, **data: str) -> str:
    pairs = ", ".join(f"'{name}', {column}" for name, column in data.items())
    return f"""(select {alias}.{key} as id, '{kind}' as kind, {alias}.{instant} as recorded_at, {on} as "on", {action}::uuid as action_id,
      {actor}::text as actor, json_build_object({pairs}) as data
 from {tables} where {_OWN.format(alias)} and {alias}.{key} < $3 order by {alias}.{key} desc limit $4)"""


def _named(alias: str, *columns: str) -> dict[str, str]:
    return {column: f"{alias}.{column}" for column in columns}


def _local(instant: str) -> str:
    """Return the day of an instant in the zone of the customer's ledger."""
    return f"({instant} at time zone (select time_zone from here))::date"


_ARMS = {
    "action": _arm(
        "action", "action a", "a", "action_id", "created_at", "a.local_date", "a.action_id", "coalesce(a.created_by, a.approved_by)",
        **_named("a", "step_code", "step_name", "title", "kind", "mode", "origin", "state", "reason", "task_kind", "scheduled_on", "completed_on",
                 "person_id", "superseded_by", "approved_by"),
        person_name=name_of("a.person_id"), approved_by_name=author_of("a.approved_by"),
        totals=f"coalesce({TOTALS_NOW}, a.totals)",
    ),
    "activity": _arm(
        "activity", "activity n", "n", "activity_id", "recorded_at", _local("n.business_at"), "n.action_id", "n.actor",
        **_named("n", "kind", "outcome", "text", "data", "person_id", "contact_id", "business_at", "actor"),
        person_name=name_of("n.person_id"),
    ),
    "message": _arm(
        "message", "message m left join message_address w on w.tenant_id = m.tenant_id and w.message_id = m.message_id", "m",
        # What has not left stands on the day on which it was to leave.
        "message_id", "created_at", f"coalesce(m.accepted_on, {_local('coalesce(m.sent_at, m.not_before)')})", "m.action_id", "null",
        **_named("m", "channel", "audience", "is_copy", "state", "reason", "delivery", "claim_id", "sent_at"), **_named("w", "to_email", "to_name", "subject"),
    ),
    "comment": _arm(
        "comment", "item_comment t", "t", "item_comment_id", "recorded_at", _local("t.business_at"), "null", "t.actor",
        **_named("t", "item_id", "status_code", "previous_status_code", "text", "source", "source_id"),
    ),
    "receipt": _arm(
        "receipt", "receipt r", "r", "receipt_id", "recorded_at", "r.received_on", "null", "null",
        **_named("r", "external_id", "state", "method", "amount_minor", "currency"),
    ),
    "payment_return": """(select p.payment_return_id as id, 'payment_return' as kind, p.recorded_at, p.returned_on as "on", null::uuid as action_id, p.actor::text,
      json_build_object('receipt_id', p.receipt_id, 'reason', p.reason, 'amount_minor', r.amount_minor, 'currency', r.currency) as data
 from payment_return p join receipt r on r.tenant_id = $1 and r.receipt_id = p.receipt_id
where p.tenant_id = $1 and p.customer_id = $2 and p.payment_return_id < $3 order by p.payment_return_id desc limit $4)""",
    "reading": f"""(select g.reading_id as id, 'reading' as kind, g.recorded_at, {_local("g.business_at")} as "on", null::uuid as action_id, null::text as actor,
      json_build_object('kind', g.kind, 'grade', g.grade, 'link_id', g.link_id, 'audience', k.audience, 'claim_id', k.claim_id) as data
 from message m
 join link k on k.tenant_id = m.tenant_id and k.message_id = m.message_id
 join reading g on g.tenant_id = k.tenant_id and g.link_id = k.link_id
where m.tenant_id = $1 and m.customer_id = $2 and g.reading_id < $3 order by g.reading_id desc limit $4)""",
    "dispute": _arm(
        "dispute", "dispute d", "d", "dispute_id", "created_at", "d.opened_on", "d.follow_up_action_id", "d.opened_by",
        **_named("d", "reason", "text", "source", "state", "resolution", "resolved_on", "deadline_on", "overdue_on", "held_until", "owner_id"),
        owner_name=name_of("d.owner_id"),
    ),
    "promise": _arm(
        "promise", "promise s", "s", "promise_id", "created_at", "s.given_on", "s.follow_up_action_id", "s.actor",
        **_named("s", "amount_minor", "currency", "promised_on", "grace_days", "source", "state", "reason", "last_on", "paid_on", "decided_on", "note", "plan_id"),
    ),
    "payment_plan": _arm(
        "payment_plan", "payment_plan y", "y", "plan_id", "created_at", "y.agreed_on", "null", "y.actor",
        amount_minor="y.total_minor", **_named("y", "currency", "source", "state", "note", "ended_on"),
    ),
    "block": _arm(
        "block", "account_block b", "b", "block_id", "created_at", "b.placed_on", "b.action_id", "b.placed_by",
        **_named("b", "degree", "reason", "origin", "state", "lifted_on", "lifted_because", "renews_id"),
    ),
    "step_override": _arm(
        "step_override", "step_override o", "o", "override_id", "created_at", _local("o.created_at"), "null", "o.actor",
        **_named("o", "kind", "scenario_id", "step_code", "content", "reason", "removed_at", "removed_by"),
        removed_by_name=author_of("o.removed_by"),
    ),
    "assignment": _arm(
        "assignment", "assignment g", "g", "assignment_id", "created_at", "g.from_on", "null", "g.actor",
        **_named("g", "person_id", "role", "lead", "origin", "reason", "ended_on", "ended_by"),
        person_name=name_of("g.person_id"), ended_by_name=author_of("g.ended_by"),
    ),
    "attachment": _arm(
        "attachment", "attachment h", "h", "attachment_id", "created_at", _local("h.created_at"), "null", "h.actor",
        **_named("h", "subject_kind", "subject_id", "url", "name", "media_type"),
    ),
}  # fmt: skip
_TURNS = {
    "hold_set": "hold.set", "hold_released": "hold.released", "step_set": "item.step_set", "block_lifted": "account.unblocked",
    "promise_moved": "promise.moved", "promise_cancelled": "promise.cancelled", "payment_plan_cancelled": "payment_plan.cancelled",
}  # fmt: skip
"""What somebody did that is no row of its own, by the event that tells it; `event_turn_idx` has just these."""
KINDS = (*_ARMS, *_TURNS)
_NOUNS = "case e.subject_kind when 'account_block' then 'block' when 'payment_plan' then 'plan' else e.subject_kind end"


def _turns(kinds: Sequence[str]) -> str:
    """Return the one arm for some turns; the subject's id is named by its noun. Instalments that end with their plan are told by the plan."""
    shown = " ".join(f"when '{_TURNS[kind]}' then '{kind}'" for kind in kinds)
    events = ", ".join(f"'{_TURNS[kind]}'" for kind in kinds)
    return f"""(select e.event_id as id, case e.kind {shown} end as kind, e.recorded_at, {_local("e.business_at")} as "on", null::uuid as action_id, e.actor,
      (e.data || jsonb_build_object({_NOUNS} || '_id', e.subject_id))::json as data
 from event e where {_OWN.format("e")} and e.event_id < $3 and e.kind in ({events})
  and (e.kind <> 'promise.cancelled' or e.data ->> 'plan_id' is null) order by e.event_id desc limit $4)"""


@lru_cache(maxsize=64)
def statement(kinds: tuple[str, ...]) -> str:
    """Return the statement for some kinds, of tenant, customer, the id to begin below, and the length of the page."""
    arms = [_ARMS[kind] for kind in kinds if kind in _ARMS]
    turns = [kind for kind in kinds if kind in _TURNS]
    if turns:
        arms.append(_turns(turns))
    # Who did it is a person's name, or stands as it was recorded.
    return f"""with here as (
  select l.time_zone from customer c join ledger l on l.tenant_id = $1 and l.ledger_id = c.ledger_id where c.tenant_id = $1 and c.customer_id = $2)
select t.id, t.kind, t.recorded_at, t."on", t.action_id, t.actor, t.data, coalesce(p.name, t.actor) as author
  from (select u.*, case when starts_with(actor, 'person:') and pg_input_is_valid(substr(actor, 8), 'uuid') then substr(actor, 8)::uuid end as person_id
          from ({" union all ".join(arms)}) u order by id desc limit $4) t
  left join person p on p.tenant_id = $1 and p.person_id = t.person_id
 order by t.id desc"""


async def timeline_before(
    session: ReadSession, tenant_id: TenantId, customer_id: CustomerId, kinds: Collection[str], before: UUID | None, limit: int
) -> list[asyncpg.Record]:
    """Return what was recorded about a customer, of some kinds, below an id, the newest first, whatever its kind."""
    return await session.rows(statement(tuple(kind for kind in KINDS if kind in kinds)), tenant_id, customer_id, before or _HIGHEST, limit)
