"""A run that is asked and told, with its state in an object.

Use a class where there is much state and many ways to reach it. One object is made for each
execution; a replay makes another and leads it through the same calls.
"""

import asyncio

from perdure import OrchestrationContext, activity, orchestration
from perdure.replay.classes import event, query, update


@activity
def heat(degrees: float) -> float:
    return round(degrees, 1)


class Thermostat:
    def __init__(self) -> None:
        self.target = 18.0
        self.readings: list[float] = []
        self.off = asyncio.Event()

    async def run(self, ctx: OrchestrationContext, room: str) -> list[float]:
        ctx.set_custom_status(f"keeps {room} warm")
        await self.off.wait()
        return self.readings

    @query
    def warmth(self) -> float:
        return self.target

    @update
    async def set_target(self, degrees: float) -> float:
        self.target = await heat(degrees)
        return self.target

    @set_target.validator
    def check_target(self, degrees: float) -> None:
        if not 5 <= degrees <= 30:  # noqa: PLR2004  what people live in
            raise ValueError(f"{degrees} degrees")

    @event
    def measured(self, degrees: float) -> None:
        self.readings.append(degrees)

    @event
    def switched_off(self) -> None:
        self.off.set()


thermostat = orchestration(Thermostat)
