"""The work queue: which objects to look at, when, and how often at most.

Whatever happens, whether the API server tells of an object, the database of an instance, or a time
has come, ends in `add(key)`. The promises:

* a key that waits is there once, however often it was added;
* a key is never worked on twice at the same time; added meanwhile, it comes again afterwards;
* a key that failed comes again after a wait that doubles each time, from 5 ms to 5 min, with
  jitter, so that what broke together does not come back together;
* all keys together are given out at a bounded rate.
"""

from __future__ import annotations

import asyncio
import heapq
import random
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field

__all__ = ["TokenBucket", "WorkQueue"]

_BACKOFF_FIRST_SECONDS = 0.005
_BACKOFF_LAST_SECONDS = 300.0


@dataclass(slots=True)
class TokenBucket:
    """So many a second, and so many at once: a bound on what is asked of others."""

    rate: float
    """Tokens a second."""
    burst: float
    """Tokens that gather at most."""
    tokens: float = field(init=False)
    at: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        """Begin full."""
        self.tokens = self.burst

    def wait_for(self, now: float, *, reserve: float = 0.0) -> float:
        """Take a token and return 0, or return how many seconds until there is one.

        `reserve` tokens are left for others.
        """
        self.tokens = min(self.burst, self.tokens + (now - self.at) * self.rate)
        self.at = now
        if self.tokens >= 1 + reserve:
            self.tokens -= 1
            return 0.0
        return (1 + reserve - self.tokens) / self.rate


def backoff_seconds(failures: int, jitter: float) -> float:
    """Wait after so many failures in a row; `jitter` from 0 to 1 shortens it by up to a half."""
    doubled = _BACKOFF_FIRST_SECONDS * 2.0 ** min(failures - 1, 32)
    return min(doubled, _BACKOFF_LAST_SECONDS) * (1 - jitter / 2)


class WorkQueue[K: Hashable]:
    """Keys to work on. Belongs to one event loop."""

    def __init__(
        self,
        *,
        rate: float = 200.0,
        burst: int = 400,
        clock: Callable[[], float] | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """`clock` (seconds, monotonic) defaults to the loop's."""
        self._clock = clock or (lambda: asyncio.get_running_loop().time())
        self._jitter = jitter
        self._bucket = TokenBucket(rate, burst)
        self._ready: dict[K, float] = {}  # in order; the value is when it came
        self._busy: dict[K, bool] = {}  # True: added again meanwhile
        self._later: list[tuple[float, int, K]] = []
        self._due: dict[K, float] = {}
        self._failures: dict[K, int] = {}
        self._count = 0
        self._woken = asyncio.Event()

    def __len__(self) -> int:
        """Keys that are ready."""
        return len(self._ready)

    def add(self, key: K, delay: float = 0.0) -> None:
        """Have the key looked at after `delay` seconds; the earliest of several wins."""
        now = self._clock()
        if delay > 0:
            due = now + delay
            if key in self._ready or self._due.get(key, float("inf")) <= due:
                return
            self._due[key] = due
            self._count += 1
            heapq.heappush(self._later, (due, self._count, key))
        elif key in self._busy:
            self._busy[key] = True
        else:
            self._ready.setdefault(key, now)
            self._due.pop(key, None)
        self._woken.set()

    def failed(self, key: K) -> float:
        """Have the key looked at again after its wait; returns the seconds."""
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        wait = backoff_seconds(failures, self._jitter())
        self.add(key, wait)
        return wait

    def succeeded(self, key: K) -> None:
        """Forget the failures of a key."""
        self._failures.pop(key, None)

    def forget(self, key: K) -> None:
        """The object is gone: drop all that is known of the key."""
        self._failures.pop(key, None)
        self._due.pop(key, None)
        self._ready.pop(key, None)

    def oldest_seconds(self) -> float:
        """How long the first key has waited; 0 if none does."""
        first = next(iter(self._ready.values()), None)
        return 0.0 if first is None else max(0.0, self._clock() - first)

    async def take(self) -> K:
        """Wait for the next key; `done` must follow."""
        while True:
            wait = self._next_wait()
            if wait == 0.0:
                key = next(iter(self._ready))
                del self._ready[key]
                self._busy[key] = False
                return key
            self._woken.clear()
            try:
                async with asyncio.timeout(wait):
                    await self._woken.wait()
            except TimeoutError:
                continue

    def done(self, key: K) -> None:
        """The key may be taken again."""
        if self._busy.pop(key, False):
            self.add(key)

    def _next_wait(self) -> float | None:
        """Seconds until something can be taken: 0 now, None as soon as something is added."""
        now = self._clock()
        self._promote(now)
        if self._ready:
            return self._bucket.wait_for(now)
        return max(0.001, self._later[0][0] - now) if self._later else None

    def _promote(self, now: float) -> None:
        """Make ready what is due; entries that an earlier one overtook are dropped."""
        while self._later and self._later[0][0] <= now:
            due, _, key = heapq.heappop(self._later)
            if self._due.get(key) == due:
                del self._due[key]
                self.add(key)

    async def serve(self, concurrency: int, work: Callable[[K], Awaitable[None]]) -> None:
        """Work on keys, so many at a time, until cancelled. `work` must not raise."""

        async def one() -> None:
            while True:
                key = await self.take()
                try:
                    await work(key)
                finally:
                    self.done(key)

        async with asyncio.TaskGroup() as group:
            for _ in range(concurrency):
                group.create_task(one())
