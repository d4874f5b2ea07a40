"""What becomes of a child when its parent ends first.

Use `parent_close=` where the usual thing, to cancel it, is wrong: `"abandon"` lets it go on alone,
`"terminate"` ends it at once, without its own code.
"""

import asyncio
from typing import Literal

from perdure import OrchestrationContext, orchestration


@orchestration
async def watch_over(ctx: OrchestrationContext, room: str) -> str:
    try:
        await ctx.wait_event("fire")
    except asyncio.CancelledError:
        ctx.set_custom_status("said goodbye")
        raise
    return f"fire in {room}"


@orchestration
async def night_shift(
    ctx: OrchestrationContext, close: Literal["cancel", "terminate", "abandon"]
) -> str:
    # perdure: allow PD110 nobody awaits it, so that the parent ends first
    watch_over.options(instance_id=f"watch-{close}", parent_close=close)("kitchen")
    await ctx.wait_event("morning")
    return "good night"
