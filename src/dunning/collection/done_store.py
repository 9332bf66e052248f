"""What counts as an action with a customer, and as a contact: one definition for the explorer, the control reports and the phone list.

An action is:

- a message to the customer that was accepted, copies left out;
- a task that a person completed, or a notice that a person completed by other means (a letter handed over), on the day stated;
- an activity that somebody recorded: a call, answered or not, a visit, a meeting, a mail received, a note, or a word of their own. One with which a task
  was completed stands for that task, which is not counted again; so does any other contact that was tried for it on the day of its completion.

What the software notes by itself is none: a claim issued for a message that then expired or was cancelled, a promise found broken, a dispute resolved,
operations. A contact is an action in which the customer heard from us or we from it: such a message or notice, a completed task that contacts
it, a call, visit or meeting in which somebody was reached, a mail received.
"""

from __future__ import annotations

from dunning.collection.activity_store import COMPLETED_ON, NOT_REACHED, SPOKEN_KINDS
from dunning.scenarios.steps import CONTACT_TASKS

CONTACT_KINDS = (*SPOKEN_KINDS, "email_received")
"""Activities in which somebody spoke with the customer, or heard of it."""
NOTED_BY_ITSELF = ("promise_kept", "promise_broken", "promise_cancelled", "promise_reopened", "promise_put_off", "promise_waits", "dispute_resolved")
"""Activities that belong to no action and that nobody recorded."""
WRITTEN_BY_SOFTWARE = (*NOTED_BY_ITSELF, "claim_issued", "operation_done", "request_taken")
"""Activities that tell of something else that is stored; nobody records them by hand."""
_TASKS = tuple(sorted(kind.value for kind in CONTACT_TASKS))


def done_with(*, customer: str, zone: str) -> str:
    """Return a query of the actions with a customer of the tenant $1, one row each; the arguments are SQL.

    `kind` and `id` name the activity or action, `what` says what it was, `types` all that it may be looked for by, `at` when, `on_day` the day of that in
    the ledger's zone, `contact` whether it was a contact. Where only the day is known, `at` is the end of that.
    """
    return f"""
   select 'activity' as kind, n.activity_id as id, n.kind as what,
          array[n.kind] || (select array[t.task_kind, t.step_code] from action t where t.tenant_id = $1 and t.action_id = n.action_id and t.kind = 'task') as types,
          n.business_at as at,
          (n.business_at at time zone {zone})::date as on_day,
          n.kind in {CONTACT_KINDS} and coalesce(n.outcome, '') not in {NOT_REACHED} as contact, n.outcome, n.text, n.actor
     from activity n
    where n.tenant_id = $1 and n.customer_id = {customer}
      and (n.kind in {CONTACT_KINDS} or (n.action_id is null and n.kind not in {NOTED_BY_ITSELF}))
   union all
   select 'action', a.action_id, coalesce(a.task_kind, a.step_code, a.kind), array[a.task_kind, a.step_code],
          case when (a.executed_at at time zone {zone})::date = a.completed_on then a.executed_at
               else coalesce((select max(m.accepted_at) from message m where m.tenant_id = $1 and m.action_id = a.action_id and m.accepted_on = a.completed_on),
                             (a.completed_on + 1)::timestamp at time zone {zone} - interval '1 second') end, a.completed_on,
          a.kind = 'notice' or coalesce(a.task_kind, 'call') in {_TASKS}, null, coalesce(a.title, a.step_name), null
     from action a
    where a.tenant_id = $1 and a.customer_id = {customer} and a.state = 'completed' and a.kind in ('notice', 'task')
      and coalesce(a.content ->> 'audience', 'customer') <> 'internal'
      and (a.kind = 'notice' or not exists (
        select from activity z where z.tenant_id = $1 and z.customer_id = {customer} and z.action_id = a.action_id and z.kind in {CONTACT_KINDS}
           and coalesce((z.data ->> '{COMPLETED_ON}')::date, (z.business_at at time zone {zone})::date) = a.completed_on))
   union all
   select 'action', m.action_id, coalesce(a.step_code, a.kind), array[m.channel, a.step_code], m.accepted_at, m.accepted_on, true, null,
          coalesce(a.title, a.step_name), null
     from message m join action a on a.tenant_id = $1 and a.action_id = m.action_id
    where m.tenant_id = $1 and m.customer_id = {customer} and m.state = 'accepted' and m.audience = 'customer' and not m.is_copy"""
