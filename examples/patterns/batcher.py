"""Collect what comes, and hand it on when there is enough or it has waited long enough.

Use it in front of whatever is cheaper by the dozen: a bulk interface, a digest by mail.
"""

import asyncio

from perdure import OrchestrationContext, activity, orchestration

BATCHES = 20
"""Of one execution."""


@activity
def send_digest(lines: list[str]) -> None:
    print(f"{len(lines)} things happened")


async def next_batch(ctx: OrchestrationContext, size: int, seconds: float) -> list[str]:
    news = ctx.queue("news", str)
    batch = [await news.get()]  # the clock starts with the first
    try:
        async with asyncio.timeout(seconds):
            while len(batch) < size:
                batch.append(await news.get())
    except TimeoutError:
        pass
    return batch


@orchestration
async def digest(ctx: OrchestrationContext, size: int = 10, seconds: float = 3600) -> None:
    for _ in range(BATCHES):
        await send_digest(await next_batch(ctx, size, seconds))
    await ctx.continue_as_new(size, seconds)
