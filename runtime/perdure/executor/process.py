"""The life of a process: load the code, run a dispatcher, answer probes, stop when told to.

As process 1 of a container nobody handles signals for us: SIGTERM and SIGINT are taken from the
first line on. The first one drains (readiness goes, nothing more is fetched, what runs may
finish), a second one cuts the draining short. A process that drained ends with code 0, also when
work was handed back.
"""

from __future__ import annotations

import asyncio
import faulthandler
import gc
import logging
import secrets
import signal
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from types import FrameType
from typing import Any

from perdure.client import Client
from perdure.dispatch import ActivityDispatcher, TurnDispatcher
from perdure.errors import AuthorError, ConfigurationError, ProviderError
from perdure.executor.announcing import Announcer, about
from perdure.executor.probes import Health, ProbeServer
from perdure.executor.settings import (
    ExecutorSettings,
    OnLoadError,
    ProcessSettings,
    ReplayerSettings,
)
from perdure.model.ids import ExecutorId
from perdure.providers.opening import open_provider
from perdure.providers.patience import Patience
from perdure.providers.protocol import Provider
from perdure.providers.reading import ExecutorInfo, Role
from perdure.replay.registry import Registry
from perdure.telemetry import Metrics, configure_logging

__all__ = ["EXIT_CONFIGURATION", "run_executor", "run_replayer"]

_LOG = logging.getLogger("perdure.process")
EXIT_CONFIGURATION = 2
_HAND_BACK_SECONDS = 10.0
SILENT_SECONDS = 30.0

type Loader = Registry | Callable[[], Registry]


def run_replayer(settings: ReplayerSettings, registry: Loader) -> int:
    """Take turns until told to stop; returns the exit code.

    `registry` may be a callable that loads it: then a failure is dealt with by
    `settings.process.on_load_error`.
    """
    process = _Process(settings.process, Role.REPLAY)
    return process.run(registry, lambda loaded: _replay(process, settings, loaded))


def run_executor(settings: ExecutorSettings, registry: Loader) -> int:
    """Run activities until told to stop; returns the exit code. `registry`: see `run_replayer`."""
    process = _Process(settings.process, Role.ACTIVITY)
    return process.run(registry, lambda loaded: _execute(process, settings, loaded))


async def _replay(process: _Process, settings: ReplayerSettings, registry: Registry) -> None:
    async with process.connected() as provider:
        dispatcher = TurnDispatcher(
            provider,
            registry,
            settings.turns,
            executor=process.executor,
            build=settings.process.build,
            metrics=process.metrics,
        )
        info = process.info(registry)
        process.health.watch(
            [dispatcher.pulse],
            lambda: dispatcher.stuck_seconds,
            lambda: dispatcher.threads_given_up,
        )
        await process.until_stopped(
            dispatcher.run(),
            Announcer(provider, [lambda: process.now(info, dispatcher.busy)]),
            drain=lambda _: dispatcher.drain(),
            within=settings.drain,
        )


async def _execute(process: _Process, settings: ExecutorSettings, registry: Registry) -> None:
    activities = settings.activities
    async with process.connected() as provider, Client(provider) as client:
        dispatcher = ActivityDispatcher(
            provider,
            registry,
            activities,
            executor=process.executor,
            client=client,
            metrics=process.metrics,
        )
        info = replace(process.info(registry), tags=activities.tags, slots=activities.slots)
        process.health.watch([dispatcher.pulse])
        await process.until_stopped(
            dispatcher.run(),
            Announcer(provider, [lambda: process.now(info, dispatcher.busy)]),
            drain=lambda hurry: dispatcher.drain(hurry=hurry),
            within=activities.drain + activities.cancel_grace,
        )


