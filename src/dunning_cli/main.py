"""The command line: every word of `./run` but `test`."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal
from uuid import UUID

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from dunning.kit import logs
from dunning.kit.errors import DunningError
from dunning.kit.ids import TenantId
from dunning.kit.settings import Settings
from dunning.kit.signing import Keyring
from dunning.tenancy.rules import SCOPES
from dunning_cli.api_client import ApiRefused
from dunning_cli.child_process import EmbeddedServerError
from dunning_cli.installation import NotConfigured, database_url_of, installation, keyring_of

app = typer.Typer(
    name="dunning",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Receivables reminders, fair and provable. `demo` shows everything; `serve` runs it; settings are environment variables DUNNING_… (see `settings`).",
)
keys_app = typer.Typer(no_args_is_help=True, help="Tenants, API keys and the keys that sign links.")
app.add_typer(keys_app, name="keys")
relays_app = typer.Typer(no_args_is_help=True, help="The mail relays of all tenants, and how to let them go again.")
app.add_typer(relays_app, name="relays")
out = Console()


def _settings() -> Settings:
    try:
        return Settings()
    except ValidationError as error:
        for fault in error.errors():
            name = "DUNNING_" + "_".join(str(part) for part in fault["loc"]).upper()
            typer.echo(f"{name}: {fault['msg']}", err=True)
        raise typer.Exit(2) from None


@app.command()
def demo(
    once: Annotated[bool, typer.Option(help="Run to the end and stop instead of staying up.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object last.")] = False,
    fresh: Annotated[bool, typer.Option(help="Forget an earlier demo in the data folder and begin anew.")] = False,
) -> None:
    """Show a company's ledger being dunned in four languages, with mails to read and a claim to open."""
    from dunning_cli.demo import show

    show(_settings(), once=once, as_json=as_json, fresh=fresh)


@app.command()
def serve(
    catcher: Annotated[bool, typer.Option(help="Bring a mail catcher that takes the mails of test tenants.")] = True,
) -> None:
    """Run the whole service with embedded servers, without the demo's data, until Ctrl-C."""
    from dunning_cli.stack import log_folder, running_stack

    out.print("Starting PostgreSQL, Valkey, API and worker; this takes some seconds.")
    with running_stack(_settings(), catcher=catcher) as stack:
        out.print(f"API docs      {stack.api_url}/docs")
        if stack.catcher_url:
            out.print(f"Mail catcher  {stack.catcher_url}")
        out.print(f"Logs          {log_folder(stack)}")
        out.print("\nNext, in another terminal: a tenant and its first key, with `./run keys tenant NAME`. Ctrl-C stops.", soft_wrap=True)
        stack.keep_running()


@app.command()
def api() -> None:
    """Run the API on given servers."""
    from dunning_api.main import run

    settings = _settings()
    logs.set_up(settings.log_level)
    run(settings, database_url_of(settings), keyring_of(settings))


@app.command()
def worker() -> None:
    """Run the worker on given servers."""
    from dunning_worker.main import run

    _settings()
    run()


@app.command()
def catcher(
    smtp_port: Annotated[int, typer.Option(help="Port on which mails are taken.")] = 1025,
    web_port: Annotated[int, typer.Option(help="Port of the page.")] = 8025,
    folder: Annotated[Path | None, typer.Option(help="Where mails are kept; default: in the data folder.")] = None,
) -> None:
    """Run the mail catcher: an SMTP server that keeps every mail, and a page to read them."""
    from dunning_cli.catcher import serve as serve_catcher

    settings = _settings()
    asyncio.run(serve_catcher(folder or settings.data_dir / "mails", smtp_port, web_port, host=settings.host))


@app.command()
def migrate() -> None:
    """Bring the database to the newest schema, as its owner."""
    from dunning_cli import migrate as migration

    settings = _settings()
    if settings.database_url is not None and settings.owner_database_url is None:
        msg = "DUNNING_OWNER_DATABASE_URL is not set. Migrations run as the owner of the tables, never as the serving role."
        raise NotConfigured(msg)
    if settings.owner_database_url is not None:
        migration.upgrade(settings.owner_database_url)
    else:
        with installation(settings):
            pass
    out.print("The schema is up to date.")


@app.command()
def roles(
    create: Annotated[bool, typer.Option(help="Create roles and database with the administrator's DUNNING_OWNER_DATABASE_URL.")] = False,
    owner_password: Annotated[str | None, typer.Option(help="Password of the owner role.")] = None,
    app_password: Annotated[str | None, typer.Option(help="Password of the app role.")] = None,
) -> None:
    """Show, or create, the database roles."""
    from dunning_cli import roles as role_statements

    settings = _settings()
    if not create:
        out.print("Run once as an administrator, then give the two roles that log in a password each:\n")
        for statement in role_statements.sql_for(settings.app_role):
            out.print(f"  {statement};")
        return
    if not owner_password or not app_password:
        msg = "--create needs --owner-password and --app-password."
        raise NotConfigured(msg)
    for sentence in asyncio.run(role_statements.create(settings, owner_password, app_password)):
        out.print(sentence)


