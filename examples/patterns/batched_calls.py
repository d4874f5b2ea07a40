"""Hand many small things to one activity, instead of calling it for each.

Use it when the work for one item is less than what a step costs: then the history has a tenth or a
hundredth of the records, and the activity can use the bulk interface of what it calls.
"""

import asyncio
from itertools import batched

from perdure import OrchestrationContext, activity, orchestration


@activity
def update_prices(skus: list[str]) -> int:
    return len(skus)


@orchestration
async def reprice(ctx: OrchestrationContext, skus: list[str], size: int = 100) -> int:
    updates = [update_prices(list(some)) for some in batched(skus, size)]
    return sum(await asyncio.gather(*updates))
