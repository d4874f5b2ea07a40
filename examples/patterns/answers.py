"""A run that is asked and told while it goes on.

Use queries to look and updates to change with an answer: unlike an event, an update tells whoever
sent it what came of it, and may refuse before anything is recorded.
"""

import asyncio

from perdure import OrchestrationContext, activity, orchestration


@activity
def price_of(item: str) -> int:
    return len(item)


@orchestration
async def basket(ctx: OrchestrationContext) -> dict[str, int]:
    lines: dict[str, int] = {}
    paid = asyncio.Event()

    @ctx.query
    def total() -> int:
        return sum(lines.values())

    @ctx.update
    async def add(item: str, count: int = 1) -> int:
        lines[item] = lines.get(item, 0) + count * await price_of(item)
        return total()

    @add.validator
    def check(item: str, count: int = 1) -> None:
        if count < 1:
            raise ValueError(f"{count} of {item}")

    @ctx.update
    def pay() -> None:
        paid.set()

    await paid.wait()
    return lines
