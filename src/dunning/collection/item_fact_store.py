"""Statements about what has happened to items by agreement: the facts that steps are triggered by."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from dunning.kit.database import Session
from dunning.kit.ids import TenantId, new_id


class NewFact(NamedTuple):
    """Something that happened to an item on a day: a promise of it was broken, or its dispute resolved."""

    customer_id: UUID
    item_id: UUID
    on: dt.date
    source_id: UUID


async def insert_facts(session: Session, tenant_id: TenantId, kind: str, facts: Sequence[NewFact]) -> None:
    """Note facts of one kind; the same of the same source is noted once."""
    if facts:
        await session.execute(
            """insert into item_fact (tenant_id, kind, item_fact_id, customer_id, item_id, "on", source_id)
               select $1, $2, g.* from unnest($3::uuid[], $4::uuid[], $5::uuid[], $6::date[], $7::uuid[]) as g on conflict do nothing""",
            tenant_id,
            kind,
            [new_id() for _ in facts],
            *map(list, zip(*facts, strict=True)),
        )
