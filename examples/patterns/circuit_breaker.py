"""Leave alone what is broken, and look now and then whether it is back.

Use it where many runs call one thing that may be down for hours: one instance of this per such
thing, to which the others send their requests. After so many failures in a row it stops
trying for a while; then one request goes first, and the rest follows if that works.
"""

import asyncio

from perdure import ActivityError, OrchestrationContext, activity, orchestration

FAILURES = 3
REQUESTS = 100
"""Of one execution."""


@activity
def call_partner(request: str) -> str:
    return f"{request} was taken"


@orchestration
async def breaker(ctx: OrchestrationContext, rest_seconds: float = 60, failures: int = 0) -> int:
    requests = ctx.queue("requests", str)
    for _ in range(REQUESTS):
        request = await requests.get()
        if request == "close":
            return failures
        while True:
            try:
                await call_partner(request)
            except ActivityError:
                failures += 1
                ctx.set_custom_status("open" if failures >= FAILURES else "closed")
                if failures >= FAILURES:
                    await asyncio.sleep(rest_seconds)
            else:
                failures = 0
                ctx.set_custom_status("closed")
                break
    return await ctx.continue_as_new(rest_seconds, failures)
