"""Wait for a signal from now on; what came earlier does not count.

Use `schedule_wait` where an old signal would be wrong: the button that must be pressed now, and not
the one that was pressed an hour ago. In all other cases `wait_event` loses nothing.
"""

import asyncio

from perdure import OrchestrationContext, activity, orchestration


@activity
def open_valve(valve: str) -> str:
    return f"{valve} is open"


@orchestration
async def release_pressure(
    ctx: OrchestrationContext, valve: str, warning_seconds: float = 10
) -> str:
    ctx.set_custom_status("stand back")
    await asyncio.sleep(warning_seconds)
    ctx.set_custom_status("press now")
    await ctx.schedule_wait("pressed")
    return await open_valve(valve)
