"""Read what another run keeps.

Use it to look at something without disturbing it: a setting that one instance holds for many, the
state of a neighbour. The value is recorded as it was when it was read.
"""

from perdure import OrchestrationContext, activity, orchestration


@activity
def drive(speed: int) -> str:
    return f"drove at {speed}"


@orchestration
async def traffic_signs(ctx: OrchestrationContext, speed: int) -> None:
    ctx.kv["speed"] = speed
    await ctx.continue_as_new(await ctx.wait_event("changed", int))


@orchestration
async def car(ctx: OrchestrationContext, signs: str) -> str:
    allowed = await ctx.kv_of(signs).get("speed", int)
    return await drive(30 if allowed is None else allowed)
