"""A great fan-out, in generations.

Use it for thousands of items: the parent starts groups, each group its items, so that no history
has more than a hundred or so of them. Groups run on whatever replayers there are.
"""

import asyncio
from itertools import batched

from perdure import OrchestrationContext, activity, orchestration


@activity
def thumbnail(picture: int) -> int:
    return picture % 7


@orchestration
async def thumbnails_of_some(ctx: OrchestrationContext, pictures: list[int]) -> int:
    return sum(await asyncio.gather(*(thumbnail(picture) for picture in pictures)))


@orchestration
async def thumbnails(ctx: OrchestrationContext, count: int, group: int = 100) -> int:
    groups = [thumbnails_of_some(list(some)) for some in batched(range(count), group)]
    return sum(await asyncio.gather(*groups))
