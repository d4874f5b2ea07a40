"""Histories recorded once, replayed for ever: a release that decides otherwise breaks running work.

One file in `golden/` for each program here. A program and its file are never changed; a new
feature gets a new program. `PERDURE_WRITE_GOLDEN=1 pytest tests/replay/test_golden.py` writes the
files that are missing, and only those.
"""

# ruff: noqa: ARG001  every orchestration takes a context

from __future__ import annotations

import asyncio
import json
import os
import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from perdure import (
    ActivityError,
    ApplicationError,
    OrchestrationContext,
    OrchestrationError,
    Registry,
    Retry,
    activity,
    orchestration,
)
from perdure.errors import PayloadError
from perdure.model.actions import CreateTimer
from perdure.model.failure import FailureCategory
from perdure.model.ids import InstanceId, JsonText
from perdure.model.limits import Limits
from perdure.model.records import Record, RecordKind, StartedBody
from perdure.replay.turn import replay_history
from perdure.testing.scripted import ScriptedHistory

if TYPE_CHECKING:
    from collections.abc import Callable

GOLDEN = Path(__file__).parent / "golden"


@activity
def work(what: str) -> str:
    return what


@activity(tag="gpu", retry=Retry(max_attempts=5, initial=timedelta(seconds=2)), timeout=60)
def render(frame: int, *, quality: float = 0.5) -> dict[str, float]:
    return {"frame": frame, "quality": quality}


@orchestration
async def child(ctx: OrchestrationContext, name: str) -> str:
    return await work(name)


@orchestration
async def activities(ctx: OrchestrationContext) -> Any:
    first = await work("first")
    found = await asyncio.gather(render(1), render.options(tag="io", retry=None)(2, quality=1.0))
    return [first, *found]


def play_activities(history: ScriptedHistory) -> None:
    history.turn()
    history.complete("0:1", "one")
    history.turn()
    history.complete("0:3", {"frame": 2})
    history.complete("0:2", {"frame": 1})
    history.turn()


@orchestration
async def failures(ctx: OrchestrationContext) -> None:
    try:
        await work("x")
    except ActivityError as error:
        raise ApplicationError("refused", details={"at": 1}, type="Refused") from error


def play_failures(history: ScriptedHistory) -> None:
    history.turn()
    history.fail("0:1", "boom")
    history.turn()


@orchestration
async def timers(ctx: OrchestrationContext) -> str:
    await asyncio.sleep(1.5)
    try:
        async with asyncio.timeout(60):
            await work("slow")
    except TimeoutError:
        await ctx.schedule_timer(timedelta(days=30))
    return await asyncio.wait_for(work("quick"), 5)


def play_timers(history: ScriptedHistory) -> None:
    history.turn()
    history.fire("0:1")
    history.turn()
    history.fire("0:2")
    history.turn()
    history.fire("0:4")
    history.turn()
    history.complete("0:5", "ok")
    history.turn()


@orchestration
async def races(ctx: OrchestrationContext) -> Any:
    first = await ctx.select2(work("a"), ctx.wait_event("stop"))
    second = await ctx.select([work("b"), work("c")])
    tasks = [asyncio.create_task(child.fn(ctx, name)) for name in "de"]
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    found = [await each for each in asyncio.as_completed([child.fn(ctx, n) for n in "fgh"])]
    return [first, second, len(done), len(pending), found]


def play_races(history: ScriptedHistory) -> None:
    history.turn()
    history.raise_event("stop", {"by": "me"})
    history.complete("0:1", "late")
    history.turn()
    history.complete("0:4", "c")
    history.turn()
    history.complete("0.1:1", "e")
    history.turn()
    for path in (4, 2, 3):
        history.complete(f"0.{path}:1", f"task {path}")
        history.turn()


@orchestration
async def events(ctx: OrchestrationContext, count: int) -> Any:
    ctx.status = {"count": count}
    if count == 0:
        await ctx.wait_event("go")
        await ctx.continue_as_new(1, version="1.0.0")
    return [await ctx.wait_event("number", int), ctx.history_length]


