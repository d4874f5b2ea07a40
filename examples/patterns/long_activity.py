"""Long work that stops when nobody wants it any more.

Use it for every body that runs longer than you would wait for a machine to be drained: ask between
pieces of work. A thread cannot be stopped from outside, so a body that never asks runs to its end,
for nothing.
"""

from perdure import ActivityContext, OrchestrationContext, activity, orchestration


@activity
def grind(ctx: ActivityContext, sacks: int) -> int:
    for sack in range(sacks):
        ctx.raise_if_cancelled()
        ctx.heartbeat({"sacks": sack})
    return sacks


@orchestration
async def mill(ctx: OrchestrationContext, sacks: int) -> str:
    flour = await grind(sacks)
    return f"flour of {flour} sacks"
