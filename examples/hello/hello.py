"""The smallest durable program: one activity, and an orchestration that calls it.

An activity may do anything. An orchestration only decides, so that it can be replayed: kill
whatever runs it at any line, and another process goes on from there with the same answers.
"""

from perdure import OrchestrationContext, activity, orchestration


@activity
def greet(name: str) -> str:
    return f"Hello, {name}!"


@orchestration
async def hello(ctx: OrchestrationContext, names: list[str]) -> list[str]:
    greetings = [await greet(name) for name in names]
    ctx.set_custom_status(f"{len(greetings)} greeted")
    return greetings
