from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from perdure.providers.sqlite import MemoryStore, SqliteProvider
from perdure.testing.conformance import CHECKS, Check, ManualClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


class SqliteStorage:
    def __init__(self, store: MemoryStore | Path) -> None:
        self.clock = ManualClock()
        self.store = store

    @asynccontextmanager
    async def open(self, *, inbox_limit: int = 10_000) -> AsyncIterator[SqliteProvider]:
        async with SqliteProvider(
            self.store, clock=self.clock, inbox_limit=inbox_limit
        ) as provider:
            yield provider


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: f"{check.area}.{check.name}")
async def test_conformance_in_memory(check: Check) -> None:
    await check.against(SqliteStorage(MemoryStore()))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: f"{check.area}.{check.name}")
async def test_conformance_in_a_file(check: Check, tmp_path: Path) -> None:
    await check.against(SqliteStorage(tmp_path / "perdure.db"))
