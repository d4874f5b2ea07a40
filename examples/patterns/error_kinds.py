"""What may go wrong, and what to do about each.

Use `ActivityError` to catch what an activity raised: its `failure` has the type, the message and
the remote traceback, its `details` what was given along. What is wrong with the system itself (no
storage, no code, code that does not fit the history) never comes here: such a run waits, or is
parked until it is mended.
"""

from perdure import ActivityError, ApplicationError, OrchestrationContext, activity, orchestration


@activity
def pay(card: str, cents: int) -> str:
    if card == "empty":
        raise ApplicationError(
            "insufficient funds", details={"missing": cents - 100}, retryable=False, type="NoFunds"
        )
    if card == "torn":
        raise ValueError("this is no card")
    return f"paid {cents}"


@orchestration
async def checkout(ctx: OrchestrationContext, card: str, cents: int) -> str:
    try:
        return await pay(card, cents)
    except ActivityError as error:
        match error.failure and error.failure.type, error.details:
            case "NoFunds", {"missing": int(missing)}:
                return f"come back with {missing} more"
            case "ValueError", _:
                raise ApplicationError("the card reader must be looked at") from error
            case _:
                raise
