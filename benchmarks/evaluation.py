"""A run over a whole ledger: deciding, carrying out, and deciding again when nothing is new, beside the same rows written by bare SQL."""

from __future__ import annotations

from uuid import UUID

from benchmarks.ground import KEYRING, TODAY, Company, Ground, Watch
from benchmarks.results import Line, Result
from dunning.collection import runs
from dunning.kit.ids import RunId
from dunning.tenancy import service as tenancy
from dunning_worker.jobs.runs import work_on_runs
from dunning_worker.world import World, world_of

EVALUATION = Line(
    "evaluation", "items/s", 0.5, 1 / 3, "one SQL statement that selects what is due and inserts a reminder a customer and its items, then the state table"
)
SECOND_PASS = Line("second pass", "items/s", 4.0, 2.0, "the first run of the day, decided and carried out")
CARRYING_OUT = Line("carrying out", "items/s", 0.3, None, "the same rows of all eleven tables copied by bare SQL, with the same indexes and foreign keys")

_LIKE = ("action", "item_progress", "item_dunning", "claim", "message", "message_address", "message_event", "link", "activity", "event", "operation_record")

# Days overdue select the step; a step is due that is higher than the last one; grouped by customer and currency; nothing on hold.
_DUE = """
with step (from_days, to_days, rank, code) as (values (1, 7, 0, 'reminder'), (8, 14, 1, 'reminder'), (15, 21, 2, 'reminder'), (22, 29, 3, 'reminder'), (30, 100000, 4, 'reminder')),
due as materialized (
  select i.customer_id, i.item_id, i.episode, i.currency, i.amount_minor - i.allocated_minor as open_minor, s.code, s.rank
    from item i
    join step s on $3::date - i.due_on between s.from_days and s.to_days
    left join bare.item_dunning d on d.tenant_id = i.tenant_id and d.item_id = i.item_id
   where i.tenant_id = $1 and i.ledger_id = $2 and i.allocated_minor < i.amount_minor and i.state = 'posted' and (d.step_code is null or d.step_code < s.code)
     and not exists (select from hold h where h.tenant_id = i.tenant_id and h.customer_id = i.customer_id and h.released_at is null)
), reminder as materialized (
  select customer_id, currency, uuidv7() as action_id, max(rank) as rank, max(code) as code, sum(open_minor) as total_minor
    from due group by customer_id, currency
), reminders as (
  insert into bare.action (tenant_id, action_id, ledger_id, customer_id, origin, scenario_id, scenario_version, step_code, kind, mode, local_date,
                           scheduled_on, state, totals)
  select $1, action_id, $2, customer_id, 'scenario', $4, 1, code, 'notice', 'automatic', $3, $3, 'executed',
         jsonb_build_array(jsonb_build_array(currency, total_minor))
    from reminder
)
insert into bare.item_progress (tenant_id, item_progress_id, customer_id, item_id, episode, scenario_id, scenario_version, step_code, state, action_id, open_minor)
select $1, uuidv7(), d.customer_id, d.item_id, d.episode, $4, 1, d.code, 'pending', r.action_id, d.open_minor
  from due d join reminder r using (customer_id, currency)
"""
_STATE = """
insert into bare.item_dunning (tenant_id, item_id, ledger_id, step_code, last_reminded_on)
select $1, item_id, $2, step_code, $3 from bare.item_progress where tenant_id = $1
on conflict (tenant_id, item_id) do update
   set step_code = excluded.step_code, last_reminded_on = excluded.last_reminded_on, reminders = bare.item_dunning.reminders + 1
"""


_KEYS = """
select format('alter table bare.%I add %s', c.relname, pg_get_constraintdef(k.oid))
  from pg_constraint k join pg_class c on c.oid = k.conrelid where k.contype = 'f' and k.connamespace = 'public'::regnamespace and c.relname = any ($1)
"""


async def bare_tables(ground: Ground, *, keys: bool = False) -> None:
    """Make empty tables with the columns and indexes of the product's, without row security; with `keys` also with its foreign keys."""
    await ground.bare.execute("drop schema if exists bare cascade; create schema bare")
    for table in _LIKE:
        await ground.bare.execute(f"create table bare.{table} (like public.{table} including defaults including indexes including storage)")
    if keys:
        for (statement,) in await ground.bare.fetch(_KEYS, list(_LIKE)):
            await ground.bare.execute(statement)


