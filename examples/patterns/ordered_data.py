"""Keep to an order that is the same everywhere.

Use lists and dictionaries, which keep the order in which they were filled; sort a set before you
walk over it. The order in which things are scheduled is part of what is recorded.
"""

import asyncio

from perdure import OrchestrationContext, activity, orchestration


@activity
def visit(city: str) -> str:
    return city.lower()


@orchestration
async def tour(ctx: OrchestrationContext, wishes: list[list[str]]) -> list[str]:
    cities = {city for wish in wishes for city in wish}
    return await asyncio.gather(*(visit(city) for city in sorted(cities)))
