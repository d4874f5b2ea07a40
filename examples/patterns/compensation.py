"""A sequence of steps that are taken back if one of them fails.

Use it where no transaction spans what the steps do. Each step that has succeeded says how it is
undone; the last is undone first, also when the run is cancelled or runs into a timeout.
"""

from perdure import ApplicationError, OrchestrationContext, activity, orchestration


@activity
def book_flight(city: str) -> str:
    return f"flight to {city}"


@activity
def cancel_flight(flight: str) -> None:
    print(f"cancelled: {flight}")


@activity
def book_hotel(city: str) -> str:
    return f"hotel in {city}"


@activity
def cancel_hotel(hotel: str) -> None:
    print(f"cancelled: {hotel}")


@activity
def charge(city: str) -> str:
    if city == "Atlantis":
        raise ApplicationError("the card was declined", retryable=False, type="Declined")
    return f"paid for {city}"


@orchestration
async def travel(ctx: OrchestrationContext, city: str) -> list[str]:
    async with ctx.saga() as saga:
        flight = await book_flight(city)
        saga.compensate(cancel_flight, flight)
        hotel = await book_hotel(city)
        saga.compensate(cancel_hotel, hotel)
        return [flight, hotel, await charge(city)]
