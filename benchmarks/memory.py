"""How much a worker grows when the ledger does: the same process carries out a small run, then one ten times as large."""

from __future__ import annotations

import asyncio
import resource
import sys
from uuid import UUID

from benchmarks import evaluation
from benchmarks.ground import KEYRING, Company, Ground
from benchmarks.results import Line, Result
from dunning.kit.database import Database
from dunning.kit.ids import LedgerId, TenantId
from dunning.kit.settings import Settings
from dunning_worker.world import world_of

MEMORY = Line("growth of a worker", "MB", 1.0, 0.4, "20 MB of peak resident memory for ten times the items")
ALLOWED_MB = 20.0


async def measure(ground: Ground) -> list[Result]:
    """Let a process of its own evaluate a small company, then a large one, and compare its peaks."""
    words = []
    for items in ground.sizes.memory_items:
        company = await ground.company()
        await ground.fill(company, items, ground.sizes.items_a_customer)
        words += [str(company.tenant_id), str(company.ledger_id), str(company.scenario_id)]
    await ground.settle()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.memory", ground.postgres.app_url(), *words, stdout=asyncio.subprocess.PIPE, cwd=ground.top
    )
    told, _ = await process.communicate()
    if process.returncode != 0:
        msg = f"The process that evaluates ended with {process.returncode}."
        raise RuntimeError(msg)
    small, large = (float(word) for word in told.split())
    few, many = ground.sizes.memory_items
    ground.notes.append(f"memory: peak {small:.0f} MB after {few} items, {large:.0f} MB after {many}")
    return [Result(MEMORY, [(large - small, ALLOWED_MB)])]


async def _evaluate(url: str, words: list[str]) -> None:
    database = await Database.connect(url, name="benchmark worker")
    world = world_of(database, Settings(), KEYRING)
    for place in range(0, len(words), 3):
        tenant_id, ledger_id, scenario_id = (UUID(word) for word in words[place : place + 3])
        company = Company(TenantId(tenant_id), LedgerId(ledger_id), scenario_id, "")
        run_id, _ = await evaluation.plan_run(world, company)
        await evaluation.carry_out(world, company, run_id)
        peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(peak_kib / 1024, flush=True)
    await world.close()


if __name__ == "__main__":
    asyncio.run(_evaluate(sys.argv[1], sys.argv[2:]))
