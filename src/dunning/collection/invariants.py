"""What must always be true of actions, their rows of progress, claims and messages."""

from __future__ import annotations

from dunning.kit.invariants import Check

_NOW = "coalesce(t.clock_at, clock_timestamp())"
_UNSENT = "('ready', 'retry_wait', 'leased')"
_ENDED = "('rejected', 'suppressed', 'expired', 'cancelled', 'closed_unknown')"

CHECKS = [
    Check(
        "no settled item waits in an unsent message whose time has come",
        f"""select m.message_id::text as subject, 'every item it asks for is settled' as detail
              from message m
              join tenant t on t.tenant_id = m.tenant_id
              join claim k on k.tenant_id = m.tenant_id and k.claim_id = m.claim_id
             where m.tenant_id = $1 and m.state in {_UNSENT} and m.not_before < {_NOW} - interval '15 minutes'
               and not exists (
                 select 1 from jsonb_array_elements(k.data->'blocks') b, jsonb_array_elements(b->'rows') r
                   join item i on i.tenant_id = $1 and i.item_id = (r->>'item_id')::uuid and i.allocated_minor < i.amount_minor and i.state = 'posted'
                  where r->>'section' = 'candidate')""",  # fixed words
    ),
    Check(
        "an item has one live row for each step, repeat and episode",
        """select p.item_id::text as subject, format('%s rows of step %s', count(*), p.step_code) as detail from item_progress p
            where p.tenant_id = $1 and p.state <> 'void' group by p.item_id, p.episode, p.step_code, p.repeat_no having count(*) > 1""",
    ),
    Check(
        "an item waits in one action at a time",
        """select p.item_id::text as subject, format('pending in %s actions', count(distinct p.action_id)) as detail from item_progress p
            where p.tenant_id = $1 and p.state = 'pending' group by p.item_id having count(distinct p.action_id) > 1""",
    ),
    Check(
        "an executed action has a message that is on its way, or was taken",
        f"""select a.action_id::text as subject, 'executed, but nothing of it can arrive any more' as detail from action a
             where a.tenant_id = $1 and a.state = 'executed'
               and not exists (select 1 from message m where m.tenant_id = $1 and m.action_id = a.action_id and m.is_primary and m.state not in {_ENDED})""",  # fixed words
    ),
    Check(
        "no action stays executed for a week",
        f"""select a.action_id::text as subject, format('executed since %s', a.executed_at) as detail from action a
              join tenant t on t.tenant_id = a.tenant_id
             where a.tenant_id = $1 and a.state = 'executed' and a.executed_at < {_NOW} - interval '7 days'
               and not exists (select 1 from message m where m.tenant_id = $1 and m.action_id = a.action_id and m.state in ('uncertain', 'held'))""",  # fixed words
    ),
    Check(
        "only a live action keeps items waiting",
        """select p.item_progress_id::text as subject, format('pending in a %s action', a.state) as detail from item_progress p
             join action a on a.tenant_id = p.tenant_id and a.action_id = p.action_id
            where p.tenant_id = $1 and p.state = 'pending' and a.state not in ('awaiting_approval', 'scheduled', 'executed', 'waiting')""",
    ),
    Check(
        "an action whose notice waits has an operation that it waits for",
        """select a.action_id::text as subject, 'nothing is to be recorded any more, and it does not go' as detail from action a
            where a.tenant_id = $1 and a.state = 'waiting' and a.reason = 'waiting_for_operation'
              and not exists (select 1 from operation_record o where o.tenant_id = $1 and o.action_id = a.action_id and o.at_moment = 'before_notice'
                                 and o.state = 'waiting')""",
    ),
    Check(
        "an operation waits for a person as long as its task does",
        """select a.action_id::text as subject, format('the task is %s, its operation %s', a.state, o.state) as detail from action a
             join operation_record o on o.tenant_id = $1 and o.action_id = a.operation_action_id and o.operation_no = a.operation_no
            where a.tenant_id = $1 and a.operation_action_id is not null
              and (o.state = 'waiting') <> (a.state in ('awaiting_approval', 'scheduled', 'executed', 'waiting'))""",
    ),
    Check(
        "a claim that was told has a message that was taken",
        """select k.claim_id::text as subject, 'told, but no message of it was accepted' as detail from claim k
            where k.tenant_id = $1 and k.state = 'told'
              and not exists (select 1 from message m where m.tenant_id = $1 and m.claim_id = k.claim_id and m.is_primary and m.state = 'accepted')""",
    ),
    Check(
        "nothing is sent about a void claim",
        f"""select m.message_id::text as subject, 'its claim is void' as detail from message m
              join claim k on k.tenant_id = m.tenant_id and k.claim_id = m.claim_id
             where m.tenant_id = $1 and k.state = 'void' and m.state in {_UNSENT}""",  # fixed words
    ),
    Check(
        "one automatic action of a scenario and kind a customer and day",
        """select a.customer_id::text as subject, format('%s actions on %s', count(*), a.local_date) as detail from action a
            where a.tenant_id = $1 and a.one_a_day and a.state not in ('cancelled', 'rejected', 'superseded')
            group by a.customer_id, a.scenario_id, a.kind, a.document_id, a.local_date having count(*) > 1""",
    ),
]
