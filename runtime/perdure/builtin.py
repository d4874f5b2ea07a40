"""A small application that comes with Perdure: it shows that an installation works.

The chart's default pools serve it until they are given code of your own.
"""

import platform

from perdure.replay.context import OrchestrationContext
from perdure.replay.definitions import activity, orchestration

__all__ = ["echo", "ping"]


@activity(name="perdure.echo")
def echo(greeting: str) -> str:
    """Say it back, from whichever executor took it."""
    return f"{greeting} from {platform.node()}"


@orchestration(name="perdure.ping", version="1.0.0")
async def ping(ctx: OrchestrationContext, greeting: str = "hello") -> str:
    """Ask an executor for an answer: a turn, an activity, and a turn that ends."""
    answer = await echo(greeting)
    ctx.set_custom_status("answered")
    return answer
