"""Several steps at the same time; if one fails, the others are stopped.

Use it where the rest is worth nothing without the one that failed. `asyncio.TaskGroup` cancels what
still runs, and the activities' own tokens say so: they stop, instead of working for nobody.
"""

import asyncio

from perdure import ActivityContext, OrchestrationContext, activity, orchestration


@activity
async def render(ctx: ActivityContext, scene: str) -> str:
    if scene == "empty":
        raise ValueError("there is nothing to see")
    await asyncio.wait([asyncio.create_task(ctx.wait_cancelled())], timeout=len(scene))
    ctx.raise_if_cancelled()
    return f"frames of {scene}"


@orchestration
async def render_film(ctx: OrchestrationContext, scenes: list[str]) -> list[str]:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(rendered(scene)) for scene in scenes]
    return [task.result() for task in tasks]


async def rendered(scene: str) -> str:
    return await render(scene)
