"""When a promise is kept or broken, and how an amount is paid in instalments. Pure.

A promise is judged by what the books say, whenever that was entered: the same entries give the same verdict on the same day, and one that no longer
holds is taken back. Three sentences make the rule.

1. *Money counts by its value date*, up to the promise's last day: receipts recorded since it was given, set against its items or left on account, and
   what the ERP states as settled. Each cent on account counts for one promise, the oldest first, and stays with one that it has kept. What was
   returned or reversed counts for nothing.
2. *What is not asked for is not owed*: an item that is disputed or held on the last day, and what credit notes have settled. The verdict is about the
   rest.
3. *Days on which nothing of it is asked for do not count*: while all of its items are disputed or held the promise waits, and each such day is added
   to its last one.
"""

from __future__ import annotations

import calendar
import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from uuid import UUID

_DAY = dt.timedelta(days=1)
_NO_END = dt.date.max


class State(StrEnum):
    """Name what became of a promise."""

    OPEN = "open"
    KEPT = "kept"
    BROKEN = "broken"
    CANCELLED = "cancelled"


class Reason(StrEnum):
    """Name why a promise is what it is, or what an open one waits for."""

    PAID = "paid"
    REST_PAID = "rest_paid"
    NOT_PAID = "not_paid"
    PAYMENT_RETURNED = "payment_returned"
    NOTHING_OWED = "nothing_owed"
    PLAN_BROKEN = "plan_broken"
    BY_HAND = "by_hand"
    DISPUTED = "disputed"
    HELD = "held"


@dataclass(frozen=True, slots=True)
class Payment:
    """Hold one amount that came in: set against an item, or on account where `item_id` is None. `returned_on` is when it went away again."""

    payment_id: UUID
    item_id: UUID | None
    currency: str
    value_on: dt.date
    recorded_at: dt.datetime
    minor: int
    returned_on: dt.date | None = None


@dataclass(frozen=True, slots=True)
class Apart:
    """Hold the days, both included, on which an item was not asked for since the promise was given; `minor` None is all of it, `until_on` None no end.

    `ended` is whether somebody has ended it, if only today.
    """

    from_on: dt.date
    until_on: dt.date | None
    minor: int | None
    why: Reason
    ended: bool = False

    def covers(self, day: dt.date) -> bool:
        """Tell whether a day is one of them."""
        return self.from_on <= day and (self.until_on is None or day <= self.until_on)


@dataclass(frozen=True, slots=True)
class PromisedItem:
    """Hold an item of an agreement: what it owes now, and when it was set apart."""

    item_id: UUID
    open_minor: int
    apart: tuple[Apart, ...] = ()


@dataclass(frozen=True, slots=True)
class Instalment:
    """Hold the terms of one promise; `due_by_then_minor` is what must have come in by its day, with the instalments before.

    `agreed_on` is when its day was agreed on last: what was set apart until then is known in it.
    `kept_with_minor` is what had come in when it was found kept: after its last day it is broken only where less is left of that.
    """

    promise_id: UUID
    amount_minor: int
    due_by_then_minor: int
    tolerance_percent: int
    promised_on: dt.date
    grace_days: int
    agreed_on: dt.date
    kept_with_minor: int | None = None

    def within_tolerance(self, short_minor: int) -> bool:
        """Tell whether a shortfall is small enough. All of it never is: nothing keeps no promise."""
        return short_minor < self.amount_minor and short_minor * 100 <= self.amount_minor * self.tolerance_percent


@dataclass(frozen=True, slots=True)
class Agreement:
    """Hold what was promised about the same items at once: a promise, or all instalments of a plan in their order.

    Where an item was promised anew since, nothing is asked for by this one any more: it can still be found kept, and no more.
    """

    agreement_id: UUID
    currency: str
    given_at: dt.datetime
    items: tuple[PromisedItem, ...]
    instalments: tuple[Instalment, ...]
    promised_anew: bool = False

    @property
    def was_kept(self) -> bool:
        """Whether all of it was found kept."""
        return all(instalment.kept_with_minor is not None for instalment in self.instalments)

    @property
    def whole_minor(self) -> int:
        """What is promised in all."""
        return self.instalments[-1].due_by_then_minor


@dataclass(frozen=True, slots=True)
class Judgement:
    """Hold what a promise is on a day.

    `last_on` is the last day on which it can be kept, None while that cannot be told; `look_on` the next day that may change this without any new
    entry. `paid_on` is the value date of the last money that counts, `broken_on` the day from which it counts as broken.
    """

    state: State
    reason: Reason | None = None
    last_on: dt.date | None = None
    look_on: dt.date | None = None
    received_minor: int = 0
    paid_on: dt.date | None = None
    broken_on: dt.date | None = None


