"""Who is told: contacts by role, in the order in which a notice names the roles. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from uuid import NAMESPACE_URL, UUID, uuid5


@dataclass(frozen=True, slots=True)
class Recipient:
    """Hold one contact as messages need it."""

    contact_id: UUID
    name: str | None
    email: str | None
    language: str | None
    roles: tuple[str, ...]
    internal: bool
    opted_out: bool = False
    """Wants no notices before the due date."""
    typed: bool = False
    """True for an address of the company that is no contact of the customer: one that was typed in, or that of a person who looks after it."""

    @property
    def key(self) -> str:
        """What makes messages to the same recipient the same; it shows no address."""
        return str(self.contact_id)


def told(contacts: Iterable[Recipient], roles: Sequence[str], *, internal: bool, own_domains: Collection[str]) -> list[Recipient]:
    """Return those who get a notice: everyone with an address in the first of the roles that anyone has; empty: nobody can be reached.

    A notice to the customer never goes to the company's own people, and an internal one never leaves the company: with `own_domains` given, an
    internal address outside them is passed over.
    """
    usable = [contact for contact in contacts if _usable(contact, internal=internal, own_domains=own_domains)]
    for role in roles:
        found = [contact for contact in usable if role in contact.roles]
        if found:
            return _once_each(found)
    return []


def copied(contacts: Iterable[Recipient], roles: Sequence[str], *, own_domains: Collection[str]) -> list[Recipient]:
    """Return the company's own people in any of the roles; a copy never goes to a customer."""
    wanted = set(roles)
    return _once_each([c for c in contacts if _usable(c, internal=True, own_domains=own_domains) and wanted.intersection(c.roles)])


def wanting(recipients: Iterable[Recipient]) -> list[Recipient]:
    """Return those who have not opted out of notices before the due date."""
    return [recipient for recipient in recipients if not recipient.opted_out]


def addressed(
    contacts: Iterable[Recipient],
    contact_ids: Collection[str],
    emails: Collection[str],
    *,
    internal: bool,
    own_domains: Collection[str],
    colleagues: Mapping[str, tuple[str, str | None]] = MappingProxyType({}),
) -> list[Recipient]:
    """Return those of the named people who can be reached: contacts by id and, for what stays inside the company, addresses of its own domains.

    `colleagues` holds the names and languages of people of the company by their address in lower case, so that a typed address is greeted by its name.
    """
    wanted = set(contact_ids)
    found = [c for c in contacts if str(c.contact_id) in wanted and _usable(c, internal=internal, own_domains=own_domains)]
    if internal:
        written = [_typed(email, *colleagues.get(email.lower(), (None, None))) for email in emails]
        found += [one for one in written if _usable(one, internal=True, own_domains=own_domains)]
    return _once_each(found)


def _typed(email: str, name: str | None, language: str | None) -> Recipient:
    return Recipient(uuid5(NAMESPACE_URL, f"mailto:{email.lower()}"), name, email, language, (), internal=True, typed=True)


def with_assigned(contacts: list[Recipient], assigned: Iterable[Recipient]) -> list[Recipient]:
    """Return contacts with the people who look after the customer: each in the role for which the customer names no colleague with an address."""
    named = {role for contact in contacts if contact.internal and contact.email for role in contact.roles}
    return [*contacts, *(person for person in assigned if not named.intersection(person.roles))]


def _usable(contact: Recipient, *, internal: bool, own_domains: Collection[str]) -> bool:
    if not contact.email or contact.internal is not internal:
        return False
    return not (internal and own_domains) or contact.email.rsplit("@", 1)[-1].lower() in own_domains


def _once_each(contacts: Iterable[Recipient]) -> list[Recipient]:
    by_address: dict[str, Recipient] = {}
    for contact in sorted(contacts, key=lambda c: c.contact_id.bytes):
        by_address.setdefault((contact.email or "").lower(), contact)
    return list(by_address.values())
