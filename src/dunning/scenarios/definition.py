"""The content of a scenario as JSON-able data, and back: what the API takes, a version stores, and a file carries."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import cast

from dunning.kit.money import format_minor
from dunning.scenarios.reading import ContentReader, Problem
from dunning.scenarios.steps import (
    DUE_DATE_TRIGGERS,
    Amount,
    Audience,
    Channel,
    Conditions,
    ContentMode,
    Grouping,
    Ladder,
    LateEntry,
    Mode,
    Netting,
    Notice,
    Operation,
    OperationKind,
    OperationWhen,
    ResetPolicy,
    Scenario,
    Shift,
    Step,
    Task,
    TaskKind,
    Trigger,
    TriggerKind,
)

STEPS_MAX = 100
RANK_MAX = 10_000
REPEATS_MAX = 366
SENDER_MAX = 200
ADDRESS_MAX = 320
ADDRESS = re.compile(r"[^\s@]+@[^\s@]+\.[^\s@]+")


class InvalidDefinition(ValueError):
    """The content is not that of a scenario; `problems` lists every place that is wrong."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(f"{path}: {message}" for path, message in self.problems))


def parse(content: object) -> Scenario:
    """Read a scenario's content; raise InvalidDefinition naming every wrong place.

    Required are code, name, steps and, in each step, rank, code, name and trigger; what else is missing takes its
    default. Amounts are decimal texts. Unknown keys are refused. `parse(to_content(scenario)) == scenario`.
    """
    problems: list[Problem] = []
    reader = ContentReader(content, "", problems)
    scenario = Scenario(
        code=reader.code("code"),
        name=reader.text("name", most=200),
        steps=tuple(_read_step(step) for step in reader.objects("steps")),
        late_entry=reader.choice("late_entry", LateEntry, LateEntry.FIRST_STEP),
        grouping=reader.choice("grouping", Grouping, Grouping.CUSTOMER),
        netting=reader.choice("netting", Netting, Netting.NET),
        spacing_days=reader.integer("spacing_days"),
        grace_days=reader.integer("grace_days"),
        reset_policy=reader.choice("reset_policy", ResetPolicy, ResetPolicy.RESUME),
        shift=reader.choice("shift", Shift, Shift.NONE),
        ladder=reader.choice("ladder", Ladder, Ladder.ITEM),
        min_item=reader.amounts("min_item"),
        min_customer=reader.amounts("min_customer"),
    )
    reader.close()
    _check_steps(scenario.steps, problems)
    if problems:
        raise InvalidDefinition(problems)
    return scenario


def to_content(scenario: Scenario) -> dict[str, object]:
    """Write a scenario as JSON-able content with every key, steps in the order given."""
    return {
        "code": scenario.code,
        "name": scenario.name,
        "late_entry": scenario.late_entry.value,
        "grouping": scenario.grouping.value,
        "netting": scenario.netting.value,
        "spacing_days": scenario.spacing_days,
        "grace_days": scenario.grace_days,
        "reset_policy": scenario.reset_policy.value,
        "shift": scenario.shift.value,
        "ladder": scenario.ladder.value,
        "min_item": _amounts(scenario.min_item),
        "min_customer": _amounts(scenario.min_customer),
        "steps": [step_content(step) for step in scenario.steps],
    }


def parse_step(content: object) -> Step:
    """Read one step's content; raise InvalidDefinition naming every wrong place. `parse_step(step_content(step)) == step`."""
    problems: list[Problem] = []
    step = _read_step(ContentReader(content, "", problems))
    if problems:
        raise InvalidDefinition(problems)
    return step


