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
from perdure.model.failure import FailureCategory
from perdure.model.ids import InstanceId, JsonText
from perdure.model.records import Record, RecordKind
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
}
REGISTRY = Registry(work, render, child, *(each[0] for each in PROGRAMS.values()))


def write(name: str, path: Path) -> None:
    definition, args, play = PROGRAMS[name]
    history = ScriptedHistory(REGISTRY, definition, *args, instance=f"golden-{name}")
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
