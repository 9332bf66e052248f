"""Statements on the step of customers: the highest that their open debts have completed."""

from __future__ import annotations

from typing import Any

import asyncpg

from dunning.kit.database import ReadSession
from dunning.kit.ids import TenantId

Rungs = list[dict[str, Any]]
"""The ladders of a tenant, one rung a row, as `customer_steps.rungs` writes them out."""

RUNGS = """rung as materialized (
  select r.* from jsonb_to_recordset(${place}::text::jsonb) as r (scenario_id uuid, code text, of_scenario uuid, of_version int, step_code text, rank int, restarts boolean,
                                                      customer_id uuid))"""
"""The ladders as rows of a statement, at a place among its values."""

STEP = """
  select r.step_code
    from (select case c.policy when 'never' then null when 'scenario' then c.scenario_id
                      else (select case y.policy when 'never' then null when 'scenario' then y.scenario_id else l.scenario_id end
                              from ledger l left join customer_group y on y.tenant_id = $1 and y.customer_group_id = c.customer_group_id
                             where l.tenant_id = $1 and l.ledger_id = c.ledger_id) end as scenario_id,
                 (select array_agg(o.scenario_id) from rung o where o.customer_id = c.customer_id) as own) u
   cross join lateral (
     select i.item_id, i.episode, i.step_reached, case i.policy when 'scenario' then i.scenario_id when 'inherit' then u.scenario_id end as scenario_id
       from item i
      where i.tenant_id = $1 and i.customer_id = c.customer_id and i.direction = 'debit' and i.state = 'posted' and i.allocated_minor < i.amount_minor
     offset 0) i
   cross join lateral (
     select p.episode, p.step_code, p.scenario_id, p.scenario_version from item_progress p
      where p.tenant_id = $1 and p.item_id = i.item_id and p.state = 'completed'
      union all
     select 1, i.step_reached, null, null where i.step_reached is not null) p
    join rung r on r.scenario_id = i.scenario_id and r.code = p.step_code
     and (r.of_scenario is null or (r.of_scenario = p.scenario_id and r.of_version = p.scenario_version))
     and case when r.scenario_id = any (u.own) then r.customer_id = c.customer_id else r.customer_id is null end
     and p.episode between case when r.restarts then i.episode else 0 end and i.episode
   order by r.rank desc, r.scenario_id::text desc limit 1
"""
"""The step of `customer c`, of the tenant $1, beside `RUNGS`."""


async def codes(session: ReadSession, tenant_id: TenantId) -> list[str]:
    """Return the codes of all steps that a tenant has or had: of every published version of its scenarios, and those of customers of their own."""
    rows = await session.rows(
        """select s ->> 'code' as code from scenario_version v cross join lateral jsonb_array_elements(v.content -> 'steps') s where v.tenant_id = $1
            union select step_code from step_override where tenant_id = $1""",
        tenant_id,
    )
    return [row["code"] for row in rows]


async def versions(session: ReadSession, tenant_id: TenantId) -> list[asyncpg.Record]:
    """Return all versions of a tenant's published scenarios, each with the one that is in force."""
    return await session.rows(
        """select v.scenario_id, v.version, s.published_version from scenario s
             join scenario_version v on v.tenant_id = $1 and v.scenario_id = s.scenario_id
            where s.tenant_id = $1 and s.published_version is not null""",
        tenant_id,
    )
