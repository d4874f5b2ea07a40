"""A run made of other runs.

Use children where a part is worth a name, a history and a result of its own, or would make one
history too long. What a child raises is raised where it is awaited; cancel the parent, and the
children are cancelled.
"""

import asyncio

from perdure import OrchestrationContext, OrchestrationError, activity, orchestration


@activity
def clean(region: str) -> str:
    if region == "swamp":
        raise ValueError("nobody can clean that")
    return f"clean {region}"


@activity
def paint(region: str) -> str:
    return f"painted {region}"


@orchestration
async def renovate_region(ctx: OrchestrationContext, region: str) -> str:
    return await paint(await clean(region))


@orchestration
async def renovate(ctx: OrchestrationContext, first: str, others: list[str]) -> list[str]:
    done = [await renovate_region(first)]  # one before all others
    rest = await asyncio.gather(
        *(renovate_region(region) for region in others), return_exceptions=True
    )
    for region, outcome in zip(others, rest, strict=True):
        match outcome:
            case str():
                done.append(outcome)
            case OrchestrationError():
                done.append(f"{region} is left as it is")
            case other:
                raise other
    return done