def _read_step(reader: ContentReader) -> Step:
    step = Step(
        rank=reader.required_integer("rank", most=RANK_MAX),
        code=reader.code("code"),
        name=reader.text("name", most=200),
        mode=reader.choice("mode", Mode, Mode.AUTOMATIC),
        trigger=_parse_trigger(reader.part("trigger")),
        grace_days=reader.integer("grace_days"),
        min_days_after_delivery=reader.integer("min_days_after_delivery"),
        min_days_between_steps=reader.integer("min_days_between_steps"),
        repeat_every_days=reader.integer("repeat_every_days", least=1),
        max_repeats=reader.integer("max_repeats", least=1, most=REPEATS_MAX),
        min_item=reader.amounts("min_item"),
        min_customer=reader.amounts("min_customer"),
        deadline_days=reader.integer("deadline_days"),
        consequence=_parse_consequence(reader),
        show_not_due=reader.flag("show_not_due", default=False),
        notices=tuple(_parse_notice(notice) for notice in reader.objects("notices")),
        operations=tuple(_parse_operation(operation) for operation in reader.objects("operations")),
        task=_parse_task(reader.part("task")) if reader.take("task") is not None else None,
        conditions=_parse_conditions(reader.part("conditions")) if reader.take("conditions") is not None else Conditions(),
    )
    reader.close()
    return step


def _parse_trigger(reader: ContentReader) -> Trigger:
    trigger = Trigger(
        kind=reader.choice("kind", TriggerKind),
        offset_days=reader.integer("offset_days", least=-3650) or 0,
        until_days=reader.integer("until_days", least=-3650),
        business_days=reader.flag("business_days", default=False),
    )
    if trigger.kind not in DUE_DATE_TRIGGERS:
        if trigger.until_days is not None:
            reader.problem("until_days", "a window belongs to the triggers due_date and end_of_month; leave it out")
        if trigger.offset_days < 0:
            reader.problem("offset_days", f"{trigger.kind.value} counts days after a fact: expected 0 or more")
    reader.close()
    return trigger


def _parse_notice(reader: ContentReader) -> Notice:
    notice = Notice(
        code=reader.code("code"),
        channel=reader.choice("channel", Channel, Channel.EMAIL),
        template=reader.code("template"),
        to_roles=reader.codes("to_roles"),
        audience=reader.choice("audience", Audience, Audience.CUSTOMER),
        content_mode=reader.choice("content_mode", ContentMode, ContentMode.FULL),
        primary=reader.flag("primary", default=True),
        copy_roles=reader.codes("copy_roles"),
        fallback=reader.choices("fallback", Channel),
        sender_name=reader.text("sender_name", most=SENDER_MAX) if reader.take("sender_name") is not None else None,
        reply_to=reader.text("reply_to", most=ADDRESS_MAX) if reader.take("reply_to") is not None else None,
        template_when_covered=reader.code("template_when_covered") if reader.take("template_when_covered") is not None else None,
    )
    if not notice.to_roles:
        reader.problem("to_roles", "expected at least one role, such as dunning or billing")
    if notice.reply_to is not None and ADDRESS.fullmatch(notice.reply_to) is None:
        reader.problem("reply_to", "expected an e-mail address")
    if not notice.primary and (notice.sender_name or notice.reply_to):
        reader.problem("sender_name", "all notices of a step have one sender: state it on the primary one")
    reader.close()
    return notice


def _parse_operation(reader: ContentReader) -> Operation:
    # Blocks change what the customer may do, so they wait until the customer was told.
    late = reader.take("kind") == OperationKind.BLOCK_ACCOUNT.value
    operation = Operation(
        kind=reader.choice("kind", OperationKind),
        when=reader.choice("when", OperationWhen, OperationWhen.COMPLETED if late else OperationWhen.EXECUTED),
        params=reader.plain("params"),
    )
    reader.close()
    return operation


def _parse_task(reader: ContentReader) -> Task:
    task = Task(kind=reader.choice("kind", TaskKind), text=reader.text("text"))
    reader.close()
    return task


