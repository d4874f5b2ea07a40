"""Do something at a time of the calendar.

Use it for reminders, trial periods, embargoes. Nothing runs meanwhile, and no process has to be the
one that waited. `ctx.now()` is the recorded time: the machine's clock would differ on replay.
"""

import asyncio
from datetime import datetime

from perdure import OrchestrationContext, activity, orchestration


@activity
def publish(article: str) -> str:
    return f"published {article}"


@orchestration
async def publish_at(ctx: OrchestrationContext, article: str, at: datetime) -> str:
    ctx.set_custom_status(f"waits until {at:%Y-%m-%d %H:%M}")
    await asyncio.sleep(max((at - ctx.now()).total_seconds(), 0))
    return await publish(article)
