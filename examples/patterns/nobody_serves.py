"""A call that gives up if no executor takes it.

Use it for tags that may have no machines behind them at the moment. `queue_timeout=` counts only
the waiting: once an executor has begun, the work may take as long as it takes.
"""

from perdure import ActivityError, OrchestrationContext, activity, orchestration


@activity(tag="gpu", queue_timeout=600)
def render_fast(scene: str) -> str:
    return f"{scene} in colour"


@activity
def render_slow(scene: str) -> str:
    return f"{scene} in grey"


@orchestration
async def render(ctx: OrchestrationContext, scene: str) -> str:
    try:
        return await render_fast(scene)
    except ActivityError as error:
        if error.failure is None or error.failure.type != "QueueTimeout":
            raise
        return await render_slow(scene)
