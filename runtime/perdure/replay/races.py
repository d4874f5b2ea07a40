"""Waiting for the first of several, or for all, whatever they end with."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable

__all__ = ["join", "select"]


async def select(*awaitables: Awaitable[Any]) -> tuple[int, Any]:
    """Return index and result of the first that is done; cancel the others.

    History decides which was first; where one message made several ready, the first argument wins.
    """
    if not awaitables:
        msg = "select needs at least one awaitable"
        raise ValueError(msg)
    futures = [asyncio.ensure_future(each) for each in awaitables]
    try:
        done, _ = await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)
        index = next(i for i, future in enumerate(futures) if future in done)
    finally:
        for future in futures:
            if not future.done():
                future.cancel("another one was first")
    return index, futures[index].result()


async def join(*awaitables: Awaitable[Any]) -> list[Any]:
    """Return results, or what was raised, in the order of the arguments."""
    return list(await asyncio.gather(*awaitables, return_exceptions=True))
