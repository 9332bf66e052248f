"""What keeps an item from being told about: stated once, for planning and for the last look before a message leaves.

One row for each cause that is in force on a day. `item_id` null is every item of the customer. `mark` is how the planning rules know it: `held` and
`promised` end after `until_on` (null: no end), `excluded` and `specific_action` with their cause. `why` is the word for it in reasons. Whatever is
to keep items back from now on is one more part here, and is then seen by both.
"""

from __future__ import annotations

PARTS = {
    "hold": """
select hold.item_id, 'held' as mark, case hold.reason when 'dispute' then 'disputed' else 'held' end as why, hold.until_on
  from hold
 where hold.tenant_id = {tenant} and hold.customer_id = {customer} and hold.released_at is null
   and hold.from_on <= {day} and (hold.until_on is null or hold.until_on >= {day})""",
    "hold of the ledger": """
select null::uuid, 'held', case hold.reason when 'dispute' then 'disputed' else 'held' end, hold.until_on
  from hold
 where hold.tenant_id = {tenant} and hold.ledger_id = {ledger} and hold.scope = 'ledger' and hold.released_at is null
   and hold.from_on <= {day} and (hold.until_on is null or hold.until_on >= {day})""",
    "dispute": """
select dispute_item.item_id, 'excluded', 'disputed', null::date
  from dispute_item
 where dispute_item.tenant_id = {tenant} and dispute_item.customer_id = {customer} and dispute_item.open""",
    "status": """
select item.item_id, 'excluded', 'excluded_status', null::date
  from item
  join lateral (
    select from item_status where item_status.tenant_id = {tenant} and item_status.code = item.status_code and item_status.excludes offset 0
  ) excluding on true
 where item.tenant_id = {tenant} and item.customer_id = {customer} and item.status_code is not null""",
    "promise": """
select promise_item.item_id, 'promised', 'promised', pausing.until_on
  from promise_item
  join lateral (
    select promise.last_on as until_on from promise
     where promise.tenant_id = {tenant} and promise.promise_id = promise_item.promise_id and promise.state = 'open' and promise.pauses
       and (promise.reminder_action_id = {action}) is not true offset 0
  ) pausing on true
 where promise_item.tenant_id = {tenant} and promise_item.customer_id = {customer} and promise_item.open and pausing.until_on >= {day}""",
    "specific action": """
select action_item.item_id, 'specific_action', 'specific_action', null::date
  from action_item
 where action_item.tenant_id = {tenant} and action_item.customer_id = {customer} and action_item.state = 'attached'
   and (action_item.action_id = {action}) is not true
   and not exists (select from action beside where beside.tenant_id = {tenant} and beside.action_id = {action}
                      and (beside.content ->> 'beside_action_id')::uuid = action_item.action_id)""",
}
"""The causes by name. A promise does not keep its own reminder back, nor an action the items that it has itself, nor a specific action
those of the mail that was made along with it."""


def kept_back(*, tenant: str, customer: str, ledger: str, day: str, action: str) -> str:
    """Return the statement of what keeps a customer's items back on a day, seen from an action, or where that is null from none.

    Each argument is an SQL expression, to which the tables named here must not be known under their own names. All look-ups are by customer or ledger,
    so that it stands in a lateral join at the cost of its rows.
    """
    return "\nunion all".join(part.format(tenant=tenant, customer=customer, ledger=ledger, day=day, action=action) for part in PARTS.values())
