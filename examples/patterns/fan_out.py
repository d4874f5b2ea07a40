"""Many steps at the same time, and then all their results.

Use it where steps do not need one another; how many there are may come from data. A call schedules
at once, so all of them run while the first is awaited. Results come in the order of the calls. If
one fails, `gather` raises it, and the others go on for nothing: `all_or_nothing` stops them.
"""

import asyncio

from perdure import OrchestrationContext, activity, orchestration


@activity
def list_chapters(book: str) -> list[str]:
    return [f"{book}, chapter {number}" for number in range(1, 6)]


@activity
def count_words(chapter: str) -> int:
    return len(chapter.split())


@orchestration
async def measure(ctx: OrchestrationContext, book: str) -> int:
    chapters = await list_chapters(book)
    return sum(await asyncio.gather(*(count_words(chapter) for chapter in chapters)))
