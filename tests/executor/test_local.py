"""Everything in one process: it is seen by others, and leaves nothing behind."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from perdure.executor import LocalRuntime
from perdure.providers.reading import Role
from perdure.replay.context import OrchestrationContext
from perdure.replay.definitions import activity, orchestration
from perdure.replay.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from perdure.providers.postgres import PostgresProvider

    Eventually = Callable[..., Awaitable[None]]


@activity(tag="gpu")
async def step() -> int:
    return 1


@orchestration
async def steps(_ctx: OrchestrationContext) -> int:
    return await step()


REGISTRY = Registry(step, steps)


async def test_an_embedded_runtime_announces_itself_and_withdraws(
    provider: PostgresProvider, eventually: Eventually
) -> None:
    async with LocalRuntime(provider, REGISTRY, name="shop-7", build="b1"):

        async def both_are_seen() -> bool:
            return len(await provider.read_executors()) == 2

        await eventually(both_are_seen)
        infos = {each.info.role: each.info for each in await provider.read_executors()}
        assert {info.name for info in infos.values()} == {"shop-7"}
        assert {info.build for info in infos.values()} == {"b1"}
        assert infos[Role.ACTIVITY].tags == ("", "gpu")
        assert infos[Role.ACTIVITY].activities == ("step",)
        assert [code.name for code in infos[Role.REPLAY].code] == ["steps"]
    assert await provider.read_executors() == []


async def test_an_embedded_runtime_leaves_no_task_behind(provider: PostgresProvider) -> None:
    before = asyncio.all_tasks()
    async with LocalRuntime(provider, REGISTRY) as local:
        handle = await local.client.start(steps)
        assert await handle.result(timeout=20) == 1
    left = {task.get_name() for task in asyncio.all_tasks() - before}
    assert not {name for name in left if name.startswith("perdure-")}
