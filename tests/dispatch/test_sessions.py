"""Sessions over several executors: who owns one, who may take it over, and how many."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from perdure.dispatch import ActivityDispatcher, ActivitySettings
from perdure.errors import ConfigurationError
from perdure.executor import LocalRuntime
from perdure.replay.context import OrchestrationContext
from perdure.replay.definitions import ActivityContext, activity, orchestration
from perdure.replay.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from perdure.providers.protocol import Provider

    Eventually = Callable[..., Awaitable[None]]

SEEN: defaultdict[str, list[str]] = defaultdict(list)
GO: dict[str, asyncio.Event] = {}


def registry_of(name: str) -> Registry:
    """The same code in another process, which tells where it runs."""

    @activity(name="works")
    async def works(ctx: ActivityContext, session: str, number: int) -> int:
        SEEN[session].append(name)
        if (go := GO.get(f"{session}/{number}")) is not None:
            await go.wait()
        return ctx.attempt

    return Registry(works)


@activity
async def works(session: str, number: int) -> int:
    raise AssertionError((session, number))  # an executor's own runs


@orchestration
async def in_session(_ctx: OrchestrationContext, session: str, count: int) -> None:
    for number in range(count):
        await works.options(session=session)(session, number)


TURNS = Registry(in_session, works)
QUICK = ActivitySettings(
    lease=timedelta(seconds=1),
    poll=timedelta(seconds=0.3),
    sessions_lease=timedelta(seconds=1),
    sessions_idle=timedelta(seconds=2),
)


@pytest.fixture(autouse=True)
def forget() -> None:
    SEEN.clear()
    GO.clear()


class Executors:
    """Executors that a test starts, and ends in one way or another."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self._running: dict[str, tuple[ActivityDispatcher, asyncio.Task[None]]] = {}

    def start(self, name: str, settings: ActivitySettings = QUICK) -> None:
        dispatcher = ActivityDispatcher(self._provider, registry_of(name), settings)
        self._running[name] = dispatcher, asyncio.create_task(dispatcher.run())

    async def stop(self, name: str) -> None:
        dispatcher, task = self._running.pop(name)
        await dispatcher.drain(hurry=True)
        await task

    async def kill(self, name: str) -> None:
        _, task = self._running.pop(name)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def close(self) -> None:
        for name in [*self._running]:
            await self.stop(name)


async def test_a_session_stays_where_it_is(storage: Provider) -> None:
    executors = Executors(storage)
    async with LocalRuntime(storage, TURNS, activities=None) as local:
        for name in ("one", "two", "three"):
            executors.start(name)
        handles = [await local.client.start(in_session, f"s{n}", 8) for n in range(6)]
        for handle in handles:
            await handle.result(timeout=30)
        await executors.close()
    assert {len(seen) for seen in SEEN.values()} == {8}
    assert {len(set(seen)) for seen in SEEN.values()} == {1}


async def test_a_drained_executor_lets_go_of_its_sessions_at_once(
    storage: Provider, eventually: Eventually
) -> None:
    executors = Executors(storage)
    GO["moves/2"] = asyncio.Event()
    long = ActivitySettings(poll=timedelta(seconds=0.3), cancel_grace=timedelta(seconds=0.1))
    async with LocalRuntime(storage, TURNS, activities=None) as local:
        executors.start("one", long)
        handle = await local.client.start(in_session, "moves", 5)
        await eventually(lambda: len(SEEN["moves"]) == 3)
        executors.start("two", long)
        await executors.stop("one")
        GO["moves/2"].set()
        await handle.result(timeout=20)  # sooner than the session's lease of 30 s
        await executors.close()
    assert SEEN["moves"] == ["one"] * 3 + ["two"] * 3


async def test_the_sessions_of_a_lost_executor_go_to_another_when_they_lapse(
    storage: Provider, eventually: Eventually
) -> None:
    executors = Executors(storage)
    GO["lost/1"] = asyncio.Event()
    async with LocalRuntime(storage, TURNS, activities=None) as local:
        executors.start("one")
        handle = await local.client.start(in_session, "lost", 3)
        await eventually(lambda: len(SEEN["lost"]) == 2)
        executors.start("two")
        await executors.kill("one")
        GO["lost/1"].set()
        await handle.result(timeout=20)
        await executors.close()
    assert SEEN["lost"] == ["one", "one", "two", "two"]


async def test_an_executor_takes_no_more_sessions_than_it_may(
    storage: Provider, eventually: Eventually
) -> None:
    executors = Executors(storage)
    GO["first/0"] = asyncio.Event()
    one = ActivitySettings(
        poll=timedelta(seconds=0.3), sessions_max=1, sessions_idle=timedelta(seconds=31)
    )
    none = ActivitySettings(poll=timedelta(seconds=0.3), sessions_max=0)
    async with LocalRuntime(storage, TURNS, activities=None) as local:
        executors.start("none", none)
        executors.start("one", one)
        first = await local.client.start(in_session, "first", 2)
        await eventually(lambda: SEEN["first"] == ["one"])
        second = await local.client.start(in_session, "second", 1)

        async def is_left() -> bool:
            found = await storage.read_activities([second.instance_id])
            return [each.leased for each in found] == [False]

        await eventually(is_left)
        GO["first/0"].set()
        await first.result(timeout=20)
        assert SEEN["second"] == []
        executors.start("more", one)
        await second.result(timeout=20)
        await executors.close()
    assert (SEEN["first"], SEEN["second"]) == (["one", "one"], ["more"])


def test_a_session_may_not_look_idle_while_it_is_used() -> None:
    with pytest.raises(ConfigurationError, match="PERDURE_SESSIONS_IDLE_SECONDS"):
        ActivitySettings(lease=timedelta(seconds=60), sessions_idle=timedelta(seconds=60))
