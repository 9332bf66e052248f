"""Where open items stand in a scenario: what publishing a new version asks before it says who is concerned."""

from __future__ import annotations

from dunning.kit.database import ReadSession
from dunning.kit.ids import ScenarioId, TenantId
from dunning.scenarios.publishing import ItemPlace


async def places_in_scenario(session: ReadSession, tenant_id: TenantId, scenario_id: ScenarioId, *, named: int) -> list[ItemPlace]:
    """Return all open debit items that follow a scenario, by the way they came, imported steps included; at most `named` ids for each way."""
    rows = await session.rows(
        """with following as (
             select i.item_id, i.step_reached, s.published_version
               from scenario s
               join item i on i.tenant_id = $1 and i.direction = 'debit' and i.state = 'posted' and i.allocated_minor < i.amount_minor
               join customer c on c.tenant_id = $1 and c.customer_id = i.customer_id
               join ledger l on l.tenant_id = $1 and l.ledger_id = i.ledger_id
               left join customer_group g on g.tenant_id = $1 and g.customer_group_id = c.customer_group_id
              where s.tenant_id = $1 and s.scenario_id = $2
                and s.scenario_id = case i.policy when 'scenario' then i.scenario_id when 'inherit' then
                      case c.policy when 'scenario' then c.scenario_id when 'inherit' then
                        case coalesce(g.policy, 'inherit') when 'scenario' then g.scenario_id when 'inherit' then l.scenario_id end end end
           ), reached as (
             select f.item_id, p.scenario_version as version, p.step_code
               from following f
               join item_progress p on p.tenant_id = $1 and p.item_id = f.item_id and p.scenario_id = $2 and p.state in ('completed', 'skipped')
             union
             select f.item_id, f.published_version, f.step_reached from following f
              where f.step_reached is not null and f.published_version is not null
           ), ways as (
             select f.item_id, array_agg(r.version order by r.version, r.step_code) filter (where r.version is not null) as versions,
                    array_agg(r.step_code order by r.version, r.step_code) filter (where r.version is not null) as codes
               from following f left join reached r using (item_id) group by f.item_id
           )
           select versions, codes, count(*) as count, (array_agg(item_id::text order by item_id))[1:$3] as item_ids
             from ways group by versions, codes order by versions, codes""",
        tenant_id,
        scenario_id,
        named,
    )
    return [ItemPlace(tuple(zip(row["versions"] or (), row["codes"] or (), strict=True)), row["count"], tuple(row["item_ids"])) for row in rows]
