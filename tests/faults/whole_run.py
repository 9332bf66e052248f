"""The whole product under `kill -9`: import, run and dispatch go on while API, worker, Valkey and PostgreSQL are killed at random moments.

`python -m tests.faults.whole_run --mails 1000 --kills 20 --seed 7 --json` prints what was found and ends with 1 when it is not spotless.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime as dt
import json
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dunning.kit.ids import TenantId
from dunning.kit.signing import Keyring
from dunning_cli import migrate, tenants
from dunning_cli.embedded import EmbeddedPostgres
from dunning_cli.embedded_valkey import EmbeddedValkey
from dunning_cli.stack import free_port
from tests.fakes.journal import read_journal
from tests.fakes.processes import running
from tests.faults.erp import Debtor, Erp, debtor
from tests.faults.judge import Seen, WholeVerdict, judge, judge_resolved
from tests.faults.keepers import LAST_MOMENT, TARGETS, Fall, Keeper, Kill, Product, Progress, Server, moments_of
from tests.faults.observer import Observer, connected

MONDAY = dt.datetime(2026, 3, 2, 8, 0, tzinfo=dt.UTC)
PUSHED, IMPORTED, PLANNED, COMMITTED = 0.25, 0.4, 0.5, 0.6
"""Where on the progress of a run its stages end; dispatch is the rest."""
SLACK_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run: customers to remind, kills of each target, and the pace. `delay_ms` is how long the relay takes for each group of replies."""

    mails: int = 1000
    kills: int = 20
    seed: int = 1
    targets: tuple[str, ...] = TARGETS
    delay_ms: float = 200.0
    connections: int = 4
    poll_seconds: float = 2.0
    lease_seconds: float = 4.0
    evidence_seconds: int = 4

    @property
    def batch(self) -> int:
        """Pages and batches small enough for a kill to fall between two."""
        return max(5, self.mails // 25)


class WholeRun:
    """One trial on servers of its own in `folder`."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        self.plan = plan
        self.folder = folder
        self.progress = Progress()
        self.journal_path = folder / "journal.jsonl"
        self.keepers: dict[str, Keeper] = {}
        self.observed: dict[str, Any] = {}
        self.began = time.monotonic()
        everyone = [debtor(n) for n in range(plan.mails + 2 * self._payers)]
        random.Random(plan.seed).shuffle(everyone)
        self.owing = everyone[: plan.mails]
        self.paid_before = everyone[plan.mails : plan.mails + self._payers]
        self.paying = everyone[plan.mails + self._payers :]

    @property
    def _payers(self) -> int:
        return max(2, self.plan.mails // 20)

    async def play(self) -> tuple[WholeVerdict, Seen]:
        """Run the trial; return the verdict and what it was made from."""
        async with AsyncExitStack() as exits:
            url, api_url, tenant_id, api_key = await asyncio.to_thread(self._begin, exits)
            erp = Erp(api_url, api_key)
            exits.push_async_callback(erp.close)
            ledger_id = await self._found(erp)
            self._note("started")
            for keeper in self.keepers.values():
                keeper.begin()
            await self._work(erp, ledger_id)
            database = await connected(url)
            exits.push_async_callback(database.close)
            observer = Observer(erp, database, tenant_id, ledger_id)
            left = await self._rest(observer)
            self._note("at_rest")
            seen = await self._look(erp, observer, left)
            verdict = judge(seen)
            await self._resolve(erp, observer, seen, verdict)
            if "valkey" in self.plan.targets:
                await self._measure_the_bell(erp, ledger_id, verdict)
            self._report(verdict, erp)
        return verdict, seen

    def _note(self, stage: str) -> None:
        self.observed.setdefault("seconds", {})[stage] = round(time.monotonic() - self.began, 1)

    def _begin(self, exits: AsyncExitStack) -> tuple[str, str, TenantId, str]:
        plan, logs = self.plan, self.folder / "logs"
        logs.mkdir()
        postgres = exits.enter_context(EmbeddedPostgres(self.folder / "postgres"))
        valkey = exits.enter_context(EmbeddedValkey(self.folder / "valkey"))
        migrate.upgrade(postgres.owner_url())
        relay = exits.enter_context(running("tests.fakes.relay", "--journal", self.journal_path, "--delay-ms", plan.delay_ms))
        tenant_id, key = asyncio.run(tenants.create_tenant(postgres.app_url(), name="Whole run", mode="test", languages=["en"], clock_at=MONDAY))
        port, worker_port = free_port(0), free_port(0)
        settings = {
            "DATABASE_URL": postgres.app_url(),
            "REDIS_URL": valkey.url(),
            "LINK_KEYS": Keyring.generate("k1"),
            "DATA_DIR": self.folder,
            "PORT": port,
            "WORKER_PORT": worker_port,
            "PUBLIC_URL": f"http://127.0.0.1:{port}",
            "SINK_HOST": "127.0.0.1",
            "SINK_PORT": relay.port,
            "SMTP_CONNECTIONS": plan.connections,
            "POLL_SECONDS": plan.poll_seconds,
            "LEASE_SECONDS": plan.lease_seconds,
            "EVIDENCE_WINDOW_SECONDS": plan.evidence_seconds,
            "RUN_PAGE_CUSTOMERS": plan.batch,
            "EXECUTE_BATCH_CUSTOMERS": plan.batch,
            "IMPORT_BATCH_ROWS": plan.batch,
        }
        environment = os.environ | {f"DUNNING_{name}": str(value) for name, value in settings.items()}
        products = [Product("api", environment, logs, f"http://127.0.0.1:{port}"), Product("worker", environment, logs, f"http://127.0.0.1:{worker_port}")]
        for product in products:
            exits.callback(product.process.stop, 5.0)
            product.start()
        for product in products:
            product.process.wait_ready()
        for mortal in (*products, Server("valkey", valkey), Server("postgres", postgres)):
            kills = plan.kills if mortal.name in plan.targets else 0
            self.keepers[mortal.name] = Keeper(mortal, self.progress, moments_of(plan.seed, mortal.name, kills), plan.seed)
        exits.callback(self._dismiss)
        return postgres.app_url(), f"http://127.0.0.1:{port}", tenant_id, key

    def _dismiss(self) -> None:
        for keeper in self.keepers.values():
            keeper.stop()

    async def _found(self, erp: Erp) -> str:
        """Make what the run stands on, before the first kill."""
        scenario = await erp.call("POST", "/scenarios/shipped/reminder", key="found-scenario")
        await erp.call("POST", "/templates/shipped/claim-link", key="found-template")
        ledger = await erp.call(
            "POST",
            "/ledgers",
            key="found-ledger",
            body={
                "external_id": "L",
                "name": "Acme Italia S.r.l.",
                "currency": "EUR",
                "time_zone": "Europe/Rome",
                "country": "IT",
                "language": "en",
                "sender_name": "Acme Italia, accounts",
                "sender_email": "accounts@acme.example",
                "bank_accounts": [{"beneficiary": "Acme", "iban": "IT60X0542811101000000123456", "currency": "EUR"}],
                "policy": "scenario",
                "scenario_id": scenario["scenario_id"],
            },
        )
        await erp.call("PUT", "/tenant/sending", body={"enabled": True})
        return str(ledger["ledger_id"])

    async def _work(self, erp: Erp, ledger_id: str) -> None:
        """Push, import, run and dispatch while the keepers kill; meanwhile new customers come in and some that are being reminded pay."""
        pushed = self.owing + self.paid_before + self.paying
        half = len(pushed) // 2
        await self._push(erp, ledger_id, pushed[:half])
        self._note("pushed")
        await self._import(erp, ledger_id, pushed[half:])
        for one in self.paid_before:
            await erp.pay(ledger_id, one.document, one.address)
        self._note("imported")
        run = await erp.call("POST", f"/ledgers/{ledger_id}/runs", body={}, key="launch-the-run")
        erp.acknowledged.add(("runs", run["run_id"]))
        await self._follow(erp, run["run_id"], "proposed", IMPORTED, PLANNED)
        self._note("planned")
        await erp.call("POST", f"/runs/{run['run_id']}/commit", key="commit-the-run")
        background = [asyncio.create_task(self._pay_meanwhile(erp, ledger_id)), asyncio.create_task(self._push_meanwhile(erp, ledger_id))]
        await self._follow(erp, run["run_id"], "committed", PLANNED, COMMITTED)
        self._note("committed")
        await self._follow_dispatch()
        self.progress.reach(1.0)
        self.progress.over.set()
        self._note("dispatched")
        await asyncio.gather(*background)

    async def _push(self, erp: Erp, ledger_id: str, debtors: Sequence[Debtor]) -> None:
        waiting = list(debtors)

        async def lane() -> None:
            while waiting:
                one = waiting.pop()
                await erp.put_customer(ledger_id, one.customer, one.document)
                self.progress.reach(PUSHED * (1 - len(waiting) / len(debtors)))

        await asyncio.gather(*(lane() for _ in range(4)))

    async def _import(self, erp: Erp, ledger_id: str, debtors: Sequence[Debtor]) -> None:
        size = max(10, len(debtors) // 6)
        for start in range(0, len(debtors), size):
            part = debtors[start : start + size]
            await erp.import_rows(ledger_id, [row for one in part for row in (one.customer, one.document)])
            self.progress.reach(PUSHED + (IMPORTED - PUSHED) * (start + len(part)) / len(debtors))

    async def _follow(self, erp: Erp, run_id: str, state: str, low: float, high: float) -> None:
        """Follow a run to a state; where it stands meanwhile is read from its counts."""
        while True:
            run = await erp.get(f"/runs/{run_id}")
            counts = run["counts"]
            done = counts["customers"] if state == "proposed" else counts["outcomes"].get("executed", 0)
            self.progress.reach(low + (high - low) * min(1.0, done / (self.plan.mails + self._payers)))
            if run["state"] == state:
                self.progress.reach(high)
                return
            if run["state"] in {"failed", "cancelled", "superseded"}:
                msg = f"the run is {run['state']}: {run['error']}"
                raise RuntimeError(msg)
            await asyncio.sleep(0.1)

    async def _follow_dispatch(self) -> None:
        """Follow the journal until all mails are there and all kills are done.

        A message that a dead worker had in hand may never come there by itself, so it ends too when nothing has come for long.
        """
        last, changed_at = 0, time.monotonic()
        patience = 3 * (self.plan.lease_seconds + self.plan.poll_seconds) + 20
        while time.monotonic() - changed_at < patience:
            count, killing = self._accepted_so_far(), any(keeper.pending for keeper in self.keepers.values())
            if count != last or killing:
                last, changed_at = count, time.monotonic()
            self.progress.reach(COMMITTED + (LAST_MOMENT - COMMITTED) * min(1.0, count / (0.95 * self.plan.mails)))
            at_end = count >= self.plan.mails or (self.progress.value >= LAST_MOMENT and time.monotonic() - changed_at > self.plan.lease_seconds)
            if at_end and not killing:
                return
            await asyncio.sleep(0.05)

    def _accepted_so_far(self) -> int:
        return self.journal_path.read_bytes().count(b'"kind":"accepted"') if self.journal_path.exists() else 0

    async def _pay_meanwhile(self, erp: Erp, ledger_id: str) -> None:
        dice = random.Random(f"{self.plan.seed}.payments")
        for moment, one in sorted(((COMMITTED + (LAST_MOMENT - COMMITTED) * dice.random(), one) for one in self.paying), key=lambda pair: pair[0]):
            while self.progress.value < moment and not self.progress.over.is_set():
                await asyncio.sleep(0.02)
            await erp.pay(ledger_id, one.document, one.address)

    async def _push_meanwhile(self, erp: Erp, ledger_id: str) -> None:
        number = 0
        while not self.progress.over.is_set():
            late = debtor(number, "N", due_on="2026-06-30")
            await erp.put_customer(ledger_id, late.customer, late.document)
            number += 1
            await asyncio.sleep(0.3)

    async def _rest(self, observer: Observer) -> list[str]:
        return await observer.come_to_rest(60 + 0.2 * self.plan.mails)

    async def _look(self, erp: Erp, observer: Observer, unsound: Sequence[str]) -> Seen:
        return Seen(
            owing=frozenset(one.address for one in self.owing),
            paid_at=dict(erp.paid_at),
            messages=await observer.messages(),
            journal=read_journal(self.journal_path),
            kills=self._kills(),
            connections=self.plan.connections,
            acknowledged=frozenset(erp.acknowledged),
            readable=await observer.readable(),
            unsound=[*unsound, *await observer.unsound()],
        )

    def _kills(self) -> list[Kill]:
        return sorted((kill for keeper in self.keepers.values() for kill in keeper.kills), key=lambda kill: kill.before)

    async def _resolve(self, erp: Erp, observer: Observer, seen: Seen, verdict: WholeVerdict) -> None:
        """Decide each held message as a person with the relay's log does; then every owing customer must have exactly one mail."""
        held = await erp.all("/messages", state="held")
        if len(held) != verdict.mails.held:
            verdict.unsound.append(f"{verdict.mails.held} messages are held and {len(held)} are listed as held")
        taken = {mail.message_id for mail in seen.journal}
        for row in held:
            decision = "treat_as_sent" if row["header_message_id"] in taken else "not_sent"
            body = {"decision": decision, "reason": "The relay's log was read."}
            await erp.call("POST", f"/messages/{row['message_id']}/resolve", body=body, key=f"resolve-{row['message_id']}")
            verdict.resolved += 1
        after = await self._look(erp, observer, await self._rest(observer)) if held else seen
        judge_resolved(verdict, after)
        verdict.unsound += [fault for fault in after.unsound if fault not in verdict.unsound]

    async def _measure_the_bell(self, erp: Erp, ledger_id: str, verdict: WholeVerdict) -> None:
        """D3: work that comes in while Valkey is dead waits for one poll at most."""
        with_bell = await self._one_import(erp, ledger_id, "with")
        keeper = self.keepers["valkey"]
        with keeper.kept_down():
            without = await self._one_import(erp, ledger_id, "without")
        verdict.observed |= {"import_with_bell_seconds": round(with_bell, 2), "import_without_bell_seconds": round(without, 2)}
        if without > with_bell + self.plan.poll_seconds + SLACK_SECONDS:
            verdict.unsound.append(f"without Valkey an import took {without:.1f} s instead of {with_bell:.1f} s: more than one poll")

    async def _one_import(self, erp: Erp, ledger_id: str, name: str) -> float:
        one = debtor(1, f"B-{name}", due_on="2026-06-30")
        began = time.monotonic()
        await erp.import_rows(ledger_id, [one.customer, one.document])
        return time.monotonic() - began

    def _excused(self, fall: Fall) -> bool:
        """Tell whether a process gave up starting because PostgreSQL had just been killed: whoever supervises it starts it again."""
        waited = [fall.at - kill.before for kill in self._kills() if kill.target == "postgres"]
        return fall.code == 1 and any(dt.timedelta() <= seconds <= dt.timedelta(seconds=30) for seconds in waited)

    def _report(self, verdict: WholeVerdict, erp: Erp) -> None:
        verdict.seed = self.plan.seed
        verdict.planned = {name: self.plan.kills for name in self.plan.targets}
        verdict.hits = {name: sum(1 for kill in self.keepers[name].kills if kill.progress < 1) for name in self.plan.targets}
        errors = {trouble: count for trouble, count in erp.troubles.items() if trouble.startswith("500")}
        if errors:
            verdict.unsound.append(f"the API answered with an error that is nobody's to mend: {errors}")
        falls = [fall for keeper in self.keepers.values() for fall in keeper.falls]
        verdict.unsound += [f"the {fall.target} ended by itself with {fall.code}: {fall.words}" for fall in falls if not self._excused(fall)]
        verdict.observed |= self.observed | {
            "troubles": dict(erp.troubles),
            "starts_given_up": sum(map(self._excused, falls)),
            "starts_failed": [text for keeper in self.keepers.values() for text in keeper.starts_failed],
            "kills": [f"{kill.what} at {kill.progress:.2f}" for kill in self._kills()],
        }


def run(plan: Plan, *, keep: bool = False) -> tuple[WholeVerdict, Seen]:
    """Run one trial in a folder with logs, journal and data, which is kept when something was found or when that is wished."""
    folder = Path(tempfile.mkdtemp(prefix="whole-run-"))
    folder.chmod(0o711)
    try:
        verdict, seen = asyncio.run(WholeRun(plan, folder).play())
    except BaseException as error:
        error.add_note(f"Logs, journal and data of the run are in {folder}.")
        raise
    if verdict.spotless and not keep:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        verdict.observed["folder"] = str(folder)
    return verdict, seen


def _plan_of(arguments: argparse.Namespace) -> Plan:
    targets = TARGETS if arguments.target == "all" else (arguments.target,)
    return Plan(arguments.mails, arguments.kills, arguments.seed or random.SystemRandom().randrange(1, 1_000_000), targets, arguments.delay_ms)


def main() -> None:
    """Run a trial by the words of the command line; end with 1 when it is not spotless."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.whole_run", description=__doc__)
    parser.add_argument("--mails", type=int, default=1000, help="customers to remind")
    parser.add_argument("--kills", type=int, default=20, help="kills of each target")
    parser.add_argument("--seed", type=int, default=0, help="0 takes a fresh one, which is printed")
    parser.add_argument("--target", choices=[*TARGETS, "all"], default="all")
    parser.add_argument("--delay-ms", type=float, default=200.0, help="how long the relay takes for each group of replies")
    parser.add_argument("--keep", action="store_true", help="keep the folder with logs and data")
    parser.add_argument("--json", action="store_true", help="print one JSON object last")
    arguments = parser.parse_args()
    verdict, _ = run(_plan_of(arguments), keep=arguments.keep)
    print(verdict.line())
    for note in [*verdict.unsound, *verdict.notes]:
        print(f"  {note}")
    if arguments.json:
        print(json.dumps(verdict.figures(), default=str))
    sys.exit(0 if verdict.spotless else 1)


if __name__ == "__main__":
    main()
