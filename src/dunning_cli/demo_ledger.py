"""The demo's company: a made-up manufacturer, its customers in four countries, their invoices and what they paid.

Everything is derived from a fixed seed, so that each demo tells the same story. Days are counted from the demo's first day.
"""

from __future__ import annotations

import datetime as dt
import random
import unicodedata
from dataclasses import dataclass

SEED = 20_260_302
FIRST = dt.date(2026, 1, 19)
"""The story's first day is the same whenever the demo runs, so that week-ends, holidays and with them all figures are."""
DAYS = 42

_PLACES = {
    "it": ("IT", "MI", ["Ferramenta Colombo", "Officine Brambilla", "Carpenteria Rossetti", "Idraulica Moretti", "Serramenti Galli", "Legnami Ferrari"]),
    "es": ("ES", "MD", ["Suministros Ortega", "Talleres Velasco", "Ferretería Iglesias", "Construcciones Pardo", "Maderas del Norte", "Grupo Alarcón"]),
    "fr": ("FR", None, ["Quincaillerie Martin", "Ateliers Lefèvre", "Menuiserie Girard", "Plomberie Dubois", "Matériaux Renaud", "Société Chevalier"]),
    "en": ("IE", None, ["Harbour Tools", "Whitfield Joinery", "Oakley Fittings", "Kerrigan Supplies", "Marlow Engineering", "Penrose Builders"]),
}
_LAST = {
    "it": ["Bianchi", "Conti", "Ricci", "Gallo", "Fontana", "Marino"],
    "es": ["García", "Romero", "Navarro", "Torres", "Molina", "Serrano"],
    "fr": ["Laurent", "Moreau", "Roux", "Blanc", "Fournier", "Mercier"],
    "en": ["Byrne", "Walsh", "Nolan", "Doyle", "Quinn", "Brennan"],
}
_FIRST = {
    "it": ["Giulia", "Marco", "Elena", "Paolo", "Chiara", "Luca"],
    "es": ["Lucía", "Javier", "Carmen", "Álvaro", "Marta", "Diego"],
    "fr": ["Camille", "Antoine", "Léa", "Hugo", "Manon", "Julien"],
    "en": ["Aoife", "Liam", "Grace", "Owen", "Niamh", "Rory"],
}


_DIALLING = {"IT": "+39 02", "ES": "+34 91", "FR": "+33 1", "IE": "+353 1"}


@dataclass(frozen=True, slots=True)
class DemoInvoice:
    """One invoice: amounts in minor units, days from the demo's first day."""

    external_id: str
    issued_day: int
    due_day: int
    amount_minor: int
    currency: str
    paid_day: int | None
    paid_minor: int


@dataclass(frozen=True, slots=True)
class DemoCustomer:
    """One customer with the person who takes the mails."""

    external_id: str
    name: str
    language: str
    country: str
    subdivision: str | None
    tax_number: str
    contact: str
    email: str
    phone: str
    insured: bool
    invoices: tuple[DemoInvoice, ...]


def demo_customers() -> list[DemoCustomer]:
    """Return 24 customers, six a language, with three to six invoices each over the days before and during the demo."""
    dice = random.Random(SEED)  # noqa: S311  # a story, not a secret
    customers: list[DemoCustomer] = []
    number = 1000
    for language, (country, subdivision, names) in _PLACES.items():
        for place, name in enumerate(names):
            code = f"{country}-{place + 1:02d}"
            invoices = []
            for _ in range(dice.randint(3, 6)):
                number += 1
                due_day = dice.randint(-12, DAYS - 4)
                amount = dice.randint(18_000, 940_000)
                # Three of ten never pay inside the demo, two pay a part, the rest pay around their due date.
                temper = dice.random()
                paid_day, paid = None, 0
                if temper < 0.5:
                    paid_day, paid = due_day + dice.randint(-4, 16), amount
                elif temper < 0.7:
                    paid_day, paid = due_day + dice.randint(2, 14), amount * dice.randint(2, 7) // 10
                currency = "GBP" if language == "en" and dice.random() < 0.3 else "EUR"
                invoices.append(DemoInvoice(str(number), due_day - 30, due_day, amount, currency, paid_day, paid))
            customers.append(
                DemoCustomer(
                    external_id=code,
                    name=name,
                    language=language,
                    country=country,
                    subdivision=subdivision,
                    tax_number=f"{country}{dice.randint(10**10, 10**11 - 1)}",
                    contact=f"{_FIRST[language][place]} {_LAST[language][place]}",
                    email=f"accounts@{_domain_of(name)}",
                    phone=f"{_DIALLING[country]} 555 {len(customers):04d}",
                    insured=place % 2 == 0,
                    invoices=tuple(invoices),
                )
            )
    return customers


def _domain_of(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name.lower())
    return "".join(c for c in plain if c.isascii() and c.isalnum()) + ".example"


def day_of(day: int) -> str:
    """Return a day of the story as ISO text."""
    return (FIRST + dt.timedelta(days=day)).isoformat()
