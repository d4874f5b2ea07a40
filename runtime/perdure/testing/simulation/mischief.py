"""A provider between a process and its storage, as bad as a network and a machine can be.

Calls are late, their requests or replies are lost, they arrive twice; hints are lost; a process
stops for a while in the midst of a call and goes on as if nothing had been.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from perdure.errors import ProviderError
from perdure.providers.work import Hint

if TYPE_CHECKING:
    import random

    from perdure.providers.protocol import Provider
    from perdure.testing.simulation.invariants import Invariants

__all__ = ["Mischief", "Odds"]

_WRITES = frozenset(
    {
        "commit_turns", "finish_activities", "enqueue", "control", "fetch_turns", "abandon_turns",
        "fetch_activities", "abandon_activities", "renew_turns", "renew_activities",
    }
)  # fmt: skip


@dataclass(slots=True)
class Odds:
    """How often what goes wrong; all zero: a calm world."""

    lost_request: float = 0.0
    lost_reply: float = 0.0
    doubled: float = 0.0
    late: float = 0.0
    lost_hint: float = 0.0
    seconds: float = 0.0
    """How late at most."""

    def calm(self) -> None:
        """From now on nothing goes wrong."""
        self.lost_request = self.lost_reply = self.doubled = self.late = self.lost_hint = 0.0


class Mischief:
    """Stands for the provider of one process."""

    def __init__(
        self, inner: Provider, odds: Odds, dice: random.Random, invariants: Invariants
    ) -> None:
        self._inner = inner
        self._odds = odds
        self._dice = dice
        self._invariants = invariants
        self.going = asyncio.Event()
        """Cleared while the process stands still."""
        self.going.set()

    @classmethod
    def around(
        cls, inner: Provider, odds: Odds, dice: random.Random, invariants: Invariants
    ) -> tuple[Provider, Mischief]:
        """Make one; return it as the provider that it stands for, too."""
        mischief = cls(inner, odds, dice, invariants)
        return cast("Provider", mischief), mischief

    def __getattr__(self, verb: str) -> Any:
        found = getattr(self._inner, verb)

        async def call(*args: Any, **kwargs: Any) -> Any:
            return await self._call(verb, lambda: found(*args, **kwargs), args)

        return call

    async def _call(self, verb: str, call: Callable[[], Awaitable[Any]], args: Any) -> Any:
        dice, odds = self._dice, self._odds
        await self._tarry()
        if dice.random() < odds.lost_request:
            raise ProviderError(verb, "the request was lost", retryable=True)
        result = await self._observed(verb, call, args)
        if verb in _WRITES and dice.random() < odds.doubled:
            await self._tarry()
            result = await self._observed(verb, call, args)
        if dice.random() < odds.lost_reply:
            raise ProviderError(verb, "the reply was lost", retryable=True)
        await self._tarry()
        return result

    async def _observed(self, verb: str, call: Callable[[], Awaitable[Any]], args: Any) -> Any:
        if verb not in _WRITES:
            return await call()
        fenced = self._invariants.fenced(verb, args)
        result = await call()
        self._invariants.check(verb)
        for each in fenced:
            each.check()
        return result

    def stand_still(self, seconds: float) -> None:
        """Let the process stop, and go on later as if nothing had been."""
        self.going.clear()
        asyncio.get_running_loop().call_later(seconds, self.going.set)

    async def _tarry(self) -> None:
        if self._dice.random() < self._odds.late:
            await asyncio.sleep(self._dice.random() ** 3 * self._odds.seconds)
        await self.going.wait()

    async def hints(self, kinds: Collection[type[Hint]] | None = None) -> AsyncIterator[Hint]:
        """Lose some."""
        async for hint in self._inner.hints(kinds):
            if self._dice.random() >= self._odds.lost_hint:
                yield hint

    @asynccontextmanager
    async def transaction(self, lease: Any) -> AsyncGenerator[Any]:
        """Stand still before some of them, and lose the answer to some commits."""
        if self._dice.random() < self._odds.late:
            self.stand_still(self._dice.choice([1.0, 20.0]))
        await self._tarry()
        async with self._inner.transaction(lease) as transaction:
            yield transaction
        self._invariants.check("transaction")
        if self._dice.random() < self._odds.lost_reply:
            raise ProviderError("transaction", "the reply to the commit was lost", retryable=True)
