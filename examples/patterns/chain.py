"""Steps one after the other, each with what the one before came to.

Use it for anything that has an order. Kill the process between two steps, and the next process goes
on with the third: what has been done is not done again.
"""

from perdure import OrchestrationContext, activity, orchestration


@activity
def check_stock(sku: str) -> str:
    return f"{sku} in aisle 4"


@activity
def pack(place: str) -> str:
    return f"parcel with {place}"


@activity
def hand_over(parcel: str) -> str:
    return f"tracking number of {parcel}"


@orchestration
async def ship(ctx: OrchestrationContext, sku: str) -> str:
    place = await check_stock(sku)
    parcel = await pack(place)
    return await hand_over(parcel)
