"""Ten thousand at once: the work for each does not grow with their number."""

from __future__ import annotations

import asyncio
import sys
from time import process_time
from typing import TYPE_CHECKING, Any

import pytest

from perdure import OrchestrationContext, Registry, activity, orchestration
from perdure.model.actions import ScheduleActivity
from perdure.testing.scripted import ScriptedHistory

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

MANY = 10_000


@activity
def work(number: int) -> int:
    return number


async def one(number: int) -> int:
    return await work(number)


async def _gather(_ctx: OrchestrationContext, count: int) -> int:
    return sum(await asyncio.gather(*(work(number) for number in range(count))))


async def _group(_ctx: OrchestrationContext, count: int) -> int:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(number)) for number in range(count)]
    return sum(task.result() for task in tasks)


async def _as_completed(_ctx: OrchestrationContext, count: int) -> int:
    return sum([await each for each in asyncio.as_completed([work(n) for n in range(count)])])


async def _wait(_ctx: OrchestrationContext, count: int) -> int:
    done, _ = await asyncio.wait([work(number) for number in range(count)])
    return sum(handle.result() for handle in done)


async def _queue(_ctx: OrchestrationContext, count: int) -> int:
    queue, found = asyncio.Queue[int](), list[int]()
    for number in range(count):
        queue.put_nowait(number)

    async def serve() -> None:
        while not queue.empty():
            found.append(await work(queue.get_nowait()))

    await asyncio.gather(*(serve() for _ in range(count // 10)))
    return sum(found)


async def _events(ctx: OrchestrationContext, count: int) -> int:
    waits = [ctx.wait_event("never") for _ in range(count)]
    for wait in reversed(waits):
        wait.cancel()
    return sum(wait.cancelled() for wait in waits)


BODIES = [_gather, _group, _as_completed, _wait, _queue, _events]


def run(body: Callable[..., Coroutine[Any, Any, int]], count: int) -> int:
    """Run, all answers of a turn arriving at once; return how many calls of functions it took."""
    definition = orchestration(name="run")(body)
    history = ScriptedHistory(Registry(definition, work), definition, count)
    calls = 0

    def counted(_frame: Any, _event: str, _argument: Any) -> Any:
        nonlocal calls
        calls += 1

    def answer(action: Any) -> None:
        if isinstance(action, ScheduleActivity):
            history.complete(action.operation, 1)

    before = sys.getprofile()
    sys.setprofile(counted)
    try:
        ending = history.drive(answer).ending
    finally:
        sys.setprofile(before)
    assert ending is not None
    assert ending.output == str(count)
    history.replay()
    return calls


@pytest.mark.parametrize("body", BODIES, ids=lambda body: body.__name__.strip("_"))
def test_calls_grow_with_the_number_and_no_faster(body: Any) -> None:
    began = process_time()
    few = run(body, MANY // 10)
    between = process_time()
    assert run(body, MANY) < 11 * few
    assert process_time() - between < 40 * (between - began)  # a square would take a hundred times
