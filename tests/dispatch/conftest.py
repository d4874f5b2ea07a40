from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest

from perdure.providers.postgres import PostgresProvider, migrate
from perdure.providers.sqlite import SqliteProvider

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from perdure.providers.protocol import Provider


@pytest.fixture(params=["postgres", "sqlite"])
async def storage(
    request: pytest.FixtureRequest, tmp_path: Path, database_url: str
) -> AsyncIterator[Provider]:
    """Storage of the test's own, connected: the dispatchers cannot tell which."""
    async with AsyncExitStack() as stack:
        if request.param == "postgres":
            await migrate(database_url)
            provider = await stack.enter_async_context(PostgresProvider(database_url))
            yield provider
        else:
            file = tmp_path / "perdure.db"
            yield await stack.enter_async_context(SqliteProvider(str(file)))