def play_events(history: ScriptedHistory) -> None:
    history.raise_event("number", 7)
    history.turn()
    history.raise_event("other")
    history.raise_event("go")
    history.raise_event("number", 8)
    history.turn()


@orchestration
async def children(ctx: OrchestrationContext) -> Any:
    detached = child.start_detached("alone")
    ctx.set_custom_status("begun")
    results = await asyncio.gather(
        child("one"),
        child.options(instance_id="two", version="1.0.0")("two"),
        ctx.schedule_sub_orchestration("elsewhere", {"x": 1}),
        return_exceptions=True,
    )
    ctx.reset_custom_status()
    return [
        detached,
        *(str(each) if isinstance(each, OrchestrationError) else each for each in results),
    ]


def play_children(history: ScriptedHistory) -> None:
    history.turn()
    history.complete_child("0:4", "two")
    history.turn()
    history.fail_child("0:3", FailureCategory.CANCELLED, "by hand")
    history.complete_child("0:5", None)
    history.turn()


@orchestration
async def cancellation(ctx: OrchestrationContext) -> None:
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(child.fn(ctx, "a"))
            group.create_task(asyncio.sleep(60))
            group.create_task(_child_of(ctx))
    finally:
        await asyncio.shield(work("undo"))


async def _child_of(ctx: OrchestrationContext) -> None:
    await child("b")


def play_cancellation(history: ScriptedHistory) -> None:
    history.turn()
    history.cancel("not wanted")
    history.turn()
    history.complete("0:1", "undone")
    history.turn()


@orchestration
async def identity(ctx: OrchestrationContext) -> Any:
    chance = ctx.random()
    found = [ctx.new_guid(), str(ctx.uuid4()), chance.randint(0, 10**9), chance.random()]
    found += [ctx.instance_id, ctx.execution, ctx.name, ctx.version, ctx.now(), ctx.history_length]
    await work(str(found))
    return found


def play_identity(history: ScriptedHistory) -> None:
    history.turn()
    history.complete("0:1", "ok")
    history.turn()


@orchestration
async def synchronisation(ctx: OrchestrationContext) -> Any:
    lock, queue, order = asyncio.Lock(), asyncio.Queue[str](), list[str]()

    async def produce(name: str) -> None:
        async with lock:
            await queue.put(await work(name))
        order.append(name)

    async with asyncio.TaskGroup() as group:
        for name in "abc":
            group.create_task(produce(name))
        found = [await queue.get() for _ in range(3)]
    return [found, order]


def play_synchronisation(history: ScriptedHistory) -> None:
    history.turn()
    for path in range(3):
        history.complete(f"0.{path}:1", f"made {path}")
        history.turn()


@orchestration
async def queues(ctx: OrchestrationContext, again: bool) -> Any:
    inbox = ctx.queue("inbox", int)
    found: list[Any] = [await inbox.get()]
    found += await ctx.select2(ctx.dequeue_event("other"), ctx.schedule_wait("go"))
    if again:
        await ctx.continue_as_new(again=False)
    return [*found, await inbox.get(), await ctx.wait_event("go", str)]


def play_queues(history: ScriptedHistory) -> None:
    history.raise_event("go", "early")
    history.turn()
    history.enqueue_event("inbox", 1)
    history.turn()
    history.raise_event("go", "now")
    history.enqueue_event("other", {"left": True})
    history.turn()


@orchestration
async def keys(ctx: OrchestrationContext) -> Any:
    for number, key in enumerate("cab"):
        ctx.kv[key] = {"n": number}
    await work("wait")
    ctx.kv["a"] = "new"
    pruned = ctx.kv.prune(before=ctx.now())
    ctx.set_attributes(team="a", done=False, left=None)
    other = await ctx.kv_of("elsewhere").get("x", int)
    found = dict(ctx.kv)
    ctx.kv.clear()
    return [pruned, found, other, dict(ctx.attributes), ctx.get_kv_length()]


def play_keys(history: ScriptedHistory) -> None:
    history.turn()
    history.wait(timedelta(seconds=5))
    history.complete("0:4", "")
    history.turn()
    history.read("0:9", 7)
    history.turn()


