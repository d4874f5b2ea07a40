"""Ask again and again until something is ready, but not for ever.

Use it where nobody tells you when it is. The pause is a timer of the orchestration and occupies no
executor. A loop without a pause would fill the history; a loop that may go on for days should
rather continue as new, as `eternal_polling` does.
"""

import asyncio

from perdure import ApplicationError, OrchestrationContext, activity, orchestration


@activity
def export_state(export: str) -> str:
    return "ready" if export == "small" else "running"


@orchestration
async def wait_for_export(
    ctx: OrchestrationContext, export: str, seconds: float = 5, looks: int = 100
) -> str:
    for look in range(1, looks + 1):
        state = await export_state(export)
        if state != "running":
            return state
        ctx.set_custom_status({"look": look, "of": looks})
        await asyncio.sleep(seconds)
    raise ApplicationError(f"{export} was not ready after {looks} looks", type="NotReady")
