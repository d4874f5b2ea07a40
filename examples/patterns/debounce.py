"""Wait until nothing has come for a while, then act once, on the last word.

Use it where many changes come in bursts: an editor that saves, a sensor that flickers.
"""

import asyncio

from perdure import OrchestrationContext, activity, orchestration


@activity
def build(revision: str) -> str:
    return f"built {revision}"


@orchestration
async def build_when_quiet(ctx: OrchestrationContext, quiet_seconds: float = 30) -> str:
    revision = await ctx.wait_event("pushed", str)
    while True:
        try:
            async with asyncio.timeout(quiet_seconds):
                revision = await ctx.wait_event("pushed", str)
        except TimeoutError:
            return await build(revision)
