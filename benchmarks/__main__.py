"""Runs the benchmarks: `python -m benchmarks --quick --json`. `dunning bench` calls it."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
import sys
import time
import traceback
from dataclasses import replace

import uvloop
from rich.console import Console

from benchmarks.ground import FULL, QUICK, ground
from benchmarks.results import Result, print_table

BELOW_FLOOR = 3
"""Exit code of a run that went to its end and found a floor broken: a release waits, a machine that is busy with other work is looked at."""
ALL = ("planning", "rendering", "evaluation", "memory", "ingest", "sending", "night", "serving", "collectors")


async def run(names: list[str], *, quick: bool, million: bool, tell: Console) -> tuple[list[Result], list[str]]:
    """Run the named benchmarks one after the other on one PostgreSQL; return the results and the names of those that failed."""
    results: list[Result] = []
    failed: list[str] = []
    sizes = QUICK if quick else FULL
    if million:
        sizes = replace(sizes, items=1_000_000, repeats=1, long_repeats=1)
    async with ground(sizes) as made:
        for name in names:
            began = time.perf_counter()
            try:
                results += await importlib.import_module(f"benchmarks.{name}").measure(made)
            except Exception:  # noqa: BLE001  # one that fails must not hide the figures of the others
                failed.append(name)
                tell.print(traceback.format_exc(), markup=False)
            tell.print(f"{name}: {time.perf_counter() - began:.0f} s", style="dim")
        for note in made.notes:
            tell.print(note, style="dim", markup=False)
    return results, failed


def wide(*, stderr: bool) -> Console:
    """Return a console whose lines are not cut where nobody reads them at a terminal."""
    out = Console(stderr=stderr)
    return out if out.is_terminal else Console(stderr=stderr, width=160)


def main() -> int:
    """Return 0 when all ran to their end and no floor is broken, 3 when one is, 1 when something could not run."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller sizes, under three minutes; a floor counts as broken when every repetition breaks it")
    parser.add_argument("--million", action="store_true", help="evaluate 1,000,000 items, once")
    parser.add_argument("--json", action="store_true", help="print one JSON object last")
    parser.add_argument("--only", action="append", choices=ALL, help="run only this one; repeat the option for more")
    chosen = parser.parse_args()
    tell = wide(stderr=True)
    names = chosen.only or list(ALL)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:  # the loop of the product's processes
        results, failed = runner.run(run(names, quick=chosen.quick, million=chosen.million, tell=tell))
    print_table(results, wide(stderr=chosen.json), forgiving=chosen.quick)
    broken = [result.line.name for result in results if result.breaks_floor(forgiving=chosen.quick)]
    if broken:
        tell.print(f"Below the floor: {', '.join(broken)}", style="bold red")
    if failed:
        tell.print(f"Failed to run: {', '.join(failed)}", style="bold red")
    if chosen.json:
        print(json.dumps({"results": [result.as_json() for result in results]}))
    if failed:
        return 1
    return BELOW_FLOOR if broken else 0


if __name__ == "__main__":
    sys.exit(main())
