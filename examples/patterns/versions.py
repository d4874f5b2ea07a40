"""A new version beside the old one.

Use it for a change of what is decided. A run goes on with the version that it started with; new
ones, and executions after continue-as-new, take the latest that is there. Remove the old function
when no run needs it any more (`perdure list --version 1.0.0`).
"""

import asyncio

from perdure import OrchestrationContext, activity, orchestration


@activity
def water(plant: str) -> str:
    return f"watered {plant}"


@activity
def feed(plant: str) -> str:
    return f"fed {plant}"


@orchestration(name="tend", version="1.0.0")
async def tend_1(ctx: OrchestrationContext, plant: str, days: int) -> list[str]:
    return await tended(ctx, plant, days, [await water(plant)])


@orchestration(name="tend", version="1.1.0")
async def tend(ctx: OrchestrationContext, plant: str, days: int) -> list[str]:
    return await tended(ctx, plant, days, [await water(plant), await feed(plant)])


async def tended(ctx: OrchestrationContext, plant: str, days: int, done: list[str]) -> list[str]:
    ctx.set_custom_status({"version": ctx.version, "done": done})
    if days <= 1:
        return done
    await asyncio.sleep(24 * 3600)
    return await ctx.continue_as_new(plant, days - 1)
