"""The blocking client: the same verbs, from threads without an event loop."""

from __future__ import annotations

import asyncio
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

from perdure import Client, InstanceHandle
from perdure.client import SyncClient, SyncInstanceHandle
from perdure.errors import CallerError, InstanceNotFoundError
from perdure.providers.postgres.migrate import migrate

ROOT = Path(__file__).parents[2]


@pytest.fixture
async def url(database_url: str) -> str:
    await migrate(database_url)
    return database_url


def test_it_is_written_from_the_client_as_it_is() -> None:
    done = subprocess.run(
        [sys.executable, "tools/sync_client.py", "--check"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("of", "blocking"), [(Client, SyncClient), (InstanceHandle, SyncInstanceHandle)]
)
def test_every_verb_is_there_with_the_same_parameters(of: type, blocking: type) -> None:
    verbs = {
        name: function
        for name, function in inspect.getmembers(of, inspect.isfunction)
        if not name.startswith("_") and name not in {"close", "bulk"}
    }
    assert len(verbs) > 8
    for name, function in verbs.items():
        other = getattr(blocking, name)
        assert list(inspect.signature(other).parameters) == list(
            inspect.signature(function).parameters
        ), name


def test_it_reaches_storage(url: str) -> None:
    with SyncClient.connect(url) as client:
        handle = client.start("nobody_runs_this", instance_id="sync-1", result_type=int)
        assert handle.instance_id == "sync-1"
        assert handle.status().name == "nobody_runs_this"
        assert [info.instance for info in client.list(name="nobody_runs_this")] == ["sync-1"]
        handle.terminate("enough")
        assert [info.status.value for info in handle.watch()] == ["Terminated"]
        with pytest.raises(InstanceNotFoundError, match="no-such"):
            client.get("no-such")


def test_where_an_event_loop_runs_it_says_what_to_use(url: str) -> None:
    with SyncClient.connect(url) as client:

        async def inside() -> None:
            client.get("anything")

        with pytest.raises(CallerError, match=r"use `perdure\.Client` with `await`"):
            asyncio.run(inside())


def test_a_closed_one_says_so(url: str) -> None:
    with SyncClient.connect(url) as client:
        pass
    with pytest.raises(CallerError, match="closed"):
        client.get("anything")
