from __future__ import annotations

import csv
import io

import pytest

from dunning_worker.jobs.imports import work_on_imports
from tests.ledger.books import Books, customer_row, document_row, eur, make_ledger, receipt_row


async def done(books: Books, worker, tenant, rows, **query) -> dict:
    answer = await books.post_import(rows, **query)
    assert answer.status_code == 202, answer.text
    await work_on_imports(worker, tenant.tenant_id)
    return await books.imported(answer.json()["import_id"])


def counted(imported: dict) -> dict[str, int]:
    return {name: n for name, n in imported["counts"].items() if n}


async def test_a_mixed_file_is_applied_in_the_order_things_depend_on(books, worker, tenant):
    """S2-16: the answer lists what became of the rows."""
    rows = [
        receipt_row("R-1", "60.00", "C-5"),
        document_row("INV-1", "100.00", "C-5"),
        customer_row("C-5"),
        {"kind": "hold", "scope": "item", "item_external_id": "INV-1/1", "reason": "dispute"},
    ]
    imported = await done(books, worker, tenant, rows)
    assert (imported["state"], counted(imported)) == ("done", {"created": 4})
    assert {t["outcome"]: t["total"]["amount"] for t in imported["totals"]} == {"created": "160.00"}
    assert await books.open_amounts() == {"INV-1/1": "40.00"}
    await books.sound()


async def test_the_same_file_again_touches_nothing(books, worker, tenant):
    rows = [customer_row("C-5"), document_row("INV-1", customer="C-5"), receipt_row("R-1", "60.00", "C-5")]
    await done(books, worker, tenant, rows)
    before = await tenant.rows("select xmin::text, facts_version from customer_state order by customer_id")
    again = await done(books, worker, tenant, rows)
    assert counted(again) == {"unchanged": 2, "duplicate": 1}
    assert await tenant.rows("select xmin::text, facts_version from customer_state order by customer_id") == before


async def test_bad_rows_are_named_and_the_good_ones_applied(books, worker, tenant):
    lines = [
        '{"kind": "customer", "external_id": "C-5", "name": "Fine"}',
        '{"kind": "customer", "external_id": "C-6"}',
        '{"kind": "customer", "external_id": "C-7", "name": "=HYPERLINK(1)", "surprise": 1}',
        "not json",
        '{"kind": "ship", "external_id": "S-1"}',
        '{"kind": "document", "external_id": "D-1", "customer_external_id": "C-5", "number": "1", "document_on": "2026-02-30", "due_on": "2026-03-30", "total": {"amount": "1.00", "currency": "EUR"}}',
    ]
    imported = await done(books, worker, tenant, "\n".join(lines))
    assert (imported["state"], counted(imported)) == ("done", {"created": 1, "rejected": 5})
    found = (await books.api.get(f"/v1/imports/{imported['import_id']}/rows", params={"outcome": "rejected"})).json()["data"]
    assert [(r["row_no"], r["external_id"], r["field"]) for r in found] == [
        (2, "C-6", "name"),
        (3, "C-7", "surprise"),
        (4, None, "kind"),
        (5, "S-1", "kind"),
        (6, "D-1", "document_on"),
    ]
    errors = await books.api.get(f"/v1/imports/{imported['import_id']}/errors.csv")
    cells = list(csv.reader(io.StringIO(errors.text)))
    assert cells[0] == ["row", "kind", "external_id", "outcome", "field", "message", "raw"]
    assert [row[0] for row in cells[1:]] == ["2", "3", "4", "5", "6"]


async def test_cells_of_the_error_list_are_never_formulas(books, worker, tenant):
    """I1: CSV."""
    imported = await done(books, worker, tenant, "external_id,name,country\n=1+1,X,1\nC-9,@SUM(A1),2\n", kind="customers", format="csv")
    assert counted(imported) == {"rejected": 2}
    errors = await books.api.get(f"/v1/imports/{imported['import_id']}/errors.csv")
    for row in csv.reader(io.StringIO(errors.text)):
        for cell in row:
            assert cell[:1] not in {"=", "+", "-", "@", "\t", "\r"}, cell


