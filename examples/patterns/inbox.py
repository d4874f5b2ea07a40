"""A conversation by a durable queue, turn by turn, without end.

Use a queue where messages must neither be lost nor overtake one another. They are kept while nobody
takes them, and go along when the run continues as new.
"""

from perdure import OrchestrationContext, activity, orchestration

TURNS = 50
"""Of one execution: the next one begins with a short history."""


@activity
def reply(message: str, said_before: int) -> str:
    return f"{said_before + 1}: you said {message!r}"


@orchestration
async def chat(ctx: OrchestrationContext, said: int = 0) -> int:
    inbox = ctx.queue("inbox", str)
    for _ in range(TURNS):
        message = await inbox.get()
        if message == "bye":
            return said
        ctx.set_custom_status(await reply(message, said))
        said += 1
    return await ctx.continue_as_new(said)
