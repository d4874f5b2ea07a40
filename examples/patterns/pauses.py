"""Pauses belong into the orchestration.

Use `asyncio.sleep` there for hours and months: a timer costs a row. An activity that only sleeps
would occupy a place of an executor, and begin anew whenever that executor is replaced.
"""

import asyncio

from perdure import OrchestrationContext, activity, orchestration


@activity
def remind(customer: str, number: int) -> str:
    return f"{customer}, reminder {number}"


@orchestration
async def dun(ctx: OrchestrationContext, customer: str, weeks: int = 3) -> str:
    for number in range(1, weeks + 1):
        await asyncio.sleep(7 * 24 * 3600)
        await remind(customer, number)
    return f"{customer} goes to court"