async def test_a_row_that_refers_to_something_unknown_is_parked_and_tried_again_after_each_later_import(books, worker, tenant):
    first = await done(
        books,
        worker,
        tenant,
        [
            document_row("INV-1", customer="C-5"),
            document_row("CN-1", "40.00", "C-5", type="credit_note", corrects_external_id="INV-1"),
            receipt_row("R-1", "10.00", "C-5", allocation=[{"document_external_id": "INV-1", "amount": eur("10.00")}]),
        ],
    )
    assert (first["state"], counted(first)) == ("done", {"parked": 3})
    rows = (await books.api.get(f"/v1/imports/{first['import_id']}/rows", params={"outcome": "parked"})).json()["data"]
    assert [r["waits_for"] for r in rows] == ["customer:C-5"] * 3
    unrelated = await done(books, worker, tenant, [customer_row("C-6")])
    assert counted(unrelated) == {"created": 1}
    assert counted(await books.imported(first["import_id"])) == {"parked": 3}
    await done(books, worker, tenant, [customer_row("C-5")])
    assert counted(await books.imported(first["import_id"])) == {"created": 3}
    assert await books.open_amounts() == {"INV-1/1": "50.00"}
    await books.sound()


@pytest.mark.parametrize(
    ("content", "query", "words"),
    [
        ("<xml><a/></xml>", {}, "not NDJSON"),
        ('[{"kind": "customer"}]', {}, "not NDJSON"),
        ("", {}, "empty"),
        ("external_id;name\nC-5;X\n", {"kind": "customers", "format": "csv"}, "delimiter=;"),
        ("external_id,surname\nC-5,X\n", {"kind": "customers", "format": "csv"}, "missing columns name"),
        ('{"kind": "customer", "external_id": "C-5", "name": "X"}', {"kind": "documents"}, "not NDJSON of this kind"),
    ],
)
async def test_a_file_of_the_wrong_shape_is_one_clear_error_and_nothing_is_half_done(books, worker, tenant, content, query, words):
    imported = await done(books, worker, tenant, content, **query)
    assert imported["state"] == "failed"
    assert words in imported["error"]
    assert counted(imported) == {}
    assert await tenant.value("select count(*) from customer") == 1


async def test_csv_is_read_with_its_delimiter_decimal_comma_and_byte_order_mark(books, worker, tenant):
    text = "\ufeffexternal_id;customer_external_id;number;document_on;due_on;amount;currency;block_reason\r\n"
    text += 'INV-1;C-1;"2026;1";2026-01-15;2026-02-15;1.234,50;EUR;dispute\r\n\r\nINV-2;C-1;2;2026-01-15;2026-02-15;12,345;EUR;\r\n'
    imported = await done(books, worker, tenant, text.encode(), kind="documents", format="csv", delimiter=";", decimal=",")
    assert counted(imported) == {"created": 1, "rejected": 1}
    item = (await books.items())[0]
    assert (item["number"], item["open_amount"]["amount"]) == ("2026;1", "1234.50")
    assert (await books.position())["EUR"]["disputed"] == "1234.50"


async def test_bytes_that_are_not_text_of_the_encoding_are_named_by_their_row(books, worker, tenant):
    text = "external_id,name,contact_email,contact_roles\nC-5,Fine,ap@x.example,accounts_payable director\nC-6,Caf\xe9,,\n".encode("latin-1")
    imported = await done(books, worker, tenant, text, kind="customers", format="csv")
    assert counted(imported) == {"created": 1, "rejected": 1}
    row = (await books.api.get(f"/v1/imports/{imported['import_id']}/rows", params={"outcome": "rejected"})).json()["data"][0]
    assert (row["row_no"], row["external_id"], row["field"]) == (2, "C-6", "name")
    assert "windows-1252" in row["message"]
    right = await done(books, worker, tenant, text, kind="customers", format="csv", encoding="windows-1252")
    assert counted(right) == {"created": 1, "unchanged": 1}
    found = (await books.api.get(f"{books.path}/customers", params={"external_id": "C-5"})).json()["data"][0]
    contacts = (await books.api.get(f"/v1/customers/{found['customer_id']}")).json()["contacts"]
    assert [(c["email"], c["roles"]) for c in contacts] == [("ap@x.example", ["accounts_payable", "director"])]


