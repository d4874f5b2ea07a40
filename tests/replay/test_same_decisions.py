"""Random programs and arrivals: live or replayed, batched or one by one, the decisions are one.

A program is data; one orchestration interprets it with the real asyncio primitives. Arrivals are
drawn from what is open. The same messages in the same order must give the same decisions however
they are cut into turns, whether the execution was kept or reopened, and for the whole history.
"""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from perdure import OrchestrationContext, Registry, activity, orchestration
from perdure.model.actions import (
    Action,
    CancelActivity,
    CancelTimer,
    CancelWait,
    CreateTimer,
    ScheduleActivity,
    WaitEvent,
)
from perdure.model.records import RecordKind
from perdure.testing.scripted import ScriptedHistory

type Program = list[Any]


@activity
def act(label: str) -> str:
    return label


async def interpret(  # noqa: C901, PLR0912  one case for each primitive
    ctx: OrchestrationContext, program: Program, trace: list[str]
) -> str:
    match program:
        case ["act", label]:
            result: str = await act(label)
        case ["sleep", seconds]:
            await asyncio.sleep(seconds)
            result = f"slept {seconds}"
        case ["event", name]:
            result = str(await ctx.wait_event(name))
        case ["guid"]:
            result = ctx.new_guid()
        case ["seq", *parts]:
            result = "".join([await interpret(ctx, part, trace) for part in parts])
        case ["gather", *parts]:
            result = "".join(await asyncio.gather(*(interpret(ctx, p, trace) for p in parts)))
        case ["group", *parts]:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(interpret(ctx, part, trace)) for part in parts]
            result = "".join(task.result() for task in tasks)
        case ["race", *parts]:
            index, value = await ctx.select(interpret(ctx, part, trace) for part in parts)
            result = f"{index}{value}"
        case ["each", *parts]:
            found = [
                await each
                for each in asyncio.as_completed([interpret(ctx, p, trace) for p in parts])
            ]
            result = "".join(found)
        case ["limit", seconds, part]:
            try:
                async with asyncio.timeout(seconds):
                    result = await interpret(ctx, part, trace)
            except TimeoutError:
                result = await act("late")
        case ["shield", seconds, part]:
            inner = asyncio.ensure_future(interpret(ctx, part, trace))
            try:
                result = await asyncio.wait_for(asyncio.shield(inner), seconds)
            except TimeoutError:
                result = await inner
        case ["wait", *parts]:
            tasks = [asyncio.create_task(interpret(ctx, part, trace)) for part in parts]
            done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in pending:
                task.cancel()
            result = "".join(task.result() for task in done)
        case _:
            raise AssertionError(program)
    trace.append(result)
    return result


@orchestration
async def run(ctx: OrchestrationContext, program: Program) -> list[str]:
    trace: list[str] = []
    await interpret(ctx, program, trace)
    return trace


REGISTRY = Registry(act, run)
LEAVES = st.one_of(
    st.sampled_from("abc").map(lambda label: ["act", label]),
    st.integers(1, 3).map(lambda seconds: ["sleep", seconds]),
    st.sampled_from("xy").map(lambda name: ["event", name]),
    st.just(["guid"]),
)


def branches(inner: st.SearchStrategy[Program]) -> st.SearchStrategy[Program]:
    parts = st.lists(inner, min_size=1, max_size=3)
    several = st.sampled_from(["seq", "gather", "group", "race", "each", "wait"])
    return st.one_of(
        st.tuples(several, parts).map(lambda t: [t[0], *t[1]]),
        st.tuples(st.sampled_from(["limit", "shield"]), st.integers(1, 3), inner).map(list),
    )


PROGRAMS = st.recursive(LEAVES, branches, max_leaves=8)


class Open:
    """What may arrive: kept from what was decided, as a provider keeps it."""

    def __init__(self) -> None:
        self.operations: dict[str, Action] = {}

    def note(self, actions: tuple[Action, ...]) -> None:
        for action in actions:
            match action:
                case ScheduleActivity() | CreateTimer() | WaitEvent():
                    self.operations[action.operation] = action
                case CancelActivity() | CancelTimer() | CancelWait():
                    self.operations.pop(action.operation, None)
                case _:
                    raise AssertionError(action)

    def arrive(self, history: ScriptedHistory, choice: int) -> None:
        operations = sorted(self.operations)
        action = self.operations.pop(operations[choice % len(operations)])
        match action:
            case ScheduleActivity():
                history.complete(action.operation, action.operation)
            case CreateTimer():
                history.add(RecordKind.TIMER_FIRED, action.operation)
            case WaitEvent():
                history.raise_event(action.name, action.operation)
            case _:
                raise AssertionError(action)


def lasting(history: ScriptedHistory) -> list[Action]:
    """Leave out timers that were cancelled: within one turn they leave nothing at all."""
    actions = history.actions()
    cancelled = {action.operation for action in actions if isinstance(action, CancelTimer)}
    return [
        action
        for action in actions
        if not isinstance(action, CreateTimer | CancelTimer) or action.operation not in cancelled
    ]


@settings(max_examples=150, deadline=None)
@given(program=PROGRAMS, data=st.data())
def test_decisions_do_not_depend_on_turns_or_caches(program: Program, data: st.DataObject) -> None:
    history = ScriptedHistory(REGISTRY, run, program)
    known = Open()
    result = history.turn()
    known.note(result.actions)
    while result.ending is None:
        for _ in range(data.draw(st.integers(1, max(1, min(3, len(known.operations)))))):
            if known.operations:
                known.arrive(history, data.draw(st.integers(0, 99)))
        result = history.turn()
        known.note(result.actions)
    history.replay()

    messages = [record for record in history.records if record.kind is not RecordKind.TURN]
    for cached in (True, False):
        single = ScriptedHistory(REGISTRY, run, program, cached=cached)
        last = single.turn()
        for message in messages[1:]:
            if last.ending is None:
                single.add(message.kind, message.ref, message.body)
                last = single.turn()
        assert last.ending == result.ending
        assert lasting(single) == lasting(history)
