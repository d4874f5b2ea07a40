"""An activity that waits for something outside, or for the word that it is not wanted any more.

Use it in async bodies: race the work against `wait_cancelled()`, tidy up, and raise. What a body
returns after it was cancelled is thrown away.
"""

import asyncio

from perdure import ActivityContext, OrchestrationContext, activity, orchestration

LINES: set[str] = set()
"""Stands for connections that have to be closed again."""


@activity
async def listen(ctx: ActivityContext, station: str) -> str:
    LINES.add(station)
    heard = asyncio.create_task(next_song(station))
    stopped = asyncio.create_task(ctx.wait_cancelled())
    try:
        await asyncio.wait([heard, stopped], return_when=asyncio.FIRST_COMPLETED)
        ctx.raise_if_cancelled()
        return await heard
    finally:
        heard.cancel()
        stopped.cancel()
        LINES.discard(station)


async def next_song(station: str) -> str:
    await asyncio.sleep(300)
    return f"a song from {station}"


@orchestration
async def radio(ctx: OrchestrationContext, station: str, patience: float = 600) -> str:
    try:
        async with asyncio.timeout(patience):
            return await listen(station)
    except TimeoutError:
        return "switched off"
