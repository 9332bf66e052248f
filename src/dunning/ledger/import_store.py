"""Statements about imports, their files and rows."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple
from uuid import UUID

from dunning.kit.database import ReadSession, Session
from dunning.kit.ids import ImportId, LedgerId, TenantId


@dataclass(frozen=True, slots=True)
class Import:
    """One file on its way into a ledger. `counts` has rows by outcome, by kind, and sums in minor units by currency and outcome."""

    import_id: ImportId
    ledger_id: LedgerId
    format: str
    kind: str
    mode: str
    dry_run: bool
    state: str
    actor: str
    options: dict[str, Any]
    counts: dict[str, Any]
    error: str | None
    next_row: int
    complete_as_of: dt.datetime | None
    created_at: dt.datetime
    finished_at: dt.datetime | None


class RowRecord(NamedTuple):
    """What is kept of one row."""

    row_no: int
    kind: str
    external_id: str | None
    content: dict[str, Any] | None
    raw: str | None
    outcome: str
    field: str | None
    message: str | None
    waits_for: str | None


_COLUMNS = ", ".join(f.name for f in fields(Import))
OPEN_STATES = ("received", "staged", "applying")


async def insert_import(session: Session, tenant_id: TenantId, made: Import, file_sha256: bytes, content: bytes) -> None:
    """Insert an import with its compressed file."""
    await session.execute(
        """insert into import (tenant_id, import_id, ledger_id, format, kind, mode, dry_run, state, actor, options, complete_as_of, file_sha256)
           values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)""",
        tenant_id,
        made.import_id,
        made.ledger_id,
        made.format,
        made.kind,
        made.mode,
        made.dry_run,
        made.state,
        made.actor,
        made.options,
        made.complete_as_of,
        file_sha256,
    )
    await session.execute("insert into import_file (tenant_id, import_id, content) values ($1, $2, $3)", tenant_id, made.import_id, content)


async def import_of(session: ReadSession, tenant_id: TenantId, import_id: ImportId) -> Import | None:
    """Return one import."""
    row = await session.row(f"select {_COLUMNS} from import where tenant_id = $1 and import_id = $2", tenant_id, import_id)
    return None if row is None else Import(**dict(row))


async def lock_import(session: Session, tenant_id: TenantId, import_id: ImportId) -> Import | None:
    """Return one import with its row locked, waiting for whoever works on it."""
    row = await session.row(f"select {_COLUMNS} from import where tenant_id = $1 and import_id = $2 for no key update", tenant_id, import_id)
    return None if row is None else Import(**dict(row))


async def oldest_open_import(session: ReadSession, tenant_id: TenantId) -> Import | None:
    """Return the oldest import that a worker has to go on with."""
    row = await session.row(
        f"select {_COLUMNS} from import where tenant_id = $1 and state = any ($2::text[]) order by import_id limit 1", tenant_id, list(OPEN_STATES)
    )
    return None if row is None else Import(**dict(row))


async def imports_after(session: ReadSession, tenant_id: TenantId, ledger_id: LedgerId, before: UUID | None, limit: int) -> list[Import]:
    """Return the imports of a ledger, newest first, below an id."""
    rows = await session.rows(
        f"""select {_COLUMNS} from import where tenant_id = $1 and ledger_id = $2 and ($3::uuid is null or import_id < $3)
             order by import_id desc limit $4""",
        tenant_id,
        ledger_id,
        before,
        limit,
    )
    return [Import(**dict(row)) for row in rows]


async def file_of(session: ReadSession, tenant_id: TenantId, import_id: ImportId) -> bytes:
    """Return the compressed file of an import."""
    return bytes(await session.value("select content from import_file where tenant_id = $1 and import_id = $2", tenant_id, import_id))


async def set_state(session: Session, tenant_id: TenantId, import_id: ImportId, state: str, error: str | None = None) -> None:
    """Move an import to a state; its last ones note when."""
    await session.execute(
        """update import set state = $3, error = $4,
                  finished_at = case when $3 in ('done', 'failed', 'cancelled') then now() end where tenant_id = $1 and import_id = $2""",
        tenant_id,
        import_id,
        state,
        error,
    )


async def set_options(session: Session, tenant_id: TenantId, import_id: ImportId, options: dict[str, Any]) -> None:
    """Write the options of an import."""
    await session.execute("update import set options = $3 where tenant_id = $1 and import_id = $2", tenant_id, import_id, options)


async def set_counts(session: Session, tenant_id: TenantId, import_id: ImportId, next_row: int, counts: dict[str, Any]) -> None:
    """Write how far an import has come."""
    await session.execute("update import set next_row = $3, counts = $4 where tenant_id = $1 and import_id = $2", tenant_id, import_id, next_row, counts)


async def insert_rows(session: Session, tenant_id: TenantId, ledger_id: LedgerId, import_id: ImportId, rows: Sequence[RowRecord]) -> None:
    """Insert what became of rows: those of which there is nothing to say but their outcome in one short statement an outcome."""
    plain: dict[tuple[str, str], list[RowRecord]] = {}
    told: list[RowRecord] = []
    for row in rows:
        if row.message is None and row.content is None and row.raw is None:
            plain.setdefault((row.kind, row.outcome), []).append(row)
        else:
            told.append(row)
    for (kind, outcome), some in plain.items():
        await session.execute(
            """insert into import_row (tenant_id, ledger_id, import_id, kind, outcome, row_no, external_id)
               select $1, $2, $3, $4, $5, r.* from unnest($6::bigint[], $7::text[]) as r""",
            tenant_id,
            ledger_id,
            import_id,
            kind,
            outcome,
            [row.row_no for row in some],
            [row.external_id for row in some],
        )
    if told:
        await session.execute(
            """insert into import_row (tenant_id, ledger_id, import_id, row_no, kind, external_id, content, raw, outcome, field, message, waits_for)
               select $1, $2, $3, r.* from unnest($4::bigint[], $5::text[], $6::text[], $7::jsonb[], $8::text[], $9::text[], $10::text[], $11::text[],
                                                  $12::text[]) as r""",
            tenant_id,
            ledger_id,
            import_id,
            *zip(*told, strict=True),
        )


async def rows_after(session: ReadSession, tenant_id: TenantId, import_id: ImportId, outcomes: Sequence[str] | None, after: int, limit: int) -> list[RowRecord]:
    """Return rows of an import past a row number, by number."""
    rows = await session.rows(
        """select row_no, kind, external_id, content, raw, outcome, field, message, waits_for from import_row
            where tenant_id = $1 and import_id = $2 and row_no > $3 and ($4::text[] is null or outcome = any ($4)) order by row_no limit $5""",
        tenant_id,
        import_id,
        after,
        None if outcomes is None else list(outcomes),
        limit,
    )
    return [RowRecord(*row.values()) for row in rows]


async def ready_rows(
    session: Session, tenant_id: TenantId, ledger_id: LedgerId, limit: int, stuck: Collection[tuple[ImportId, int]]
) -> list[tuple[ImportId, RowRecord]]:
    """Return parked rows of a ledger whose missing object is known by now, locked, oldest first, but for those given as stuck."""
    rows = await session.rows(
        """select r.import_id, r.row_no, r.kind, r.external_id, r.content, r.raw, r.outcome, r.field, r.message, r.waits_for
             from import_row r
            cross join lateral (select split_part(r.waits_for, ':', 1) as noun, substr(r.waits_for, strpos(r.waits_for, ':') + 1) as name) w
            where r.tenant_id = $1 and r.ledger_id = $2 and r.outcome = 'parked' and r.waits_for is not null and r.content is not null and case w.noun
                    when 'customer' then exists (select 1 from customer c where c.tenant_id = $1 and c.ledger_id = $2 and c.external_id = w.name)
                    when 'document' then exists (select 1 from document d where d.tenant_id = $1 and d.ledger_id = $2 and d.external_id = w.name)
                    when 'item' then exists (select 1 from item i where i.tenant_id = $1 and i.ledger_id = $2 and i.external_id = w.name)
                    when 'customer_group' then exists (select 1 from customer_group g where g.tenant_id = $1 and g.ledger_id = $2 and g.code = w.name)
                  end
              and not exists (select from unnest($4::uuid[], $5::bigint[]) as s(import_id, row_no) where s.import_id = r.import_id and s.row_no = r.row_no)
            order by r.import_id, r.row_no limit $3 for no key update of r skip locked""",
        tenant_id,
        ledger_id,
        limit,
        [import_id for import_id, _ in stuck],
        [row_no for _, row_no in stuck],
    )
    return [(row["import_id"], RowRecord(*list(row.values())[1:])) for row in rows]


async def waiting_rows(session: ReadSession, tenant_id: TenantId, ledger_id: LedgerId) -> list[tuple[str, dict[str, Any]]]:
    """Return kind and content of the rows of a ledger that are parked until something is given."""
    rows = await session.rows(
        """select kind, content from import_row
            where tenant_id = $1 and ledger_id = $2 and outcome = 'parked' and waits_for is not null and content is not null""",
        tenant_id,
        ledger_id,
    )
    return [(row["kind"], row["content"]) for row in rows]


async def owners_named(
    session: ReadSession, tenant_id: TenantId, ledger_id: LedgerId, documents: Sequence[str], items: Sequence[str], item_ids: Sequence[str]
) -> list[tuple[str, str, str]]:
    """Return, for documents and items by external id and items by id, what named them, the name, and the external id of their customer."""
    rows = await session.rows(
        """select o.noun, o.called, c.external_id
             from (select 'document' as noun, external_id as called, customer_id from document
                    where tenant_id = $1 and ledger_id = $2 and external_id = any ($3::text[])
                   union all
                   select 'item', external_id, customer_id from item where tenant_id = $1 and ledger_id = $2 and external_id = any ($4::text[])
                   union all
                   select 'item_id', item_id::text, customer_id from item
                    where tenant_id = $1 and ledger_id = $2 and item_id = any ($5::text[]::uuid[])) o
             join customer c on c.tenant_id = $1 and c.customer_id = o.customer_id""",
        tenant_id,
        ledger_id,
        documents,
        items,
        item_ids,
    )
    return [(row["noun"], row["called"], row["external_id"]) for row in rows]


async def settle_rows(session: Session, tenant_id: TenantId, settled: Sequence[tuple[ImportId, RowRecord]]) -> None:
    """Write what became of rows that were parked."""
    await session.execute(
        """update import_row r set outcome = v.outcome, field = v.field, message = v.message, waits_for = v.waits_for,
                  content = case when v.outcome = 'parked' then r.content end
             from unnest($2::uuid[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[])
                  as v(import_id, row_no, outcome, field, message, waits_for)
            where r.tenant_id = $1 and r.import_id = v.import_id and r.row_no = v.row_no""",
        tenant_id,
        [import_id for import_id, _ in settled],
        [row.row_no for _, row in settled],
        [row.outcome for _, row in settled],
        [row.field for _, row in settled],
        [row.message for _, row in settled],
        [row.waits_for for _, row in settled],
    )


FILLED = ("customer", "customer_state", "contact", "document", "item", "receipt", "allocation", "import_row")
"""The tables that imports fill."""


async def outgrown_tables(session: ReadSession) -> list[str]:
    """Return those of the tables that imports fill which have at least doubled since the database last looked at them."""
    rows = await session.rows(
        """select relname from pg_class where oid = any ($1::regclass[])
              and pg_relation_size(oid) > 2 * relpages * current_setting('block_size')::bigint order by relname""",
        list(FILLED),
    )
    return [row["relname"] for row in rows]


async def analyse_tables(session: Session, tables: Sequence[str]) -> None:
    """Have the database look at some of the tables that imports fill, so that its plans fit them; without the right to, it only warns."""
    await session.execute(f"analyze {', '.join(name for name in FILLED if name in tables)}")  # fixed words
