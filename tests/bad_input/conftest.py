"""A small system in memory, with a run that goes on and one that has ended."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from perdure import OrchestrationContext, Registry, activity, orchestration
from perdure.executor import LocalRuntime
from perdure.providers.opening import open_provider


@activity
def work(x: int) -> int:
    return x


@orchestration
async def child(ctx: OrchestrationContext, x: int) -> int:
    return x + await ctx.wait_event("go", int)


@orchestration
async def quick(ctx: OrchestrationContext, x: int) -> int:
    return x + ctx.execution - 1


@pytest.fixture
async def client() -> AsyncIterator[Any]:
    async with (
        open_provider("sqlite://") as provider,
        LocalRuntime(provider, Registry(child, quick, work)) as local,
    ):
        await local.client.start(child, 1, instance_id="live")
        await (await local.client.start(quick, 1, instance_id="done")).result(timeout=10)
        await local.client.wait_status_change("done", 0, 10)
        yield local.client


@pytest.fixture
def state() -> Callable[[Any], Awaitable[object]]:
    return _state


async def _state(client: Any) -> object:
    """All that could have changed, less the first turn that is taken meanwhile."""
    seen = [info.instance async for info in client.list()]
    events = [event.kind for event in await client.history("live")]
    started = [kind for kind in events if kind != "EventSubscribed"]
    return seen, started, (await client.get("live")).cancel_requested, await client.limits()
