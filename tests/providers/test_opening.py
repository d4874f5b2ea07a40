from __future__ import annotations

import subprocess
import sys
from contextlib import chdir
from typing import TYPE_CHECKING

import pytest

from perdure.client import Client
from perdure.errors import ConfigurationError
from perdure.executor import LocalRuntime
from perdure.model.ids import InstanceId
from perdure.providers.opening import open_provider, sqlite_path
from perdure.providers.postgres import PostgresProvider
from perdure.providers.sqlite import MemoryStore, SqliteProvider
from perdure.replay.registry import Registry
from tests.providers.greeting import greet, hello

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite://", None),
        ("sqlite:///", None),
        ("sqlite:///:memory:", None),
        ("sqlite:///perdure.db", "perdure.db"),
        ("sqlite:////var/lib/perdure.db", "/var/lib/perdure.db"),
        ("SQLite:///a%20b/%C3%BC.db", "a b/ü.db"),
    ],
)
def test_a_url_names_a_file_or_memory(url: str, path: str | None) -> None:
    assert sqlite_path(url) == path
    assert isinstance(open_provider(url), SqliteProvider)


@pytest.mark.parametrize(
    "url", ["sqlite:perdure.db", "sqlite://host/perdure.db", "sqlite:///perdure.db?mode=ro"]
)
def test_a_url_that_names_no_file_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="expected sqlite:///FILE"):
        open_provider(url)


def test_any_other_url_is_of_postgres() -> None:
    assert isinstance(open_provider("postgresql://db.test/shop"), PostgresProvider)


async def test_a_client_connects_to_a_file(tmp_path: Path) -> None:
    with chdir(tmp_path):
        async with Client.connect("sqlite:///perdure.db") as client:
            await client.start(hello, "Ada", instance_id="a")
    async with (
        SqliteProvider(tmp_path / "perdure.db") as provider,
        LocalRuntime(provider, Registry().add(greet, hello)) as runtime,
    ):
        handle = runtime.client.get_handle("a", result_type=str)
        assert await handle.result(timeout=20) == "Hello, Ada!"


def test_sqlite_needs_no_driver_of_postgres() -> None:
    code = (
        "import asyncio, sys\n"
        "from perdure.client import Client\n"
        "import perdure.executor\n"
        "async def main():\n"
        "    async with Client.connect('sqlite://'): pass\n"
        "asyncio.run(main())\n"
        "assert 'asyncpg' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


async def test_processes_of_one_system_share_a_store_in_memory() -> None:
    store, registry = MemoryStore(), Registry().add(greet, hello)
    async with (
        SqliteProvider(store) as one,
        SqliteProvider(store) as two,
        SqliteProvider(store) as three,
        LocalRuntime(one, registry, activities=None),
        LocalRuntime(two, registry, turns=None),
        Client(three) as client,
    ):
        handle = await client.start(hello, "Ada")
        assert await handle.result(timeout=20) == "Hello, Ada!"
        (info,) = await one.read_instances([InstanceId(handle.instance_id)])
        assert info is not None
        assert info.output == '"Hello, Ada!"'
