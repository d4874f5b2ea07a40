"""One activity that begins something, waits until it is there, and tidies up if it is stopped.

Use it where waiting is part of the work and takes minutes: the lease is renewed all the while. What
was begun is told by heartbeats, so that the next attempt goes on with it instead of beginning anew.
"""

import asyncio

from perdure import ActivityContext, OrchestrationContext, Retry, activity, orchestration

MACHINES: dict[str, int] = {}
"""Stands for a cloud: by name how often it was looked at."""


@activity(retry=Retry(max_attempts=3), heartbeat_timeout=60)
async def create_machine(ctx: ActivityContext, size: str) -> str:
    machine = ctx.heartbeat_details(str)
    if machine is None:
        machine = f"{size}-{len(MACHINES)}"
        MACHINES[machine] = 0
        ctx.heartbeat(machine)
    while MACHINES[machine] < 3:  # noqa: PLR2004  ready at the third look
        if ctx.is_cancelled:
            del MACHINES[machine]
            ctx.raise_if_cancelled()
        await asyncio.sleep(5)
        MACHINES[machine] += 1
        ctx.heartbeat(machine)
    return machine


@orchestration
async def provision(ctx: OrchestrationContext, size: str) -> str:
    return await create_machine(size)
