"""What an action that has told nobody yet asks for now: one expression, for every statement that shows actions.

It stands in a select list or a lateral join with the action as `a` and the tenant as `$1`, and costs look-ups by the action, its items and its customer.
An action that was carried out, or has ended, keeps what it had then (`action.totals`).
"""

from __future__ import annotations

from dunning.tenancy.people_store import author_of, name_of

LIVE = "a.state in ('awaiting_approval', 'scheduled', 'waiting')"

ITEM_IDS = """
select p.item_id from item_progress p where p.tenant_id = $1 and p.action_id = a.action_id and p.state = 'pending' and p.reason is null
 union select t.item_id from action_item t where t.tenant_id = $1 and t.action_id = a.action_id and t.state in ('attached', 'listed')"""
"""The items that are still in an action."""

_OPEN = "i.tenant_id = $1 and i.state = 'posted' and i.allocated_minor < i.amount_minor"

OPEN_ROWS = f"select i.item_id, i.currency, i.due_on, i.amount_minor - i.allocated_minor as minor from item i where {_OPEN} and i.item_id in ({ITEM_IDS})"
"""What is open of them, gross."""

# What covers debts is unusual, so that its two look-ups decide whether everything that the customer owes is added up.
COVERED = f"""(a.origin = 'scenario' and (
   exists (select from item i where {_OPEN} and i.customer_id = a.customer_id and i.direction = 'credit')
   or exists (select from receipt r where r.tenant_id = $1 and r.customer_id = a.customer_id and r.state in ('received', 'cleared')
                 and r.allocated_minor + r.returned_minor < r.amount_minor)))
 and (select v.content->>'netting' from scenario_version v where v.tenant_id = $1 and v.scenario_id = a.scenario_id and v.version = a.scenario_version)
     is distinct from 'show'"""
"""Whether credits or money on account may cover what an action asks for."""

_CREDITS = f"""
select x.currency, sum(x.minor) as minor
  from (select i.currency, i.amount_minor - i.allocated_minor as minor from item i where {_OPEN} and i.customer_id = a.customer_id and i.direction = 'credit'
        union all
        select r.currency, r.amount_minor - r.allocated_minor - r.returned_minor from receipt r
         where r.tenant_id = $1 and r.customer_id = a.customer_id and r.state in ('received', 'cleared')
           and r.allocated_minor + r.returned_minor < r.amount_minor) x
 group by x.currency"""
# The oldest debt is covered first, in the order of `netting.age_of`: what all debts up to one come to, less the credits, is what is left of it.
_NET_ROWS = f"""
select n.currency, least(n.minor, greatest(0, n.up_to_here - coalesce(k.minor, 0))) as minor
  from (select i.item_id, i.currency, i.amount_minor - i.allocated_minor as minor,
               sum(i.amount_minor - i.allocated_minor) over (partition by i.currency order by i.due_on, i.document_on, i.number collate "C", i.item_id) as up_to_here
          from item i where {_OPEN} and i.customer_id = a.customer_id and i.direction = 'debit') n
  left join ({_CREDITS}) k on k.currency = n.currency
 where n.item_id in ({ITEM_IDS})"""


def _added_up(rows: str) -> str:
    return f"""(select coalesce(jsonb_agg(jsonb_build_array(z.currency, z.minor) order by z.currency) filter (where z.minor > 0), '[]')
   from (select y.currency, sum(y.minor)::int8 as minor from ({rows}) y group by y.currency) z)"""


NET = _added_up(_NET_ROWS)
"""What is open of the items that are still in an action, less what credits cover of it: `[[currency, minor], …]`."""

TOTALS_NOW = f"case when {LIVE} then case when {COVERED} then {NET} else {_added_up(OPEN_ROWS)} end end"
"""What a live action asks for now, `[[currency, minor], …]`; null for any other."""

SHOWN = f"""a.*, {TOTALS_NOW} as totals_now, {name_of("a.person_id")} as person_name,
       {author_of("a.created_by")} as created_by_name, {author_of("a.approved_by")} as approved_by_name"""
"""An action as it is shown: its row, what it asks for now, and the names of its people."""
