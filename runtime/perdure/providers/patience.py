"""Waiting for storage that is away: how long, and how often to ask.

Every process of a system loses a restarting database in the same instant. The waits between tries
grow, so that it is not drowned when it comes back, and are random, so that the tries do not come
in step.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta

from perdure.errors import ProviderError

__all__ = ["Patience"]

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Patience:
    """Repeats a call of storage for as long as it says that repeating may help."""

    first: timedelta = timedelta(milliseconds=50)
    factor: float = 2.0
    longest: timedelta = timedelta(seconds=3)
    total: timedelta | None = None
    """Give up after this time; None never does."""
    dice: random.Random = field(default_factory=random.Random)

    def wait_after(self, tries: int) -> float:
        """Seconds to wait after so many failed tries (1 or more): a random half to all of it."""
        longest = self.longest.total_seconds()
        exponent = min(tries - 1, 30)
        whole = min(self.first.total_seconds() * self.factor**exponent, longest)
        return whole * (0.5 + self.dice.random() / 2)

    async def persist[T](
        self,
        call: Callable[[], Awaitable[T]],
        on_failure: Callable[[ProviderError], None] | None = None,
    ) -> T:
        """Return what `call` returns, repeating it while it fails with a retryable error.

        Raises:
            ProviderError: It is not retryable, or `total` is over.
        """
        clock = asyncio.get_running_loop().time
        started = clock()
        tries = 0
        while True:
            try:
                result = await call()
            except ProviderError as error:
                tries += 1
                if on_failure is not None:
                    on_failure(error)
                if not error.retryable:
                    raise
                wait = self.wait_after(tries)
                if self.total is not None:
                    left = self.total.total_seconds() - (clock() - started)
                    if left <= 0:
                        raise
                    wait = min(wait, left)
                if tries == 1:
                    _LOG.warning("%s; trying again until it is back", error)
                await asyncio.sleep(wait)
            else:
                if tries:
                    _LOG.info("storage is back after %d failed tries", tries)
                return result
