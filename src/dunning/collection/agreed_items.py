"""The items that an agreement or a dispute is about: of one customer, open, and what else has been agreed about them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from dunning.collection.specific import ItemNotOpen
from dunning.kit.database import ReadSession, Session
from dunning.kit.errors import Malformed, NotFound
from dunning.kit.ids import CustomerId, DisputeId, ItemId, LedgerId, PlanId, PromiseId, TenantId
from dunning.ledger.customer_state import lock_customers


@dataclass(frozen=True, slots=True)
class AgreedItem:
    """One item with what is open of it, and the open dispute and promise that it is in."""

    item_id: ItemId
    ledger_id: LedgerId
    customer_id: CustomerId
    number: str
    currency: str
    direction: str
    state: str
    due_on: dt.date
    open_minor: int
    dispute_id: DisputeId | None
    promise_id: PromiseId | None
    plan_id: PlanId | None
    attached: bool

    @property
    def is_owed(self) -> bool:
        """Whether the customer owes something for it."""
        return self.direction == "debit" and self.state == "posted" and self.open_minor > 0


_SELECT = """select i.item_id, i.ledger_id, i.customer_id, i.number, i.currency, i.direction, i.state, i.due_on,
       i.amount_minor - i.allocated_minor as open_minor, d.dispute_id, p.promise_id, p.plan_id,
       exists (select from action_item t where t.tenant_id = $1 and t.item_id = i.item_id and t.state = 'attached') as attached
  from item i
  left join dispute_item d on d.tenant_id = $1 and d.item_id = i.item_id and d.open
  left join lateral (
    select q.promise_id, q.plan_id from promise_item x join promise q on q.tenant_id = $1 and q.promise_id = x.promise_id
     where x.tenant_id = $1 and x.item_id = i.item_id and x.open order by q.promised_on, q.promise_id limit 1
  ) p on true"""


async def lock_named(session: Session, tenant_id: TenantId, item_ids: Sequence[ItemId]) -> list[AgreedItem]:
    """Lock the customer of some items and return the items, each of which it owes something for.

    Raises `NotFound` for an unknown item, `Malformed` where they belong to several customers, `ItemNotOpen` where one owes nothing.
    """
    wanted = list(dict.fromkeys(item_ids))
    rows = await session.rows("select item_id, customer_id from item where tenant_id = $1 and item_id = any ($2::uuid[])", tenant_id, wanted)
    if len(rows) != len(wanted):
        noun = "item"
        raise NotFound(noun)
    customers = {CustomerId(row["customer_id"]) for row in rows}
    if len(customers) > 1:
        msg = f"item_ids: the items belong to {len(customers)} customers. Send one request for each customer."
        raise Malformed(msg, errors=[{"field": "item_ids", "message": "belong to several customers"}])
    await lock_customers(session, tenant_id, customers)
    found = await named(session, tenant_id, wanted)
    closed = [item for item in found if not item.is_owed]
    if closed:
        msg = f"Nothing is owed for {numbers_of(closed)}: settled, void, or a credit. Leave it out."
        raise ItemNotOpen(msg, item_ids=[str(item.item_id) for item in closed])
    return found


async def lock_owed(session: Session, tenant_id: TenantId, customer_id: CustomerId, currency: str, due_to: dt.date) -> list[AgreedItem]:
    """Lock a customer and return what it owes in a currency and has due by a day, oldest first, without what is disputed or promised already."""
    await lock_customers(session, tenant_id, [customer_id])
    rows = await session.rows(
        f"""{_SELECT} where i.tenant_id = $1 and i.customer_id = $2 and i.currency = $3 and i.due_on <= $4 and i.direction = 'debit'
              and i.state = 'posted' and i.allocated_minor < i.amount_minor and d.dispute_id is null and p.promise_id is null
            order by i.due_on, i.item_id""",  # fixed words
        tenant_id,
        customer_id,
        currency,
        due_to,
    )
    return [AgreedItem(**dict(row)) for row in rows]


async def named(session: ReadSession, tenant_id: TenantId, item_ids: Collection[UUID]) -> list[AgreedItem]:
    """Return some items, oldest first."""
    rows = await session.rows(f"{_SELECT} where i.tenant_id = $1 and i.item_id = any ($2::uuid[]) order by i.due_on, i.item_id", tenant_id, list(item_ids))
    return [AgreedItem(**dict(row)) for row in rows]


def numbers_of(items: Sequence[AgreedItem]) -> str:
    """Name items in a sentence by what the customer knows them by; past five, how many more."""
    return in_words([item.number for item in items])


def in_words(numbers: Sequence[str]) -> str:
    """Name numbers of documents in a sentence; past five, how many more."""
    shown = ", ".join(numbers[:5])
    return shown if len(numbers) <= 5 else f"{shown} and {len(numbers) - 5} more"
