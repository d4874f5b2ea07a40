"""Hearing hints: listening first, and then waiting for the one that must come."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, cast

from perdure.providers.work import ResyncHint

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from perdure.providers.work import Hint
    from perdure.testing.conformance.world import World

__all__ = ["Heard", "hearing"]

HINT_SECONDS_MAX = 10


class Heard:
    """What a listener hears from now on."""

    def __init__(self, hints: AsyncGenerator[Hint]) -> None:
        self._hints = hints

    async def until(self, is_wanted: Callable[[Hint], bool]) -> None:
        """Wait for a hint; raises `TimeoutError` if it does not come."""
        async with asyncio.timeout(HINT_SECONDS_MAX):
            async for hint in self._hints:
                if is_wanted(hint):
                    return


@asynccontextmanager
async def hearing(w: World, *kinds: type[Hint]) -> AsyncGenerator[Heard]:
    """Listen, for the first time to these kinds; what is told inside of the block is heard."""
    async with aclosing(cast("AsyncGenerator[Hint]", w.provider.hints(kinds))) as hints:
        heard = Heard(hints)
        await heard.until(lambda hint: isinstance(hint, ResyncHint))  # is always the first
        yield heard
