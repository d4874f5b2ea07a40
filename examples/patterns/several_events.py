"""Go on when all of several things have happened, in whatever order.

Use it where independent parties have to report: payment, stock, a signature.
"""

import asyncio

from perdure import OrchestrationContext, activity, orchestration


@activity
def dispatch(order: str, payment: str, shelf: int) -> str:
    return f"{order} from shelf {shelf}, {payment}"


@orchestration
async def fulfil(ctx: OrchestrationContext, order: str) -> str:
    payment, shelf = await asyncio.gather(
        ctx.wait_event("paid", str), ctx.wait_event("picked", int)
    )
    return await dispatch(order, payment, shelf)
