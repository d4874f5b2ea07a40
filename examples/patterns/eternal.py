"""Something that goes on for ever.

Use `continue_as_new` at the end of every round or of every few: the next execution begins with a
fresh history and these arguments. Keys, status, unread events and queues come along.
"""

import asyncio
from dataclasses import dataclass

from perdure import OrchestrationContext, activity, orchestration


@dataclass(frozen=True)
class Watch:
    rounds: int = 0
    alarms: int = 0


@activity
def check_pressure(boiler: str, round_: int) -> float:
    return 1.0 + round_ / 10


@activity
def sound_alarm(boiler: str) -> None:
    print(f"{boiler} is about to burst")


@orchestration
async def guard(
    ctx: OrchestrationContext, boiler: str, limit: float, watch: Watch | None = None
) -> None:
    watch = watch or Watch()
    alarms = watch.alarms
    if await check_pressure(boiler, watch.rounds) > limit:
        await sound_alarm(boiler)
        alarms += 1
    ctx.set_custom_status({"rounds": watch.rounds + 1, "alarms": alarms})
    await asyncio.sleep(60)
    await ctx.continue_as_new(boiler, limit, Watch(watch.rounds + 1, alarms))
