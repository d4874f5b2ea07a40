"""An orchestration for tests that need one."""

from __future__ import annotations

from perdure import OrchestrationContext, activity, orchestration


@activity
async def greet(name: str) -> str:
    return f"Hello, {name}!"


@orchestration
async def hello(ctx: OrchestrationContext, name: str) -> str:  # noqa: ARG001  the usual signature
    return await greet(name)
