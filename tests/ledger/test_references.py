"""What the database itself refuses to connect: another customer's document, another ledger's customer."""

from __future__ import annotations

import asyncpg
import pytest

from tests.ledger.books import make_ledger

COPY_ITEM = """
insert into item (tenant_id, item_id, ledger_id, customer_id, document_id, external_id, kind, direction, number, document_on, due_on, currency,
                  amount_minor, value_on)
select tenant_id, gen_random_uuid(), ledger_id, $1, document_id, 'copy', kind, direction, number, document_on, due_on, currency, amount_minor, value_on
  from item
"""
COPY_DOCUMENT = """
insert into document (tenant_id, document_id, ledger_id, customer_id, external_id, kind, number, document_on, currency, total_minor, content_sha256, value_on)
select tenant_id, gen_random_uuid(), $1, customer_id, 'copy', kind, number, document_on, currency, total_minor, content_sha256, value_on from document
"""


async def test_an_item_belongs_to_the_customer_of_its_document(books, tenant):
    other = await books.customer("C-2")
    document = await books.invoice("INV-1")
    with pytest.raises(asyncpg.ForeignKeyViolationError, match="item_document_id_fkey"):
        async with tenant.database.transaction(tenant.tenant_id) as session:
            await session.execute(COPY_ITEM, other["customer_id"])
    async with tenant.database.transaction(tenant.tenant_id) as session:
        assert await session.execute(COPY_ITEM, document["customer_id"]) == 1, "control"


async def test_a_document_belongs_to_the_ledger_of_its_customer(books, api, tenant):
    other = await make_ledger(api, "es-01")
    await books.invoice("INV-1")
    with pytest.raises(asyncpg.ForeignKeyViolationError, match="document_customer_id_fkey"):
        async with tenant.database.transaction(tenant.tenant_id) as session:
            await session.execute(COPY_DOCUMENT, other.ledger_id)
    async with tenant.database.transaction(tenant.tenant_id) as session:
        assert await session.execute(COPY_DOCUMENT, books.ledger_id) == 1, "control"
