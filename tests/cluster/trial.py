"""What the cluster tests run: it travels to the pods in a ConfigMap.

Activities write what they did into the table `trial.trace` of the release's database, and wait for
the tests by looking into `trial.gate`: so a test knows where a body is when it pulls the plug.
"""

import asyncio
import os
from dataclasses import dataclass
from datetime import timedelta

import asyncpg

from perdure import ActivityContext, OrchestrationContext, Retry, activity, orchestration

# Outlasts a restart of the database, which these activities talk to themselves.
PERSISTENT = Retry(
    max_attempts=200, initial=timedelta(milliseconds=200), longest=timedelta(seconds=1)
)


_IS_OPEN = "select exists (select from trial.gate where key = $1)"


@dataclass(frozen=True)
class Order:
    id: str
    cents: int


async def _connect() -> "asyncpg.Connection[asyncpg.Record]":
    return await asyncpg.connect(os.environ["TRIAL_DATABASE"], timeout=5)


async def _trace(ctx: ActivityContext, key: str, what: str) -> None:
    connection = await _connect()
    try:
        await connection.execute(
            "insert into trial.trace (key, what, pod, attempt) values ($1, $2, $3, $4)",
            *(key, what, os.environ.get("HOSTNAME", ""), ctx.attempt),
        )
    finally:
        await connection.close()


@activity(retry=PERSISTENT)
async def step(ctx: ActivityContext, key: str, number: int) -> int:
    await _trace(ctx, f"{key}/{number}", "done")
    return number


@activity
async def hold(ctx: ActivityContext, key: str) -> str:
    """Go on until the test opens the gate, or nobody wants the result."""
    await _trace(ctx, key, "began")
    connection = await _connect()
    try:
        while not await connection.fetchval(_IS_OPEN, key):
            if ctx.is_cancelled:
                await _trace(ctx, key, f"stopped: {ctx.cancel_reason}")
                ctx.raise_if_cancelled()
            await asyncio.sleep(0.1)  # may sleep: the gate is opened from outside
    finally:
        await connection.close()
    await _trace(ctx, key, "done")
    return "held"


@orchestration
async def chain(_ctx: OrchestrationContext, key: str, steps: int) -> int:
    """Steps one after another: as many turns as steps."""
    return sum([await step(key, number) for number in range(1, steps + 1)])


@orchestration
async def holding(_ctx: OrchestrationContext, key: str, tag: str) -> str:
    return await hold.options(tag=tag)(key)


@orchestration
async def patient(ctx: OrchestrationContext) -> str:
    return await ctx.wait_event("go", str)


@orchestration
async def priced(_ctx: OrchestrationContext, order: Order) -> int:
    return order.cents
