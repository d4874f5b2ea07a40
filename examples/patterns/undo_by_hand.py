"""One step that is taken back, by a plain `except`.

Use it where there is one thing to undo, or where what to do depends on what went wrong.
"""

from dataclasses import dataclass

from perdure import ActivityError, ApplicationError, OrchestrationContext, activity, orchestration


@dataclass(frozen=True)
class Sale:
    order: str
    outcome: str


@activity
def reserve(order: str) -> str:
    return f"reservation of {order}"


@activity
def release(reservation: str) -> None:
    print(f"released: {reservation}")


@activity
def charge(order: str) -> str:
    if order.startswith("stolen"):
        raise ApplicationError("stolen card", retryable=False, type="Fraud")
    return f"payment for {order}"


@activity
def call_police(order: str) -> None:
    print(f"somebody should look at {order}")


@orchestration
async def sell(ctx: OrchestrationContext, order: str) -> Sale:
    reservation = await reserve(order)
    try:
        return Sale(order, await charge(order))
    except ActivityError as error:
        await release(reservation)
        if error.failure is not None and error.failure.type == "Fraud":
            await call_police(order)
        return Sale(order, "not sold")
