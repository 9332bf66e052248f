"""Who looks after customers: the rules of a ledger, customers without anybody, and changes by hand."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Query, Response

from dunning.collection import assignments, rulebook, sharing
from dunning.collection.assignment_store import Assignment
from dunning.kit.ids import CustomerId, LedgerId, PersonId, RuleId
from dunning.tenancy import people
from dunning_api import paging
from dunning_api.deps import Work, reads, writes
from dunning_api.etags import IfMatch, expected_revision, tag
from dunning_api.idempotency import Router
from dunning_api.problems import problems
from dunning_api.schemas.assignments import (
    AccountManagerPut,
    AppliedOut,
    AssignedRole,
    AssignmentsApply,
    CollectorsOut,
    CollectorsPut,
    RuleCreate,
    RuleOut,
    RuleUpdate,
    UnassignedOut,
    key_of,
    reached_of,
)
from dunning_api.schemas.base import Page

router = Router(tags=["assignments"])


@router.post("/ledgers/{ledger_id}/assignment-rules", status_code=201, summary="Create an assignment rule", responses=problems(404, 409))
async def create_rule(ledger_id: UUID, body: RuleCreate, work: Annotated[Work, writes("people:write", repeatable=True)], response: Response) -> RuleOut:
    """Create a rule. It serves customers as they are imported, and those there are when it is applied."""
    work.require_whole_sight()
    rule = await rulebook.create_rule(work.session, work.clock, tenant_id=work.tenant_id, actor=work.actor, ledger_id=LedgerId(ledger_id), values=body.values())
    tag(response, rule.version)
    return RuleOut.of(rule)


@router.get("/ledgers/{ledger_id}/assignment-rules", summary="List assignment rules", responses=problems(404))
async def list_rules(ledger_id: UUID, work: Annotated[Work, reads()], limit: paging.Limit = 100, cursor: paging.Cursor = None) -> Page[RuleOut]:
    """List the rules of a ledger, oldest first; `rank` says in which order they are asked. Whoever sees only some customers sees none."""
    key = paging.unseal(work.keyring, "assignment_rules", cursor, 1)
    found = await rulebook.rules_after(
        work.session, tenant_id=work.tenant_id, ledger_id=LedgerId(ledger_id), after=UUID(key[0]) if key else None, limit=limit + 1
    )
    more = paging.seal(work.keyring, "assignment_rules", found[limit - 1].rule_id) if len(found) > limit else None
    return Page(data=[RuleOut.of(rule) for rule in found[:limit]], next_cursor=more)


@router.get("/assignment-rules/{rule_id}", summary="Get an assignment rule", responses=problems(404))
async def get_rule(rule_id: UUID, work: Annotated[Work, reads()], response: Response) -> RuleOut:
    """Return a rule with its conditions. The `ETag` is its version."""
    rule = await rulebook.rule_of(work.session, tenant_id=work.tenant_id, rule_id=RuleId(rule_id))
    tag(response, rule.version)
    return RuleOut.of(rule)


@router.patch("/assignment-rules/{rule_id}", summary="Change an assignment rule", responses=problems(404, 409, 412, 428))
async def update_rule(rule_id: UUID, body: RuleUpdate, work: Annotated[Work, writes("people:write")], response: Response, if_match: IfMatch = None) -> RuleOut:
    """Change what is given; `active: false` ends a rule. Customers whom it gave to somebody stay there."""
    work.require_whole_sight()
    rule = await rulebook.update_rule(
        work.session,
        work.clock,
        tenant_id=work.tenant_id,
        actor=work.actor,
        rule_id=RuleId(rule_id),
        changes=body.changes(),
        expected_version=expected_revision(if_match),
    )
    tag(response, rule.version)
    return RuleOut.of(rule)


@router.post("/ledgers/{ledger_id}/assignments/apply", summary="Apply the assignment rules", responses=problems(404, 409))
async def apply_rules(ledger_id: UUID, body: AssignmentsApply, work: Annotated[Work, writes("people:write")]) -> AppliedOut:
    """Give customers to somebody by the ledger's rules: those whom nobody looks after, or, with `reassign`, also those whom the rules put elsewhere. `dry_run` lists who would move, from whom to whom and by which rule."""
    work.require_whole_sight()
    key = paging.unseal(work.keyring, body.list_name, body.cursor, 3)
    answer = await sharing.apply_when_asked(
        work.session, work.clock, tenant_id=work.tenant_id, actor=work.actor, ledger_id=LedgerId(ledger_id), asked=body.asked(),
        reached=None if key is None else reached_of(key),
    )  # fmt: skip
    more = None if answer.reached is None else paging.seal(work.keyring, body.list_name, *key_of(answer.reached))
    return AppliedOut.of(body, answer, next_cursor=more)


