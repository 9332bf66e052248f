"""Looking ahead and explaining: agenda, reasons, and who could not be reached."""

from __future__ import annotations

import datetime as dt
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

import asyncpg

from dunning.collection import catalogue, fact_store, facts, ledger_days, sheet_store, worklist_store
from dunning.collection.catalogue import Catalogue
from dunning.collection.facts import CustomerFacts
from dunning.collection.recipients import Recipient, told, wanting
from dunning.kit.clock import Clock, local_date
from dunning.kit.database import ReadSession
from dunning.kit.errors import Conflict, Malformed, NotFound
from dunning.kit.ids import CustomerId, ItemId, LedgerId, TenantId
from dunning.ledger import ledgers
from dunning.scenarios.agenda import AgendaEntry, agenda
from dunning.scenarios.explanation import Explanation, NotOpen, explain
from dunning.scenarios.overrides import NoPlace, Override, applied
from dunning.scenarios.rules import DEBIT, Id, Plan, customer_step, plan
from dunning.scenarios.steps import Audience, Channel, Step
from dunning.tenancy import service as tenancy

FARTHEST_DAYS = 366


class NotOpenItem(Conflict):
    """The item is settled, void or a credit, so nothing is decided about it."""

    code = "item_not_open"
    title = "The item is not an open debt"


@dataclass(frozen=True, slots=True)
class Outlook:
    """Hold one customer's position with the scenarios it names and the day it is seen from."""

    customer_id: CustomerId
    today: dt.date
    seen: CustomerFacts
    known: Catalogue
    without_place: Mapping[tuple[Id, int], Mapping[str, NoPlace]]
    """By scenario version and step code, the customer's own steps that the version has no place for, and why."""

    def left_out(self, found: Explanation) -> Mapping[str, NoPlace]:
        """Return the customer's own steps that the plan of an explained item leaves out."""
        return {} if found.scenario_id is None or found.version is None else self.without_place.get((found.scenario_id, found.version), {})


@dataclass(frozen=True, slots=True)
class CustomerAgenda:
    """Hold what is under way about a customer, by its day, and what the rule plans for the items that are free, each action completed on its day."""

    outlook: Outlook
    current_step: str | None
    live: Sequence[asyncpg.Record]
    coming: Sequence[AgendaEntry]


@dataclass(frozen=True, slots=True)
class Forewarned:
    """Hold one coming action: on which day, which step, and what would keep it from reaching anybody (`no_address`), if anything."""

    customer_id: CustomerId
    external_id: str
    name: str
    on: dt.date
    entry: AgendaEntry
    step_name: str
    problem: str | None


async def outlook_of(session: ReadSession, clock: Clock, *, tenant_id: TenantId, customer_id: CustomerId, on: dt.date | None = None) -> Outlook:
    """Return a customer's position today, or as it would be seen on a later day if nothing happened; raise `NotFound`, or `Malformed` for the past."""
    row = await session.row(
        "select l.time_zone from customer c join ledger l on l.tenant_id = c.tenant_id and l.ledger_id = c.ledger_id where c.tenant_id = $1 and c.customer_id = $2",
        tenant_id,
        customer_id,
    )
    if row is None:
        noun = "customer"
        raise NotFound(noun)
    today = local_date(clock.now(), row["time_zone"])
    day = on or today
    if not today <= day <= today + dt.timedelta(days=FARTHEST_DAYS):
        msg = f"Expected a day from {today} on, within a year: what was decided earlier is in the runs and actions."
        raise Malformed(msg, errors=[{"field": "at", "message": "expected a day from today on, within a year"}])
    seen, _ = await facts.facts_of(session, tenant_id, [customer_id], today)
    if not seen:
        noun = "customer"
        raise NotFound(noun)
    return Outlook(customer_id, day, seen[0], seen[0].known, await _without_place(session, tenant_id, seen[0]))


async def _without_place(session: ReadSession, tenant_id: TenantId, seen: CustomerFacts) -> dict[tuple[Id, int], Mapping[str, NoPlace]]:
    own: defaultdict[Id, list[Override]] = defaultdict(list)
    for scenario_id, kind, code, content in seen.position.overrides:
        own[scenario_id].append(Override(kind, code, json.loads(content)))
    followed = {(item.scenario_id, item.version) for item in seen.position.items if item.scenario_id in own}
    shared = await catalogue.load(session, tenant_id, [(scenario_id, version) for scenario_id, version in followed if scenario_id is not None])
    return {key: applied(published.compiled.scenario, own[key[0]])[1] for key, published in shared.versions.items()}


async def agenda_of(session: ReadSession, clock: Clock, *, tenant_id: TenantId, customer_id: CustomerId, days: int) -> CustomerAgenda:
    """Return a customer's live actions and those to come within some days if nothing else happens; raise `NotFound`."""
    seen = await outlook_of(session, clock, tenant_id=tenant_id, customer_id=customer_id)
    until = seen.today + dt.timedelta(days=days)
    live = await worklist_store.live_of(session, tenant_id, customer_id, seen.today, until)
    coming = agenda(seen.seen.position, seen.known.compiled, seen.today.toordinal(), until.toordinal())
    return CustomerAgenda(seen, step_of_customer(seen), live, coming)


