"""An order, from reservation to parcel, with everything that can go wrong on the way.

It shows a fan-out (`asyncio.gather`), a race of an event against a timer (`asyncio.timeout`), an
activity that needs another kind of machine (`tag="gpu"`), one that fails twice before it works
(`Retry`), and compensation: when the parcel cannot be sent, the money goes back.
"""

import asyncio
from dataclasses import dataclass
from datetime import timedelta

from perdure import (
    ActivityContext,
    ActivityError,
    ApplicationError,
    OrchestrationContext,
    Retry,
    activity,
    orchestration,
)

APPROVE_ABOVE_CENTS = 100_00


@dataclass(frozen=True)
class Line:
    sku: str
    quantity: int
    price_cents: int


@dataclass(frozen=True)
class Order:
    id: str
    country: str
    lines: list[Line]

    @property
    def total_cents(self) -> int:
        return sum(line.quantity * line.price_cents for line in self.lines)


@dataclass(frozen=True)
class Receipt:
    order: str
    outcome: str
    """`shipped`, `refused`, `expired` (nobody approved in time) or `refunded`."""
    total_cents: int
    suggestions: list[str]
    payment: str | None = None
    parcel: str | None = None


@activity
def reserve(order: str, line: Line) -> str:
    # The id is made of what it stands for: a second attempt reserves the same thing again.
    return f"reservation-{order}-{line.sku}-{line.quantity}"


@activity
def release(reservation: str) -> None:
    print(f"released {reservation}")


@activity(tag="gpu")
def suggest(skus: list[str]) -> list[str]:
    # Stands for a model: what matters is that it only runs where executors serve `gpu`.
    return [f"{sku}-refill" for sku in skus]


@activity(retry=Retry(max_attempts=5, initial=timedelta(milliseconds=200)))
def charge(ctx: ActivityContext, order: str, cents: int) -> str:
    if ctx.attempt <= 2:  # noqa: PLR2004  a gateway that fails twice
        raise ConnectionError(f"the payment gateway closed the connection ({cents} cents)")
    return f"payment-{order}"


@activity
def refund(payment: str) -> None:
    print(f"refunded {payment}")


@activity
def ship(order: str, country: str) -> str:
    if country == "Atlantis":
        raise ApplicationError("no carrier goes to Atlantis", retryable=False, type="NoCarrier")
    return f"parcel-{order}"


@orchestration(version="1.0.0")
async def checkout(
    ctx: OrchestrationContext, order: Order, approval_seconds: float = 24 * 3600
) -> Receipt:
    # Both start now: calling an activity schedules it, awaiting it waits for its result.
    suggesting = suggest([line.sku for line in order.lines])
    reservations = await asyncio.gather(*(reserve(order.id, line) for line in order.lines))

    outcome, payment, parcel = "refused", None, None
    try:
        if await approved(ctx, order, approval_seconds):
            ctx.set_custom_status("charging")
            payment = await charge(order.id, order.total_cents)
            outcome, parcel = await deliver(ctx, order, payment)
    except TimeoutError:
        outcome = "expired"
    if parcel is None:
        await asyncio.gather(*(release(reservation) for reservation in reservations))

    ctx.set_custom_status(outcome)
    return Receipt(order.id, outcome, order.total_cents, await suggesting, payment, parcel)


async def approved(ctx: OrchestrationContext, order: Order, seconds: float) -> bool:
    """Whether somebody says yes in time; `TimeoutError` when nobody says anything."""
    if order.total_cents <= APPROVE_ABOVE_CENTS:
        return True
    ctx.set_custom_status("waiting for the event `approved`")
    async with asyncio.timeout(seconds):  # a durable timer: it fires even if all pods are gone
        return await ctx.wait_event("approved", bool)


async def deliver(ctx: OrchestrationContext, order: Order, payment: str) -> tuple[str, str | None]:
    """Ship, or give the money back."""
    ctx.set_custom_status("shipping")
    try:
        return "shipped", await ship(order.id, order.country)
    except ActivityError:
        await refund(payment)
        return "refunded", None
