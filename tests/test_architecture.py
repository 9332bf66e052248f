"""The rules of the house that a machine can check, each shown to catch the code it forbids."""

import ast
import re
import sys
from pathlib import Path

import pytest

from dunning.kit.row_security import TABLES_WITHOUT_TENANT

ROOT = Path(__file__).resolve().parents[1]
SOURCES = {path.relative_to(ROOT).as_posix(): path.read_text() for path in sorted((ROOT / "src").rglob("*.py"))}
LINES_MAX = 450
TABLE_NAMED = re.compile(r"\b(?:from|into|update|join)\s+(?!set\b|pg_)([a-z_]+)\b(?!\s*\()")
FLOATS_OF_SECONDS = {"src/dunning/kit/faults.py", "src/dunning/kit/settings.py", "src/dunning/kit/bell.py", "src/dunning/messages/rules.py"}


def calls(source):
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            yield node


def transactions_opened(path, source):
    """Only the edges open transactions, and so only they commit."""
    if not path.startswith("src/dunning/") or path == "src/dunning/kit/database.py":
        return []
    names = {"transaction", "reading", "across_tenants"}
    return [f"{path}:{call.lineno} opens a transaction" for call in calls(source) if isinstance(call.func, ast.Attribute) and call.func.attr in names]


def tenantless_statements(path, source):
    """A store function that takes a session takes the tenant beside it, and its statement names it."""
    if not path.endswith(("/store.py", "_store.py")):
        return []
    found = []
    for node in ast.parse(source).body:
        if not isinstance(node, ast.AsyncFunctionDef):
            continue
        names = [argument.arg for argument in (*node.args.posonlyargs, *node.args.args)]
        if "session" not in names:
            continue
        text = ast.get_source_segment(source, node) or ""
        if names[:2] != ["session", "tenant_id"]:
            if any(table not in TABLES_WITHOUT_TENANT for table in TABLE_NAMED.findall(text)):
                found.append(f"{path}:{node.lineno} {node.name} takes a session without the tenant beside it")
        elif "tenant_id" not in text.split(":", 1)[-1].replace("tenant_id: TenantId", ""):
            found.append(f"{path}:{node.lineno} {node.name} does not use its tenant")
    return found


def clocks_read(path, source):
    """The time is read in one file; the database tells technical time."""
    if path == "src/dunning/kit/clock.py":
        return []
    return [
        f"{path}:{number} reads the time"
        for number, line in enumerate(source.splitlines(), 1)
        if re.search(r"\b(datetime\.(now|utcnow|today)|date\.today|time\.time|time_ns)\(", line)
    ]


def floats_made(path, source):
    """No amount is ever a float; where seconds are, the file is named here."""
    if path in FLOATS_OF_SECONDS or not path.startswith("src/dunning/"):
        return []
    found = [f"{path}:{call.lineno} makes a float" for call in calls(source) if isinstance(call.func, ast.Name) and call.func.id == "float"]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div) and "minor" in (ast.get_source_segment(source, node) or ""):
            found.append(f"{path}:{node.lineno} divides an amount with /")
    return found


def foreign_imports_of_rules(path, source):
    """Rules import the standard library and their pure neighbours only."""
    if not path.endswith("/rules.py"):
        return []
    found = []
    for node in ast.walk(ast.parse(source)):
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        found += [
            f"{path}:{node.lineno} imports {name}" for name in names if name.split(".")[0] not in sys.stdlib_module_names and not name.startswith("dunning.")
        ]
        found += [f"{path}:{node.lineno} imports {name}" for name in names if re.search(r"\.(store|service|database|tables)$|_store$", name)]
        if isinstance(node, ast.AsyncFunctionDef | ast.Await):
            found.append(f"{path}:{node.lineno} awaits; then it is not a rule")
    return found


def too_long(path, source):
    """A file that grows past its noun is two nouns."""
    count = source.count("\n")
    return [f"{path} has {count} lines"] if count > LINES_MAX else []


def nameless_modules(path, _source):
    """A name says what is in it."""
    return [path] if re.search(r"(^|/|_)(utils?|helpers?|common|misc)(\.py|/|_)", path) else []


def promises_to_oneself(path, source):
    """What is left to do is done or written down elsewhere."""
    return [f"{path}:{n}" for n, line in enumerate(source.splitlines(), 1) if re.search(r"\b(TODO|FIXME|XXX|HACK)\b", line)]


COUNTED_IN = {"offset_days", "until_days", "min_days_after_delivery"}
TELL_TIMING = {"timing", "definition", "linter", "explanation", "compiled", "steps"}


def timing_decided_elsewhere(path, source):
    """When a step comes is decided in one file; the others only write its settings down, copy them, or tell them."""
    if not path.startswith(("src/dunning/scenarios/", "src/dunning/collection/")) or Path(path).stem in TELL_TIMING:
        return []
    reads = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Attribute) and node.attr in COUNTED_IN)
    return [f"{path}:{node.lineno} reads {node.attr}" for node in reads if not path.endswith("ladder.py") or node.attr != "min_days_after_delivery"]


BAD = {
    transactions_opened: ("src/dunning/ledger/service.py", "async def f(database):\n    async with database.transaction(1) as s:\n        pass\n"),
    tenantless_statements: ("src/dunning/ledger/store.py", "async def f(session, ledger_id):\n    return await session.rows('select 1 from item')\n"),
    clocks_read: ("src/dunning/ledger/service.py", "import datetime\nnow = datetime.datetime.now()\n"),
    floats_made: ("src/dunning/ledger/service.py", "x = float('1.5')\n"),
    foreign_imports_of_rules: ("src/dunning/ledger/rules.py", "import asyncpg\n"),
    too_long: ("src/dunning/ledger/service.py", "\n" * (LINES_MAX + 1)),
    nameless_modules: ("src/dunning/ledger/date_utils.py", ""),
    timing_decided_elsewhere: ("src/dunning/scenarios/ladder.py", "def day(case, step):\n    return case.item.due_on + step.offset_days\n"),
    promises_to_oneself: ("src/dunning/ledger/service.py", "# " + "TODO: later\n"),
}


@pytest.mark.parametrize("check", BAD, ids=lambda check: check.__name__)
def test_the_code_keeps_the_rule(check):
    assert [fault for path, source in SOURCES.items() for fault in check(path, source)] == []


@pytest.mark.parametrize("check", BAD, ids=lambda check: check.__name__)
def test_control_the_rule_catches_what_it_forbids(check):
    assert check(*BAD[check]) != []


def test_a_store_function_that_forgets_its_tenant_in_the_statement_is_caught():
    source = "async def f(session, tenant_id: TenantId, ledger_id):\n    return await session.rows('select 1 where x = $1', ledger_id)\n"
    assert tenantless_statements("src/dunning/ledger/store.py", source) != []


def test_dividing_an_amount_is_caught():
    assert floats_made("src/dunning/ledger/service.py", "share = amount_minor / 3\n") != []


def test_the_queue_library_stands_in_two_files():
    importing = [path for path, source in SOURCES.items() if re.search(r"^\s*(from|import) arq\b", source, re.MULTILINE)]
    assert len(importing) == 2, importing


def test_the_domain_knows_no_shell():
    shells = re.compile(r"^\s*(from|import) (dunning_api|dunning_worker|dunning_cli|fastapi|starlette|uvicorn|typer)\b", re.MULTILINE)
    assert [path for path, source in SOURCES.items() if path.startswith("src/dunning/") and shells.search(source)] == []
