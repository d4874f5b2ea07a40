from __future__ import annotations

import asyncio
import secrets
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import asyncpg
import pytest

from perdure.providers.postgres import PostgresProvider, migrate

pytest.register_assert_rewrite("perdure.testing.conformance")

from perdure.testing.conformance import ManualClock  # noqa: E402  after its asserts are registered

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from perdure.testing.postgres import EmbeddedPostgres


class PostgresStorage:
    def __init__(self, url: str) -> None:
        self.clock = ManualClock()
        self.url = url

    @asynccontextmanager
    async def open(self, *, inbox_limit: int = 10_000) -> AsyncIterator[PostgresProvider]:
        async with PostgresProvider(
            self.url, clock=self.clock, inbox_limit=inbox_limit
        ) as provider:
            yield provider


@pytest.fixture(scope="session")
def migrated_template(postgres_server: EmbeddedPostgres) -> Iterator[str]:
    name = f"template_{secrets.token_hex(6)}"
    asyncio.run(_execute(postgres_server.url, f'create database "{name}"'))
    asyncio.run(_migrate(postgres_server.url_of(name)))
    yield name
    asyncio.run(_execute(postgres_server.url, f'drop database "{name}" with (force)'))


@pytest.fixture
async def migrated_url(
    postgres_server: EmbeddedPostgres, migrated_template: str
) -> AsyncIterator[str]:
    """A database that has its schema: copied, which is faster than migrating."""
    name = f"test_{secrets.token_hex(6)}"
    create = f'create database "{name}" template "{migrated_template}" strategy file_copy'
    await _execute(postgres_server.url, create)
    yield postgres_server.url_of(name)
    await _execute(postgres_server.url, f'drop database "{name}" with (force)')


@pytest.fixture
async def storage(migrated_url: str) -> PostgresStorage:
    return PostgresStorage(migrated_url)


async def _migrate(url: str) -> None:
    await migrate(url, roles=False)


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


_CONFORMANCE = {
    "test_postgres_conformance.py::test_conformance[": "Postgres",
    "::test_conformance_in_a_file[": "SQLite in a file",
    "::test_conformance_in_memory[": "SQLite in memory",
}


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many checks of the conformance suite each provider has passed."""
    passed = [report.nodeid for report in terminalreporter.stats.get("passed", ())]
    counts = {name: sum(mark in each for each in passed) for mark, name in _CONFORMANCE.items()}
    said = ", ".join(f"{name} {count}" for name, count in counts.items() if count)
    if said:
        terminalreporter.write_line(f"conformance checks passed: {said}")
