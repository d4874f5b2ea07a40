"""From outside: start something and follow it to its end.

Use `watch` to be told of every change instead of asking again and again. `start` alone is enough
for what nobody waits for, `handle.result(timeout=...)` for what can be waited for.
"""

from perdure import Client, OrchestrationContext, activity, orchestration


@activity
def lay_brick(number: int) -> int:
    return number


@orchestration
async def build_wall(ctx: OrchestrationContext, bricks: int) -> str:
    for number in range(bricks):
        ctx.set_custom_status(number)
        await lay_brick(number)
        await ctx.wait_event("go on")
    return f"a wall of {bricks}"


async def build_and_watch(client: Client, bricks: int) -> list[str]:
    handle = await client.start(build_wall, bricks)
    seen: list[str] = []
    async for info in handle.watch():
        seen.append(f"{info.status}: {info.custom_status}")
        if not info.status.is_terminal:
            await handle.raise_event("go on")
    return [*seen, await handle.result()]