@orchestration
async def requests(ctx: OrchestrationContext) -> Any:
    lines: list[str] = []

    @ctx.update
    async def add(line: str) -> int:
        lines.append(await work(line))
        return len(lines)

    @add.validator
    def check(line: str) -> None:
        if not line:
            raise ApplicationError("empty", type="Empty")

    await ctx.wait_event("end")
    return lines


def play_requests(history: ScriptedHistory) -> None:
    history.update("one", "add", line="a")
    history.update("two", "add", line="")
    history.update("three", "remove", line="a")
    history.turn()
    history.complete("u.0:1", "A")
    history.update("four", "add", line="b")
    history.turn()
    history.raise_event("end")
    history.turn()


def nowhere(number: int) -> float:
    if number == 0:
        raise ValueError("zero")
    return number / 2


@orchestration
async def steps(ctx: OrchestrationContext) -> Any:
    found: list[Any] = [ctx.step(nowhere, 3)]
    await work("x")
    try:
        ctx.step(nowhere, number=0)
    except ActivityError as error:
        found.append(str(error))
    return found


def play_steps(history: ScriptedHistory) -> None:
    history.turn()
    history.complete("0:2", "")
    history.turn()


@orchestration
async def options(ctx: OrchestrationContext) -> Any:
    async with ctx.session() as session, ctx.session("named") as named:
        await asyncio.gather(
            work.options(session=session, priority=2, limit="k", queue_timeout=5)("a"),
            work.options(session=named, heartbeat_timeout=1.5, retry=Retry.linear(SECOND))("b"),
        )
    child.options(parent_close="terminate", priority=-1, timeout=60)("t")
    child.options(parent_close="abandon", attributes={"n": 1}, limit="k")("a")
    child("c")
    try:
        await ctx.schedule_activity_with_retry(work, Retry.fixed(SECOND, 2, jitter=0.5), "r")
    except ActivityError as error:
        return str(error)


def play_options(history: ScriptedHistory) -> None:
    history.turn()
    history.complete("0:1", "a")
    history.complete("0:2", "b")
    history.turn()
    history.fail("0.0:1", "first")
    history.turn()
    history.fire("0.0:2")
    history.fail("0.0:3", "second")
    history.turn()


@orchestration
async def deadline(ctx: OrchestrationContext) -> None:
    try:
        await ctx.wait_event("never")
    finally:
        await work(ctx.cancel_reason or "")


def play_deadline(history: ScriptedHistory) -> None:
    history.turn()
    history.pass_deadline()
    history.turn()
    history.complete("0:2", "")
    history.turn()


@orchestration
async def refusals(ctx: OrchestrationContext) -> Any:
    try:
        ctx.status = "x" * 100
    except PayloadError as error:
        await work(str(error))
    ctx.kv["a"] = 1
    ctx.kv["b"] = 2


def play_refusals(history: ScriptedHistory) -> None:
    history.turn()
    history.complete("0:2", "")
    history.turn()


@orchestration
async def patches(ctx: OrchestrationContext) -> Any:
    found = [ctx.patched("first"), await work("x"), ctx.patched("first")]
    ctx.deprecate_patch("second")
    return [*found, ctx.patched("second"), await work("y")]


def play_patches(history: ScriptedHistory) -> None:
    history.turn()
    history.complete("0:1", "X")
    history.turn()
    history.complete("0:2", "Y")
    history.turn()


@orchestration
async def sagas(ctx: OrchestrationContext) -> Any:
    async with asyncio.TaskGroup() as group:
        group.create_task(_booking(ctx))
        await ctx.wait_event("fail")
        raise ApplicationError("no")


async def _booking(ctx: OrchestrationContext) -> None:
    async with ctx.saga() as saga:
        saga.compensate(work, await work("book"))
        saga.compensate(child, "booked")
        await asyncio.sleep(60)


def play_sagas(history: ScriptedHistory) -> None:
    history.turn()
    history.complete("0.0:1", "booked")
    history.turn()
    history.raise_event("fail")
    history.turn()
    history.complete_child("0.0.0:1", "undone")
    history.turn()
    history.fail("0.0.0:2", "cannot be undone")
    history.turn()


