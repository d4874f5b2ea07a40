"""A fan-out of which only so many run at once.

Use it where this run must not flood something. The semaphore belongs to this run alone: for a limit
that all runs share, see `rate_limited`.
"""

import asyncio

from perdure import OrchestrationContext, activity, orchestration


@activity
async def crawl(page: str) -> int:
    await asyncio.sleep(1)
    return len(page)


@orchestration
async def crawl_site(ctx: OrchestrationContext, pages: list[str], at_once: int = 3) -> int:
    free = asyncio.Semaphore(at_once)

    async def politely(page: str) -> int:
        async with free:
            return await crawl(page)

    return sum(await asyncio.gather(*(politely(page) for page in pages)))
