"""What `perdure bench` runs: orchestrations that do nothing but what is measured."""

from __future__ import annotations

import asyncio
from datetime import datetime

from perdure import OrchestrationContext, activity, orchestration

TIMER_SECONDS = 1.0


@activity
async def echo(value: int) -> int:
    """Return what came in."""
    return value


@activity
async def echo_text(text: str) -> str:
    """Return what came in, whatever its size."""
    return text


@orchestration
async def hello(ctx: OrchestrationContext, value: int) -> int:  # noqa: ARG001  the usual signature
    """Call one activity."""
    return await echo(value)


@orchestration
async def fanout(ctx: OrchestrationContext, width: int) -> int:  # noqa: ARG001  likewise
    """Call `width` activities at once and add up what they return."""
    return sum(await asyncio.gather(*(echo(number) for number in range(width))))


@orchestration
async def chain(ctx: OrchestrationContext, steps: int) -> int:  # noqa: ARG001  likewise
    """Call `steps` activities one after another."""
    value = 0
    for _ in range(steps):
        value = await echo(value + 1)
    return value


@orchestration
async def timer(ctx: OrchestrationContext) -> datetime:
    """Sleep, and return when the sleep was asked for."""
    asked = ctx.utc_now()
    await asyncio.sleep(TIMER_SECONDS)
    return asked


@orchestration
async def payload(ctx: OrchestrationContext, text: str) -> int:  # noqa: ARG001  likewise
    """Hand a large text through five activities."""
    for _ in range(5):
        text = await echo_text(text)
    return len(text)


@orchestration
async def event(ctx: OrchestrationContext) -> int:
    """Wait for an event and return its data."""
    value: int = await ctx.wait_event("go", int)
    return value