@orchestration
async def eager(ctx: OrchestrationContext) -> Any:
    loop = asyncio.get_running_loop()
    loop.set_task_factory(asyncio.eager_task_factory)
    loop.call_later(0, asyncio.Event().set)
    tasks = [asyncio.create_task(_eagerly(ctx, name)) for name in "ab"]
    done, _ = await asyncio.wait([asyncio.gather(task) for task in tasks])
    return [each.result() for each in done]


async def _eagerly(ctx: OrchestrationContext, name: str) -> Any:
    return await ctx.join([work(name), asyncio.sleep(1)])


def play_eager(history: ScriptedHistory) -> None:
    history.turn()
    for number in (1, 0):
        history.complete(f"0.{number}:1", f"{number}")
        history.turn()
    for action in history.actions():
        if isinstance(action, CreateTimer):
            history.fire(action.operation)
    history.turn()


SECOND = timedelta(seconds=1)
SETTINGS: dict[str, dict[str, Any]] = {
    "deadline": {
        "started": StartedBody("deadline", None, JsonText("{}"), timeout=SECOND, priority=3)
    },
    "refusals": {"limits": Limits(custom_status_bytes=50, keys=1)},
}
PROGRAMS: dict[str, tuple[Any, tuple[object, ...], Callable[[ScriptedHistory], None]]] = {
    "activities": (activities, (), play_activities),
    "failures": (failures, (), play_failures),
    "timers": (timers, (), play_timers),
    "races": (races, (), play_races),
    "events": (events, (0,), play_events),
    "children": (children, (), play_children),
    "cancellation": (cancellation, (), play_cancellation),
    "identity": (identity, (), play_identity),
    "synchronisation": (synchronisation, (), play_synchronisation),
    "queues": (queues, (True,), play_queues),
    "keys": (keys, (), play_keys),
    "requests": (requests, (), play_requests),
    "steps": (steps, (), play_steps),
    "options": (options, (), play_options),
    "deadline": (deadline, (), play_deadline),
    "refusals": (refusals, (), play_refusals),
    "patches": (patches, (), play_patches),
    "sagas": (sagas, (), play_sagas),
    "eager": (eager, (), play_eager),
}
REGISTRY = Registry(work, render, child, *(each[0] for each in PROGRAMS.values()))


def write(name: str, path: Path) -> None:
    definition, args, play = PROGRAMS[name]
    settings = SETTINGS.get(name, {})
    history = ScriptedHistory(REGISTRY, definition, *args, instance=f"golden-{name}", **settings)
    play(history)
    assert history.decided[-1].ending is not None
    rows = [
        [record.seq, record.execution, record.kind.name, record.ref, body, str(record.at)]
        for record in history.records
        for body in [record.body and re.sub(r',"traceback":"(?:[^"\\]|\\.)*"', "", record.body)]
    ]
    lines = ",\n ".join(json.dumps(row, ensure_ascii=False) for row in rows)
    path.write_text(f"[{lines}]\n", encoding="utf-8")


def read(path: Path) -> list[Record]:
    return [
        Record(
            seq,
            execution,
            RecordKind[kind],
            ref,
            None if body is None else JsonText(body),
            datetime.fromisoformat(at),
        )
        for seq, execution, kind, ref, body, at in json.loads(path.read_text(encoding="utf-8"))
    ]


@pytest.mark.parametrize("name", PROGRAMS)
def test_golden_history(name: str) -> None:
    path = GOLDEN / f"{name}.json"
    if not path.exists() and os.environ.get("PERDURE_WRITE_GOLDEN"):
        write(name, path)
    records = read(path)
    turns = replay_history(REGISTRY, InstanceId(f"golden-{name}"), records)
    assert turns == sum(record.kind is RecordKind.TURN for record in records)
    assert turns >= 2


def test_every_file_has_its_program() -> None:
    assert {path.stem for path in GOLDEN.glob("*.json")} == set(PROGRAMS)
