"""The same thing every hour, at the full hour, however long it takes.

Use it for what belongs to one instance: a device, a customer. For a schedule of many runs that
`kubectl` shows, there is the kind OrchestrationSchedule. The next time follows from the last
one and not from now, so it does not drift; what was missed is skipped, not made up for.
"""

import asyncio
from datetime import datetime, timedelta

from perdure import ActivityError, OrchestrationContext, activity, orchestration

PERIOD = timedelta(hours=1)


@activity
def read_meter(meter: str, hour: datetime) -> int:
    return hour.hour


@orchestration
async def read_hourly(
    ctx: OrchestrationContext, meter: str, due: datetime, failures: int = 0
) -> None:
    await asyncio.sleep(max((due - ctx.now()).total_seconds(), 0))
    try:
        ctx.kv["reading"] = await read_meter(meter, due)
    except ActivityError:
        failures += 1  # one bad reading is no reason to stop
        ctx.set_custom_status({"failures": failures})
    missed = max((ctx.now() - due) // PERIOD, 0)
    await ctx.continue_as_new(meter, due + (missed + 1) * PERIOD, failures)
