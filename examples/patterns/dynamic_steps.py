"""Which steps there are is data.

Use it for pipelines that users put together. Activities are values like any other, so a table of
them is enough; a name that is not in the table is refused before anything has happened.
"""

from perdure import ApplicationError, OrchestrationContext, activity, orchestration


@activity
def resize(picture: str) -> str:
    return f"small {picture}"


@activity
def sharpen(picture: str) -> str:
    return f"sharp {picture}"


@activity
def frame(picture: str) -> str:
    return f"framed {picture}"


STEPS = {"resize": resize, "sharpen": sharpen, "frame": frame}


@orchestration
async def process(ctx: OrchestrationContext, picture: str, steps: list[str]) -> str:
    if unknown := [step for step in steps if step not in STEPS]:
        raise ApplicationError(f"there is no step {unknown[0]!r}", details=sorted(STEPS))
    for step in steps:
        picture = await STEPS[step](picture)
    return picture
