"""A limit that all runs share.

Use `limit=` for what bears only so many calls at once or in a time: another company's interface, an
old database. The key is in the code; the numbers are set by whoever runs the system, at any time
(`client.set_limit("partner", concurrency=2)`), and until then nothing is limited.
"""

import asyncio

from perdure import OrchestrationContext, activity, orchestration


@activity(limit="partner")
async def call_partner(request: int) -> int:
    await asyncio.sleep(1)
    return request


@orchestration
async def ask_partner(ctx: OrchestrationContext, requests: int) -> int:
    return sum(await asyncio.gather(*(call_partner(request) for request in range(requests))))
