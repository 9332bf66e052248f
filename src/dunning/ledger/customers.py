"""Customers with their contacts and groups: stated whole, kept with a version for each change."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from uuid import UUID

from dunning.events import service as events
from dunning.events.service import NewEvent
from dunning.kit import calendar
from dunning.kit.clock import Clock, local_date
from dunning.kit.database import ReadSession, Session
from dunning.kit.errors import NotFound
from dunning.kit.ids import ContactId, CustomerId, LedgerId, TenantId, new_id
from dunning.ledger import blocks, contact_store, customer_store, ledger_store, settings_check
from dunning.ledger.blocks import StatedBlock
from dunning.ledger.contact_store import StoredContact
from dunning.ledger.customer_state import bump_ledger, facts_changed
from dunning.ledger.customer_store import Customer, CustomerValues, Group
from dunning.ledger.ledger_store import Ledger
from dunning.ledger.outcomes import RowOutcome, passes, rejected, unknown
from dunning.ledger.rows import Contact, CustomerRow
from dunning.ledger.rules import search_form


async def put_customers(session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, ledger: Ledger, rows: Sequence[CustomerRow]) -> list[RowOutcome]:
    """Create or change customers by their external ids and say for each what became of it.

    Unchanged ones touch nothing. One that names an unknown group is parked. Setting the same content twice is one change.
    """
    answers: list[RowOutcome] = [RowOutcome("unchanged")] * len(rows)
    for positions in passes([row.external_id for row in rows]):
        found = await _put_distinct(session, clock, tenant_id, actor, ledger, [rows[p] for p in positions])
        for position, answer in zip(positions, found, strict=True):
            answers[position] = answer
    return answers


async def _put_distinct(session: Session, clock: Clock, tenant_id: TenantId, actor: str, ledger: Ledger, rows: Sequence[CustomerRow]) -> list[RowOutcome]:
    today = local_date(clock.now(), ledger.time_zone)
    groups = await customer_store.group_ids(session, tenant_id, ledger.ledger_id, sorted({r.group_code for r in rows if r.group_code}))
    scenario_ids = sorted({r.scenario_id for r in rows if r.scenario_id})
    scenarios = await ledger_store.known_scenarios(session, tenant_id, scenario_ids) if scenario_ids else set()
    hashes = [row.content_sha256 for row in rows]
    known = await customer_store.present_contents(session, tenant_id, ledger.ledger_id, [r.external_id for r in rows], hashes)
    answers: list[RowOutcome] = []
    new: list[CustomerValues] = []
    changed: list[CustomerValues] = []
    for row, sha in zip(rows, hashes, strict=True):
        fault = _fault_of(row, groups, scenarios)
        if fault is not None:
            answers.append(fault)
            continue
        found = known.get(row.external_id)
        if found is not None and found[1] == sha:
            answers.append(RowOutcome("unchanged", found[0]))
            continue
        values = _values(row, sha, found[0] if found else new_id(), groups, today)
        (changed if found else new).append(values)
        answers.append(RowOutcome("changed" if found else "created", values.customer_id))
    if new:
        made = await customer_store.insert_customers(session, tenant_id, ledger.ledger_id, new)
        if len(made) != len(new):
            # Another transaction created some of them a moment ago; they are changed instead.
            return await _put_distinct(session, clock, tenant_id, actor, ledger, rows)
    if changed:
        await customer_store.change_customers(session, tenant_id, ledger.ledger_id, changed)
        reminded = [v.customer_id for v in changed if v.step_reached is not None]
        if reminded:
            await customer_store.spread_progress(session, tenant_id, reminded)
    by_external_id = {row.external_id: row for row in rows}
    written = [(by_external_id[v.external_id], CustomerId(v.customer_id)) for v in (*new, *changed)]
    await _put_contacts(session, tenant_id, written)
    stated = [StatedBlock(customer_id, None, row.dunning_block) for row, customer_id in written]
    await blocks.put_blocks(session, clock, tenant_id=tenant_id, actor=actor, ledger_id=ledger.ledger_id, today=today, stated=stated, fresh=not changed)
    await facts_changed(session, tenant_id, [CustomerId(v.customer_id) for v in changed], today)
    made_events = [NewEvent("customer.created", "customer", v.customer_id, CustomerId(v.customer_id)) for v in new]
    made_events += [NewEvent("customer.changed", "customer", v.customer_id, CustomerId(v.customer_id)) for v in changed]
    await events.record_many(session, clock, tenant_id=tenant_id, actor=actor, events=made_events)
    return answers


def _fault_of(row: CustomerRow, groups: dict[str, UUID], scenarios: set[UUID]) -> RowOutcome | None:
    if row.scenario_id is not None and row.scenario_id not in scenarios:
        return rejected("scenario_id", f"no scenario {row.scenario_id} is known: create it first, or leave the policy at inherit", NotFoundScenario)
    zone_fault = settings_check.zone_fault(row.time_zone)
    if zone_fault is not None:
        return rejected("time_zone", zone_fault)
    if row.country is not None and not calendar.knows(row.country, row.subdivision):
        return rejected("country", f"no public holidays are known for {row.country} {row.subdivision or ''}".rstrip())
    if row.group_code is not None and row.group_code not in groups:
        return unknown("customer_group", "group_code", row.group_code)
    return None


class NotFoundScenario(NotFound):
    """A customer or item names a scenario that does not exist."""

    def __init__(self, _detail: str = "") -> None:
        super().__init__("scenario")


def _values(row: CustomerRow, sha: bytes, customer_id: UUID, groups: dict[str, UUID], today: dt.date) -> CustomerValues:
    return CustomerValues(
        customer_id=customer_id,
        external_id=row.external_id,
        name=row.name,
        name_search=search_form(row.name),
        language=row.language,
        country=row.country,
        subdivision=row.subdivision,
        time_zone=row.time_zone,
        tax_number=row.tax_number,
        customer_group_id=groups[row.group_code] if row.group_code else None,
        policy=row.policy,
        scenario_id=row.scenario_id,
        collection_method=row.collection_method,
        step_reached=row.step_reached,
        last_reminded_on=(row.last_reminded_on or today) if row.step_reached else None,
        crm_url=row.crm_url,
        custom=row.custom,
        content_sha256=sha,
        insurance_cover="none" if row.insurance_cover is None else row.insurance_cover.state,
        insurance_cover_until=None if row.insurance_cover is None else row.insurance_cover.until_on,
        insurance_cover_reference=None if row.insurance_cover is None else row.insurance_cover.reference,
        territory=row.territory,
        tags=customer_store.BETWEEN_TAGS.join(dict.fromkeys(row.tags)),
    )


async def _put_contacts(session: Session, tenant_id: TenantId, written: Sequence[tuple[CustomerRow, CustomerId]]) -> None:
    stating = [(row.contacts, customer_id) for row, customer_id in written if row.contacts is not None]
    if not stating:
        return
    wanted = [_contact(contact, customer_id) for contacts, customer_id in stating for contact in contacts]
    await contact_store.remove_missing(session, tenant_id, [customer_id for _, customer_id in stating], wanted)
    await contact_store.upsert_contacts(session, tenant_id, wanted)


def _contact(stated: Contact, customer_id: CustomerId) -> StoredContact:
    return StoredContact(
        contact_id=ContactId(new_id()),
        customer_id=customer_id,
        external_id=stated.external_id,
        name=stated.name,
        email=stated.email,
        phone=stated.phone,
        pec=stated.pec,
        postal_address=stated.postal_address.model_dump() if stated.postal_address else None,
        language=stated.language,
        roles=list(dict.fromkeys(stated.roles)),
        internal=stated.internal,
    )


async def customer_of(session: ReadSession, *, tenant_id: TenantId, customer_id: CustomerId) -> Customer:
    """Return a customer; raise `NotFound`."""
    customer = await customer_store.customer_of(session, tenant_id, customer_id)
    if customer is None:
        noun = "customer"
        raise NotFound(noun)
    return customer


async def record_of(session: ReadSession, *, tenant_id: TenantId, customer_id: CustomerId) -> tuple[Customer, list[StoredContact]]:
    """Return a customer with its contacts; raise `NotFound`."""
    record = await customer_store.record_of(session, tenant_id, customer_id)
    if record is None:
        noun = "customer"
        raise NotFound(noun)
    return record


async def contacts_of(session: ReadSession, *, tenant_id: TenantId, customer_id: CustomerId) -> list[StoredContact]:
    """Return the contacts of a customer."""
    return (await contact_store.contacts_of(session, tenant_id, [customer_id]))[customer_id]


async def customers_of(
    session: ReadSession, *, tenant_id: TenantId, ledger_id: LedgerId, after: UUID | None, limit: int, external_id: str | None
) -> list[Customer]:
    """Return customers of a ledger past an id; with an external id, that one or none. Raises `NotFound` for an unknown ledger."""
    await _known_ledger(session, tenant_id, ledger_id)
    return await customer_store.customers_of(session, tenant_id, ledger_id, after, limit, external_id)


async def customers_named(
    session: ReadSession, *, tenant_id: TenantId, ledger_id: LedgerId, name: str, after: tuple[str, UUID] | None, limit: int
) -> list[tuple[Customer, str]]:
    """Return customers whose name begins with the given letters, accents and case aside, each with its name as searched."""
    await _known_ledger(session, tenant_id, ledger_id)
    return await customer_store.customers_named(session, tenant_id, ledger_id, search_form(name), after, limit)


async def put_group(
    session: Session,
    clock: Clock,
    *,
    tenant_id: TenantId,
    actor: str,
    ledger_id: LedgerId,
    code: str,
    name: str,
    policy: str,
    scenario_id: UUID | None,
) -> tuple[Group, bool]:
    """Create or change a group by its code; return it and whether it is new. The same content again changes nothing."""
    await _known_ledger(session, tenant_id, ledger_id)
    if scenario_id is not None and not await ledger_store.known_scenarios(session, tenant_id, [scenario_id]):
        raise NotFoundScenario
    before = await customer_store.group_of(session, tenant_id, ledger_id, code)
    if before is None or (before.name, before.policy, before.scenario_id) != (name, policy, scenario_id):
        await customer_store.upsert_group(session, tenant_id, ledger_id, new_id(), code, name, policy, scenario_id)
        await bump_ledger(session, tenant_id, ledger_id)
    group = await customer_store.group_of(session, tenant_id, ledger_id, code)
    if group is None:
        noun = "customer group"
        raise NotFound(noun)
    if group != before:
        kind = "customer_group.created" if before is None else "customer_group.changed"
        subject = group.customer_group_id
        await events.record(session, clock, tenant_id=tenant_id, kind=kind, subject_kind="customer_group", subject_id=subject, actor=actor)
    return group, before is None


async def groups_of(session: ReadSession, *, tenant_id: TenantId, ledger_id: LedgerId, after: str | None, limit: int) -> list[Group]:
    """Return the groups of a ledger past a code, by code."""
    await _known_ledger(session, tenant_id, ledger_id)
    return await customer_store.groups_of(session, tenant_id, ledger_id, after, limit)


async def _known_ledger(session: ReadSession, tenant_id: TenantId, ledger_id: LedgerId) -> None:
    if await ledger_store.ledger_of(session, tenant_id, ledger_id) is None:
        noun = "ledger"
        raise NotFound(noun)