def plan_of(outlook: Outlook) -> Plan:
    """Return what would be decided about a customer on the outlook's day."""
    return plan(outlook.seen.position, outlook.known.compiled, outlook.today.toordinal())


def explain_item(outlook: Outlook, item_id: ItemId) -> Explanation:
    """Return the rule's path for one item of a customer; raise `NotOpenItem`."""
    try:
        return explain(outlook.seen.position, outlook.known.compiled, outlook.today.toordinal(), str(item_id))
    except NotOpen:
        msg = "The item is settled, void or a credit. Only open debts are reminded."
        raise NotOpenItem(msg) from None


def explain_customer(outlook: Outlook) -> list[Explanation]:
    """Return the rule's path for every open debt of a customer, the oldest first."""
    position = outlook.seen.position
    debts = sorted([item for item in position.items if item.direction == DEBIT and item.open_minor > 0], key=lambda i: (i.due_on, i.number, str(i.id)))
    return [explain_item(outlook, ItemId(UUID(str(item.id)))) for item in debts]


def step_of_customer(outlook: Outlook) -> str | None:
    """Return the code of the highest step that the customer's open items have completed."""
    found = customer_step(outlook.seen.position, outlook.known.compiled)
    return None if found is None else found[2]


async def customer_of_item(session: ReadSession, *, tenant_id: TenantId, item_id: ItemId) -> CustomerId:
    """Return the customer that an item belongs to; raise `NotFound`."""
    found = await session.value("select customer_id from item where tenant_id = $1 and item_id = $2", tenant_id, item_id)
    if found is None:
        noun = "item"
        raise NotFound(noun)
    return CustomerId(found)


async def forewarning(
    session: ReadSession, clock: Clock, *, tenant_id: TenantId, ledger_id: LedgerId, days: int, after: UUID | None, limit: int, only_problems: bool
) -> tuple[list[Forewarned], UUID | None]:
    """Return the coming actions of the next `limit` customers of a ledger that have any within some days, and the id to go on from.

    Only customers that are to be looked at within that time are read. The order is that of customer ids; a customer's actions are in the order
    of their days.
    """
    ledger = await ledgers.ledger_of(session, tenant_id=tenant_id, ledger_id=ledger_id)
    tenant = await tenancy.tenant_of(session, tenant_id)
    today = local_date(clock.now(), ledger.time_zone)
    until = today + dt.timedelta(days=days)
    ids = [
        CustomerId(row["customer_id"])
        for row in await session.rows(
            """select customer_id from customer_state where tenant_id = $1 and ledger_id = $2 and ($3::uuid is null or customer_id > $3)
                 and (review_on <= $4 or planned_revision < $5) order by customer_id limit $6""",
            tenant_id,
            ledger_id,
            after,
            until,
            ledger.revision,
            limit,
        )
    ]
    if not ids:
        return [], None
    seen, _ = await facts.facts_of(session, tenant_id, ids, today)
    sheets = await sheet_store.customers_of(session, tenant_id, ids)
    contacts = await sheet_store.contacts_of(session, tenant_id, ids)
    found: list[Forewarned] = []
    for one in seen:
        sheet = sheets[one.customer_id]
        for entry in agenda(one.position, one.known.compiled, today.toordinal(), until.toordinal()):
            step = one.known[entry.action.scenario_id, entry.action.version].steps[entry.action.step_code]
            problem = problem_with(step, contacts[one.customer_id], tenant.internal_domains)
            if problem is not None or not only_problems:
                on = dt.date.fromordinal(entry.on)
                found.append(Forewarned(one.customer_id, sheet.external_id, sheet.name, on, entry, step.name, problem))
    return found, ids[-1] if len(ids) == limit else None


def problem_with(step: Step, contacts: Sequence[Recipient], own_domains: Sequence[str]) -> str | None:
    """Return why a step would reach nobody as things are, or None."""
    primary = next((notice for notice in step.notices if notice.primary), None)
    if primary is None or primary.channel is not Channel.EMAIL:
        return None
    internal = primary.audience is Audience.INTERNAL
    found = told(contacts, primary.to_roles, internal=internal, own_domains=own_domains)
    if found and step.is_courtesy and not internal and not wanting(found):
        return "opted_out"
    return None if found else "no_address"


async def sleeping_too_long(session: ReadSession, clock: Clock, *, tenant_id: TenantId, sample: int) -> list[CustomerId]:
    """Return customers of a sample of sleeping ones for which a plan made today has an action: the gate must never hide one."""
    wrong: list[CustomerId] = []
    days = await ledger_days.days_of(session, clock, tenant_id=tenant_id, ledger_id=None)
    for today in sorted(set(days.todays)):  # never more than three at one instant, however many ledgers
        there = [ledger_id for ledger_id, day in zip(days.ledger_ids, days.todays, strict=True) if day == today]
        asleep = await fact_store.asleep(session, tenant_id, there, today, sample)
        seen, _ = await facts.facts_of(session, tenant_id, asleep, today)
        wrong += [one.customer_id for one in seen if plan(one.position, one.known.compiled, today.toordinal()).actions]
    return wrong
