"""Large things stay where they are; their address travels.

Use it for whatever is more than some hundred kilobytes. Arguments and results are kept in the
history and read at every reload, so they should be small.
"""

from perdure import ActivityContext, OrchestrationContext, activity, orchestration

BUCKET: dict[str, bytes] = {}
"""Stands for a store of objects."""


@activity
def take_photo(ctx: ActivityContext, subject: str) -> str:
    address = f"photos/{ctx.idempotency_key}"  # a second attempt writes to the same place
    BUCKET[address] = subject.encode() * 1000
    return address


@activity
def crop(address: str) -> str:
    BUCKET[f"{address}.small"] = BUCKET[address][:100]
    return f"{address}.small"


@orchestration
async def portrait(ctx: OrchestrationContext, subject: str) -> str:
    return await crop(await take_photo(subject))
