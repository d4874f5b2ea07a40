"""Somebody else finishes the activity: a person, a webhook, another system.

Use it where work is handed over and its result comes back on another way. The body gives the token
away and leaves; whoever has the token calls `client.complete_activity` or `client.fail_activity`.
If nobody has done so in time, the call counts as lost and the body runs again.
"""

from datetime import timedelta

from perdure import ActivityContext, OrchestrationContext, activity, orchestration

DESK: dict[str, str] = {}
"""Stands for the other system: what it was asked, and the token to answer with."""


@activity
def appraise(ctx: ActivityContext, painting: str) -> int:
    DESK[painting] = ctx.defer(within=timedelta(days=3))
    ctx.leave()


@orchestration
async def insure(ctx: OrchestrationContext, painting: str) -> str:
    cents = await appraise(painting)
    return f"{painting} is worth {cents}"
