"""The groups of the published contract: what each noun is, in the order in which somebody new to it needs them."""

from __future__ import annotations

GROUPS = {
    "tenant": "Your company: its settings, the sending switch, the emergency stop, API keys. Begin with `GET /v1/tenant`.",
    "people": "Who works with it: collectors, account managers, counsel and viewers with their roles, teams, absences, and what they leave behind.",
    "ledgers": "One creditor company's receivables each: currency, calendar, sender, bank accounts, and how fresh its facts are.",
    "imports": "Many customers, documents and receipts at once, as a file. What is wrong with a row is said row by row; a dry run keeps nothing.",
    "customers": "Companies that owe, with their contacts and groups; finding them by what they owe; acts on many of them; opt-outs from notices before the due date.",
    "documents": "Invoices and credit notes, with their instalments and earlier versions.",
    "items": "What is dunned: one instalment or credit each, with its open amount and what explains it; what is decided about selected items in one call.",
    "receipts": "Payments: recorded once, set against items, taken back, returned; and those that wait for a person.",
    "scenarios": "The ordered steps by which customers are reminded, in immutable published versions.",
    "templates": "The texts of messages, a language each; what they may say, how they look, and a test to a colleague.",
    "runs": "One batch of planning and sending: proposed, edited, committed, and verified afterwards from what it was decided on.",
    "outlook": "What will happen to a customer or an item, and why, or why not; computed by the rule that the night uses.",
    "steps of a customer": "One customer's own course: a future step inserted, changed or removed, and the step that an item stands at, set by hand.",
    "actions": "What was, is or will be done about a customer's items: approved, put off, replaced, sent again, singly or many at once; specific actions; claims.",
    "agenda": "What is due, overdue, to approve and to do for a person, a team or a ledger.",
    "call lists": "Whom to call on a day, in an order that explains itself.",
    "activities": "What people did: calls with their outcome, visits, notes.",
    "timeline": "Everything that happened about a customer in one list, and files that belong to it.",
    "assignments": "Who looks after which customer: by hand and by rules, and the customers whom nobody looks after.",
    "item statuses": "Your own statuses of items, and what each does: keep out of reminders, put off, file in a folder.",
    "item comments": "What was said about an item, by whom and when.",
    "folders": "Items by their status, to be worked on together.",
    "disputes": "What a customer contests: items, reason, owner, deadline, resolution.",
    "promises": "A customer's word to pay by a day; kept and broken ones are found by themselves.",
    "payment plans": "Agreed instalments over several items.",
    "holds": "No reminders about a ledger, a customer or an item, until a day or until released.",
    "account blocks": "No new orders or deliveries for a customer, for as long as some items are open; confirmed by your ERP.",
    "messages": "Every message with its state, its words and its relay; what the mail server said; addresses that no longer get any.",
    "evidence": "What is known of a message's reading, with what it does not prove; links, and how your own extranet shows a claim.",
    "reports": "Control: what was done with which debts, what was not, by whom, and what waits for approval. Each is also a CSV.",
    "events": "Everything that happened, numbered without gaps, for your systems to follow.",
    "test clock": "The settable clock of a test-mode tenant.",
    "health": "Whether money, claims and messages agree with one another.",
}
"""Descriptions by the tag of the routes."""

OPENAPI_TAGS = [{"name": name, "description": description} for name, description in GROUPS.items()]
