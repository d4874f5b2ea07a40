"""A whole system in one thread, whose time passes at once: what tests of orchestrations use.

Storage in memory, replayer and executor as in production, and a client; all of them on an event
loop of their own that moves its clock where it would sleep. A test may be async, on whatever event
loop, or plain; each call here runs the system until that call is done::

    async def test_gives_up_after_a_day(orch):
        orch.mock(charge, raises=CardDeclinedError())
        run = await orch.start(checkout, order)
        await orch.advance(hours=25)
        with pytest.raises(OrchestrationError, match="CardDeclined"):
            await run.result()

By default every turn replays its whole history on fresh code (`paranoid`), so that code which
decides differently the second time is found in its first test.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from typing import Any, Self

from perdure.client import Client, InstanceHandle
from perdure.dispatch import ActivityDispatcher, ActivitySettings, TurnDispatcher, TurnSettings
from perdure.model import events as ev
from perdure.model.ids import UNTAGGED
from perdure.model.strictness import STRICT
from perdure.providers.reading import InstanceInfo, InstanceStatus
from perdure.providers.sqlite import MemoryStore, SqliteProvider
from perdure.replay.definitions import Activity, OrchestrationDef
from perdure.replay.registry import Registry
from perdure.testing.faults import CrashPoint, Faults, faulty
from perdure.testing.finding import reachable
from perdure.testing.mocks import Mocks
from perdure.testing.pending import next_timer, report
from perdure.testing.runs import RunUnderTest
from perdure.testing.virtual_time import StalledError, VirtualLoop

__all__ = ["Environment", "RunParkedError"]

type Definition = Activity[..., Any] | OrchestrationDef[..., Any]

_SELDOM = timedelta(days=30)
_LEASE = timedelta(minutes=30)
_LOOKS = (0.01, 1.0, 60.0, 3600.0, 86400.0)
"""Seconds between looks whether anything can still happen; the last over and over."""
_LONGEST = timedelta(days=3660)
_PARTS = ("weeks", "days", "hours", "minutes", "seconds", "milliseconds")


class RunParkedError(AssertionError):
    """A run is parked: its code decides otherwise than its history, spins, or is too long."""


class Environment:
    """See the head of this module.

    Args:
        *definitions: More than those that started orchestrations reach by name.
        paranoid: Replay the whole history at every turn.
        seed: Draw the order of what happens at the same time; None keeps it as it comes.
    """

    def __init__(
        self, *definitions: Definition, paranoid: bool = True, seed: int | None = None
    ) -> None:
        self._loop = VirtualLoop(dice=None if seed is None else random.Random(seed))  # noqa: S311  chance, not secrecy
        self._store = MemoryStore()
        self._mocks = Mocks()
        self._registry = Registry()
        self._known: set[int] = set()
        self._is_stale = False
        self._paranoid = paranoid
        self._tasks: list[asyncio.Task[None]] = []
        self._resources = AsyncExitStack()
        self._provider: SqliteProvider | None = None
        self._looked_at: set[str] = set()
        self._restarting = asyncio.Lock()
        self.faults = Faults()
        try:
            self.register(*definitions)
        except BaseException:
            self._loop.close()
            raise

    # ------------------------------------------------------------------ what runs

    def register(self, *definitions: Definition) -> None:
        """Add definitions, and what they reach by name.

        Raises:
            TypeError: one of them is none.
        """
        given: tuple[Any, ...] = definitions
        for each in given:
            if not isinstance(each, Activity | OrchestrationDef):
                raise TypeError(
                    f"activities and orchestrations are registered, not {each!r}: decorate it "
                    "with @activity or @orchestration"
                )
        fresh = [each for each in reachable(*definitions) if id(each) not in self._known]
        for each in fresh:
            self._known.add(id(each))
            self._registry.add(self._mocks.around(each) if isinstance(each, Activity) else each)
        self._is_stale = self._is_stale or bool(fresh)

    def mock(
        self,
        activity: Activity[..., Any],
        *,
        times: int | None = None,
        **does: Any,
    ) -> None:
        """Let an activity do something else: `returns=`, `raises=`, or `by=` a function.

        A later mock comes before an earlier one, for `times` calls or for all. Raises like
        `Mocks.add`.
        """
        given: Any = activity
        if not isinstance(given, Activity):
            raise TypeError(
                f"activities are mocked, not {activity!r}: decorate it with @activity, or mock "
                "the activities that it calls"
            )
        if unknown := sorted(does.keys() - {"returns", "raises", "by"}):
            raise TypeError(
                f"A mock of activity {activity.name!r} has no {unknown[0]}=; it has returns=, "
                "raises=, by= and times="
            )
        self.register(activity)
        self._mocks.add(activity, times=times, **does)

    def calls(self, activity: Activity[..., Any]) -> Sequence[Mapping[str, object]]:
        """Return the arguments of each attempt at an activity, by parameter name."""
        return self._mocks.calls[activity.name]

    # ------------------------------------------------------------------ time

    @property
    def now(self) -> datetime:
        """The time in here, in UTC."""
        return self._loop.clock()

    async def advance(self, by: timedelta | None = None, **parts: float) -> None:
        """Let time pass: a `timedelta`, or its parts (`hours=25`).

        Raises:
            ValueError: it would go back.
            TypeError: there is no such part.
        """
        if unknown := sorted(parts.keys() - set(_PARTS)):
            raise TypeError(f"time has no {unknown[0]!r}; give {', '.join(_PARTS)}, or a timedelta")
        span = by or timedelta(**parts)
        if span < timedelta(0):
            raise ValueError(f"time cannot pass by {span}: it only goes on")
        await self.do(asyncio.sleep(span.total_seconds()))

    async def advance_to_next(self) -> datetime:
        """Let time pass until the next timer of any run has fired; return when that is.

        Raises:
            StalledError: no run waits for a timer.
        """
        timers = [next_timer(events) for _, events in await self.do(self._unfinished())]
        due = min((each for each in timers if each is not None), default=None)
        if due is None:
            raise StalledError("no run waits for a timer")
        await self.advance(max(due - self.now, timedelta(0)) + timedelta(milliseconds=1))
        return due

    async def settle(self) -> None:
        """Let happen what can without time passing."""
        await self.do(asyncio.sleep(_LOOKS[0]))

    # ------------------------------------------------------------------ runs

    async def start[**P, R](
        self, definition: OrchestrationDef[P, R], /, *args: P.args, **kwargs: P.kwargs
    ) -> RunUnderTest[R]:
        """Start an orchestration; an id goes into `definition.options(instance_id=...)`."""
        self.register(definition)
        return RunUnderTest(self, await self.do(self._start(definition, args, kwargs)))

    def run[**P, R](
        self, definition: OrchestrationDef[P, R], /, *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """Start an orchestration and return its result: for tests that are not async."""
        self.register(definition)
        handle = self.wait(self._start(definition, args, kwargs))
        return self.wait(RunUnderTest(self, handle).result())

    async def _start[R](
        self, definition: OrchestrationDef[..., R], args: Any, kwargs: Any
    ) -> InstanceHandle[R]:
        return await (await self._client()).start(definition, *args, **kwargs)

    def wait[T](self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run any coroutine in here to its end, from a test that is not async."""
        if self._loop.is_running():
            coroutine.close()
            raise RuntimeError(
                "orch.run and orch.wait are for tests that are not async; in this one write "
                "`run = await orch.start(...)`, `await run.result()`, and `await orch.do(...)`"
            )
        return self._loop.run(coroutine)

    async def do[T](self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run any coroutine in here to its end: `await orch.do(client.get("order-7"))`."""
        if asyncio.get_running_loop() is self._loop:
            return await coroutine
        return self._loop.run(coroutine)

    async def client(self) -> Client:
        """Return a client of this system; its verbs go through `do`."""
        return await self.do(self._client())

    # ------------------------------------------------------------------ faults

    def crash_after(self, writes: int, *, applied: bool = True) -> None:
        """Kill replayer and executor at so many writes from now, and start others.

        Args:
            writes: 1 is the next one.
            applied: True: storage has done it, but they die before they know; False: they die
                before storage has.

        Raises:
            ValueError: no write is that one.
        """
        if writes < 1:
            raise ValueError(f"crash_after({writes}): 1 is the next write; there is none before it")
        self.faults.crash = CrashPoint(self.faults.writes + writes, applied)

    def duplicate_delivery(self) -> None:
        """Send every write twice from now on, as after lost replies."""
        self.faults.doubled = True

    # ------------------------------------------------------------------ the end

    def close(self) -> None:
        """Stop everything.

        Raises:
            RunParkedError: a run was parked, and no test has looked at it.
        """
        try:
            if self._provider is not None:
                parked = self.wait(self._parked())
                self.wait(self._shut())
                if parked:
                    raise RunParkedError(parked)
        finally:
            self._loop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *exc_info: object) -> None:
        try:
            self.close()
        except RunParkedError:
            if kind is None:
                raise

    # ------------------------------------------------------------------ inside

    async def _client(self) -> Client:
        if self._provider is None:
            self._provider = await self._resources.enter_async_context(
                SqliteProvider(self._store, clock=self._loop.clock)
            )
            self._client_here = await self._resources.enter_async_context(
                Client(self._provider, poll=_SELDOM * 1000)
            )
            self._resources.push_async_callback(self._kill)
            self._boot()
            watcher = asyncio.ensure_future(self._restart_after_crashes())
            self._resources.push_async_callback(self._stop_watching, watcher)
            self._is_stale = False
        elif self._is_stale:
            self._is_stale = False
            await self._reboot()
        return self._client_here

    def _boot(self) -> None:
        provider = faulty(self._existing(), self.faults)
        tags = {activity.tag for activity in self._registry.activities}
        turns = TurnSettings(
            inline=True, poll=_SELDOM, lease=_LEASE, strictness=STRICT,
            executions_cached_max=0 if self._paranoid else 1000,
        )  # fmt: skip
        activities = ActivitySettings(
            inline=True, poll=_SELDOM, lease=_LEASE, sessions_lease=_LEASE,
            sessions_idle=2 * _LEASE, tags=(UNTAGGED, *sorted(tags - {UNTAGGED})),
        )  # fmt: skip
        executor = ActivityDispatcher(
            provider, self._registry, activities, client=self._client_here
        )
        self._tasks = [
            asyncio.ensure_future(TurnDispatcher(provider, self._registry, turns).run()),
            asyncio.ensure_future(executor.run()),
        ]

    async def _kill(self) -> None:
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _reboot(self) -> None:
        async with self._restarting:  # for a crash and for new definitions, but not at once
            await self._kill()
            self._boot()

    async def _restart_after_crashes(self) -> None:
        while True:
            await self.faults.crashed.wait()
            self.faults.crashed.clear()
            await self._reboot()

    async def _stop_watching(self, watcher: asyncio.Task[None]) -> None:
        async with self._restarting:  # who is about to die, dies first
            watcher.cancel()

    async def _shut(self) -> None:
        await self._resources.aclose()

    def _existing(self) -> SqliteProvider:
        assert self._provider is not None  # noqa: S101  made by _client
        return self._provider

    async def _unfinished(self) -> list[tuple[InstanceInfo, Sequence[ev.Event]]]:
        client = await self._client()
        return [
            (info, await client.history(info.instance))
            async for info in client.list()
            if not info.status.is_terminal
        ]

    async def _parked(self) -> str:
        lines = [
            f"{info.name} {info.instance!r} was parked: {info.block.reason}: {info.block.message}"
            for info, _ in await self._unfinished()
            if info.block is not None and info.instance not in self._looked_at
        ]
        return "\n".join(lines)

    async def _report(self) -> str:
        unfinished = await self._unfinished()
        activities = await self._existing().read_activities(
            [each.instance for each, _ in unfinished]
        )
        return report(unfinished, activities, (each.name for each in self._registry.activities))

    async def until_ended(
        self,
        handle: InstanceHandle[Any],
        timeout: timedelta | None,  # noqa: ASYNC109  the caller's
    ) -> InstanceInfo:
        """Wait for the end; raise as soon as it is plain that it will not come."""
        longest = _LONGEST if timeout is None else timeout
        until = self._loop.time() + longest.total_seconds()
        looks, quiet_since = 0, float("inf")
        while True:
            left = until - self._loop.time()
            pause = min(_LOOKS[min(looks, len(_LOOKS) - 1)], left)
            looks += 1
            try:
                async with asyncio.timeout(pause):
                    return await (await self._client()).wait_ended(handle.instance_id)
            except TimeoutError:
                now = self._loop.time()
                await self._check(handle, is_over=now >= until)
                # What a crashed process held is due again only when its leases are over.
                quiet_since = (
                    float("inf") if await self._is_anything_to_come() else min(quiet_since, now)
                )
                if now - quiet_since > 2 * _LEASE.total_seconds():
                    raise StalledError(
                        "nothing is due, no timer is set: this waits for what will not come by "
                        f"itself\n{await self._report()}"
                    ) from None

    async def _check(self, handle: InstanceHandle[Any], *, is_over: bool) -> None:
        info = await handle.status()
        if info.block is not None:
            self._looked_at.add(info.instance)
            raise RunParkedError(
                f"{info.name} {info.instance!r} is parked: {info.block.reason}: "
                f"{info.block.message}"
            )
        if is_over:
            raise StalledError(f"not ended in that time:\n{await self._report()}")

    async def _is_anything_to_come(self) -> bool:
        totals = await self._existing().read_totals()
        unfinished = [info for info, _ in await self._unfinished()]
        code = self._registry.code()
        never = sum(  # due for ever: nobody has their code
            info.status is InstanceStatus.PENDING
            and not any(info.name == name and info.version in {None, v} for name, v in code)
            for info in unfinished
        )
        if totals.due_turns > never or totals.leased_activities or totals.timers:
            return True
        known = {activity.name for activity in self._registry.activities}
        waiting = await self._existing().read_activities([each.instance for each in unfinished])
        return any(each.name in known and not each.awaits_limit for each in waiting)
