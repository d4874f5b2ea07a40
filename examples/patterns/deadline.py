"""A run as a whole must end in time, however it is going.

Use `.options(timeout=...)` where the start is: it spans all executions and everything the run
does. When it is over, the run is cancelled, may clean up, and ends as TimedOut.
"""

import asyncio

from perdure import OrchestrationContext, activity, orchestration


@activity
def reserve(seat: str) -> str:
    return f"reservation of {seat}"


@activity
def release(reservation: str) -> None:
    print(f"released: {reservation}")


@orchestration
async def hold_seat(ctx: OrchestrationContext, seat: str) -> str:
    reservation = await reserve(seat)
    try:
        payment = await ctx.wait_event("paid", str)
    except asyncio.CancelledError:
        await release(reservation)
        raise
    return f"{reservation}, {payment}"


@orchestration
async def sell_seat(ctx: OrchestrationContext, seat: str) -> str:
    return await hold_seat.options(timeout=15 * 60)(seat)
