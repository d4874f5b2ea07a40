"""A provider that fails where it is told to: crashes, lost replies, doubled calls.

What writes is counted: `commit_turns`, `finish_activities`, `enqueue` and `control`, the points at
which a process can die between deciding and knowing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, cast

from perdure.providers.protocol import Provider

__all__ = ["CrashPoint", "Faults", "faulty"]

WRITES = frozenset({"commit_turns", "finish_activities"})


@dataclass(frozen=True, slots=True)
class CrashPoint:
    """A process dies at its n-th write (from 1)."""

    write: int
    applied: bool
    """True: after storage has done it, before the process knows; False: before storage has."""

    def __str__(self) -> str:
        """Say it for the name of a test."""
        return f"{'after' if self.applied else 'before'} write {self.write}"


class Faults:
    """What shall go wrong, and how many writes there were."""

    def __init__(self) -> None:
        self.crash: CrashPoint | None = None
        self.doubled = False
        """True: every write is sent twice, as after a lost reply."""
        self.writes = 0
        self.crashed = asyncio.Event()

    async def around(self, call: Callable[[], Awaitable[Any]]) -> Any:
        """Make one writing call."""
        self.writes += 1
        crash = self.crash
        if crash is not None and crash.write == self.writes:
            self.crash = None
            if crash.applied:
                await call()
            self.crashed.set()
            await asyncio.Event().wait()  # the process never hears of it
        result = await call()
        return await call() if self.doubled else result


class _Faulty:
    """A provider that asks `Faults` before it writes."""

    def __init__(self, inner: Provider, faults: Faults) -> None:
        self._inner = inner
        self._faults = faults

    def __getattr__(self, verb: str) -> Any:
        found = getattr(self._inner, verb)
        if verb not in WRITES:
            return found

        def call(*args: Any, **kwargs: Any) -> Awaitable[Any]:
            return self._faults.around(lambda: found(*args, **kwargs))

        return call


def faulty(inner: Provider, faults: Faults) -> Provider:
    """Wrap a provider."""
    return cast("Provider", _Faulty(inner, faults))
