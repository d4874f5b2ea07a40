"""Trying again in the orchestration's own code.

Use it where something has to happen between attempts that no policy can express: ask a person, take
another route, look whether it still makes sense. Each attempt is in the history by itself.
"""

import asyncio

from perdure import ActivityError, OrchestrationContext, activity, orchestration


@activity
def call_customer(number: str) -> str:
    return f"spoke to {number}"


@activity
def is_awake(number: str) -> bool:
    return True


@orchestration
async def reach(
    ctx: OrchestrationContext, number: str, attempts: int = 4, seconds: float = 600
) -> str:
    for attempt in range(1, attempts + 1):
        if await is_awake(number):
            try:
                return await call_customer(number)
            except ActivityError as error:
                if attempt == attempts:
                    raise
                ctx.logger.warning("attempt %d failed: %s", attempt, error)
        await asyncio.sleep(seconds)
        seconds *= 2
    return "never awake"