def _parse_conditions(reader: ContentReader) -> Conditions:
    conditions = Conditions(
        min_overdue_items=reader.integer("min_overdue_items", least=1),
        min_oldest_days=reader.integer("min_oldest_days", least=1),
        tags_any=reader.codes("tags_any"),
        tags_none=reader.codes("tags_none"),
    )
    reader.close()
    return conditions


def _parse_consequence(reader: ContentReader) -> str | Mapping[str, str] | None:
    value = reader.take("consequence")
    if value is None or (isinstance(value, str) and value.strip()):
        return value
    if isinstance(value, Mapping) and value and all(isinstance(k, str) and isinstance(v, str) for k, v in value.items()):
        return cast("dict[str, str]", dict(value))
    reader.problem("consequence", 'expected a text, or one text a language: {"en": "…"}')
    return None


def _check_steps(steps: tuple[Step, ...], problems: list[Problem]) -> None:
    """Note ranks and codes that stand twice."""
    if len(steps) > STEPS_MAX:
        problems.append(Problem("steps", f"expected at most {STEPS_MAX} steps"))
    ranks: dict[int, int] = {}
    codes: dict[str, int] = {}
    for index, step in enumerate(steps):
        if (other := ranks.setdefault(step.rank, index)) != index:
            problems.append(Problem(f"steps[{index}].rank", f"{step.rank} is already the rank of steps[{other}]"))
        if step.code and (other := codes.setdefault(step.code, index)) != index:
            problems.append(Problem(f"steps[{index}].code", f"{step.code} is already the code of steps[{other}]"))
        names = [notice.code for notice in step.notices]
        for position, name in enumerate(names):
            if name and name in names[:position]:
                problems.append(Problem(f"steps[{index}].notices[{position}].code", f"{name} is used twice in this step"))


def step_content(step: Step) -> dict[str, object]:
    """Write one step as JSON-able content with every key."""
    consequence = step.consequence
    return {
        "rank": step.rank,
        "code": step.code,
        "name": step.name,
        "mode": step.mode.value,
        "trigger": {
            "kind": step.trigger.kind.value,
            "offset_days": step.trigger.offset_days,
            "until_days": step.trigger.until_days,
            "business_days": step.trigger.business_days,
        },
        "grace_days": step.grace_days,
        "min_days_after_delivery": step.min_days_after_delivery,
        "min_days_between_steps": step.min_days_between_steps,
        "repeat_every_days": step.repeat_every_days,
        "max_repeats": step.max_repeats,
        "min_item": _amounts(step.min_item),
        "min_customer": _amounts(step.min_customer),
        "deadline_days": step.deadline_days,
        "consequence": dict(consequence) if isinstance(consequence, Mapping) else consequence,
        "show_not_due": step.show_not_due,
        "notices": [
            {
                "code": notice.code,
                "channel": notice.channel.value,
                "to_roles": list(notice.to_roles),
                "audience": notice.audience.value,
                "template": notice.template,
                "template_when_covered": notice.template_when_covered,
                "content_mode": notice.content_mode.value,
                "primary": notice.primary,
                "copy_roles": list(notice.copy_roles),
                "fallback": [channel.value for channel in notice.fallback],
                "sender_name": notice.sender_name,
                "reply_to": notice.reply_to,
            }
            for notice in step.notices
        ],
        "operations": [{"kind": operation.kind.value, "when": operation.when.value, "params": dict(operation.params)} for operation in step.operations],
        "task": None if step.task is None else {"kind": step.task.kind.value, "text": step.task.text},
        "conditions": {
            "min_overdue_items": step.conditions.min_overdue_items,
            "min_oldest_days": step.conditions.min_oldest_days,
            "tags_any": list(step.conditions.tags_any),
            "tags_none": list(step.conditions.tags_none),
        },
    }


def _amounts(amounts: tuple[Amount, ...]) -> list[dict[str, str]]:
    return [{"amount": format_minor(one.minor, one.currency), "currency": one.currency} for one in amounts]