class _Process:
    """What a replayer and an executor have in common."""

    def __init__(self, settings: ProcessSettings, role: Role) -> None:
        self.executor = ExecutorId(secrets.randbits(63))
        self.health = Health()
        self.metrics = Metrics()
        self._settings = settings
        self._role = role
        self._signals = 0
        self._on_stop: Callable[[], None] | None = None
        self._stops: asyncio.Queue[int] | None = None

    def run(self, registry: Loader, main: Callable[[Registry], Coroutine[None, None, None]]) -> int:
        """Live a whole life; returns the exit code."""
        settings = self._settings
        configure_logging(
            level=settings.log_level, style=settings.log_style, executor=settings.name
        )
        self.metrics.set("perdure_info", 1, self._role.value, settings.build)
        probes: ProbeServer | None = None
        restore = _take_signals(self._on_signal)
        try:
            probes = self._probes()
            loaded = self._load(registry)
            _tune_collector()
            with asyncio.Runner(loop_factory=_loop_factory()) as runner:
                runner.run(main(loaded) if loaded is not None else self._wait_for_stop())
        except _StoppedError:
            return 0
        except ConfigurationError as error:
            _LOG.error("%s", error)
            return EXIT_CONFIGURATION
        finally:
            restore()
            if probes is not None:
                probes.close()
        return 0

    def _probes(self) -> ProbeServer | None:
        """Serve probes; without, if the port is taken and nobody asked for it."""
        settings = self._settings
        if settings.probe_port is None:
            return None
        try:
            return ProbeServer(settings.probe_port, self.health, self.metrics)
        except ConfigurationError as error:
            if settings.needs_probes:
                raise
            _LOG.warning("%s; going on without probes and metrics: name another port", error)
            return None

    def _load(self, registry: Loader) -> Registry | None:
        """Load the code; None if it cannot be and that is to be waited out."""
        if isinstance(registry, Registry):
            self.health.problem = None
            return registry
        try:
            loaded = registry()
        except (ConfigurationError, AuthorError) as error:
            if self._settings.on_load_error is OnLoadError.EXIT:
                raise ConfigurationError(str(error)) from error
            self.health.problem = f"code: {error}"
            _LOG.error("the code cannot be loaded; staying up, unready: %s", error)
            return None
        self.health.problem = None
        return loaded

    # ------------------------------------------------------------------ signals

    def _on_signal(self) -> None:
        self._signals += 1
        self.health.draining = True
        self.metrics.set("perdure_draining", 1)
        if self._on_stop is not None:
            self._on_stop()
        elif self._stops is None:
            # No loop yet: whatever is being loaded is left where it is. Where Python swallows the
            # error, as in a callback of its collector, the count is found when there is a loop.
            raise _StoppedError

    def _signalled(self) -> asyncio.Queue[int]:
        """Give the numbers of the signals: one queue, from the first signal of the process on."""
        if self._stops is not None:
            return self._stops
        loop = asyncio.get_running_loop()
        self._stops = numbers = asyncio.Queue[int]()

        def put() -> None:
            loop.call_soon_threadsafe(numbers.put_nowait, self._signals)

        self._on_stop = put
        if self._signals:
            numbers.put_nowait(self._signals)
        return numbers

    async def _wait_for_stop(self) -> None:
        await self._signalled().get()

    # ------------------------------------------------------------------ storage

    @asynccontextmanager
    async def connected(self) -> AsyncGenerator[Provider]:
        """Connect to storage, however long it stays away; a signal ends the waiting."""
        settings = self._settings
        signalled = self._signalled()
        provider = open_provider(
            settings.database_url,
            schema=settings.schema,
            application_name=f"perdure {self._role.value} {settings.name}".strip(),
        )
        try:
            await self._connect(provider, signalled)
            yield provider
        finally:
            await provider.__aexit__(None, None, None)

    async def _connect(self, provider: Provider, signalled: asyncio.Queue[int]) -> None:
        patience, tries = Patience(), 0
        while True:
            try:
                await self._unless_stopped(provider.__aenter__(), signalled)
            except ProviderError as error:
                tries += 1
                self.health.problem = f"storage: {error}"
                _LOG.log(
                    logging.WARNING if tries == 1 else logging.DEBUG,
                    "%s; trying again until it is there",
                    error,
                )
            else:
                self.health.problem = None
                return
            wait = asyncio.sleep(patience.wait_after(tries))
            await self._unless_stopped(wait, signalled)

    @staticmethod
    async def _unless_stopped[T](what: Coroutine[Any, Any, T], signalled: asyncio.Queue[int]) -> T:
        """Await something, however long it takes; a signal ends it, and the process with it."""
        doing = asyncio.create_task(what)
        stop = asyncio.create_task(signalled.get())
        try:
            await asyncio.wait([doing, stop], return_when=asyncio.FIRST_COMPLETED)
            if stop.done():
                raise _StoppedError
            return doing.result()
        finally:
            for task in (doing, stop):
                task.cancel()
            await asyncio.gather(doing, stop, return_exceptions=True)

    # ------------------------------------------------------------------ running

    def info(self, registry: Registry) -> ExecutorInfo:
        """Say what this process is."""
        settings = self._settings
        return about(self.executor, self._role, registry, name=settings.name, build=settings.build)

    def now(self, info: ExecutorInfo, busy: int) -> ExecutorInfo:
        """Say what it does at the moment."""
        return replace(info, busy=busy, draining=self.health.draining)

    def beat(self) -> None:
        """Note that the event loop turns.

        If it does not for long, some call holds the interpreter and lets no Python run, the code
        that would report it included. A thread outside of Python then writes where each thread is;
        the liveness probe does the rest.
        """
        self.health.beat()
        with suppress(ValueError, OSError, RuntimeError):  # no standard error to write to
            faulthandler.dump_traceback_later(SILENT_SECONDS)

    async def until_stopped(
        self,
        run: Coroutine[None, None, None],
        announcer: Announcer,
        *,
        drain: Callable[[bool], Coroutine[None, None, None]],
        within: timedelta,
    ) -> None:
        """Run a dispatcher until a signal has drained it."""
        signalled = self._signalled()
        running = asyncio.create_task(run, name="perdure-dispatcher")
        telling = asyncio.create_task(announcer.run(self.beat), name="perdure-announce")
        stop = asyncio.create_task(signalled.get())
        _LOG.info("%s %s is up", self._role.value, self._settings.name)
        try:
            await asyncio.wait([running, stop], return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                running.result()
                return
            _LOG.info("told to stop: draining")
            again = asyncio.create_task(signalled.get())
            draining = asyncio.create_task(drain(False))
            limit = within.total_seconds() + _HAND_BACK_SECONDS
            await asyncio.wait(
                [draining, again], timeout=limit, return_when=asyncio.FIRST_COMPLETED
            )
            if not draining.done():
                _LOG.warning("told to stop again, or out of time: handing back what runs")
                hurried = asyncio.create_task(drain(True))
                await asyncio.wait([hurried], timeout=_HAND_BACK_SECONDS)
                hurried.cancel()
            draining.cancel()
            again.cancel()
        finally:
            for task in (stop, telling, running):
                task.cancel()
            await asyncio.gather(stop, telling, running, return_exceptions=True)
            await announcer.withdraw()
            faulthandler.cancel_dump_traceback_later()
            _LOG.info("%s %s has stopped", self._role.value, self._settings.name)


class _StoppedError(Exception):
    """Told to stop before there was anything to drain."""


def _take_signals(act: Callable[[], None]) -> Callable[[], None]:
    """Call `act` at SIGTERM and SIGINT; returns what undoes that.

    With `signal.signal`, not the loop's own way: it holds before there is a loop, too. Python runs
    the handler in the main thread between two instructions, and wakes a sleeping loop for it.
    """
    if threading.current_thread() is not threading.main_thread():
        return lambda: None  # embedded: whoever owns the main thread owns its signals

    def handle(_number: int, _frame: FrameType | None) -> None:
        act()

    before = {number: signal.signal(number, handle) for number in (signal.SIGTERM, signal.SIGINT)}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    return restore


def _tune_collector() -> None:
    """Let the garbage collector leave alone what is there for good, and come less often.

    Live executions are many small objects that stay: going through them again and again was a
    tenth of a replayer's time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Prefer uvloop where it is installed: a quarter less of Python's time."""
    try:
        import uvloop  # noqa: PLC0415  an extra
    except ImportError:
        return None
    return uvloop.new_event_loop
