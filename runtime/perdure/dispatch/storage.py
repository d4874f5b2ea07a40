"""Storage as a dispatcher meets it: every call timed, counted, and repeated while it may help.

`Pulse` is what the probes of a process look at. Storage that is away makes a process unready, never
dead: restarting a pod brings no database back, and throws away activities that were running well.
Dead is a process that asks no more: its last call was answered, or refused, too long ago.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import suppress
from datetime import timedelta

from perdure.errors import ProviderError
from perdure.providers.patience import Patience
from perdure.providers.protocol import Provider
from perdure.providers.work import Hint
from perdure.telemetry import Metrics

__all__ = ["Alarm", "Pulse", "Storage"]

_LOG = logging.getLogger("perdure.storage")


class Pulse:
    """When storage was last asked and answered, on the monotonic clock: read in other threads."""

    def __init__(self) -> None:
        self.asked_at = time.monotonic()
        """The end of the last call, however it ended."""
        self.answered_at: float | None = None
        """The end of the last call that succeeded."""
        self.trouble: str | None = "storage has not answered yet"
        """Why the last call failed; None once one succeeded."""

    def succeeded(self) -> None:
        """Note a call that was answered."""
        self.asked_at = self.answered_at = time.monotonic()
        self.trouble = None

    def failed(self, error: ProviderError) -> None:
        """Note a call that failed."""
        self.asked_at = time.monotonic()
        self.trouble = str(error)


class Storage:
    """Calls of a provider, with their metrics, pulse and patience."""

    def __init__(self, provider: Provider, metrics: Metrics, dice: random.Random) -> None:
        self.provider = provider
        self.pulse = Pulse()
        self._metrics = metrics
        self._patience = Patience(dice=dice)
        self._called_at = float("-inf")

    def silence(self) -> float:
        """Seconds since a call last ended, by the clock of the running loop."""
        return asyncio.get_running_loop().time() - self._called_at

    async def call[T](self, verb: str, call: Callable[[], Awaitable[T]]) -> T:
        """Make one call, once."""
        started = time.perf_counter()
        try:
            result = await call()
        except ProviderError as error:
            self.pulse.failed(error)
            outcome = "retryable" if error.retryable else "refused"
            self._metrics.count("perdure_provider_calls_total", verb, outcome)
            raise
        finally:
            self._called_at = asyncio.get_running_loop().time()
        self.pulse.succeeded()
        self._metrics.count("perdure_provider_calls_total", verb, "ok")
        self._metrics.observe("perdure_provider_call_seconds", time.perf_counter() - started, verb)
        return result

    async def persist[T](self, verb: str, call: Callable[[], Awaitable[T]]) -> T:
        """Make one call, again and again while storage is away."""
        return await self._patience.persist(lambda: self.call(verb, call))

    async def insist[T](
        self, verb: str, call: Callable[[], Awaitable[T]], stop: asyncio.Event
    ) -> T | None:
        """Make one call, again and again whatever is wrong, until `stop` is set.

        For fetching: a missing permission or schema is for somebody else to mend, and to end the
        process would only hide what is missing behind restarts.
        """
        tries = 0
        while not stop.is_set():
            try:
                return await self.call(verb, call)
            except ProviderError as error:
                tries += 1
                level = logging.WARNING if error.retryable else logging.ERROR
                _LOG.log(level if tries == 1 else logging.DEBUG, "%s; trying again", error)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._patience.wait_after(tries)):
                    await stop.wait()
        return None

    async def hints(self, kinds: Collection[type[Hint]]) -> AsyncIterator[Hint]:
        """Yield hints of these kinds for ever, over lost connections."""
        tries = 0
        while True:
            try:
                async for hint in self.provider.hints(kinds):
                    tries = 0
                    self._metrics.count("perdure_hints_total", type(hint).__name__)
                    yield hint
            except ProviderError:
                pass  # polling goes on, and its failures are told of
            tries += 1
            await asyncio.sleep(self._patience.wait_after(tries))


class Alarm:
    """Sleeps until something is due, somebody calls, or it is time to look anyway.

    What is due comes from two sides: the last fetch told when more would be due, and what was
    handed in since then may be due earlier. A fetch that is under way may or may not have seen
    what was handed in meanwhile, so that is kept until the fetch after it. Its clock is the loop's.
    """

    _SHORTEST = 0.002

    def __init__(self, poll: timedelta, dice: random.Random) -> None:
        self._poll = poll.total_seconds()
        self._dice = dice
        self._stirred = asyncio.Event()
        self._is_called = False
        self._told = float("inf")
        self._since = float("inf")
        self._empty_handed = 0
        self.calls = 0
        """How often somebody called; who compares two readings knows whether somebody did."""

    def ring(self) -> None:
        """Wake the sleeper, or keep it from falling asleep."""
        self.calls += 1
        self._is_called = True
        self._stirred.set()

    def due_in(self, seconds: float) -> None:
        """Something was handed in that will be due after that time: a sleeper sleeps less."""
        self._since = min(self._since, asyncio.get_running_loop().time() + seconds)
        self._stirred.set()

    def before_fetch(self) -> None:
        """Forget the calls so far: the fetch that starts now answers them."""
        self._is_called = False
        self._since = float("inf")

    def after_fetch(self, count: int, next_due: timedelta | None) -> None:
        """Note what the fetch brought, and when it said that more will be due."""
        now = asyncio.get_running_loop().time()
        self._empty_handed = 0 if count else self._empty_handed + 1
        self._told = float("inf") if next_due is None else now + next_due.total_seconds()

    async def sleep(self) -> None:
        """Return when there may be something to fetch."""
        # Work that is due but locked by somebody else must not make us spin.
        floor = min(self._SHORTEST * self._empty_handed, 0.05)
        loop = asyncio.get_running_loop()
        began = loop.time()
        poll = self._poll * (0.8 + 0.4 * self._dice.random())
        while not self._is_called:
            wait = min(max(min(self._told, self._since) - began, floor), poll)
            self._stirred.clear()
            try:
                async with asyncio.timeout_at(began + wait):
                    await self._stirred.wait()
            except TimeoutError:
                return
