"""One world: storage, replayers, executors, clients, runs, and everything that can go wrong.

All of it is on one event loop whose time passes at once, and all chance comes from one seed: the
same seed gives the same world to the last callback. For a while processes die and come back,
stand still, lose requests and replies, hear nothing; the clock of storage jumps. Then all is calm,
and the world must come to its end: every run with the result that it must have, nothing accepted
lost, nothing done twice that may be done once. `invariants` holds after every write on the way.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from perdure.client import Client, InstanceHandle
from perdure.dispatch import ActivityDispatcher, ActivitySettings, TurnDispatcher, TurnSettings
from perdure.errors import CallerError
from perdure.model.codec import decode
from perdure.model.ids import ExecutorId
from perdure.providers.reading import InstanceInfo, InstanceStatus
from perdure.providers.sqlite import MemoryStore, SqliteProvider
from perdure.providers.sqlite.statements import statements
from perdure.testing.simulation.invariants import Invariants, Violation
from perdure.testing.simulation.mischief import Mischief, Odds
from perdure.testing.simulation.programs import LEDGER, REGISTRY, Plan, draw_plan
from perdure.testing.virtual_time import StalledError, VirtualLoop

__all__ = ["Violation", "World", "simulate"]

_TURNS = TurnSettings(
    lease=timedelta(seconds=10), poll=timedelta(seconds=4), inline=True, attempts_max=10_000
)
_ACTIVITIES = ActivitySettings(
    tags=("", "gpu"), lease=timedelta(seconds=15), sessions_lease=timedelta(seconds=15),
    sessions_idle=timedelta(seconds=60), poll=timedelta(seconds=4), inline=True,
    deliveries_max=10_000, cancel_grace=timedelta(seconds=2), drain=timedelta(seconds=3),
)  # fmt: skip
_HORIZON = 3600.0
"""Seconds of calm after which every run must have ended."""

_SQL = statements("invariants", "perdure.testing.simulation")


@dataclass(slots=True)
class _Process:
    """A replayer or an executor."""

    make: Callable[[Any], Any]
    mischief: Mischief | None = None
    task: asyncio.Task[None] | None = None


@dataclass(slots=True)
class _Fate:
    """What was done to a run from outside."""

    plan: Plan
    handle: InstanceHandle[Any] | None = None
    sent: list[int] = field(default_factory=list[int])
    steered: bool = False
    """Cancelled or terminated: any outcome is right."""


class World:
    """See the head of this module."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.dice = random.Random(seed)  # noqa: S311  chance, not secrecy
        self.loop = VirtualLoop(dice=random.Random(self.dice.random()))  # noqa: S311  as above
        self.store = MemoryStore()
        connection = self.store.connection
        connection.execute(LEDGER["make"])
        self.connection = connection
        self.invariants = Invariants(connection, self.loop.clock)
        dice = self.dice
        self.odds = Odds(
            lost_request=dice.choice([0.0, 0.02, 0.1]),
            lost_reply=dice.choice([0.0, 0.02, 0.1]),
            doubled=dice.choice([0.0, 0.05, 0.2]),
            late=dice.choice([0.0, 0.1, 0.3]),
            lost_hint=dice.choice([0.0, 0.2, 1.0]),
            seconds=dice.choice([0.1, 2.0, 20.0]),
        )
        self.troubled = dice.uniform(10, 60)
        """Seconds until all is calm."""
        self.processes: list[_Process] = []
        self.fates = [_Fate(draw_plan(n, dice)) for n in range(dice.randint(2, 5))]
        self.failed: list[BaseException] = []
        self._is_over = False

    def run(self) -> None:
        """Let it come to its end.

        Raises:
            Violation: something that must hold did not.
        """
        try:
            self.loop.run(self._run())
        except (StalledError, TimeoutError) as error:
            why = str(error) or "a run has not ended within an hour of calm"
            raise Violation(f"it stands still: {why}") from error
        finally:
            self.loop.close()

    async def _run(self) -> None:
        for _ in range(self.dice.randint(1, 3)):
            self.processes.append(_Process(self._make_replayer))
        for _ in range(self.dice.randint(1, 3)):
            self.processes.append(_Process(self._make_executor))
        for process in self.processes:
            await self._start(process)
        provider, _ = await self._provider()
        client = Client(
            provider, patience=timedelta(hours=10), poll=timedelta(seconds=5),
            dice=random.Random(self.dice.random()),  # noqa: S311  chance, not secrecy
            draw=self.dice.getrandbits,
        )  # fmt: skip
        work = [asyncio.ensure_future(self._drive(client, fate)) for fate in self.fates]
        gremlin = asyncio.ensure_future(self._trouble())
        try:
            await self._watched(asyncio.gather(gremlin, *work))
            async with asyncio.timeout(_HORIZON):
                await self._watched(self._judge(client))
        finally:
            self._is_over = True
            for task in (gremlin, *work):
                task.cancel()
            await asyncio.gather(gremlin, *work, return_exceptions=True)
            for process in self.processes:
                await self._kill(process)
            await client.close()

    async def _watched(self, work: Any) -> None:
        """Wait for work; end at once when a process met a violation."""
        task = asyncio.ensure_future(work)
        while not task.done():
            await asyncio.wait({task}, timeout=1.0)
            if self.failed:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                raise self.failed[0]
        task.result()

    # ------------------------------------------------------------------ processes

    async def _provider(self) -> tuple[Any, Mischief]:
        inner = SqliteProvider(self.store, clock=self.loop.clock)
        await inner.__aenter__()
        return Mischief.around(inner, self.odds, self.dice, self.invariants)

    def _make_replayer(self, provider: Any) -> TurnDispatcher:
        return TurnDispatcher(
            provider, REGISTRY, _TURNS, dice=self.dice, draw=self.dice.getrandbits,
            executor=ExecutorId(self.dice.getrandbits(62)),
        )  # fmt: skip

    def _make_executor(self, provider: Any) -> ActivityDispatcher:
        return ActivityDispatcher(
            provider, REGISTRY, _ACTIVITIES, dice=self.dice, draw=self.dice.getrandbits,
            executor=ExecutorId(self.dice.getrandbits(62)),
        )  # fmt: skip

    async def _start(self, process: _Process) -> None:
        provider, process.mischief = await self._provider()
        dispatcher = process.make(provider)
        task = process.task = asyncio.ensure_future(dispatcher.run())
        task.add_done_callback(self._on_end)

    def _on_end(self, task: asyncio.Task[None]) -> None:
        if self._is_over or task.cancelled():
            return
        error = task.exception()
        if error is not None:
            self.failed.append(error)

    async def _kill(self, process: _Process) -> None:
        if process.task is not None:
            process.task.cancel()
            await asyncio.gather(process.task, return_exceptions=True)

    # ------------------------------------------------------------------ trouble

    async def _trouble(self) -> None:
        dice, until = self.dice, self.loop.time() + self.troubled
        while self.loop.time() < until:
            await asyncio.sleep(dice.expovariate(0.3))
            process = dice.choice(self.processes)
            match dice.randrange(6):
                case 0 | 1:
                    await self._kill(process)
                    await asyncio.sleep(dice.choice([0.0, 1.0, 12.0]))
                    await self._start(process)
                case 2 if process.mischief is not None:
                    process.mischief.stand_still(dice.choice([1.0, 12.0, 40.0]))
                case 3:
                    self.loop.skew(timedelta(seconds=dice.choice([-8.0, -1.0, 3.0, 25.0])))
                case _:
                    pass
        self.odds.calm()
        for process in self.processes:
            if process.mischief is not None:
                process.mischief.going.set()

    # ------------------------------------------------------------------ clients

    async def _drive(self, client: Client, fate: _Fate) -> None:
        dice, plan = self.dice, fate.plan
        while len(fate.sent) < len(plan.events) and self._chance(0.3):
            await self._send(client, fate)  # before there is anybody
        await asyncio.sleep(dice.random() * 5)
        fate.handle = await client.start(
            plan.definition, *plan.args, instance_id=plan.instance, on_conflict="attach"
        )
        while len(fate.sent) < len(plan.events):
            await asyncio.sleep(dice.random() * 3)
            await self._send(client, fate)
        if self._chance(0.2):
            await asyncio.sleep(dice.random() * 10)
            await self._quietly(client.suspend(plan.instance))
            await asyncio.sleep(dice.random() * 10)
            await self._quietly(client.resume(plan.instance))
        if self._chance(0.15):
            fate.steered = True
            await asyncio.sleep(dice.random() * 10)
            steer = dice.choice([client.cancel, client.terminate])
            await steer(plan.instance, "because")

    def _chance(self, of: float) -> bool:
        return self.dice.random() < of

    async def _quietly(self, call: Coroutine[Any, Any, None]) -> None:
        try:
            await call
        except CallerError:
            return

    async def _send(self, client: Client, fate: _Fate) -> None:
        number = fate.plan.events[len(fate.sent)]
        fate.sent.append(number)
        try:
            if fate.plan.definition.name == "sim.collect":
                await client.raise_event(fate.plan.instance, "number", number)
            else:
                await client.enqueue_event(fate.plan.instance, "numbers", number)
        except CallerError:
            if not fate.steered:
                raise

    # ------------------------------------------------------------------ judgement

    async def _judge(self, client: Client) -> None:
        for fate in self.fates:
            info = await client.wait_ended(fate.plan.instance)
            if not fate.steered or info.status is InstanceStatus.COMPLETED:
                self._judge_run(fate, info)
        await self._judge_rest(client)
        self.invariants.check("the end")
        self.invariants.check_histories()
        entries = self.connection.execute(LEDGER["doubled"]).fetchall()
        if entries:
            raise Violation(f"written more than once by a transactional activity: {entries}")

    def _judge_run(self, fate: _Fate, info: InstanceInfo) -> None:
        plan = fate.plan
        if info.status is not InstanceStatus.COMPLETED:
            raise Violation(f"{plan.instance} ended as {info.status}: {info.failure}")
        result = decode(info.output, object)
        if not plan.wants(result):
            raise Violation(
                f"{plan.definition.name} {plan.instance}{plan.args} returned {result!r}"
            )
        if plan.definition.name == "sim.ledger":
            rows = self.connection.execute(LEDGER["entries"]).fetchall()
            missing = set(result) - {entry for (entry,) in rows}  # type: ignore[call-overload]  # a list
            if missing:
                raise Violation(f"recorded, and not written: {missing}")

    async def _judge_rest(self, client: Client) -> None:
        """Children end too, and leave nothing behind."""
        while True:
            left = [info async for info in client.list() if not info.status.is_terminal]
            if not left:
                break
            await asyncio.sleep(5)
        for child, parent in self.connection.execute(_SQL["outlived"]):
            raise Violation(f"{parent} was terminated, and its child {child} went on")
        left_over = self.connection.execute(_SQL["left_over"]).fetchone()
        if any(left_over):
            raise Violation(
                "everything has ended, and there are still (live rows, timers, early messages): "
                f"{left_over}"
            )

    def history(self) -> list[object]:
        """Return every record that was written, in order: what the same seed must give again."""
        return self.connection.execute(_SQL["whole_history"]).fetchall()


def simulate(seed: int) -> None:
    """Run one world; an error has a note with the seed that gives it again."""
    try:
        World(seed).run()
    except Exception as error:
        error.add_note(f"seed {seed}: python -m perdure.testing.simulation --seed {seed}")
        raise