async def test_a_dry_run_says_what_would_happen_and_keeps_nothing(books, worker, tenant):
    rows = [customer_row("C-5"), document_row("INV-1", customer="C-5"), document_row("INV-2", customer="C-9"), receipt_row("R-1", "60.00", "C-5")]
    imported = await done(books, worker, tenant, rows, dry_run=True)
    assert (imported["state"], counted(imported)) == ("done", {"created": 3, "parked": 1})
    assert await tenant.value("select count(*) from customer") == 1
    assert await tenant.value("select count(*) from document") == 0
    await done(books, worker, tenant, [customer_row("C-9")])
    assert await tenant.value("select count(*) from document") == 0, "what a dry run parked is not tried again"


def open_row(external_id: str, open_amount: str, customer: str = "C-1", **content) -> dict:
    return document_row(external_id, "100.00", customer, open_amount=eur(open_amount), **content)


async def test_a_snapshot_closes_what_is_missing_in_it(erp_books, worker, tenant):
    """Snapshots: architecture 6."""
    rows = [open_row(f"INV-{n}", "100.00") for n in range(10)]
    await done(erp_books, worker, tenant, rows)
    wanted = {"kind": "documents", "mode": "snapshot", "scope": "ledger", "complete_as_of": "2026-03-02T05:00:00Z"}
    imported = await done(erp_books, worker, tenant, rows[1:], control_total="EUR:900.00", **wanted)
    assert (imported["state"], counted(imported)) == ("done", {"unchanged": 9, "closed": 1})
    assert "INV-0/1" not in await erp_books.open_amounts()
    assert (await erp_books.api.get(erp_books.path)).json()["complete_as_of"] == "2026-03-02T05:00:00Z"
    back = await done(erp_books, worker, tenant, rows, control_total="EUR:1000.00", **wanted)
    assert counted(back) == {"unchanged": 9, "changed": 1}
    item = (await erp_books.items(external_id="INV-0/1"))[0]
    assert (item["open_amount"]["amount"], item["episode"]) == ("100.00", 2)
    await erp_books.sound()


@pytest.mark.parametrize(("closed", "state"), [(1, "done"), (2, "done"), (3, "parked")])
async def test_a_truncated_snapshot_waits_for_a_person(erp_books, worker, tenant, closed, state):
    """Below, at and above the closing limit of 20 %."""
    rows = [open_row(f"INV-{n}", "100.00") for n in range(10)]
    await done(erp_books, worker, tenant, rows)
    wanted = {"kind": "documents", "mode": "snapshot", "scope": "ledger", "control_total": f"EUR:{(10 - closed) * 100}.00"}
    imported = await done(erp_books, worker, tenant, rows[closed:], **wanted)
    assert imported["state"] == state
    if state == "parked":
        assert "3 of 10 items, 300.00 of 1000.00 EUR" in imported["error"]
        assert len(await erp_books.open_amounts()) == 10
        assert (await erp_books.api.post(f"/v1/imports/{imported['import_id']}/approve")).status_code == 202
        await work_on_imports(worker, tenant.tenant_id)
    assert len(await erp_books.open_amounts()) == 10 - closed
    again = await erp_books.api.post(f"/v1/imports/{imported['import_id']}/cancel")
    assert (again.status_code, again.json()["code"]) == (409, "import_not_waiting")


async def test_a_parked_snapshot_can_be_cancelled(erp_books, worker, tenant):
    await done(erp_books, worker, tenant, [open_row(f"INV-{n}", "100.00") for n in range(3)])
    imported = await done(
        erp_books, worker, tenant, [open_row("INV-0", "100.00")], kind="documents", mode="snapshot", scope="ledger", control_total="EUR:100.00"
    )
    assert imported["state"] == "parked"
    cancelled = await erp_books.api.post(f"/v1/imports/{imported['import_id']}/cancel")
    assert cancelled.json()["state"] == "cancelled"
    assert len(await erp_books.open_amounts()) == 3


async def test_a_file_that_does_not_sum_to_its_control_total_is_refused(erp_books, worker, tenant):
    rows = [open_row("INV-1", "60.00"), open_row("CN-1", "10.00", type="credit_note")]
    wrong = await done(erp_books, worker, tenant, rows, kind="documents", control_total="EUR:60.00")
    assert wrong["state"] == "failed"
    assert "the file says 50.00, the control total 60.00" in wrong["error"]
    right = await done(erp_books, worker, tenant, rows, kind="documents", control_total="EUR:50.00")
    assert counted(right) == {"created": 2}


