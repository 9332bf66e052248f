"""How often a ledger lets a customer, and a person, be contacted within some days; what was made counts, and so does what is planned.

Scenario and specific actions, calls and legal steps count together, ad hoc mails do not. A person is a mail address: of several customers, or in several
roles, it is the same one.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from dunning.collection import contact_budget_store
from dunning.collection.contact_budget_store import Told
from dunning.collection.recipients import Recipient
from dunning.kit.database import ReadSession, Session
from dunning.kit.errors import Conflict
from dunning.kit.ids import ActionId, CustomerId, LedgerId, TenantId
from dunning.ledger.addresses import address_digest
from dunning.ledger.ledger_store import Ledger
from dunning.scenarios.rules import first_free_day

CONTACT_BUDGET = "contact_budget"
"""Why something does not go out: the budget of the customer, or of everybody who would be told, is spent."""


class ContactBudgetSpent(Conflict):
    """The customer has been contacted as often as the ledger allows."""

    code = "contact_budget"
    title = "The contact budget is spent"


class PersonBudgetSpent(ContactBudgetSpent):
    """Everybody who would be told has been contacted as often as the ledger allows."""

    code = "person_contact_budget"
    title = "The contact budget of the people is spent"


async def spent(
    session: ReadSession, tenant_id: TenantId, ledger: Ledger, customer_ids: Collection[CustomerId], on: dt.date, *, but_for: ActionId | None = None
) -> dict[CustomerId, ContactBudgetSpent]:
    """Return the customers of a ledger whom one more contact on a day would bring above the budget, each with the refusal; one statement, or none.

    With `but_for` it is as if that action did not exist, because the new contact takes its place.
    """
    budget, window = ledger.contact_budget, ledger.contact_budget_days
    if budget is None or window is None or not customer_ids:
        return {}
    days = await contact_budget_store.contact_days(session, tenant_id, customer_ids, on - dt.timedelta(days=window), but_for=but_for)
    return {one: refusal for one in customer_ids if (refusal := _refusal(budget, window, days.get(one, ()), on)) is not None}


def _refusal(budget: int, window: int, days: Sequence[dt.date], on: dt.date) -> ContactBudgetSpent | None:
    first = free_on(days, budget, window)
    if first is None or first <= on:
        return None
    msg = (
        f"The ledger's contact_budget allows {budget} contacts of a customer in {window} days, and it is spent until {first}. Take that day or a later one,"
        " or send an ad hoc mail, which counts as no contact. Whoever has the scope `budget:override` may set override_contact_budget."
    )
    return ContactBudgetSpent(msg, contact_budget=budget, contact_budget_days=window, free_on=first.isoformat())


def free_on(days: Iterable[dt.date], budget: int, window: int) -> dt.date | None:
    """Return the first day on which one more contact makes at most `budget` within so many days; None: any day."""
    first = first_free_day([day.toordinal() for day in days], budget, window)
    return dt.date.fromordinal(first) if first else None


@dataclass(slots=True)
class People:
    """How often people of a ledger were contacted, by the digests of their addresses; what is written meanwhile is noted."""

    budget: int
    window: int
    told: dict[bytes, list[Told]] = field(default_factory=dict)

    def free_on(self, email: str, *, made: bool = False) -> dt.date | None:
        """Return the first day on which a person may be contacted once more, None: any; with `made` by what cannot be undone any more alone."""
        return free_on([one.on_day for one in self.told.get(address_digest(email), ()) if one.made or not made], self.budget, self.window)

    def may_be_told(self, recipient: Recipient, on: dt.date) -> bool:
        """Tell whether one more contact of somebody on a day stays within the budget."""
        day = self.free_on(recipient.email or "")
        return day is None or day <= on

    def first_free(self, recipients: Iterable[Recipient]) -> dt.date | None:
        """Return the first day on which one of some people may be contacted once more."""
        return min((day for one in recipients if (day := self.free_on(one.email or "")) is not None), default=None)

    def note(self, recipients: Iterable[Recipient], on: dt.date) -> None:
        """Note one contact of some people."""
        for digest in {address_digest(one.email or "") for one in recipients}:
            self.told.setdefault(digest, []).append(Told(on, made=False))


async def people(session: ReadSession, ledger_id: LedgerId, budget: int, window: int, emails: Collection[str], on: dt.date) -> People:
    """Return how often people with some addresses were, or will be, contacted within the days before one, for whichever customers of the ledger."""
    digests = {address_digest(email) for email in emails}
    told = await contact_budget_store.contacts_of_addresses(session, ledger_id, digests, on - dt.timedelta(days=window))
    return People(budget, window, told)


async def people_of_ledger(session: ReadSession, ledger: Ledger, emails: Collection[str], on: dt.date) -> People | None:
    """Return how often people were contacted, None where the ledger has no budget of a person; no statement then."""
    if ledger.person_contact_budget is None or ledger.person_contact_budget_days is None:
        return None
    return await people(session, ledger.ledger_id, ledger.person_contact_budget, ledger.person_contact_budget_days, emails, on)


async def people_to_write_to(session: Session, tenant_id: TenantId, ledger: Ledger, emails: Collection[str], on: dt.date) -> People | None:
    """Return it for people who are written to in this transaction: until it ends nobody else writes to them. The caller has locked its customers."""
    if ledger.person_contact_budget is None or not emails:
        return None
    await contact_budget_store.lock_addresses(session, tenant_id, sorted({address_digest(email) for email in emails}))
    return await people_of_ledger(session, ledger, emails, on)


def unreachable(counted: People | None, recipients: Sequence[Recipient], on: dt.date) -> PersonBudgetSpent | None:
    """Return the refusal of a mail on a day where the budget of each of its readers is spent, or None."""
    if counted is None or not recipients or any(counted.may_be_told(one, on) for one in recipients):
        return None
    day = counted.first_free(recipients)
    msg = (
        f"The ledger's person_contact_budget allows {counted.budget} contacts of a person in {counted.window} days, for whichever customers; of everybody who"
        f" would be told it is spent until {day}. Take that day or a later one. Whoever has the scope `budget:override` may set override_contact_budget."
    )
    facts = {"person_contact_budget": counted.budget, "person_contact_budget_days": counted.window}
    return PersonBudgetSpent(msg, **facts, free_on=None if day is None else day.isoformat())


def roles_free_on(counted: People, recipients: Iterable[Recipient]) -> dict[str, int]:
    """Return the roles in which somebody of a customer has an address, each with the ordinal of the first day on which one of its people may be written to.

    0 is any day. Only contacts that were made count: they stay, so that the day is never an earlier one later on.
    """
    found: dict[str, int] = {}
    for one in recipients:
        if one.email and not one.internal:
            day = counted.free_on(one.email, made=True)
            for role in one.roles:
                found[role] = min(found.get(role, dt.date.max.toordinal()), 0 if day is None else day.toordinal())
    return found
