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
    AnswerUpdate,
    CancelActivity,
    CancelTimer,
    CancelWait,
    ClearKey,
    CreateTimer,
    DequeueEvent,
    MarkPatch,
    ReadKey,
    RecordStep,
    ScheduleActivity,
    SetCustomStatus,
    SetKey,
    WaitEvent,
    WaitNext,
)
from perdure.model.records import RecordKind
from perdure.testing.scripted import ScriptedHistory

type Program = list[Any]


@activity
def act(label: str) -> str:
    return label


steps_run: list[str] = []


def look(label: str) -> str:
    steps_run.append(label)
    return f"saw {label}"


async def interpret(  # noqa: C901, PLR0912, PLR0915  one case for each primitive
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
        case ["queue", name]:
            result = str(await ctx.queue(name).get())
        case ["next", name]:
            result = str(await ctx.schedule_wait(name))
        case ["set", key]:
            ctx.kv[key] = result = f"{ctx.kv.get(key, '')}{key}"[-20:]
        case ["pop", key]:
            result = str(ctx.kv.pop(key, "nothing"))
        case ["other", key]:
            result = str(await ctx.kv_of("other").get(key))
        case ["step", label]:
            result = ctx.step(look, label)
        case ["status"]:
            ctx.status = result = f"{len(trace)}"
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
        case ["patched", name, part]:
            result = f"{ctx.patched(name)}" + await interpret(ctx, part, trace)
        case ["saga", seconds, part]:
            try:
                async with asyncio.timeout(seconds), ctx.saga() as saga:
                    for number in range(2):
                        saga.compensate(act, await act(f"{number}"))
                    result = await interpret(ctx, part, trace)
            except TimeoutError:
                result = "taken back"
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

    @ctx.query
    def traced() -> list[str]:
        return trace

    @ctx.update
    async def do(part: Program) -> str:
        return await interpret(ctx, part, trace)

    await interpret(ctx, program, trace)
    return trace


REGISTRY = Registry(act, run)
LEAVES = st.one_of(
    st.sampled_from("abc").map(lambda label: ["act", label]),
    st.integers(1, 3).map(lambda seconds: ["sleep", seconds]),
    st.sampled_from("xy").map(lambda name: ["event", name]),
    st.just(["guid"]),
    st.sampled_from("xy").map(lambda name: ["queue", name]),
    st.sampled_from("xy").map(lambda name: ["next", name]),
    st.sampled_from("kl").map(lambda key: ["set", key]),
    st.sampled_from("kl").map(lambda key: ["pop", key]),
    st.just(["other", "k"]),
    st.sampled_from("st").map(lambda label: ["step", label]),
    st.just(["status"]),
)


def branches(inner: st.SearchStrategy[Program]) -> st.SearchStrategy[Program]:
    parts = st.lists(inner, min_size=1, max_size=3)
    several = st.sampled_from(["seq", "gather", "group", "race", "each", "wait"])
    return st.one_of(
        st.tuples(several, parts).map(lambda t: [t[0], *t[1]]),
        st.tuples(st.just("patched"), st.sampled_from("pq"), inner).map(list),
        st.tuples(st.sampled_from(["limit", "shield", "saga"]), st.integers(1, 3), inner).map(list),
    )


PROGRAMS = st.recursive(LEAVES, branches, max_leaves=8)
UPDATES = st.recursive(LEAVES, branches, max_leaves=3)
AT_ONCE = (SetKey, ClearKey, RecordStep, SetCustomStatus, AnswerUpdate)


class Open:
    """What may arrive: kept from what was decided, as a provider keeps it."""

    def __init__(self) -> None:
        self.operations: dict[str, Action] = {}

    def note(self, actions: tuple[Action, ...]) -> None:
        for action in actions:
            match action:
                case ScheduleActivity() | CreateTimer() | ReadKey():
                    self.operations[action.operation] = action
                case WaitEvent() | WaitNext() | DequeueEvent():
                    self.operations[action.operation] = action
                case CancelActivity() | CancelTimer() | CancelWait():
                    self.operations.pop(action.operation, None)
                case MarkPatch():
                    pass
                case _:
                    assert isinstance(action, AT_ONCE), action

    def arrive(self, history: ScriptedHistory, choice: int) -> None:
        operations = sorted(self.operations)
        action = self.operations.pop(operations[choice % len(operations)])
        match action:
            case ScheduleActivity():
                history.complete(action.operation, action.operation)
            case CreateTimer():
                history.add(RecordKind.TIMER_FIRED, action.operation)
            case WaitEvent() | WaitNext():
                history.raise_event(action.name, action.operation)
            case DequeueEvent():
                history.enqueue_event(action.queue, action.operation)
            case ReadKey():
                history.read(action.operation, action.operation)
            case _:
                raise AssertionError(action)


def lasting(history: ScriptedHistory) -> list[Action]:
    """Leave out timers that were cancelled: within one turn they leave nothing at all.

    And the refusal of updates that arrived after the end, in the batch of the last turn.
    """
    actions = history.actions()
    cancelled = {action.operation for action in actions if isinstance(action, CancelTimer)}
    return [
        action
        for action in actions
        if not isinstance(action, CreateTimer | CancelTimer) or action.operation not in cancelled
        if not isinstance(action, AnswerUpdate)
        or action.failure is None
        or action.failure.type != "RunEnded"
    ]


@settings(max_examples=200, deadline=None)
@given(program=PROGRAMS, data=st.data())
def test_decisions_do_not_depend_on_turns_or_caches(program: Program, data: st.DataObject) -> None:
    history = ScriptedHistory(REGISTRY, run, program)
    steps_run.clear()
    known = Open()
    result = history.turn()
    known.note(result.actions)
    while result.ending is None:
        for _ in range(data.draw(st.integers(1, max(1, min(3, len(known.operations)))))):
            if known.operations:
                known.arrive(history, data.draw(st.integers(0, 99)))
        if data.draw(st.integers(0, 9)) == 0:
            history.update(f"u{len(history.records)}", "do", part=data.draw(UPDATES))
        result = history.turn()
        known.note(result.actions)
        if data.draw(st.integers(0, 3)) == 0:
            assert isinstance(history.query("traced"), list)
    steps = [action for action in history.actions() if isinstance(action, RecordStep)]
    assert len(steps_run) == len(steps)
    history.replay()
    assert len(steps_run) == len(steps), "a replay runs no step"
    traced = history.query("traced")

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
        assert single.query("traced") == traced
