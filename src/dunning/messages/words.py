"""The product's own words in a message, a set per language: table headings, item kinds, states, payment details.

A language is supported when its set is complete, which the dataclass enforces; templates bring their own sentences.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Words:
    """What one language calls things. `{n}` and `{day}` are filled in by the code that uses the phrase."""

    name: str
    colon: str
    document: str
    dated: str
    due_on: str
    status: str
    original: str
    open: str
    stage: str
    overdue: str
    not_due: str
    credits: str
    subtotal: str
    total: str
    more_rows: tuple[str, str]
    days: tuple[str, str]
    days_overdue: tuple[str, str]
    due_in: tuple[str, str]
    due_today: str
    part_paid: str
    credit: str
    join: tuple[str, str]
    beneficiary: str
    bank: str
    amount: str
    reference: str
    kinds: Mapping[str, str]


def _kinds(*words: str) -> Mapping[str, str]:
    codes = (
        "invoice",
        "instalment",
        "debit_note",
        "credit_note",
        "receipt",
        "fee",
        "interest",
        "recovery_compensation",
        "other",
    )
    return MappingProxyType(dict(zip(codes, words, strict=True)))


WORDS: Mapping[str, Words] = MappingProxyType(
    {
        "en": Words(
            name="English",
            colon=":",
            document="Document",
            dated="of {day}",
            due_on="Due date",
            status="Status",
            original="Original",
            open="Open",
            stage="stage {code}",
            overdue="Overdue",
            not_due="Not yet due",
            credits="Credits",
            subtotal="Subtotal",
            total="Total to pay",
            more_rows=("and {n} more document, {amount}", "and {n} more documents, {amount}"),
            days=("{n} day", "{n} days"),
            days_overdue=("{n} day overdue", "{n} days overdue"),
            due_in=("due in {n} day", "due in {n} days"),
            due_today="due today",
            part_paid="part paid",
            credit="credit",
            join=(", ", " and "),
            beneficiary="Beneficiary",
            bank="Bank",
            amount="Amount",
            reference="Payment reference",
            kinds=_kinds(
                "Invoice",
                "Instalment",
                "Debit note",
                "Credit note",
                "Payment on account",
                "Fee",
                "Late interest",
                "Recovery compensation",
                "Document",
            ),
        ),
        "es": Words(
            name="español",
            colon=":",
            document="Documento",
            dated="de {day}",
            due_on="Vencimiento",
            status="Estado",
            original="Importe",
            open="Pendiente",
            stage="fase {code}",
            overdue="Vencido",
            not_due="Por vencer",
            credits="Abonos",
            subtotal="Subtotal",
            total="Total a pagar",
            more_rows=("y {n} documento más, {amount}", "y {n} documentos más, {amount}"),
            days=("{n} día", "{n} días"),
            days_overdue=("vencido hace {n} día", "vencido hace {n} días"),
            due_in=("vence en {n} día", "vence en {n} días"),
            due_today="vence hoy",
            part_paid="pagado en parte",
            credit="abono",
            join=(", ", " y "),
            beneficiary="Beneficiario",
            bank="Banco",
            amount="Importe",
            reference="Concepto",
            kinds=_kinds(
                "Factura",
                "Plazo",
                "Nota de cargo",
                "Nota de abono",
                "Pago a cuenta",
                "Gastos",
                "Intereses de demora",
                "Indemnización por costes de cobro",
                "Documento",
            ),
        ),
        "it": Words(
            name="italiano",
            colon=":",
            document="Documento",
            dated="del {day}",
            due_on="Scadenza",
            status="Stato",
            original="Importo",
            open="Residuo",
            stage="fase {code}",
            overdue="Scaduto",
            not_due="A scadere",
            credits="Accrediti",
            subtotal="Subtotale",
            total="Totale da pagare",
            more_rows=("e {n} altro documento, {amount}", "e altri {n} documenti, {amount}"),
            days=("{n} giorno", "{n} giorni"),
            days_overdue=("scaduto da {n} giorno", "scaduto da {n} giorni"),
            due_in=("scade tra {n} giorno", "scade tra {n} giorni"),
            due_today="scade oggi",
            part_paid="pagato in parte",
            credit="accredito",
            join=(", ", " e "),
            beneficiary="Beneficiario",
            bank="Banca",
            amount="Importo",
            reference="Causale",
            kinds=_kinds(
                "Fattura",
                "Rata",
                "Nota di debito",
                "Nota di credito",
                "Acconto",
                "Spese",
                "Interessi di mora",
                "Risarcimento forfettario",
                "Documento",
            ),
        ),
        "fr": Words(
            name="français",
            colon="\N{NO-BREAK SPACE}:",
            document="Document",
            dated="du {day}",
            due_on="Échéance",
            status="Statut",
            original="Montant",
            open="Reste dû",
            stage="niveau {code}",
            overdue="Échu",
            not_due="À échoir",
            credits="Avoirs",
            subtotal="Sous-total",
            total="Total à régler",
            more_rows=("et {n} autre document, {amount}", "et {n} autres documents, {amount}"),
            days=("{n} jour", "{n} jours"),
            days_overdue=("en retard de {n} jour", "en retard de {n} jours"),
            due_in=("échéance dans {n} jour", "échéance dans {n} jours"),
            due_today="échéance aujourd'hui",
            part_paid="réglé en partie",
            credit="avoir",
            join=(", ", " et "),
            beneficiary="Bénéficiaire",
            bank="Banque",
            amount="Montant",
            reference="Référence du virement",
            kinds=_kinds(
                "Facture",
                "Échéance",
                "Note de débit",
                "Avoir",
                "Acompte",
                "Frais",
                "Pénalités de retard",
                "Indemnité forfaitaire de recouvrement",
                "Document",
            ),
        ),
    }
)

SUPPORTED_LANGUAGES: tuple[str, ...] = tuple(WORDS)
