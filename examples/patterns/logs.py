"""Lines of a log that are written once.

Use `ctx.logger`: it is silent while a history is replayed, and names the instance in every line. A
`print` would come again with each replay.
"""

from perdure import ActivityContext, OrchestrationContext, activity, orchestration


@activity
def bake(ctx: ActivityContext, bread: str) -> str:
    ctx.logger.info("baking %s", bread)
    return f"warm {bread}"


@orchestration
async def breakfast(ctx: OrchestrationContext, breads: list[str]) -> list[str]:
    ctx.logger.info("breakfast for %d", len(breads))
    done = [await bake(bread) for bread in breads]
    ctx.logger.info("served")
    return done
