"""Ask all, and go on as soon as enough have agreed to answer.

Use it for replicas, reviewers, votes: a few may fail or be slow without anybody waiting for them.
"""

import asyncio

from perdure import (
    ActivityError,
    ApplicationError,
    OrchestrationContext,
    activity,
    orchestration,
)


@activity
def read_replica(replica: str, key: str) -> int:
    if replica.startswith("broken"):
        raise ConnectionError(f"{replica} does not answer")
    return len(key)


@orchestration
async def read_quorum(
    ctx: OrchestrationContext, key: str, replicas: list[str], needed: int
) -> list[int]:
    asked = [read_replica(replica, key) for replica in replicas]
    answers: list[int] = []
    for coming in asyncio.as_completed(asked):
        try:
            answers.append(await coming)
        except ActivityError as error:
            ctx.logger.warning("a replica failed: %s", error)
        if len(answers) == needed:
            break
    for late in asked:
        late.cancel("there are enough answers")
    if len(answers) < needed:
        raise ApplicationError(f"{len(answers)} of {needed} answers", details=answers)
    return answers
