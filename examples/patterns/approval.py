"""A person says yes or no, within a day.

Use it for whatever a run may not decide alone. The event may come before anybody waits for it: it
is kept. Nothing runs while everybody waits, and the timer fires even if all processes were
replaced.
"""

import asyncio
from dataclasses import dataclass

from perdure import OrchestrationContext, activity, orchestration


@dataclass(frozen=True)
class Decision:
    approved: bool
    by: str


@activity
def ask_for_approval(request: str) -> None:
    print(f"please decide: {request}")


@orchestration
async def approve(ctx: OrchestrationContext, request: str, hours: float = 24) -> Decision:
    await ask_for_approval(request)
    try:
        async with asyncio.timeout(hours * 3600):
            return await ctx.wait_event("decided", Decision)
    except TimeoutError:
        return Decision(approved=False, by="nobody")
