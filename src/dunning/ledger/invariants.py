"""What must always be true of items and their entries."""

from __future__ import annotations

from dunning.kit.invariants import Check

LIVE = """a.reverses_id is null
   and not exists (select 1 from allocation r where r.tenant_id = a.tenant_id and r.reverses_id = a.allocation_id)"""

CHECKS = [
    Check(
        "item counters equal the sum of their live entries",
        f"""select i.item_id::text as subject, format('counts %s, entries say %s', i.allocated_minor, coalesce(e.minor, 0)) as detail
              from item i
              left join (
                select item_id, sum(minor) as minor
                  from (select a.item_id, a.amount_minor as minor from allocation a where a.tenant_id = $1 and {LIVE}
                        union all
                        select a.credit_item_id, a.amount_minor from allocation a
                         where a.tenant_id = $1 and a.credit_item_id is not null and {LIVE}) s
                 group by item_id) e on e.item_id = i.item_id
             where i.tenant_id = $1 and i.allocated_minor <> coalesce(e.minor, 0)""",
    ),
    Check(
        "open amounts lie between zero and the amount",
        """select item_id::text as subject, format('allocated %s of %s', allocated_minor, amount_minor) as detail from item
            where tenant_id = $1 and not allocated_minor between 0 and amount_minor""",
    ),
    Check(
        "the items of a posted document add up to its total",
        """select d.document_id::text as subject, format('total %s, items %s', d.total_minor, sum(i.amount_minor)) as detail
             from document d join item i on i.tenant_id = $1 and i.document_id = d.document_id and i.state = 'posted'
            where d.tenant_id = $1 and d.state = 'posted' group by d.document_id, d.total_minor having sum(i.amount_minor) <> d.total_minor""",
    ),
    Check(
        "a void item owes nothing",
        """select item_id::text as subject, format('open %s', amount_minor - allocated_minor) as detail from item
            where tenant_id = $1 and state = 'void' and allocated_minor <> amount_minor""",
    ),
    Check(
        "credits are set against debits only",
        f"""select a.allocation_id::text as subject, format('%s against %s', a.kind, i.direction) as detail
              from allocation a join item i on i.tenant_id = $1 and i.item_id = a.item_id
              left join item c on c.tenant_id = $1 and c.item_id = a.credit_item_id
             where a.tenant_id = $1 and {LIVE}
               and ((a.kind in ('receipt', 'credit') and i.direction <> 'debit') or (a.kind = 'credit' and c.direction <> 'credit'))""",
    ),
    Check(
        "every customer has its state row",
        """select c.customer_id::text as subject, 'has no customer_state' as detail from customer c
            where c.tenant_id = $1 and not exists (select 1 from customer_state s where s.tenant_id = $1 and s.customer_id = c.customer_id)""",
    ),
]
