"""Small state that a run keeps by key, and others may read.

Use `ctx.kv` for what belongs to the instance rather than to one execution: it comes along by
continue-as-new, and `client.get_key` reads it while the run goes on and after its end. It is
for small things; large ones go to a store, and their address here.
"""

from datetime import timedelta

from perdure import OrchestrationContext, activity, orchestration


@activity
def measure(sensor: str) -> float:
    return float(len(sensor))


@orchestration
async def observe(ctx: OrchestrationContext, sensors: list[str], rounds: int) -> dict[str, float]:
    readings = ctx.kv.typed(float)
    for sensor in sensors:
        readings[sensor] = readings.get(sensor, 0.0) + await measure(sensor)
    ctx.kv.prune(before=ctx.now() - timedelta(days=7))  # of sensors that nobody asks any more
    if rounds > 1:
        return await ctx.continue_as_new(sensors, rounds - 1)
    return dict(readings)
