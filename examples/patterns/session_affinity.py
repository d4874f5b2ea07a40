"""Activities that find what others have left in memory.

Use a session where loading is dear: a model, a cache, a connection. Its activities go to one
executor, as long as that lives and the session is in use; so expect that another one may have
nothing, say so, and load again. Attempts by a retry policy stay in the session too.
"""

from perdure import (
    ActivityContext,
    ActivityError,
    ApplicationError,
    OrchestrationContext,
    Retry,
    activity,
    orchestration,
)

LOADED: dict[str, str] = {}
"""The memory of one executor, by session."""


@activity(retry=Retry(max_attempts=3))
def load(ctx: ActivityContext, model: str) -> None:
    LOADED[ctx.session or ""] = model


@activity
def complete(ctx: ActivityContext, text: str) -> str:
    model = LOADED.get(ctx.session or "")
    if model is None:
        raise ApplicationError("it is not loaded here", retryable=False, type="NotLoaded")
    return f"{text}, says {model}"


@orchestration
async def converse(ctx: OrchestrationContext, model: str, texts: list[str]) -> list[str]:
    answers: list[str] = []
    async with ctx.session() as session:
        await load.options(session=session)(model)
        for text in texts:
            try:
                answers.append(await complete.options(session=session)(text))
            except ActivityError as error:
                if error.failure is None or error.failure.type != "NotLoaded":
                    raise
                await load.options(session=session)(model)
                answers.append(await complete.options(session=session)(text))
    return answers
