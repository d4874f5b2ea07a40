"""What runs while everything is killed: one orchestration for each thing that could get lost.

Each has a result that follows from its input, or from what was sent to it, so that whoever started
it can tell whether all happened, and happened once. Nothing in here keeps a state of its own; what
transactional activities write into the table `chaos_entry` is compared with what they should have.
"""

from __future__ import annotations

import asyncio
import random
import time
from datetime import timedelta

from perdure import (
    ActivityContext,
    ActivityError,
    ApplicationError,
    OrchestrationContext,
    Retry,
    activity,
    orchestration,
)

END = -1
"""The number that ends a conversation; those that count are 0 and greater."""
LONGEST_SECONDS = 0.1
"""Long enough that many an executor dies in the middle."""
BATCH = 3

OFTEN = Retry(max_attempts=6, initial=timedelta(milliseconds=50))


# ------------------------------------------------------------------------ activities


@activity
async def add(left: int, right: int) -> int:
    await asyncio.sleep(random.random() * LONGEST_SECONDS)  # may sleep: this is the work
    return left + right


@activity
def add_in_a_thread(left: int, right: int) -> int:
    time.sleep(random.random() * LONGEST_SECONDS)  # may sleep: this is the work
    return left + right


@activity(retry=OFTEN)
async def add_at_the_third_try(ctx: ActivityContext, left: int, right: int) -> int:
    if ctx.attempt < 3:
        raise ConnectionError("not yet")
    return left + right


@activity
async def hang(ctx: ActivityContext) -> None:
    await ctx.wait_cancelled()
    ctx.raise_if_cancelled()


@activity
async def refuse() -> None:
    raise ApplicationError("never", retryable=False)


@activity(transactional=True)
async def book(ctx: ActivityContext, entry: str, amount: int) -> int:
    await ctx.connection.execute(
        "insert into chaos_entry (instance, entry, amount, attempt) values ($1, $2, $3, $4)",
        *(ctx.instance, entry, amount, ctx.attempt),
    )
    await asyncio.sleep(random.random() * LONGEST_SECONDS)  # may sleep: so as to die in between
    return amount


@activity
async def say(ctx: ActivityContext, total: int) -> int:
    assert ctx.session is not None
    await asyncio.sleep(random.random() * LONGEST_SECONDS)  # may sleep: this is the work
    return total + 1


# -------------------------------------------------------------------- orchestrations


@orchestration
async def chain(_ctx: OrchestrationContext, steps: int) -> int:
    """`steps` activities one after the other; comes to `steps`."""
    total = 0
    for number in range(steps):
        total = await (add_in_a_thread if number % 2 else add)(total, 1)
    return total


@orchestration
async def fan(_ctx: OrchestrationContext, width: int) -> int:
    """`width` activities at the same time; comes to the sum of 1 to `width`."""
    found = await asyncio.gather(*(add_at_the_third_try(number, 1) for number in range(width)))
    return sum(found)


@orchestration
async def naps(_ctx: OrchestrationContext, count: int) -> int:
    """Timers, and activities that lose against one; comes to `count`."""
    lost = 0
    for _ in range(count):
        try:
            async with asyncio.timeout(0.2):
                await hang()
        except TimeoutError:
            lost += 1
        await asyncio.sleep(0.1)  # may sleep: a durable timer
    return lost


@orchestration
async def mailbox(ctx: OrchestrationContext) -> list[int]:
    """The numbers that came as events, in order."""
    seen: list[int] = []
    while (number := await ctx.wait_event("number", int)) != END:
        seen.append(await add(number, 0))
    return seen


@orchestration
async def inbox(ctx: OrchestrationContext, seen: list[int]) -> list[int]:
    """The numbers that came by a queue, in order; continues as new after every few."""
    for _ in range(BATCH):
        number = await ctx.dequeue_event("numbers", int)
        if number == END:
            return seen
        seen.append(number)
    return await ctx.continue_as_new(seen)


@orchestration
async def account(ctx: OrchestrationContext) -> list[int]:
    """The numbers that came as updates."""
    seen: list[int] = []
    closed = asyncio.Event()

    @ctx.update
    async def deposit(number: int) -> int:
        seen.append(await add(number, 0))
        return len(seen)

    @ctx.update
    def close() -> None:
        closed.set()

    await closed.wait()
    return seen


@orchestration
async def family(_ctx: OrchestrationContext, width: int, depth: int) -> int:
    """Children at the same time, and theirs; comes to `width` to the power of `depth`."""
    if depth == 0:
        return await add(0, 1)
    return sum(await asyncio.gather(*(family(width, depth - 1) for _ in range(width))))


@orchestration
async def counter(ctx: OrchestrationContext, left: int, total: int) -> int:
    """An execution for each of `left`; comes to `total + left`."""
    if left == 0:
        return total
    return await ctx.continue_as_new(left - 1, await add(total, 1))


@orchestration
async def purchase(_ctx: OrchestrationContext, entries: int) -> int:
    """Rows written in the transactions of activities, one by one and at the same time."""
    total = 0
    for number in range(entries):
        total += await book(f"single-{number}", 1)
    return total + sum(
        await asyncio.gather(*(book(f"gathered-{number}", 1) for number in range(entries)))
    )


@orchestration
async def trip(ctx: OrchestrationContext, legs: int) -> str:
    """Rows that are taken back by others, since the last step fails."""
    try:
        async with ctx.saga() as saga:
            for leg in range(legs):
                await book(f"leg-{leg}", 1)
                saga.compensate(book, f"undone-{leg}", -1)
            await refuse()
    except ActivityError:
        return "undone"
    return "done"


@orchestration
async def conversation(ctx: OrchestrationContext, turns: int) -> int:
    """Activities of one session; comes to `turns`."""
    total = 0
    async with ctx.session() as session:
        for _ in range(turns):
            total = await say.options(session=session)(total)
    return total


@orchestration
async def launch(ctx: OrchestrationContext, count: int, steps: int) -> list[str]:
    """Detached starts; comes to the ids of what was started."""
    return [
        chain.options(instance_id=f"{ctx.instance_id}-detached-{number}").start_detached(steps)
        for number in range(count)
    ]
