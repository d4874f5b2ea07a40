"""Long work that goes on where the last attempt was.

Use `heartbeat` for work that would hurt to repeat, with a `heartbeat_timeout` after which an
attempt that says nothing is taken for dead. What it told last is there for the next one.
"""

from perdure import ActivityContext, OrchestrationContext, Retry, activity, orchestration


@activity(retry=Retry(max_attempts=5), heartbeat_timeout=30)
def upload(ctx: ActivityContext, parts: list[str]) -> list[str]:
    done = ctx.heartbeat_details(list[str]) or []
    for part in parts[len(done) :]:
        done.append(send(part, ctx.attempt))
        ctx.heartbeat(done)
    return done


def send(part: str, attempt: int) -> str:
    if part == "the large one" and attempt == 1:
        raise ConnectionError("the line was cut")
    return f"{part} at attempt {attempt}"


@orchestration
async def back_up(ctx: OrchestrationContext, parts: list[str]) -> list[str]:
    return await upload(parts)