def last_day(promised_on: dt.date, grace_days: int) -> dt.date:
    """Return the last day on which a promise can be kept that was never set apart."""
    return promised_on + dt.timedelta(days=grace_days)


def broken_on(promised_on: dt.date, grace_days: int) -> dt.date:
    """Return the day after that last one."""
    return last_day(promised_on, grace_days) + _DAY


def judge_all(agreements: Sequence[Agreement], payments: Sequence[Payment], today: dt.date) -> dict[UUID, Judgement]:
    """Return the judgement of each promise of one customer.

    The agreements are served in the order in which they were given, those that were found kept before the others: what one needs is gone for the next.
    One that is broken needs nothing, nor does one whose items were promised anew unless it is kept.
    """
    left = {payment.payment_id: payment.minor for payment in payments}
    found: dict[UUID, Judgement] = {}
    for agreement in sorted(agreements, key=lambda one: (not one.was_kept, one.given_at, one.agreement_id)):
        item_ids = {item.item_id for item in agreement.items}
        own = [
            replace(payment, minor=left[payment.payment_id])
            for payment in sorted(payments, key=lambda one: (one.item_id is None, one.value_on, one.payment_id))
            if payment.currency == agreement.currency and payment.recorded_at >= agreement.given_at and left[payment.payment_id]
            and (payment.item_id is None or payment.item_id in item_ids)
        ]  # fmt: skip
        judged = judge(agreement, own, today)
        found |= judged
        asking = {State.KEPT} if agreement.promised_anew else {State.KEPT, State.OPEN, State.CANCELLED}
        if all(judgement.state in asking for judgement in judged.values()):
            _use_up(left, own, agreement.whole_minor, judged[agreement.instalments[-1].promise_id].last_on)
    return found


def judge(agreement: Agreement, payments: Sequence[Payment], today: dt.date) -> dict[UUID, Judgement]:
    """Return the judgement of each promise of an agreement. An instalment that is missing breaks the plan: what follows it is not asked for any more."""
    found: dict[UUID, Judgement] = {}
    off = False
    for instalment in agreement.instalments:
        judgement = _judge(agreement, instalment, payments, today)
        if off and judgement.state is not State.KEPT:
            judgement = Judgement(State.CANCELLED, Reason.PLAN_BROKEN, judgement.last_on, None, judgement.received_minor)
        off = off or judgement.state is State.BROKEN
        found[instalment.promise_id] = judgement
    return found


def _judge(agreement: Agreement, instalment: Instalment, payments: Sequence[Payment], today: dt.date) -> Judgement:
    concerned = _concerned(agreement.items, payments)
    spans = _nothing_asked(concerned, instalment.agreed_on)
    last_on = _put_off(last_day(instalment.promised_on, instalment.grace_days), spans)
    over = last_on is not None and today > last_on
    counted = [p for p in payments if p.returned_on is None and (last_on is None or p.value_on <= last_on)]
    on_items = sum(p.minor for p in counted if p.item_id is not None)
    on_account = min(sum(p.minor for p in counted if p.item_id is None), max(0, agreement.whole_minor - on_items))
    received = on_items + on_account
    late: dict[UUID | None, int] = {}
    for payment in payments:
        if payment.returned_on is None and last_on is not None and payment.value_on > last_on:
            late[payment.item_id] = late.get(payment.item_id, 0) + payment.minor
    asked, set_apart = _asked(agreement.items, late, today if last_on is None else min(today, last_on))
    short = instalment.due_by_then_minor - received
    rest = min(short, asked - on_account)
    paid_on = max((p.value_on for p in counted), default=None)
    if instalment.within_tolerance(short):
        return Judgement(State.KEPT, Reason.PAID, last_on, None, received, paid_on)
    if instalment.within_tolerance(rest) and (over or not set_apart):
        if received > 0:
            return Judgement(State.KEPT, Reason.REST_PAID, last_on, None, received, paid_on)
        if over or asked - on_account <= 0:
            return Judgement(State.CANCELLED, Reason.NOTHING_OWED, last_on)
    if last_on is not None and over and instalment.kept_with_minor is not None and received >= instalment.kept_with_minor:
        return Judgement(State.KEPT, Reason.REST_PAID, last_on, None, received, paid_on)
    if not over:
        return Judgement(State.OPEN, _waits_for(concerned, today), last_on, _next_change(last_on, spans, today), received, paid_on)
    returned = [p for p in payments if p.returned_on is not None and p.value_on <= last_on] if last_on is not None else []
    missing = rest - sum(p.minor for p in returned)
    if returned and instalment.within_tolerance(missing):
        since = max(p.returned_on or p.value_on for p in returned)
        return Judgement(State.BROKEN, Reason.PAYMENT_RETURNED, last_on, None, received, paid_on, max(_after(last_on), since))
    return Judgement(State.BROKEN, Reason.NOT_PAID, last_on, None, received, paid_on, _after(last_on))