@app.command()
def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object last.")] = False) -> None:
    """Look at database roles, clock, queue, mail relay and settings, and say what to do."""
    from dunning_cli.doctor import examine

    settings = _settings()
    with installation(settings, migrated=False) as servers:
        findings = asyncio.run(examine(settings, servers))
    if as_json:
        print(json.dumps({"findings": [{"thing": f.thing, "state": f.state, "sentence": f.sentence} for f in findings]}))
    else:
        table = Table(box=None, show_header=False)
        for finding in findings:
            colour = {"ok": "green", "warning": "yellow", "fault": "red"}[finding.state]
            table.add_row(f"[{colour}]{finding.state}[/]", finding.thing, finding.sentence)
        out.print(table)
    raise typer.Exit(1 if any(f.state == "fault" for f in findings) else 0)


@app.command()
def replay(
    file: Annotated[Path, typer.Argument(help="A CSV file, one row an invoice.")],
    customer: Annotated[str, typer.Option(help="Column of the customer.")] = "customerID",
    invoice: Annotated[str, typer.Option(help="Column of the invoice number.")] = "invoiceNumber",
    issued: Annotated[str, typer.Option(help="Column of the invoice's date.")] = "InvoiceDate",
    due: Annotated[str, typer.Option(help="Column of the due date.")] = "DueDate",
    amount: Annotated[str, typer.Option(help="Column of the amount.")] = "InvoiceAmount",
    settled: Annotated[str, typer.Option(help="Column of the day of settlement; empty while open.")] = "SettledDate",
    disputed: Annotated[str, typer.Option(help="Column that says Yes for a disputed invoice.")] = "Disputed",
    date_format: Annotated[str, typer.Option(help="How days are written.")] = "%m/%d/%Y",
    currency: Annotated[str, typer.Option(help="Currency of all amounts.")] = "USD",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object last.")] = False,
) -> None:
    """Walk a receivables file day by day under the test clock, into a sink, and print what was reminded."""
    from dunning_cli.receivables_file import Columns
    from dunning_cli.replay import show

    columns = Columns(customer, invoice, issued, due, amount, settled, disputed, date_format, currency)
    figures = show(_settings(), file, columns, as_json=as_json)
    raise typer.Exit(1 if figures.after_settlement or figures.duplicates else 0)


ServiceUrl = Annotated[str, typer.Option("--url", envvar="DUNNING_API_URL", help="Where the service runs.")]
ApiKey = Annotated[str, typer.Option("--key", envvar="DUNNING_API_KEY", help="An API key of the tenant.")]
LedgerName = Annotated[str, typer.Option(help="Id or external id of the ledger.")]


@app.command(name="import")
def import_(
    file: Annotated[Path, typer.Argument(help="NDJSON or CSV.", exists=True, dir_okay=False)],
    ledger: LedgerName,
    key: ApiKey,
    url: ServiceUrl = "http://127.0.0.1:8000",
    kind: Annotated[str, typer.Option(help="customers, documents, receipts, holds, or mixed (NDJSON).")] = "mixed",
    dry_run: Annotated[bool, typer.Option(help="Say what would happen and write nothing.")] = False,
) -> None:
    """Push a file into a ledger of a running service, and show what was taken and what not."""
    from dunning_cli.api_client import ApiClient
    from dunning_cli.remote import import_file

    options = {"kind": kind, "format": "csv" if file.suffix.lower() == ".csv" else "ndjson", "dry_run": str(dry_run).lower()}
    with ApiClient(url, key) as client:
        raise typer.Exit(0 if import_file(client, out, file, ledger, options) else 1)


@app.command()
def run(
    ledger: LedgerName,
    key: ApiKey,
    url: ServiceUrl = "http://127.0.0.1:8000",
    dry_run: Annotated[bool, typer.Option(help="Decide and store nothing that could go out.")] = False,
    commit: Annotated[bool, typer.Option(help="Let the proposal go out at once.")] = False,
    content_mode: Annotated[str | None, typer.Option(help="full or link_only; wins over the steps'.")] = None,
) -> None:
    """Launch a run of a ledger on a running service and show what it found."""
    from dunning_cli.api_client import ApiClient
    from dunning_cli.remote import launch_run

    with ApiClient(url, key) as client:
        raise typer.Exit(0 if launch_run(client, out, ledger, dry_run=dry_run, commit=commit, content_mode=content_mode) else 1)


