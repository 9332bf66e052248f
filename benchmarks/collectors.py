"""The collector's lists beside the statements that they stand on: what the product adds to a page, and to a thousand approvals.

A page is asked for as the product's service gives it: row level security, the caller's days and people looked up, names, and the shape of the answer. The
limit is the bare statement of that page, of the agenda also that of its counts, as a superuser whom no policy binds, in the same run. A ratio of one third means three times the statement.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any

from benchmarks.ground import KEYRING, TODAY, Company, Ground
from benchmarks.results import Line, Result
from dunning.collection import bulk, customer_steps, explorer, explorer_store, ledger_days, timeline, timeline_store, worklist, worklist_store
from dunning.collection.bulk import Bulk
from dunning.collection.despatch import Outbound
from dunning.collection.explorer import Search
from dunning.collection.explorer_store import CustomerFilter
from dunning.collection.worklist import Whose
from dunning.kit.clock import Clock, FixedClock
from dunning.kit.ids import ActionId, CustomerId, PersonId, new_id
from dunning_api.schemas.agenda import AgendaPage
from dunning_api.schemas.explorer import ExplorerRow
from dunning_api.schemas.timeline import timeline_page

PAGE = 100
ROUNDS = 30
AT_ONCE = 1_000
ITEMS_A_CUSTOMER = 10
COLLECTORS = 20

_LIMIT = "the bare statement of the page (and of its counts), without row security, in the same run"
AGENDA = Line("Agenda of a collector, 100 rows", "ms", 1 / 3, None, _LIMIT)
EXPLORER = Line("Customer explorer by oldest due day, 100 rows", "ms", 1 / 3, None, _LIMIT)
AMOUNTS = Line("Customer explorer by overdue amount, 100 rows", "ms", 1 / 3, None, _LIMIT)
TIMELINE = Line("Timeline of a customer, 100 rows", "ms", 1 / 3, None, _LIMIT)
APPROVALS = Line("Bulk approval of 1,000 actions", "ms", 1 / 2, None, "the bare update of the same actions with its events, in the same run")

_PEOPLE = """
insert into person (tenant_id, person_id, name, email, role, sees)
select $1, uuidv7(), 'Collector ' || n, 'c' || n || '@acme.example', 'collector', 'all' from generate_series(1, $2::int) n
"""
_WORK = """
with placed as (
  select c.customer_id, row_number() over (order by c.customer_id) as place from customer c where c.tenant_id = $1 and c.ledger_id = $2
), staff as (select person_id, row_number() over (order by person_id) as place from person where tenant_id = $1)
insert into action (tenant_id, action_id, ledger_id, customer_id, origin, step_name, title, kind, mode, content, local_date, scheduled_on, state, task_kind,
                    task_text, totals, person_id, executed_at, completed_on)
select $1, uuidv7(), $2, p.customer_id, 'ad_hoc', 'Call', 'Call', 'task', 'manual', '{"kind": "task", "channel": "call"}', $3::date, $3::date + (p.place % 9)::int - 4,
       case n when 1 then 'completed' when 2 then 'awaiting_approval' else 'waiting' end, 'call', 'Call', '[["EUR", 10000]]', s.person_id,
       case when n = 1 then $3::date - 10 end, case when n = 1 then $3::date - 10 end
  from placed p join staff s on s.place = 1 + p.place % $4::int cross join generate_series(1, 3) n
"""
_NOTES = """
insert into activity (tenant_id, activity_id, ledger_id, customer_id, kind, outcome, text, actor, business_at)
select $1, uuidv7(), $2, c.customer_id, 'call', 'reached', 'Spoke with accounts payable', 'key:bench', $3::date - n
  from (select customer_id from customer where tenant_id = $1 and ledger_id = $2) c cross join generate_series(1, 3) n
