"""Statements on the parts of a customer's record: the terms under which it is collected, and what its credit insurer was told."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dunning.collection.operation_rules import TO_INSURER
from dunning.kit.database import ReadSession
from dunning.kit.ids import ActionId, CustomerId, ScenarioId, TenantId
from dunning.tenancy.people_store import author_of

INVOICES_LOOKED_AT = 100
"""The latest invoices of a customer from which its usual days to pay are taken."""
NOTICES_SHOWN = 100


@dataclass(frozen=True, slots=True)
class Policy:
    """By which scenario the customer's items are reminded, unless they say otherwise, and who decided it: the customer, its group, or its ledger."""

    policy: str
    decided_by: str
    scenario_id: ScenarioId | None
    scenario_code: str | None
    scenario_name: str | None
    scenario_version: int | None


@dataclass(frozen=True, slots=True)
class DaysGranted:
    """Days between document and due date, over so many instalments of the latest invoices; `usual` is the most frequent number."""

    usual: int
    shortest: int
    longest: int
    items: int


@dataclass(frozen=True, slots=True)
class InsurerNotice:
    """Something that a step asked to tell the credit insurer, what became of it, and what the insurer was told: when, what of which items, under which policy."""

    action_id: ActionId
    operation_no: int
    kind: str
    state: str
    recorded_at: dt.datetime
    done_at: dt.datetime | None
    actor: str | None
    author: str | None
    task_id: ActionId | None
    params: Mapping[str, Any]
    result: Mapping[str, Any]


async def policy_of(session: ReadSession, tenant_id: TenantId, customer_id: CustomerId) -> Policy:
    """Return what decides how a customer is reminded."""
    row = await session.row(
        """select d.policy, d.decided_by, s.scenario_id, s.code as scenario_code, s.name as scenario_name, s.published_version as scenario_version
             from customer c
             join ledger l on l.tenant_id = $1 and l.ledger_id = c.ledger_id
             left join customer_group g on g.tenant_id = $1 and g.customer_group_id = c.customer_group_id
            cross join lateral (
              select c.policy, 'customer' as decided_by, c.scenario_id where c.policy <> 'inherit'
              union all select g.policy, 'group', g.scenario_id where c.policy = 'inherit' and g.policy <> 'inherit'
              union all select l.policy, 'ledger', l.scenario_id where c.policy = 'inherit' and coalesce(g.policy, 'inherit') = 'inherit') d
             left join scenario s on s.tenant_id = $1 and s.scenario_id = d.scenario_id
            where c.tenant_id = $1 and c.customer_id = $2""",
        tenant_id,
        customer_id,
    )
    assert row is not None, "the caller has read the customer in this snapshot"  # noqa: S101  # tells the type checker
    return Policy(**dict(row))


async def days_granted(session: ReadSession, tenant_id: TenantId, customer_id: CustomerId) -> DaysGranted | None:
    """Return how long a customer has to pay by its latest invoices; None where it has none."""
    row = await session.row(
        """select mode() within group (order by i.due_on - i.document_on) as usual, min(i.due_on - i.document_on) as shortest,
                  max(i.due_on - i.document_on) as longest, count(*)::int as items
             from (select document_id from document where tenant_id = $1 and customer_id = $2 and kind = 'invoice' and state = 'posted'
                    order by document_id desc limit $3) d
             join item i on i.tenant_id = $1 and i.document_id = d.document_id and i.state = 'posted'
           having count(*) > 0""",
        tenant_id,
        customer_id,
        INVOICES_LOOKED_AT,
    )
    return None if row is None else DaysGranted(**dict(row))


async def insurer_notices(session: ReadSession, tenant_id: TenantId, customer_id: CustomerId) -> list[InsurerNotice]:
    """Return the latest operations that tell a customer's insurer something, the last first."""
    rows = await session.rows(
        f"""select o.action_id, o.operation_no, o.kind, o.state, o.recorded_at, o.done_at, o.actor, {author_of("o.actor")} as author, k.action_id as task_id,
                  o.params, o.result
             from action a join operation_record o on o.tenant_id = $1 and o.action_id = a.action_id
             left join action k on k.tenant_id = $1 and k.operation_action_id = o.action_id and k.operation_no = o.operation_no
            where a.tenant_id = $1 and a.customer_id = $2 and o.kind = any ($3::text[])
            order by a.action_id desc, o.operation_no limit $4""",
        tenant_id,
        customer_id,
        sorted(TO_INSURER),
        NOTICES_SHOWN,
    )
    return [InsurerNotice(**dict(row)) for row in rows]