def _asked(items: Iterable[PromisedItem], late: Mapping[UUID | None, int], on: dt.date) -> tuple[int, bool]:
    """Return what items would owe without the money that came too late, less what is set apart on a day, and whether anything is."""
    asked, set_apart = 0, False
    for item in items:
        owed = item.open_minor + late.get(item.item_id, 0)
        apart = [one for one in item.apart if one.covers(on)]
        less = owed if any(one.minor is None for one in apart) else min(owed, max((one.minor or 0 for one in apart), default=0))
        asked += owed - less
        set_apart = set_apart or less > 0
    return asked, set_apart


def _concerned(items: Iterable[PromisedItem], payments: Sequence[Payment]) -> list[PromisedItem]:
    """Return items without those that owe nothing and for which nothing came in."""
    paid = {payment.item_id for payment in payments}
    return [item for item in items if item.open_minor or item.item_id in paid]


def _nothing_asked(items: Iterable[PromisedItem], agreed_on: dt.date) -> list[tuple[dt.date, dt.date]]:
    """Return the spans of days on which every item was set apart wholly, as far as they outlast the day of the agreement."""
    common: list[tuple[dt.date, dt.date]] | None = None
    for item in items:
        whole = [(max(one.from_on, agreed_on), one.until_on or _NO_END) for one in item.apart if one.minor is None]
        own = _united(span for span in whole if span[1] > agreed_on)
        common = own if common is None else [(max(a, c), min(b, d)) for a, b in common for c, d in own if max(a, c) <= min(b, d)]
    return common or []


def _united(spans: Iterable[tuple[dt.date, dt.date]]) -> list[tuple[dt.date, dt.date]]:
    """Return spans in order, those that overlap made one."""
    found: list[tuple[dt.date, dt.date]] = []
    for begins, ends in sorted(span for span in spans if span[0] <= span[1]):
        if found and begins <= found[-1][1]:
            found[-1] = (found[-1][0], max(ends, found[-1][1]))
        else:
            found.append((begins, ends))
    return found


def _put_off(last_on: dt.date, spans: Sequence[tuple[dt.date, dt.date]]) -> dt.date | None:
    """Return a last day put off by each day of the spans that begin on it or before; None where one of these has no end."""
    for begins, ends in spans:
        if begins > last_on:
            break
        if ends == _NO_END:
            return None
        last_on += ends - begins + _DAY
    return last_on


def _waits_for(items: Sequence[PromisedItem], today: dt.date) -> Reason | None:
    """Return why nothing of some items is asked for now, None where something is."""
    why = [[one.why for one in item.apart if one.minor is None and not one.ended and one.covers(today)] for item in items]
    if not why or not all(why):
        return None
    return Reason.DISPUTED if any(Reason.DISPUTED in of_item for of_item in why) else Reason.HELD


def _next_change(last_on: dt.date | None, spans: Sequence[tuple[dt.date, dt.date]], today: dt.date) -> dt.date | None:
    days = [] if last_on is None else [_after(last_on)]
    days += [day for begins, ends in spans for day in (begins, _NO_END if ends == _NO_END else _after(ends)) if day != _NO_END]
    return min((day for day in days if day > today), default=None)


def _use_up(left: dict[UUID, int], payments: Sequence[Payment], need_minor: int, last_on: dt.date | None) -> None:
    """Take what an agreement needs from money that came in time: what is on its items first, then what is on account."""
    for payment in payments:
        if payment.returned_on is None and (last_on is None or payment.value_on <= last_on):
            used = min(payment.minor, need_minor)
            left[payment.payment_id] -= used
            need_minor -= used


def _after(day: dt.date | None) -> dt.date:
    return (day or dt.date.min) + _DAY


def running_totals(amounts: Sequence[int]) -> list[int]:
    """Return, an instalment, what must have come in by its day."""
    totals: list[int] = []
    for amount in amounts:
        totals.append(amount + (totals[-1] if totals else 0))
    return totals


def monthly(first_on: dt.date, count: int) -> list[dt.date]:
    """Return one day a month, from the first on; the 31st becomes a shorter month's last day, and the 31st again in the next long one."""
    days = []
    for number in range(count):
        year, month = divmod(first_on.year * 12 + first_on.month - 1 + number, 12)
        days.append(dt.date(year, month + 1, min(first_on.day, calendar.monthrange(year, month + 1)[1])))
    return days


def every(first_on: dt.date, count: int, days: int) -> list[dt.date]:
    """Return days at a fixed distance, from the first on."""
    return [first_on + dt.timedelta(days=days * number) for number in range(count)]
