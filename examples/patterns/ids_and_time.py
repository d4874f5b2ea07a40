"""Ids, time and chance that are the same on every replay.

Use `ctx.uuid4()`, `ctx.now()` and `ctx.random()` in orchestrations: the modules `uuid`, `time` and
`random` would answer otherwise the next time, and the run would not fit its history. An id like
this one in every call ties the logs of all of them together.
"""

from datetime import datetime

from perdure import OrchestrationContext, activity, orchestration


@activity
def draw_ticket(correlation: str, number: int) -> str:
    return f"{correlation}: {number}"


@activity
def print_ticket(correlation: str, ticket: str, at: datetime) -> str:
    return f"{ticket} at {at:%H:%M}"


@orchestration
async def sell_ticket(ctx: OrchestrationContext) -> tuple[str, str]:
    correlation = str(ctx.uuid4())
    ticket = await draw_ticket(correlation, ctx.random().randint(1, 49))
    return correlation, await print_ticket(correlation, ticket, ctx.now())