"""
_MANY_NOTES = """
insert into activity (tenant_id, activity_id, ledger_id, customer_id, kind, outcome, text, actor, business_at)
select $1, uuidv7(), $2, $3, 'call', 'reached', 'Spoke with accounts payable', 'person:' || $4::text, now() - n * interval '1 day' from generate_series(1, 500) n
"""


async def _fill(ground: Ground, company: Company) -> None:
    await ground.fill(company, ground.sizes.collector_items, ITEMS_A_CUSTOMER)
    async with ground.database.transaction(company.tenant_id) as session:
        await session.execute(_PEOPLE, company.tenant_id, COLLECTORS)
        await session.execute(_WORK, company.tenant_id, company.ledger_id, TODAY, COLLECTORS)
        await session.execute(_NOTES, company.tenant_id, company.ledger_id, TODAY)
    await ground.bare.execute("analyze")


async def _timed(work: Callable[[], Awaitable[Any]], rounds: int) -> float:
    """Return the milliseconds of one round, the first of which is not counted."""
    await work()
    began = time.perf_counter()
    for _ in range(rounds):
        await work()
    return (time.perf_counter() - began) / rounds * 1000


class _Bare:
    """Takes the values that a store would send, and sends its statements over the bare connection instead."""

    def __init__(self, ground: Ground) -> None:
        self.connection = ground.bare
        self.statements: list[tuple[str, tuple[Any, ...]]] = []

    async def rows(self, sql: str, *values: Any) -> list[Any]:
        self.statements.append((sql, values))
        return []

    async def row(self, sql: str, *values: Any) -> None:
        self.statements.append((sql, values))

    async def again(self) -> None:
        for sql, values in self.statements:
            await self.connection.fetch(sql, *values)


async def _pages(ground: Ground, company: Company, clock: Clock) -> dict[Line, tuple[float, float]]:
    tenant_id = company.tenant_id
    async with ground.database.reading(tenant_id) as session:
        person = PersonId(await session.value("select person_id from person where tenant_id = $1 order by person_id limit 1", tenant_id))
        customer = CustomerId(await session.value("select customer_id from customer where tenant_id = $1 order by customer_id limit 1", tenant_id))
        days = await ledger_days.days_of(session, clock, tenant_id=tenant_id, ledger_id=None)
        rungs = await customer_steps.rungs(session, tenant_id)
    async with ground.database.transaction(tenant_id) as session:
        await session.execute(_MANY_NOTES, tenant_id, company.ledger_id, customer, str(person))
    by_due, by_amount = Search(where=CustomerFilter(overdue_days=30), sort="oldest_due"), Search(where=CustomerFilter(), sort="overdue_amount")

    async def agenda() -> None:
        async with ground.database.reading(tenant_id) as session:
            found = await worklist.agenda(session, clock, tenant_id=tenant_id, whose=Whose(person_id=person), bucket=None, after=None, limit=PAGE + 1)
            AgendaPage.of(found, PAGE, None).model_dump_json()

    async def explored(search: Search) -> None:
        async with ground.database.reading(tenant_id) as session:
            rows = await explorer.customers_after(session, clock, tenant_id=tenant_id, search=search, after=None, limit=PAGE + 1)
            [ExplorerRow.of(row).model_dump_json() for row in rows]

    async def told() -> None:
        async with ground.database.reading(tenant_id) as session:
            found = await timeline.timeline(session, tenant_id=tenant_id, customer_id=customer, kinds=None, before=None, limit=PAGE + 1)
            timeline_page(found, None).model_dump_json()

    scope = worklist_store.Scope(days, [person])
    bare: Any = _Bare(ground)
    await worklist_store.agenda_after(bare, tenant_id, scope, None, None, PAGE + 1)
    await worklist_store.counts_of(bare, tenant_id, scope)
    found = {AGENDA: (await _timed(agenda, ROUNDS), await _timed(bare.again, ROUNDS))}
    for line, search, currency in ((EXPLORER, by_due, None), (AMOUNTS, by_amount, "EUR")):
        bare = _Bare(ground)
        await explorer_store.customers_after(bare, tenant_id, days, search.where, rungs, sort=search.sort, currency=currency, after=None, limit=PAGE + 1)
        rounds = ROUNDS if line is EXPLORER else 3
        found[line] = (await _timed(lambda search=search: explored(search), rounds), await _timed(bare.again, rounds))
    bare = _Bare(ground)
    await timeline_store.timeline_before(bare, tenant_id, customer, timeline_store.KINDS, None, PAGE + 1)
    found[TIMELINE] = (await _timed(told, ROUNDS), await _timed(bare.again, ROUNDS))
    return found


async def _approvals(ground: Ground, company: Company, clock: Clock) -> tuple[float, float]:
    """Approve a thousand actions through the product, and another thousand with the statements that must be written whatever the product is."""
    tenant_id = company.tenant_id
    async with ground.database.reading(tenant_id) as session:
        rows = await session.rows(
            "select action_id, customer_id from action where tenant_id = $1 and state = 'awaiting_approval' order by action_id limit $2", tenant_id, 2 * AT_ONCE
        )
    ids = [ActionId(row["action_id"]) for row in rows]
    outbound = Outbound.of(ground.settings, KEYRING)
    half = len(ids) // 2
    began = time.perf_counter()
    async with ground.database.transaction(tenant_id) as session:
        await bulk.act_on_many(session, clock, tenant_id=tenant_id, actor="bench", bulk=Bulk(act="approve", action_ids=ids[:half]), outbound=outbound)
    product = time.perf_counter() - began
    began = time.perf_counter()
    async with ground.bare.transaction():
        customers = [row["customer_id"] for row in rows[half:]]
        await ground.bare.fetch(
            "select 1 from customer_state where tenant_id = $1 and customer_id = any ($2::uuid[]) order by customer_id for no key update", tenant_id, customers
        )
        await ground.bare.fetch(
            "select * from action where tenant_id = $1 and action_id = any ($2::uuid[]) order by action_id for update", tenant_id, ids[half:]
        )
        await ground.bare.execute(
            """update action set state = 'scheduled', approved_at = now(), approved_by = 'bench', revision = revision + 1, updated_at = clock_timestamp()
                where tenant_id = $1 and action_id = any ($2::uuid[])""", tenant_id, ids[half:],
        )  # fmt: skip
        await ground.bare.execute(
            """insert into event (tenant_id, event_id, kind, subject_kind, subject_id, customer_id, actor, data, business_at)
               select $1, g.event_id, 'action.approved', 'action', g.action_id, g.customer_id, 'bench', '{}', now()
                 from unnest($2::uuid[], $3::uuid[], $4::uuid[]) as g (event_id, action_id, customer_id)""",
            tenant_id, [new_id() for _ in customers], ids[half:], customers,
        )  # fmt: skip
        await ground.bare.execute(
            "update customer_state set facts_version = facts_version + 1, review_on = $3 where tenant_id = $1 and customer_id = any ($2::uuid[])",
            tenant_id, customers, TODAY,
        )  # fmt: skip
    return product * 1000, (time.perf_counter() - began) * 1000


async def measure(ground: Ground) -> list[Result]:
    """Measure pages and bulk approval beside their bare statements."""
    company = await ground.company()
    await _fill(ground, company)
    await ground.settle()
    async with ground.database.reading(company.tenant_id) as session:
        at = await session.value("select clock_at from tenant where tenant_id = $1", company.tenant_id)
    clock = FixedClock(at)
    found: dict[Line, list[tuple[float, float]]] = {}
    for _ in range(ground.sizes.repeats):
        for line, pair in (await _pages(ground, company, clock)).items():
            found.setdefault(line, []).append(pair)
        found.setdefault(APPROVALS, []).append(await _approvals(ground, company, clock))
    ground.notes.append(f"lists of {ground.sizes.collector_items // ITEMS_A_CUSTOMER} customers with {ground.sizes.collector_items} items")
    return [Result(line, pairs) for line, pairs in found.items()]