async def bare_evaluation(ground: Ground, company: Company) -> float:
    """Return the seconds of the SQL-only evaluation of a company."""
    bare = ground.bare
    with Watch() as watch:
        async with bare.transaction():
            await bare.execute(_DUE, company.tenant_id, company.ledger_id, TODAY, company.scenario_id)
            await bare.execute(_STATE, company.tenant_id, company.ledger_id, TODAY)
    return watch.seconds


async def bare_copy(ground: Ground, company: Company) -> float:
    """Return the seconds of copying everything a carried-out run has written into tables with the same indexes and keys."""
    with Watch() as watch:
        async with ground.bare.transaction():
            for table in _LIKE:
                await ground.bare.execute(f"insert into bare.{table} select * from public.{table} where tenant_id = $1", company.tenant_id)
    return watch.seconds


async def launch(world: World, company: Company) -> RunId:
    """Queue a run that stays a proposal."""
    async with world.database.transaction(company.tenant_id) as session:
        clock = tenancy.clock_of(await tenancy.tenant_of(session, company.tenant_id))
        row = await runs.launch_run(session, clock, tenant_id=company.tenant_id, actor="benchmark", ledger_id=company.ledger_id)
    run_id: UUID = row["run_id"]
    return RunId(run_id)


async def commit(world: World, company: Company, run_id: RunId) -> None:
    """Let a proposal go out."""
    async with world.database.transaction(company.tenant_id) as session:
        clock = tenancy.clock_of(await tenancy.tenant_of(session, company.tenant_id))
        await runs.commit_run(session, clock, tenant_id=company.tenant_id, actor="benchmark", run_id=run_id)


async def plan_run(world: World, company: Company) -> tuple[RunId, float]:
    """Launch a run and have it planned; return it with the seconds that took."""
    with Watch() as watch:
        run_id = await launch(world, company)
        await work_on_runs(world, company.tenant_id)
    return run_id, watch.seconds


async def carry_out(world: World, company: Company, run_id: RunId) -> float:
    """Commit a planned run and have it carried out; return the seconds that took."""
    with Watch() as watch:
        await commit(world, company, run_id)
        await work_on_runs(world, company.tenant_id)
    return watch.seconds


async def cancel(world: World, company: Company, run_id: RunId) -> None:
    """Give a proposal up, so that the same customers are planned once more."""
    async with world.database.transaction(company.tenant_id) as session:
        clock = tenancy.clock_of(await tenancy.tenant_of(session, company.tenant_id))
        await runs.cancel_run(session, clock, tenant_id=company.tenant_id, actor="benchmark", run_id=run_id)


async def measure(ground: Ground) -> list[Result]:
    """Plan a company several times, then carry its run out and plan it once more; with a new company each of the long repetitions."""
    items, world = ground.sizes.items, world_of(ground.database, ground.settings, KEYRING)
    evaluations, second_passes, carried = [], [], []
    for _ in range(ground.sizes.long_repeats):
        company = await ground.company()
        await ground.fill(company, items, ground.sizes.items_a_customer)
        for last in range(ground.sizes.repeats - 1, -1, -1):
            await bare_tables(ground)
            await ground.settle()
            at_best = await bare_evaluation(ground, company)
            await ground.settle()
            run_id, planned = await plan_run(world, company)
            evaluations.append((items / planned, items / at_best))
            ground.notes.append(f"evaluation of {items} items: planned {planned:.2f} s, bare {at_best:.2f} s")
            if last:
                await cancel(world, company, run_id)
        await ground.bare.execute("analyze run_customer")
        await ground.settle()
        out = await carry_out(world, company, run_id)
        await bare_tables(ground, keys=True)
        await ground.settle()
        copied = await bare_copy(ground, company)
        await ground.settle()
        _, again = await plan_run(world, company)
        ground.notes.append(f"carrying out {items} items: {out:.2f} s, copied {copied:.2f} s, second pass {again:.2f} s")
        carried.append((items / out, items / copied))
        second_passes.append((items / again, items / (planned + out)))
    return [Result(EVALUATION, evaluations), Result(SECOND_PASS, second_passes), Result(CARRYING_OUT, carried)]
