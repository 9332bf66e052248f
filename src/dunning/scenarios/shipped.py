"""Scenarios to start from, as content: the six claim phases, a single repeated reminder, and recovery up to counsel."""

from __future__ import annotations

import copy
from collections.abc import Mapping

ROLES = ["dunning", "billing"]


def shipped_scenarios() -> dict[str, dict[str, object]]:
    """Return the content of every shipped scenario by its code; the caller may change what it gets."""
    return {code: copy.deepcopy(content) for code, content in _CONTENTS.items()}


def _email(template: str, *, when_covered: str | None = None, copy_roles: tuple[str, ...] = ()) -> dict[str, object]:
    return {
        "code": "main",
        "channel": "email",
        "to_roles": ROLES,
        "audience": "customer",
        "template": template,
        "template_when_covered": when_covered,
        "content_mode": "full",
        "primary": True,
        "copy_roles": list(copy_roles),
        "fallback": ["letter"],
    }


def _step(  # one argument a setting of a step
    rank: int,
    code: str,
    name: str,
    trigger: Mapping[str, object],
    *,
    template: str | None = None,
    when_covered: str | None = None,
    copy_roles: tuple[str, ...] = (),
    **settings: object,
) -> dict[str, object]:
    return {
        "rank": rank,
        "code": code,
        "name": name,
        "mode": "automatic" if template else "manual",
        "trigger": {"kind": "due_date", "offset_days": 0, "until_days": None, "business_days": False, **trigger},
        "notices": [_email(template, when_covered=when_covered, copy_roles=copy_roles)] if template else [],
        **settings,
    }


def _to_insurer(kind: str, when: str, text: str) -> dict[str, object]:
    return {"kind": kind, "when": when, "params": {"manual": True, "only_when_covered": True, "text": text}}


_SUSPENSION = {
    "en": "If the deadline passes without payment, we will suspend deliveries on account until the debt is settled.",
    "es": "Si vence el plazo sin que se haya recibido el pago, suspenderemos las entregas a crédito hasta que se salde la deuda.",
    "it": "Trascorso il termine senza pagamento, sospenderemo le consegne a credito fino al saldo del debito.",
    "fr": "À défaut de paiement dans ce délai, nous suspendrons les livraisons à crédit jusqu'au règlement de la dette.",
}
_BLOCK = {
    "en": "We may close the account to new orders until the debt is settled.",
    "es": "Podemos cerrar la cuenta a nuevos pedidos hasta que se salde la deuda.",
    "it": "Possiamo chiudere il conto a nuovi ordini fino al saldo del debito.",
    "fr": "Nous pouvons fermer le compte à toute nouvelle commande jusqu'au règlement de la dette.",
}

_CLAIMS: dict[str, object] = {
    "code": "claims",
    "name": "Claim phases",
    "late_entry": "first_step",
    "grouping": "customer",
    "netting": "net",
    "spacing_days": 0,
    "reset_policy": "resume",
    "shift": "none",
    "steps": [
        _step(0, "00", "Debt that falls due soon", {"offset_days": -7, "until_days": -1}, template="claim-00"),
        _step(10, "01", "Payment reminder", {"offset_days": 1, "until_days": 7}, template="claim-01", deadline_days=7),
        _step(20, "02", "Second request", {"offset_days": 8}, template="claim-02", deadline_days=7),
        _step(
            30,
            "03",
            "Urgent request",
            {"offset_days": 15},
            template="claim-03",
            when_covered="claim-03-covered",
            copy_roles=("account_manager",),
            deadline_days=7,
            operations=[_to_insurer("notify_insurer", "completed", "Tell the credit insurer that payment is late.")],
        ),
        _step(
            40,
            "04",
            "Declaration to the insurer",
            {"offset_days": 22},
            template="claim-04-uncovered",
            when_covered="claim-04",
            copy_roles=("account_manager",),
            deadline_days=7,
            operations=[
                _to_insurer("declare_to_insurer", "before_notice", "Declare the debt to the credit insurer; the customer is told once this is recorded.")
            ],
        ),
        _step(
            50,
            "05",
            "Last notice",
            {"offset_days": 30},
            template="claim-05",
            copy_roles=("account_manager",),
            deadline_days=7,
            consequence=_BLOCK,
            operations=[
                {
                    "kind": "block_account",
                    "when": "completed",
                    "params": {"degree": "no_new_orders", "reason": "Last notice without payment", "release_when": "settled"},
                }
            ],
        ),
    ],
}

_REMINDER: dict[str, object] = {
    "code": "reminder",
    "name": "Overdue reminder",
    "late_entry": "first_step",
    "grouping": "customer",
    "netting": "net",
    "steps": [
        _step(
            0,
            "reminder",
            "Reminder",
            {"offset_days": 1},
            template="reminder",
            copy_roles=("collections_manager",),
            grace_days=0,
            repeat_every_days=7,
            max_repeats=3,
            deadline_days=7,
            consequence=_SUSPENSION,
            operations=[{"kind": "record_activity", "when": "executed", "params": {"type": "claim_for_non_payment"}}],
        ),
    ],
}

_RECOVERY: dict[str, object] = {
    "code": "recovery",
    "name": "Recovery up to counsel",
    "late_entry": "first_step",
    "grouping": "customer",
    "netting": "net",
    "steps": [
        _step(10, "email", "Request by e-mail", {"offset_days": 5}, template="recovery-email", deadline_days=10),
        _step(
            20,
            "pec",
            "Formal notice by PEC",
            {"kind": "after_previous", "offset_days": 10},
            deadline_days=5,
            task={"kind": "pec", "text": "Send the formal notice by PEC and file both receipts."},
        ),
        _step(
            30,
            "call",
            "Call list",
            {"kind": "after_previous", "offset_days": 5},
            task={"kind": "call", "text": "Call the customer and write down what was agreed."},
        ),
        _step(
            40,
            "counsel",
            "Hand-over to counsel",
            {"kind": "after_previous", "offset_days": 5},
            task={"kind": "counsel", "text": "Hand the file to counsel with the notices and their proofs."},
        ),
    ],
}

_CONTENTS: dict[str, dict[str, object]] = {"claims": _CLAIMS, "reminder": _REMINDER, "recovery": _RECOVERY}
