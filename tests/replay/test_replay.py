"""A real receivables file, replayed through the product, must agree item by item with a computation that shares no code with it."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest

from dunning.kit.database import Database
from dunning.kit.errors import Malformed
from dunning.kit.settings import Settings
from dunning_cli.receivables_file import Columns, read_file
from dunning_cli.replay import replay
from dunning_worker.world import world_of
from tests.conftest import KEYRING
from tests.replay.brute_force import Expected, compute

FILE = Path(os.environ.get("DUNNING_REPLAY_FILE", Path(__file__).parents[3] / "shared" / "data" / "accounts-receivable.csv"))
COLUMNS = Columns("customerID", "invoiceNumber", "InvoiceDate", "DueDate", "InvoiceAmount", "SettledDate", "Disputed", "%m/%d/%Y", "USD")

needs_the_file = pytest.mark.skipif(not FILE.exists(), reason=f"no receivables file at {FILE}; DUNNING_REPLAY_FILE names one")


async def replayed(database: Database, settings: Settings) -> tuple[set[tuple[str, str, object]], set[tuple[str, object]], object]:
    world = world_of(database, settings, KEYRING)
    tenant_id, figures = await replay(world, read_file(FILE, COLUMNS), "USD", lambda _day: None)
    async with database.reading(tenant_id) as session:
        steps = await session.rows(
            """select d.external_id, p.step_code, p.completed_on from item_progress p
                 join item i on i.tenant_id = p.tenant_id and i.item_id = p.item_id
                 join document d on d.tenant_id = i.tenant_id and d.document_id = i.document_id
                where p.tenant_id = $1 and p.state = 'completed'""",
            tenant_id,
        )
        mails = await session.rows(
            """select c.external_id, m.accepted_on from message m join customer c on c.tenant_id = m.tenant_id and c.customer_id = m.customer_id
                where m.tenant_id = $1 and m.state = 'accepted'""",
            tenant_id,
        )
    return {tuple(row) for row in steps}, {tuple(row) for row in mails}, figures


@needs_the_file
@pytest.mark.timeout(900)
async def test_the_real_ledger_is_reminded_exactly_as_a_second_computation_says(database: Database, settings: Settings) -> None:
    """D-02, C-04, C-08: every item, step and day of two years agrees; nobody is reminded of what is settled or disputed; nothing twice."""
    expected = compute(FILE)
    steps, mails, figures = await replayed(database, settings)
    assert steps == expected.steps
    assert mails == expected.mails
    assert dataclasses.asdict(figures) | {"seconds": 0} == {
        "days": 738,
        "reminders": len(expected.steps),
        "by_step": expected.by_step,
        "messages": len(expected.mails),
        "after_settlement": 0,
        "duplicates": 0,
        "seconds": 0,
    }


@needs_the_file
def test_the_second_computation_notices_a_rule_that_is_a_day_off(tmp_path: Path) -> None:
    """The control: with one invoice due a day later, the expected steps differ, so an equal set means something."""
    lines = FILE.read_text().splitlines()
    late = next(n for n, line in enumerate(lines) if n and line.split(",")[7] == "No" and int(line.split(",")[11]) > 10)
    cells = lines[late].split(",")
    month, day, year = cells[5].split("/")
    cells[5] = f"{month}/{int(day) % 28 + 1}/{year}"
    changed = tmp_path / "changed.csv"
    changed.write_text("\n".join([*lines[:late], ",".join(cells), *lines[late + 1 :]]))
    assert compute(changed).steps != compute(FILE).steps
    assert Expected().steps != compute(FILE).steps


HEADER = "customerID,invoiceNumber,InvoiceDate,DueDate,InvoiceAmount,SettledDate,Disputed"


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["customerID,invoiceNumber", "a,b"], "lacks the columns"),
        ([HEADER], "has no rows"),
        ([HEADER, "a,1,13/45/2013,2/1/2013,10.00,,No"], "row 2: InvoiceDate is '13/45/2013': expected a day written as %m/%d/%Y"),
        ([HEADER, "a,1,1/2/2013,2/1/2013,ten,,No"], "row 2: InvoiceAmount is 'ten': expected an amount such as 1234.50"),
        ([HEADER, "a,1,1/2/2013,2/1/2013,-5,,No"], "row 2: InvoiceAmount is -5: expected an amount above zero"),
        ([HEADER, "a,1,1/2/2013,2/1/2013,5,,No", "a,1,1/2/2013,2/1/2013,5,,No"], "row 3: invoiceNumber 1 stands in row 2 already"),
        ([HEADER, ",1,1/2/2013,2/1/2013,5,,No"], "row 2: customerID is empty"),
    ],
)
def test_a_wrong_file_is_refused_whole_with_row_field_and_what_was_expected(tmp_path: Path, lines: list[str], said: str) -> None:
    path = tmp_path / "file.csv"
    path.write_text("\n".join(lines))
    with pytest.raises(Malformed) as refused:
        read_file(path, COLUMNS)
    assert said in refused.value.detail