@router.get("/ledgers/{ledger_id}/unassigned", summary="Customers whom nobody looks after", responses=problems(404))
async def list_unassigned(
    ledger_id: UUID,
    work: Annotated[Work, reads()],
    role: Annotated[AssignedRole, Query(description="Without a lead collector, or without an account manager.")] = "collector",
    limit: paging.Limit = 100,
    cursor: paging.Cursor = None,
) -> Page[UnassignedOut]:
    """List customers of a ledger for whom nobody leads in a role, oldest first, each with why. Event `customers.unassigned` tells that there are some."""
    key = paging.unseal(work.keyring, "unassigned", cursor, 1)
    found = await sharing.unassigned_after(
        work.session, tenant_id=work.tenant_id, ledger_id=LedgerId(ledger_id), role=role, after=UUID(key[0]) if key else None, limit=limit + 1
    )
    more = paging.seal(work.keyring, "unassigned", found[limit - 1][0]["customer_id"]) if len(found) > limit else None
    whole = work.sight is None
    return Page(data=[UnassignedOut.of(row, because if whole else None) for row, because in found[:limit]], next_cursor=more)


@router.get("/customers/{customer_id}/collectors", summary="Who looks after a customer", responses=problems(404))
async def get_collectors(
    customer_id: UUID,
    work: Annotated[Work, reads()],
    history: Annotated[bool, Query(description="Also who did, with the days.")] = False,
) -> CollectorsOut:
    """Return the collectors and the account manager of a customer, the leads first."""
    found = await assignments.assignments_of(work.session, tenant_id=work.tenant_id, customer_id=CustomerId(customer_id), history=history)
    return await _shown(work, customer_id, found)


@router.put("/customers/{customer_id}/collectors", summary="State who collects from a customer", responses=problems(404, 409))
async def put_collectors(customer_id: UUID, body: CollectorsPut, work: Annotated[Work, writes("collection:write")]) -> CollectorsOut:
    """State the lead collector and further ones: with `people:write` of any customer, and of one that you collect from yourself, to pass it to a colleague. Open actions and disputes of whoever no longer collects go to the lead; history keeps the old name. The same again changes nothing."""
    await _own_or_managed(work, CustomerId(customer_id), body)
    found = await assignments.set_collectors(
        work.session,
        work.clock,
        tenant_id=work.tenant_id,
        actor=work.actor,
        customer_id=CustomerId(customer_id),
        lead_id=None if body.lead_id is None else PersonId(body.lead_id),
        other_ids=[PersonId(other) for other in body.other_ids],
        reason=body.reason,
    )
    return await _shown(work, customer_id, found)


@router.put("/customers/{customer_id}/account-manager", summary="State who manages a customer's account", responses=problems(404, 409))
async def put_account_manager(customer_id: UUID, body: AccountManagerPut, work: Annotated[Work, writes("people:write")]) -> CollectorsOut:
    """State the account manager, or that there is none. Notices to the role `account_manager` reach this person, unless the customer names a colleague for it."""
    found = await assignments.set_account_manager(
        work.session,
        work.clock,
        tenant_id=work.tenant_id,
        actor=work.actor,
        customer_id=CustomerId(customer_id),
        person_id=None if body.person_id is None else PersonId(body.person_id),
        reason=body.reason,
    )
    return await _shown(work, customer_id, found)


async def _own_or_managed(work: Work, customer_id: CustomerId, body: CollectorsPut) -> None:
    """Raise `Forbidden` where the caller manages no people and does not pass on a customer of their own, or would leave it to nobody; raise `NotFound`."""
    if "people:write" in work.scopes:
        return
    mine = work.person_id is not None and await assignments.collects_from(
        work.session, work.clock, tenant_id=work.tenant_id, customer_id=customer_id, person_id=work.person_id
    )
    if not mine or body.lead_id is None:
        work.require("people:write")


async def _shown(work: Work, customer_id: UUID, found: list[Assignment]) -> CollectorsOut:
    actors = [actor for one in found for actor in (one.actor, one.ended_by) if actor is not None]
    return CollectorsOut.of(customer_id, found, await people.names_of(work.session, tenant_id=work.tenant_id, actors=actors))
