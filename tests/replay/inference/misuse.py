"""What checkers must refuse: each marked line is an error, and only those.

mypy fails on a mark that is not needed (`warn_unused_ignores`), and so does pyright
(`reportUnnecessaryTypeIgnoreComment`).
"""

# pyright: reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

from perdure import OrchestrationContext, activity, orchestration


@activity
def greet(name: str, *, loud: bool = False) -> str:
    return name.upper() if loud else name


@orchestration
async def child(ctx: OrchestrationContext, count: int) -> int:
    return count + ctx.execution


@orchestration
async def run(ctx: OrchestrationContext) -> int:
    await greet(1)  # type: ignore[arg-type]  # meant
    await greet()  # type: ignore[call-arg]  # meant
    await greet("x", True)  # type: ignore[call-arg]  # meant
    await greet("x", quiet=True)  # type: ignore[call-arg]  # meant
    await greet.options(queue="x")("x")  # type: ignore[call-arg]  # meant
    await child("many")  # type: ignore[arg-type]  # meant
    await ctx.schedule_activity(greet, 1)  # type: ignore[call-overload]  # meant
    number: int = await greet("x")  # type: ignore[assignment]  # meant
    return number