async def test_a_snapshot_of_some_customers_leaves_the_others_alone(erp_books, worker, tenant):
    await erp_books.customer("C-2")
    await done(erp_books, worker, tenant, [open_row("A", "100.00"), open_row("B", "100.00"), open_row("X", "100.00", "C-2")])
    await erp_books.api.patch(erp_books.path, json={"closing_limit_percent": 50}, headers={"If-Match": '"1"'})
    await done(erp_books, worker, tenant, [open_row("A", "100.00")], kind="documents", mode="snapshot", scope="customers", control_total="EUR:100.00")
    assert await erp_books.open_amounts() == {"A/1": "100.00", "X/1": "100.00"}


async def test_a_snapshot_needs_its_control_total_and_scope_and_a_ledger_of_erp_items(books, erp_books):
    rows = [open_row("A", "100.00")]
    assert (await erp_books.post_import(rows, kind="documents", mode="snapshot")).status_code == 422
    assert (await erp_books.post_import(rows, kind="documents", mode="snapshot", control_total="EUR:1.00")).status_code == 422
    assert (await erp_books.post_import(rows, kind="documents", control_total="1.00")).status_code == 422
    refused = await books.post_import(rows, kind="documents", mode="snapshot", scope="ledger", control_total="EUR:100.00")
    assert (refused.status_code, refused.json()["code"]) == (409, "snapshot_needs_erp_open_items")


async def test_a_file_over_the_limit_is_413_and_another_tenants_import_unknown(books, other_api, app):
    made = await books.post_import([customer_row("C-5")])
    assert (await other_api.get(f"/v1/imports/{made.json()['import_id']}")).status_code == 404
    assert (await other_api.get(f"/v1/imports/{made.json()['import_id']}/errors.csv")).status_code == 404
    assert (await other_api.post(f"{books.path}/imports", content=b"{}")).status_code == 404
    before = app.state.settings.max_import_bytes
    app.state.settings.max_import_bytes = 2000
    try:
        assert (await books.post_import(b"x" * 2001)).status_code == 413
        assert (await books.post_import(b"x" * 2000)).status_code == 202
    finally:
        app.state.settings.max_import_bytes = before


async def test_a_file_larger_than_a_request_may_be_is_taken(books, worker, tenant):
    rows = [customer_row(f"C-{n}", custom={"note": "x" * 900}) for n in range(10_000, 11_500)]
    imported = await done(books, worker, tenant, rows)
    assert counted(imported) == {"created": 1500}


async def test_receipts_in_a_file_are_refused_where_the_erp_states_open_items(erp_books, worker, tenant):
    imported = await done(erp_books, worker, tenant, [receipt_row("R-1", "10.00"), customer_row("C-5")])
    assert counted(imported) == {"created": 1, "rejected": 1}
    row = (await erp_books.api.get(f"/v1/imports/{imported['import_id']}/rows", params={"outcome": "rejected"})).json()["data"][0]
    assert "erp_open_items" in row["message"]


async def test_a_row_that_contradicts_another_is_refused_alone(books, worker, tenant):
    rows = [
        document_row("A", instalments=[{"due_on": "2026-02-01", "amount": eur("100.00"), "external_id": "same"}]),
        document_row("B", instalments=[{"due_on": "2026-02-01", "amount": eur("100.00"), "external_id": "same"}]),
        document_row("C"),
    ]
    for row in rows[:2]:
        del row["due_on"]
    imported = await done(books, worker, tenant, rows)
    assert counted(imported) == {"created": 2, "rejected": 1}
    assert await books.open_amounts() == {"same": "100.00", "C/1": "100.00"}
    await books.sound()


async def test_an_import_needs_the_scope_of_what_it_writes(api, app):
    books = await make_ledger(api)
    key = (await api.post("/v1/api-keys", json={"name": "erp", "scopes": ["read", "ledger:write"]})).json()["api_key"]
    headers = {"Authorization": f"Bearer {key}"}
    assert (await api.post(f"{books.path}/imports", content=b"{}", headers=headers)).status_code == 403
    assert (await api.post(f"{books.path}/imports", params={"kind": "customers"}, content=b"{}", headers=headers)).status_code == 202
