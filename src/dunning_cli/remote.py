"""Commands that speak to a running service with an API key: what an operator would otherwise do with curl."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from dunning_cli.api_client import ApiClient, ApiRefused

FAULTS_SHOWN = 20
WAIT_SECONDS = 3600.0


def ledger_id_of(api: ApiClient, named: str) -> str:
    """Return the id of a ledger that is named by id or external id; raise `ApiRefused` listing what there is."""
    ledgers = api.all("/ledgers")
    found = [ledger["ledger_id"] for ledger in ledgers if named in {ledger["ledger_id"], ledger["external_id"]}]
    if not found:
        msg = f"There is no ledger {named}. This tenant has: {', '.join(ledger['external_id'] for ledger in ledgers) or 'none'}."
        raise ApiRefused(msg)
    return str(found[0])


def import_file(api: ApiClient, out: Console, path: Path, ledger: str, options: dict[str, str]) -> bool:
    """Push a file, wait until it is applied, show the counts and the first faults; return whether every row was taken."""
    made = api.call("POST", f"/ledgers/{ledger_id_of(api, ledger)}/imports", content=path.read_bytes(), **options)
    done = api.wait(f"/imports/{made['import_id']}", "done", "parked", "cancelled", seconds=WAIT_SECONDS)
    _show_counts(out, f"Import {done['import_id']} is {done['state']}", done["counts"])
    if done.get("error"):
        out.print(done["error"])
    faults = [row for outcome in ("rejected", "parked") for row in api.get(f"/imports/{made['import_id']}/rows", outcome=outcome, limit=FAULTS_SHOWN)["data"]]
    for row in faults[:FAULTS_SHOWN]:
        out.print(f"row {row['row_no']}: {row['outcome']}: {row['field'] or ''} {row['message'] or ''}", highlight=False)
    if faults:
        out.print(f"All of them: GET /v1/imports/{made['import_id']}/errors.csv")
    return done["state"] == "done" and not faults


def launch_run(api: ApiClient, out: Console, ledger: str, *, dry_run: bool, commit: bool, content_mode: str | None) -> bool:
    """Launch a run, wait for its proposal, show what it found, and commit it where that is wanted."""
    body: dict[str, Any] = {"dry_run": dry_run}
    if content_mode:
        body["content_mode"] = content_mode
    made = api.call("POST", f"/ledgers/{ledger_id_of(api, ledger)}/runs", body=body)
    path = f"/runs/{made['run_id']}"
    run = api.wait(path, "proposed", "committed", "cancelled", seconds=WAIT_SECONDS)
    if commit and run["state"] == "proposed" and not dry_run:
        api.call("POST", f"{path}/commit")
        run = api.wait(path, "committed", seconds=WAIT_SECONDS)
    _show_counts(out, f"Run {run['run_id']} is {run['state']}", run["counts"])
    _show_counts(out, "Not reminded today, by reason", run["reasons"])
    if run["state"] == "proposed" and not dry_run:
        out.print(f"Look at it: GET /v1{path}/customers. Let it go: POST /v1{path}/commit.")
    return True


def verify_run(api: ApiClient, out: Console, run_id: str) -> bool:
    """Have a stored run decided again and show what differs; return whether it agrees."""
    found = api.call("POST", f"/runs/{run_id}/verify")
    out.print_json(data=found)
    return bool(found["agrees"])


def _show_counts(out: Console, title: str, counts: dict[str, Any]) -> None:
    table = Table(title=title, box=None, show_header=False, title_justify="left")
    for name, count in counts.items():
        table.add_row(name.replace("_", " "), str(count))
    out.print(table)
