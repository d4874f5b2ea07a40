from __future__ import annotations

import asyncio
import inspect
import secrets
import signal
from typing import TYPE_CHECKING

import asyncpg
import pytest
from hypothesis import settings

from perdure.providers.postgres import PostgresProvider, migrate
from perdure.testing.postgres import EmbeddedPostgres

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

# A shell that runs tests in the background ignores the interrupt, and so would every process they
# start: what a test interrupts must hear it.
signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes says more about the machine than about the code.
settings.register_profile("perdure", deadline=None, print_blob=True)
settings.load_profile("perdure")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[EmbeddedPostgres]:
    """One server for all tests of a run; a test that stops or kills one starts its own."""
    # The data is thrown away with the folder, so nothing waits for the disk.
    with EmbeddedPostgres(settings={"fsync": "off", "max_connections": "200"}) as server:
        yield server


@pytest.fixture
async def database_url(postgres_server: EmbeddedPostgres) -> AsyncIterator[str]:
    """A database of the test's own, empty; dropped afterwards whoever is still connected."""
    name = f"test_{secrets.token_hex(6)}"
    await _administer(postgres_server, f'create database "{name}"')
    yield postgres_server.url_of(name)
    await _administer(postgres_server, f'drop database "{name}" with (force)')


@pytest.fixture
async def provider(database_url: str) -> AsyncIterator[PostgresProvider]:
    """Storage of the test's own, migrated and connected."""
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
                await asyncio.sleep(0.01)  # may sleep: asks again, until its time is over

    return wait


async def _administer(server: EmbeddedPostgres, statement: str) -> None:
    connection = await asyncpg.connect(server.url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
