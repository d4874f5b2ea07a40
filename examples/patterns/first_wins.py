"""Ask many, take the first answer, stop the others.

Use it where several can do the same and you want the fastest. Which was first is decided by the
history, so it is the same one on every replay. `ctx.select2` and `select3` race things of different
types, an event against a timer, say.
"""

from perdure import ActivityContext, OrchestrationContext, activity, orchestration


@activity
async def look_up(ctx: ActivityContext, mirror: str, word: str) -> str:
    if mirror != "near":
        await ctx.wait_cancelled()  # a slow one: it hears that nobody wants it any more
    return f"{word} from {mirror}"


@orchestration
async def fastest(ctx: OrchestrationContext, word: str, mirrors: list[str]) -> str:
    winner, answer = await ctx.select(look_up(mirror, word) for mirror in mirrors)
    ctx.set_custom_status(f"{mirrors[winner]} was first")
    return answer
