"""Another way, if the first one fails.

Use it where a worse result is better than none.
"""

from datetime import timedelta

from perdure import ActivityError, OrchestrationContext, Retry, activity, orchestration


@activity(retry=Retry.fixed(timedelta(seconds=1), 2), timeout=2)
def live_rate(currency: str) -> float:
    return 1.25


@activity
def rate_of_yesterday(currency: str) -> float:
    return 1.2


@orchestration
async def convert(ctx: OrchestrationContext, cents: int, currency: str) -> int:
    try:
        rate = await live_rate(currency)
    except ActivityError:
        ctx.set_custom_status("by the rate of yesterday")
        rate = await rate_of_yesterday(currency)
    return round(cents * rate)
