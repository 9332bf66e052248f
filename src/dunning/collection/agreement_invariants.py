"""What must always be true of disputes, promises, plans and account blocks."""

from __future__ import annotations

from dunning.kit.invariants import Check

_NOW = "coalesce(t.clock_at, clock_timestamp())"
_OWED = "i.state = 'posted' and i.allocated_minor < i.amount_minor"

CHECKS = [
    Check(
        "an account block that ends by itself has a cause",
        """select b.block_id::text as subject, 'active, but no item caused it' as detail from account_block b
            where b.tenant_id = $1 and b.state = 'active' and b.lifts_when_settled
              and not exists (select from account_block_item x where x.tenant_id = $1 and x.block_id = b.block_id)""",
    ),
    Check(
        # What has just been settled is looked at within seconds: only what was looked at, or is watched by nobody, is wrong.
        "no account block is in force whose causes are all settled",
        f"""select b.block_id::text as subject, 'active, but every item that caused it is settled' as detail from account_block b
              join customer_state s on s.tenant_id = $1 and s.customer_id = b.customer_id
             where b.tenant_id = $1 and b.state = 'active' and b.lifts_when_settled and (not s.watched or s.watched_version = s.facts_version)
               and not exists (select from account_block_item x join item i on i.tenant_id = $1 and i.item_id = x.item_id
                                where x.tenant_id = $1 and x.block_id = b.block_id and {_OWED})""",  # fixed words
    ),
    Check(
        "no promise stays open past its last day",
        f"""select p.promise_id::text as subject, format('open, although its last day was %s', p.last_on) as detail from promise p
              join tenant t on t.tenant_id = p.tenant_id
              join ledger l on l.tenant_id = p.tenant_id and l.ledger_id = p.ledger_id
             where p.tenant_id = $1 and p.state = 'open' and p.last_on + 1 < ({_NOW} at time zone l.time_zone)::date""",  # fixed words
    ),
    Check(
        "only an open promise holds items",
        """select p.promise_id::text as subject, format('%s, but it still holds items', p.state) as detail from promise p
            where p.tenant_id = $1 and p.state <> 'open'
              and exists (select from promise_item x where x.tenant_id = $1 and x.promise_id = p.promise_id and x.open)""",
    ),
    Check(
        "only an active payment plan has open instalments",
        """select n.plan_id::text as subject, format('%s, with %s open instalments', n.state, count(p.promise_id)) as detail
             from payment_plan n left join promise p on p.tenant_id = $1 and p.plan_id = n.plan_id and p.state = 'open'
            where n.tenant_id = $1 group by n.plan_id, n.state having (n.state = 'active') <> (count(p.promise_id) > 0)""",
    ),
    Check(
        "an item has the status of a dispute while it is disputed, and only then",
        """select i.item_id::text as subject,
                  case when d.dispute_id is null then format('has the status %s without an open dispute', i.status_code)
                       else format('is in an open dispute with the status %s', coalesce(i.status_code, 'ongoing')) end as detail
             from item i
             left join dispute_item d on d.tenant_id = $1 and d.item_id = i.item_id and d.open
             left join item_status s on s.tenant_id = $1 and s.code = i.status_code
            where i.tenant_id = $1 and (i.status_code is not null or d.dispute_id is not null)
              and (d.dispute_id is not null) <> (s.category is not distinct from 'disputed')""",
    ),
    Check(
        "an item is held by one promise or plan at a time",
        """select x.item_id::text as subject, 'is in several open agreements' as detail
             from promise_item x join promise p on p.tenant_id = $1 and p.promise_id = x.promise_id
            where x.tenant_id = $1 and x.open group by x.item_id having count(distinct coalesce(p.plan_id, p.promise_id)) > 1""",
    ),
    Check(
        "whoever has an open agreement is watched",
        """select s.customer_id::text as subject, 'has an open promise, dispute or block, but nobody watches' as detail from customer_state s
            where s.tenant_id = $1 and not s.watched
              and (exists (select from promise p where p.tenant_id = $1 and p.customer_id = s.customer_id and p.state = 'open')
                   or exists (select from dispute d where d.tenant_id = $1 and d.customer_id = s.customer_id and d.state = 'open')
                   or exists (select from account_block b where b.tenant_id = $1 and b.customer_id = s.customer_id and b.state = 'active'
                               and b.lifts_when_settled))""",
    ),
]
