from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from perdure import OrchestrationDef, Registry
from perdure.client import Client
from perdure.executor import LocalRuntime
from perdure.providers.postgres import PostgresProvider
from perdure.providers.postgres.migrate import migrate

_EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture(scope="session")
def hello() -> ModuleType:
    return _load("hello/hello.py")


@pytest.fixture(scope="session")
def checkout() -> ModuleType:
    return _load("checkout/checkout.py")


@pytest.fixture(scope="session")
def pgbackup() -> Iterator[ModuleType]:
    folder = str(_EXAMPLES / "pgbackup")
    sys.path.insert(0, folder)
    yield importlib.import_module("pgbackup")
    sys.path.remove(folder)


def _load(file: str) -> ModuleType:
    path = _EXAMPLES / file
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def examples(
    hello: ModuleType, checkout: ModuleType, pgbackup: ModuleType
) -> dict[str, OrchestrationDef[..., Any]]:
    """All orchestrations of the examples, by name."""
    registry = Registry.from_module(hello, checkout, pgbackup)
    return {one.name: one for one in registry.orchestrations}


@pytest.fixture
async def migrated_url(database_url: str) -> str:
    await migrate(database_url)
    return database_url


@pytest.fixture
async def client(
    migrated_url: str, hello: ModuleType, checkout: ModuleType, pgbackup: ModuleType
) -> AsyncIterator[Client]:
    """A client of a runtime that has the code of all examples."""
    registry = Registry.from_module(hello, checkout, pgbackup)
    async with (
        PostgresProvider(migrated_url) as provider,
        LocalRuntime(provider, registry) as local,
    ):
        yield local.client


@pytest.fixture
async def replaying(migrated_url: str, pgbackup: ModuleType) -> AsyncIterator[Client]:
    """A client of a runtime that takes turns, and leaves activities to others."""
    registry = Registry.from_module(pgbackup)
    async with (
        PostgresProvider(migrated_url) as provider,
        LocalRuntime(provider, registry, activities=None) as local,
    ):
        yield local.client
