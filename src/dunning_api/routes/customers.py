"""Customers, their groups and positions."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import Path, Query, Response

from dunning.collection import customer_record, sharing
from dunning.kit.ids import CustomerId, LedgerId
from dunning.ledger import customers, ledgers, positions
from dunning.ledger.outcomes import answered
from dunning.ledger.rows import ExternalId
from dunning_api import paging
from dunning_api.deps import Work, reads, writes
from dunning_api.idempotency import Router
from dunning_api.problems import problems
from dunning_api.schemas.base import Day, Page
from dunning_api.schemas.customer_record import Expand, FullCustomerRecord
from dunning_api.schemas.customers import CustomerOut, CustomerPut, CustomerRecord, GroupOut, GroupPut, PositionOut

router = Router(tags=["customers"])

_CREATED: dict[int | str, dict[str, Any]] = {201: {"description": "Created."}}


@router.put("/ledgers/{ledger_id}/customers/{external_id:path}", summary="Create or change a customer", responses={**problems(404, 409), **_CREATED})
async def put_customer(
    ledger_id: UUID,
    external_id: Annotated[ExternalId, Path(examples=["C-1001"])],
    body: CustomerPut,
    work: Annotated[Work, writes("ledger:write", planned_once=True)],
    response: Response,
) -> CustomerRecord:
    """State all that is known about a customer under your own id: 201 when it is new, 200 when it was known. The same again changes nothing."""
    ledger = await ledgers.ledger_of(work.session, tenant_id=work.tenant_id, ledger_id=LedgerId(ledger_id))
    outcomes = await customers.put_customers(work.session, work.clock, tenant_id=work.tenant_id, actor=work.actor, ledger=ledger, rows=[body.row(external_id)])
    outcome = answered(outcomes[0])
    response.status_code = 201 if outcome.outcome == "created" else 200
    if outcome.outcome == "created" and outcome.object_id is not None:
        made = [CustomerId(outcome.object_id)]
        await sharing.apply_to_new(work.session, work.clock, tenant_id=work.tenant_id, actor=work.actor, ledger=ledger, customer_ids=made)
    customer, contacts = await customers.record_of(work.session, tenant_id=work.tenant_id, customer_id=CustomerId(outcome.object_id or ledger_id))
    return CustomerRecord.with_contacts(customer, contacts)


@router.get("/ledgers/{ledger_id}/customers", summary="List customers", responses=problems(404))
async def list_customers(
    ledger_id: UUID,
    work: Annotated[Work, reads()],
    external_id: Annotated[str | None, Query(max_length=200, description="Your own id of the customer.")] = None,
    name: Annotated[str | None, Query(min_length=1, max_length=200, description="Beginning of the name; case and accents do not matter.")] = None,
    limit: paging.Limit = 100,
    cursor: paging.Cursor = None,
) -> Page[CustomerOut]:
    """List customers of a ledger, by name where a name is given, else oldest first."""
    if name is not None:
        key = paging.unseal(work.keyring, "customers_named", cursor, 2)
        after = (key[0], UUID(key[1])) if key else None
        named = await customers.customers_named(work.session, tenant_id=work.tenant_id, ledger_id=LedgerId(ledger_id), name=name, after=after, limit=limit + 1)
        last = named[limit - 1] if len(named) > limit else None
        more = paging.seal(work.keyring, "customers_named", last[1], last[0].customer_id) if last else None
        return Page(data=[CustomerOut.of(customer) for customer, _ in named[:limit]], next_cursor=more)
    key = paging.unseal(work.keyring, "customers", cursor, 1)
    found = await customers.customers_of(
        work.session,
        tenant_id=work.tenant_id,
        ledger_id=LedgerId(ledger_id),
        after=UUID(key[0]) if key else None,
        limit=limit + 1,
        external_id=external_id,
    )
    more = paging.seal(work.keyring, "customers", found[limit - 1].customer_id) if len(found) > limit else None
    return Page(data=[CustomerOut.of(customer) for customer in found[:limit]], next_cursor=more)


@router.get("/customers/{customer_id}", summary="Get a customer", responses=problems(404))
async def get_customer(customer_id: UUID, work: Annotated[Work, reads()], expand: Expand = None) -> FullCustomerRecord:
    """Return a customer with its contacts; with `expand` also its terms, credit insurance, collectors, position, and what is under way and comes next."""
    known = await customer_record.record_of(work.session, work.clock, tenant_id=work.tenant_id, customer_id=CustomerId(customer_id), parts=expand or ())
    return FullCustomerRecord.told(known)


@router.get("/customers/{customer_id}/position", summary="What a customer owes", responses=problems(404))
async def get_position(
    customer_id: UUID,
    work: Annotated[Work, reads()],
    as_of: Annotated[Day | None, Query(description="At the end of this day, by value date; missing: today.")] = None,
    known_on: Annotated[Day | None, Query(description="With what had been recorded by this day; missing: today.")] = None,
) -> PositionOut:
    """Return, a currency: overdue, not due, disputed, promised, open credits, unapplied receipts, net. With days, as it was, and as it was known."""
    return PositionOut.of(
        await positions.position_of(work.session, work.clock, tenant_id=work.tenant_id, customer_id=CustomerId(customer_id), as_of=as_of, known_on=known_on)
    )


@router.put("/ledgers/{ledger_id}/customer-groups/{code}", summary="Create or change a customer group", responses={**problems(404), **_CREATED})
async def put_group(
    ledger_id: UUID,
    code: Annotated[ExternalId, Path(examples=["public"])],
    body: GroupPut,
    work: Annotated[Work, writes("ledger:write")],
    response: Response,
) -> GroupOut:
    """State a group and its policy; customers name it by `group_code`. The same again changes nothing."""
    group, created = await customers.put_group(
        work.session,
        work.clock,
        tenant_id=work.tenant_id,
        actor=work.actor,
        ledger_id=LedgerId(ledger_id),
        code=code,
        name=body.name,
        policy=body.policy,
        scenario_id=body.scenario_id,
    )
    response.status_code = 201 if created else 200
    return GroupOut.of(group)


@router.get("/ledgers/{ledger_id}/customer-groups", summary="List customer groups", responses=problems(404))
async def list_groups(ledger_id: UUID, work: Annotated[Work, reads()], limit: paging.Limit = 100, cursor: paging.Cursor = None) -> Page[GroupOut]:
    """List the groups of a ledger, by code."""
    key = paging.unseal(work.keyring, "customer_groups", cursor, 1)
    found = await customers.groups_of(work.session, tenant_id=work.tenant_id, ledger_id=LedgerId(ledger_id), after=key[0] if key else None, limit=limit + 1)
    more = paging.seal(work.keyring, "customer_groups", found[limit - 1].code) if len(found) > limit else None
    return Page(data=[GroupOut.of(group) for group in found[:limit]], next_cursor=more)
