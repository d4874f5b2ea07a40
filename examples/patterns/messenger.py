"""One run tells another.

Use it where runs depend on one another without being parent and child. Sending touches the world,
so an activity does it, with the client that it is given. It may send twice: put something into the
message by which the other side can tell.
"""

from contextlib import suppress

from perdure import ActivityContext, OrchestrationContext, activity, orchestration
from perdure.errors import InstanceFinishedError


@activity
async def tell(ctx: ActivityContext, instance: str, word: str) -> None:
    with suppress(InstanceFinishedError):  # an attempt before this one may have been enough
        await ctx.client.raise_event(instance, "told", {"word": word, "key": ctx.idempotency_key})


@orchestration
async def listener(ctx: OrchestrationContext, words: int) -> list[str]:
    heard: dict[str, str] = {}
    while len(heard) < words:
        told = await ctx.wait_event("told", dict[str, str])
        heard[told["key"]] = told["word"]  # the same once more is no other word
    return list(heard.values())


@orchestration
async def speaker(ctx: OrchestrationContext, to: str, words: list[str]) -> None:
    for word in words:
        await tell(to, word)
