"""From outside: see how all is going, and what has failed.

Use the client's counts and lists for a page of one's own, or an alarm. They read storage and
disturb nobody; `perdure stats` and `perdure list` show the same in a terminal.
"""

from dataclasses import dataclass

from perdure import Client, OrchestrationContext, activity, orchestration
from perdure.providers.reading import InstanceStatus


@dataclass(frozen=True)
class Overview:
    runs: dict[str, int]
    waiting: dict[str, int]
    """Activities that no executor has begun, by tag."""
    failed: dict[str, str]


@activity
def deliver(parcel: str) -> str:
    if parcel == "broken":
        raise ValueError("nobody wants that")
    return f"delivered {parcel}"


@orchestration
async def delivery(ctx: OrchestrationContext, parcel: str) -> str:
    return await deliver(parcel)


async def overview(client: Client) -> Overview:
    counts = await client.count()
    backlog = await client.backlog()
    failed = {
        str(info.instance): info.failure.message if info.failure else ""
        async for info in client.list(statuses=[InstanceStatus.FAILED])
    }
    return Overview(
        runs={status.value: count for status, count in counts.items()},
        waiting={each.tag: each.ready for each in backlog},
        failed=failed,
    )
