"""Clean up when somebody cancels the run.

Use `try ... finally` or catch `asyncio.CancelledError`, as in any async code: activities may still
be called. Let the cancellation pass at the end, or the run has Completed. What runs at that moment,
an activity or a child, is told too.
"""

import asyncio

from perdure import OrchestrationContext, activity, orchestration


@activity
def create_machine(size: str) -> str:
    return f"{size} machine"


@activity
def delete_machine(machine: str) -> None:
    print(f"deleted: {machine}")


@orchestration
async def lend_machine(ctx: OrchestrationContext, size: str, hours: float) -> str:
    machine = await create_machine(size)
    try:
        await asyncio.sleep(hours * 3600)
    finally:
        await delete_machine(machine)
    return f"{machine} for {hours:g} hours"
