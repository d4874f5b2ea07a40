"""What runs in a simulated world: orchestrations whose outcome is known beforehand.

Each uses some of what authors may ask for, and returns what shows whether anything was lost,
doubled or reordered. `expected` gives the outcome that it must have if nobody steered it.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

from perdure.errors import ActivityError, OrchestrationError
from perdure.model.policy import Retry
from perdure.providers.sqlite.statements import statements
from perdure.replay.context import OrchestrationContext
from perdure.replay.definitions import ActivityContext, activity, orchestration
from perdure.replay.registry import Registry

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

__all__ = ["PROGRAMS", "REGISTRY", "Plan", "draw_plan"]

RETRY = Retry(max_attempts=50, initial=timedelta(seconds=1), longest=timedelta(seconds=5))
LEDGER = statements("ledger", "perdure.testing.simulation")


@activity(name="sim.add")
async def add(left: int, right: int, seconds: float = 0.0) -> int:
    """Add, after a while."""
    await asyncio.sleep(seconds)
    return left + right


@activity(name="sim.flaky", retry=RETRY)
async def flaky(ctx: ActivityContext, fails: int, value: int) -> int:
    """Fail so many times."""
    ctx.heartbeat({"attempt": ctx.attempt})
    if ctx.attempt <= fails:
        raise ConnectionError(str(ctx.attempt))
    return value


@activity(name="sim.broken")
async def broken(why: str) -> None:
    """Fail for good."""
    raise ValueError(why)


@activity(name="sim.slow")
async def slow(ctx: ActivityContext, seconds: float) -> str:
    """Take long, but stop when it is no longer wanted."""
    try:
        async with asyncio.timeout(seconds):
            return f"stopped: {await ctx.wait_cancelled()}"
    except TimeoutError:
        return "done"


@activity(name="sim.enter", transactional=True, retry=RETRY)
async def enter(ctx: ActivityContext, entry: str) -> str:
    """Write into a ledger, together with the result."""
    connection = ctx.connection
    connection.execute(LEDGER["enter"], (entry,))
    await asyncio.sleep(0)
    return entry


@activity(name="sim.tagged", tag="gpu")
async def tagged(value: int) -> int:
    """Run where the tag is served."""
    return value * 2


@orchestration(name="sim.chain")
async def chain(ctx: OrchestrationContext, steps: int) -> int:
    """One step after another."""
    total = 0
    for number in range(steps):
        total = await add(total, number, 0.5 if number % 3 == 0 else 0.0)
        if number % 2:
            await asyncio.sleep(number % 5)
        ctx.set_custom_status({"step": number})
    return total


@orchestration(name="sim.fan")
async def fan(ctx: OrchestrationContext, width: int) -> list[int]:
    """Many at once, some of which fail at first."""
    del ctx
    results = await asyncio.gather(
        *(flaky(number % 3, number) for number in range(width)),
        *(tagged(number) for number in range(width)),
        return_exceptions=True,
    )
    return [each if isinstance(each, int) else -1 for each in results]


@orchestration(name="sim.collect")
async def collect(ctx: OrchestrationContext, wanted: int, each: int, got: list[int]) -> list[int]:
    """Gather events over executions: none lost, none doubled, in order."""
    mine: list[int] = []
    while len(got) + len(mine) < wanted and len(mine) < each:
        mine.append(await ctx.wait_event("number", int))
        if len(mine) % 2:
            await asyncio.sleep(0.3)
    if len(got) + len(mine) < wanted:
        await ctx.continue_as_new(wanted, each, got + mine)
    return got + mine


@orchestration(name="sim.drain")
async def drain(ctx: OrchestrationContext, wanted: int, each: int, got: list[int]) -> list[int]:
    """The same with a queue, and with races that waits lose."""
    queue = ctx.queue("numbers", int)
    mine: list[int] = []
    while len(got) + len(mine) < wanted and len(mine) < each:
        try:
            async with asyncio.timeout(2):
                mine.append(await queue.get())
        except TimeoutError:
            ctx.kv["timeouts"] = cast("int", ctx.kv.get("timeouts", 0)) + 1
    if len(got) + len(mine) < wanted:
        await ctx.continue_as_new(wanted, each, got + mine)
    return got + mine


@orchestration(name="sim.race")
async def race(ctx: OrchestrationContext) -> str:
    """An activity that is given up, an event that may come, and what follows either."""
    working = slow(30.0)
    try:
        async with asyncio.timeout(5):
            word = await ctx.wait_event("go", str)
    except TimeoutError:
        word = "late"
    working.cancel()
    return f"{word} {await add(1, 2)}"


@orchestration(name="sim.tree")
async def tree(ctx: OrchestrationContext, depth: int) -> int:
    """Children of children; one of them fails."""
    del ctx
    if depth == 0:
        return await add(1, 0)
    below = await asyncio.gather(tree(depth - 1), tree(depth - 1), failing())
    return below[0] + below[1]


@orchestration(name="sim.failing")
async def failing(ctx: OrchestrationContext) -> str:
    """Catch what a child and an activity raise."""
    del ctx
    caught: list[str] = []
    try:
        await broken("as meant")
    except ActivityError as error:
        caught.append(error.failure.type if error.failure else "")
    try:
        await raising()
    except OrchestrationError as error:
        caught.append(error.failure.type if error.failure else "")
    return " ".join(caught)


@orchestration(name="sim.raising")
async def raising(ctx: OrchestrationContext) -> None:
    """Fail."""
    del ctx
    raise KeyError("as meant")


@orchestration(name="sim.ledger")
async def ledger(ctx: OrchestrationContext, entries: int) -> list[str]:
    """Exactly once, whatever happens."""
    return [await enter(f"{ctx.instance_id}/{number}") for number in range(entries)]


REGISTRY = Registry(
    add, flaky, broken, slow, enter, tagged, chain, fan, collect, drain, race, tree, failing,
    raising, ledger,
)  # fmt: skip


class Plan:
    """One run of a world: what is started, what is sent to it, what it must return."""

    def __init__(self, instance: str, definition: Any, *args: object) -> None:
        self.instance = instance
        self.definition = definition
        self.args = args
        self.events: list[int] = []
        """Sent one after the other: as events, or into the queue."""
        self.wants: Callable[[object], bool] = lambda _result: True

    def returns(self, expected: object) -> Plan:
        """Say what it must return."""
        self.wants = lambda result: result == expected
        return self


def _chain(name: str, dice: random.Random) -> Plan:
    steps = dice.randint(1, 8)
    return Plan(name, chain, steps).returns(sum(range(steps)))


def _fan(name: str, dice: random.Random) -> Plan:
    width = dice.randint(1, 6)
    return Plan(name, fan, width).returns([*range(width), *(2 * n for n in range(width))])


def _collect(name: str, dice: random.Random) -> Plan:
    wanted = dice.randint(2, 8)
    plan = Plan(name, collect, wanted, dice.randint(1, 4), []).returns([*range(wanted)])
    plan.events = [*range(wanted)]
    return plan


def _drain(name: str, dice: random.Random) -> Plan:
    wanted = dice.randint(2, 8)
    plan = Plan(name, drain, wanted, dice.randint(1, 4), []).returns([*range(wanted)])
    plan.events = [*range(wanted)]
    return plan


def _race(name: str, _dice: random.Random) -> Plan:
    return Plan(name, race).returns("late 3")


def _tree(name: str, dice: random.Random) -> Plan:
    depth = dice.randint(1, 2)
    return Plan(name, tree, depth).returns(2**depth)


def _ledger(name: str, dice: random.Random) -> Plan:
    entries = dice.randint(1, 4)
    return Plan(name, ledger, entries).returns([f"{name}/{number}" for number in range(entries)])


PROGRAMS = (_chain, _fan, _collect, _collect, _drain, _drain, _race, _tree, _ledger)


def draw_plan(number: int, dice: random.Random) -> Plan:
    """Draw one run."""
    return dice.choice(PROGRAMS)(f"run-{number}", dice)
