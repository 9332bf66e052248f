"""What must always be true of receipts and what they paid."""

from __future__ import annotations

from dunning.kit.invariants import Check
from dunning.ledger.invariants import LIVE

CHECKS = [
    Check(
        "receipt counters equal the sum of their live entries",
        f"""select r.receipt_id::text as subject, format('counts %s, entries say %s', r.allocated_minor, coalesce(e.minor, 0)) as detail
              from receipt r
              left join (select a.receipt_id, sum(a.amount_minor) as minor from allocation a
                          where a.tenant_id = $1 and a.receipt_id is not null and {LIVE} group by a.receipt_id) e on e.receipt_id = r.receipt_id
             where r.tenant_id = $1 and r.allocated_minor <> coalesce(e.minor, 0)""",
    ),
    Check(
        "no receipt is spent twice",
        """select receipt_id::text as subject, format('%s allocated and %s returned of %s', allocated_minor, returned_minor, amount_minor) as detail
             from receipt where tenant_id = $1 and (allocated_minor < 0 or returned_minor < 0 or allocated_minor + returned_minor > amount_minor)""",
    ),
    Check(
        "a returned or reversed receipt pays nothing",
        """select receipt_id::text as subject, format('%s, yet %s is allocated', state, allocated_minor) as detail from receipt
            where tenant_id = $1 and state in ('returned', 'reversed') and (allocated_minor <> 0 or returned_minor <> amount_minor)""",
    ),
    Check(
        "a receipt pays items of its own customer only",
        f"""select a.allocation_id::text as subject, 'pays an item of another customer' as detail
              from allocation a
              join receipt r on r.tenant_id = $1 and r.receipt_id = a.receipt_id
              join item i on i.tenant_id = $1 and i.item_id = a.item_id
             where a.tenant_id = $1 and {LIVE} and i.customer_id <> r.customer_id""",
    ),
    Check(
        "an undoing has the amount of what it undoes",
        """select v.allocation_id::text as subject, format('%s undoes %s', v.amount_minor, a.amount_minor) as detail
             from allocation v join allocation a on a.tenant_id = $1 and a.allocation_id = v.reverses_id
            where v.tenant_id = $1 and (v.amount_minor, v.item_id, v.currency) is distinct from (a.amount_minor, a.item_id, a.currency)""",
    ),
]
