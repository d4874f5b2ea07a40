from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING

import pytest

from perdure.providers.postgres import PostgresProvider, migrate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable


@pytest.fixture
async def provider(database_url: str) -> AsyncIterator[PostgresProvider]:
    """Storage, migrated and connected."""
    await migrate(database_url)
    async with PostgresProvider(database_url) as connected:
        yield connected


@pytest.fixture
def eventually() -> Callable[..., Awaitable[None]]:
    """Wait until a condition holds; fail when it takes too long."""

    async def wait(condition: Callable[[], object], seconds: float = 15.0) -> None:
        async with asyncio.timeout(seconds):
            while True:
                found = condition()
                if inspect.isawaitable(found):
                    found = await found
                if found:
                    return
                await asyncio.sleep(0.01)

    return wait
