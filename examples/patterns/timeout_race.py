"""Something with a time limit that outlives every process.

Use `asyncio.timeout` as anywhere else: here it is a timer in the history. The activity that lost is
told that nobody wants its result. For the time of one attempt, rather set `timeout=` of the
activity: then an attempt that takes too long may be tried again.
"""

import asyncio

from perdure import ActivityContext, OrchestrationContext, activity, orchestration


@activity
async def ask_oracle(ctx: ActivityContext, question: str) -> str:
    if question.endswith("?"):
        await ctx.wait_cancelled()  # it thinks, and would for ever
    return "yes"


@orchestration
async def ask(ctx: OrchestrationContext, question: str, hours: float = 24) -> str:
    try:
        async with asyncio.timeout(hours * 3600):
            return await ask_oracle(question)
    except TimeoutError:
        return "no answer"