@app.command()
def verify(
    run_id: Annotated[UUID, typer.Argument(help="The run.")],
    key: ApiKey,
    url: ServiceUrl = "http://127.0.0.1:8000",
) -> None:
    """Decide a stored run again from its stored inputs; exit 1 where the answer differs."""
    from dunning_cli.api_client import ApiClient
    from dunning_cli.remote import verify_run

    with ApiClient(url, key) as client:
        raise typer.Exit(0 if verify_run(client, out, str(run_id)) else 1)


@app.command()
def settings() -> None:
    """List every setting with its default, unit and consequence."""
    for name, spec in Settings.model_fields.items():
        default = "unset" if spec.default is None else spec.default
        out.print(f"[bold]DUNNING_{name.upper()}[/] ({default})\n    {spec.description}", highlight=False)


@keys_app.command("tenant")
def keys_tenant(
    name: Annotated[str, typer.Argument(help="The company.")],
    mode: Annotated[Literal["live", "test"], typer.Option(help="test: a settable clock, and mails go to the sink only.")] = "test",
    language: Annotated[list[str] | None, typer.Option(help="Languages it writes in; repeat the option.")] = None,
) -> None:
    """Create a tenant and print its first API key, once."""
    from dunning_cli import tenants

    with installation(_settings()) as servers:
        tenant_id, text = asyncio.run(tenants.create_tenant(servers.database_url, name=name, mode=mode, languages=language or ["en", "es", "it", "fr"]))
    out.print(f"tenant   {tenant_id}")
    print(f"API key  {text}")
    out.print("The key is shown this once. Sending is off until `PUT /v1/tenant/sending`.")


@keys_app.command("api")
def keys_api(
    tenant_id: Annotated[UUID, typer.Argument(help="The tenant.")],
    name: Annotated[str, typer.Option(help="What the key is for.")] = "command line",
    scope: Annotated[list[str] | None, typer.Option(help="A scope; repeat the option. Default: all.")] = None,
) -> None:
    """Create an API key and print it, once."""
    from dunning_cli import tenants

    with installation(_settings()) as servers:
        print(asyncio.run(tenants.create_key(servers.database_url, tenant_id=TenantId(tenant_id), name=name, scopes=scope or list(SCOPES))))


@keys_app.command("link")
def keys_link(key_id: Annotated[str, typer.Option(help="One to eight letters or digits.")] = "k1") -> None:
    """Print a fresh signing key for DUNNING_LINK_KEYS; put it before the old ones to rotate."""
    print(Keyring.generate(key_id))


@relays_app.command("list")
def relays_list(as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object last.")] = False) -> None:
    """Show each relay's circuit, and the queues of single tenants that were stopped."""
    from dunning_cli import relays

    with installation(_settings()) as servers:
        found = asyncio.run(relays.list_circuits(servers.database_url))
    if as_json:
        print(json.dumps({"relays": [{**asdict(one), "until": one.until and one.until.isoformat()} for one in found]}))
        return
    table = Table(box=None)
    for heading in ("relay", "state", "failures", "reason", "what to do"):
        table.add_column(heading)
    for one in found:
        table.add_row(one.name, one.state, str(one.failures), one.reason or "", one.advice or "")
    out.print(table)


@relays_app.command("resume")
def relays_resume(name: Annotated[str, typer.Argument(help="smtp, sink, or relay:tenant-id for one tenant's stopped queue.")]) -> None:
    """Let mail go through a relay again, once its login or the cause of refusals was mended."""
    from dunning_cli import relays

    with installation(_settings()) as servers:
        was_closed = asyncio.run(relays.resume(servers.database_url, name=name))
    out.print(f"{name} takes mail again; what waits leaves within a minute." if was_closed else f"{name} was open already.")


@app.command()
def bench(
    quick: Annotated[bool, typer.Option(help="Smaller sizes, under three minutes, and noise is forgiven.")] = False,
    million: Annotated[bool, typer.Option(help="Evaluate 1,000,000 items, once.")] = False,
    only: Annotated[list[str] | None, typer.Option(help="Run only this benchmark; repeat the option. An unknown name lists all.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object last.")] = False,
) -> None:
    """Measure this machine: each figure of the product beside the limit of the same work. Fails only below a floor."""
    from dunning_cli.bench import run_benchmarks

    chosen = [("--quick", quick), ("--million", million), ("--json", as_json)]
    raise typer.Exit(run_benchmarks([word for word, wanted in chosen if wanted] + [word for name in only or [] for word in ("--only", name)]))


@app.command()
def check(fix: Annotated[bool, typer.Option(help="Let the linter and formatter mend what they can.")] = False) -> None:
    """Lint, types, floors, the OpenAPI file: what a change must pass beside the tests."""
    from dunning_cli.check import run_checks

    raise typer.Exit(run_checks(fix=fix))


def main() -> None:
    """Run a command; what a person can mend is said in one sentence, without a traceback."""
    try:
        app()
    except (NotConfigured, EmbeddedServerError, DunningError, ApiRefused) as error:
        print(f"{error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
