"""Both dispatchers on one thread and a clock of their own: what a simulation is made of."""

from __future__ import annotations

import asyncio
import random
import threading
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

import pytest

from perdure.dispatch import ActivitySettings, TurnSettings
from perdure.errors import ActivityError
from perdure.executor import LocalRuntime
from perdure.model.policy import Retry
from perdure.providers.sqlite import MemoryStore, SqliteProvider
from perdure.replay.context import OrchestrationContext
from perdure.replay.definitions import ActivityContext, activity, orchestration
from perdure.replay.registry import Registry
from perdure.testing.virtual_time import VirtualLoop

if TYPE_CHECKING:
    from perdure.model.records import Record

THREADS: set[int] = set()
SELDOM = timedelta(minutes=10)


@activity(retry=Retry(5, timedelta(seconds=3), jitter=0.5), heartbeat_timeout=5.0)
async def falls_silent_twice(ctx: ActivityContext) -> int:
    THREADS.add(threading.get_ident())
    if ctx.attempt < 3:
        await asyncio.Event().wait()
    return ctx.attempt


@activity(retry=Retry(2, timedelta(minutes=10)))
def fails_once(ctx: ActivityContext) -> str:
    THREADS.add(threading.get_ident())
    if ctx.attempt == 1:
        raise ValueError("at first")
    return "then not"


@activity(timeout=2.0)
async def hangs() -> None:
    await asyncio.Event().wait()


@orchestration
async def leaf(_ctx: OrchestrationContext, number: int) -> int:
    THREADS.add(threading.get_ident())
    await asyncio.sleep(3600 * number)
    return number


@orchestration
async def tree(ctx: OrchestrationContext) -> list[Any]:
    leaves = [leaf(number) for number in range(5)]
    slow = falls_silent_twice()
    quick = fails_once()
    try:
        await hangs()
    except ActivityError:
        ctx.set_custom_status("one hangs")
    return [await slow, await quick, *(await asyncio.gather(*leaves))]


def simulated(seed: int, dice: random.Random | None = None) -> tuple[list[Record], float]:
    """Run everything once; return what is stored, and how long it took."""
    loop = VirtualLoop(dice=dice)
    drawn = random.Random(seed)

    async def run() -> list[Record]:
        provider = SqliteProvider(MemoryStore(), clock=loop.clock)
        async with provider:
            runtime = LocalRuntime(
                provider,
                Registry(falls_silent_twice, fails_once, hangs, leaf, tree),
                turns=TurnSettings(inline=True, poll=SELDOM),
                activities=ActivitySettings(tags=(), inline=True, poll=SELDOM),
                dice=drawn,
                draw=drawn.getrandbits,
            )
            async with runtime as local:
                handle = await local.client.start(tree, instance_id="tree")
                assert await handle.result() == [3, "then not", 0, 1, 2, 3, 4]
            return [
                record
                for instance in ("tree", "tree::1/0:1", "tree::1/0:5")
                for record in await provider.read_history(cast("Any", instance))
            ]

    try:
        return loop.run(run()), loop.time()
    finally:
        loop.close()


def test_the_same_seed_gives_the_same_history_to_the_microsecond() -> None:
    first, second, other = simulated(1), simulated(1), simulated(2)
    assert first == second
    assert [record.at for record in first[0]] != [record.at for record in other[0]]
    assert first[1] == pytest.approx(4 * 3600, abs=30)
    assert {threading.get_ident()} == THREADS


def test_any_order_of_what_happens_at_once_ends_the_same() -> None:
    for seed in range(5):
        simulated(seed, random.Random(seed))


def test_an_idle_process_asks_storage_less_than_once_a_second() -> None:
    loop = VirtualLoop()

    async def idle() -> float:
        async with SqliteProvider(MemoryStore(), clock=loop.clock) as provider:
            calls = Calls(provider)
            turns, activities = TurnSettings(inline=True), ActivitySettings(inline=True)
            registry = Registry(hangs, leaf)
            async with LocalRuntime(
                cast("Any", calls), registry, turns=turns, activities=activities
            ):
                await asyncio.sleep(1000)  # may sleep: on a clock that is made up
            return calls.made / 1000

    try:
        assert loop.run(idle()) <= 0.75
    finally:
        loop.close()


class Calls:
    """Storage that counts what it is asked, hints left out: those come by themselves."""

    def __init__(self, provider: SqliteProvider) -> None:
        self._provider = provider
        self.made = 0

    def __getattr__(self, verb: str) -> Any:
        found = getattr(self._provider, verb)
        if verb != "hints":
            self.made += 1
        return found
