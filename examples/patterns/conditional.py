"""The next step depends on what the last one found.

Use plain `if` and `match`. What they look at has to be in the history: an argument, the result of
an activity, an event. A coin that is tossed in the orchestration itself would fall otherwise on
replay; toss it in an activity, or with `ctx.random()`.
"""

from typing import Literal

from perdure import OrchestrationContext, activity, orchestration

type Risk = Literal["low", "medium", "high"]


@activity
def assess(claim: str) -> Risk:
    return "high" if "meteorite" in claim else "low"


@activity
def pay_out(claim: str) -> str:
    return f"paid: {claim}"


@activity
def send_adjuster(claim: str) -> str:
    return f"somebody looks at: {claim}"


@orchestration
async def settle(ctx: OrchestrationContext, claim: str) -> str:
    match await assess(claim):
        case "low":
            return await pay_out(claim)
        case "medium" if ctx.random().random() < 0.5:  # noqa: PLR2004  every second one
            return await pay_out(claim)
        case _:
            return await send_adjuster(claim)
