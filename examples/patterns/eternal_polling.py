"""Ask again and again for as long as it takes, with a history that does not grow.

Use it where waiting may take weeks. Every look is an execution of its own; pauses grow, so that
what takes long is asked seldom.
"""

import asyncio

from perdure import OrchestrationContext, activity, orchestration

LONGEST_SECONDS = 3600.0


@activity
def is_delivered(parcel: str) -> bool:
    return parcel == "here"


@orchestration
async def follow_parcel(ctx: OrchestrationContext, parcel: str, seconds: float = 60) -> str:
    if await is_delivered(parcel):
        return f"{parcel} was delivered"
    await asyncio.sleep(seconds)
    return await ctx.continue_as_new(parcel, min(seconds * 2, LONGEST_SECONDS))
