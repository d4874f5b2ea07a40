"""In scope: the promises of examples/pgbackup/README.md, on a real server with a real pg_dump."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from perdure import ApplicationError, OrchestrationCancelledError, OrchestrationError
from perdure.client import Client
from perdure.testing.postgres import EmbeddedPostgres, _find_programs

_ROOT = Path(__file__).resolve().parents[2]
_FILL = """
create schema "Odd name";
create table "Odd name".t (n int primary key, body text);
insert into "Odd name".t select n, repeat(md5(n::text), 20) from generate_series(1, 5000) n;
create table part (n int) partition by range (n);
create table part_1 partition of part for values from (0) to (10);
insert into part values (1), (2), (3);
"""
_ROWS = {'"Odd name".t': 5000, "public.part_1": 3}

type Connection = asyncpg.Connection[asyncpg.Record]


@pytest.fixture(scope="module")
def source() -> Iterator[EmbeddedPostgres]:
    """The server that is backed up: not the one that holds the history."""
    with EmbeddedPostgres(settings={"fsync": "off"}) as server:
        yield server


@pytest.fixture
async def volume(source: EmbeddedPostgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty volume, and the environment that the pool would give."""
    url = urlsplit(source.url)
    for name, value in {
        "BACKUP_ROOT": str(tmp_path),
        "PATH": f"{_find_programs()}{os.pathsep}{os.environ['PATH']}",
        "PGHOST": url.hostname,
        "PGPORT": str(url.port),
        "PGUSER": url.username,
        "PGPASSWORD": url.password,
    }.items():
        monkeypatch.setenv(name, str(value))
    async with _connected(source) as connection:
        await connection.execute('drop database if exists "odd=shop\'s" with (force)')
        await connection.execute('create database "odd=shop\'s"')
    async with _connected(source, "odd=shop's") as connection:
        await connection.execute(_FILL)
    return tmp_path


@asynccontextmanager
async def _connected(
    server: EmbeddedPostgres, database: str = "postgres"
) -> AsyncIterator[Connection]:
    connection = await asyncpg.connect(server.url_of(database))
    try:
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def _dump_held_up(source: EmbeddedPostgres) -> AsyncIterator[None]:
    """Hold a lock that pg_dump waits for, and counting rows does not."""
    async with _connected(source, "odd=shop's") as holder, holder.transaction():
        await holder.execute("lock table only part in access exclusive mode")
        yield


async def _until(probe: Callable[[], Any], seconds: float = 30) -> None:
    async with asyncio.timeout(seconds):
        while not await probe():  # noqa: ASYNC110  it is no task of ours that we wait for
            await asyncio.sleep(0.02)  # may sleep: what changes is in another process


async def _dumps_running(source: EmbeddedPostgres) -> int:
    async with _connected(source) as connection:
        query = "select count(*) from pg_stat_activity where application_name = 'pg_dump'"
        return int(await connection.fetchval(query))


async def _scratch(source: EmbeddedPostgres) -> list[str]:
    async with _connected(source) as connection:
        query = "select datname from pg_database where starts_with(datname, 'pgbackup_scratch_')"
        return [row[0] for row in await connection.fetch(query)]


def _manifests(volume: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted(volume.glob("*/manifest.json"))]


def _names(volume: Path, pattern: str) -> set[str]:
    return {path.name for path in volume.glob(pattern)}


def _put(volume: Path, name: str, content: bytes) -> None:
    (path,) = volume.glob(f"*/{name}")
    path.write_bytes(content)


def _check(volume: Path) -> subprocess.CompletedProcess[str]:
    """What a person would run in the pod."""
    return subprocess.run(
        [sys.executable, "-m", "pgbackup"],
        cwd=_ROOT / "examples" / "pgbackup",
        env=os.environ | {"BACKUP_ROOT": str(volume)},
        capture_output=True,
        text=True,
        check=False,
    )


async def test_a_backup_is_whole_verified_and_leaves_nothing_else(
    client: Client, pgbackup: ModuleType, volume: Path, source: EmbeddedPostgres
) -> None:
    report = await (await client.start(pgbackup.pgbackup)).result(timeout=60)
    (manifest,) = _manifests(volume)
    by_name = {one["database"]: one for one in manifest["databases"]}
    assert by_name["odd=shop's"]["rows"] == _ROWS
    assert (report.databases, report.rows) == (2, 5003)
    assert _names(volume, "*/*") == {"manifest.json", *(one["file"] for one in by_name.values())}
    assert not await _scratch(source)
    checked = _check(volume)
    assert (checked.returncode, checked.stdout.count("ok ")) == (0, 2)


async def test_a_file_that_was_changed_afterwards_is_found(
    client: Client, pgbackup: ModuleType, volume: Path
) -> None:
    await (await client.start(pgbackup.pgbackup)).result(timeout=60)
    (name,) = _names(volume, "*/postgres*.gz")
    _put(volume, name, gzip.compress(b"something else"))
    checked = _check(volume)
    assert checked.returncode == 1
    assert "BAD" in checked.stdout


async def test_old_backups_go_when_somebody_approves(
    client: Client, pgbackup: ModuleType, volume: Path
) -> None:
    first = await (await client.start(pgbackup.pgbackup, only=["postgres"])).result(timeout=60)
    handle = await client.start(pgbackup.pgbackup, keep=1, only=["postgres"])
    await handle.raise_event("approve-delete")
    second = await handle.result(timeout=60)
    assert (second.deleted, second.kept) == ([first.backup], [])
    assert [one["backup"] for one in _manifests(volume)] == [second.backup]


async def test_old_backups_stay_when_nobody_does(
    client: Client, pgbackup: ModuleType, volume: Path
) -> None:
    first = await (await client.start(pgbackup.pgbackup, only=["postgres"])).result(timeout=60)
    handle = await client.start(pgbackup.pgbackup, keep=1, only=["postgres"], approval_hours=1e-4)
    second = await handle.result(timeout=60)
    assert (second.deleted, second.kept) == ([], [first.backup])
    assert len(_manifests(volume)) == 2


async def test_a_run_that_fails_leaves_no_backup(
    client: Client, pgbackup: ModuleType, volume: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", "wrong")
    monkeypatch.setattr(pgbackup.dump, "retry", None)
    monkeypatch.setattr(pgbackup.sweep, "retry", None)
    handle = await client.start(pgbackup.pgbackup, only=["postgres"])
    with pytest.raises(OrchestrationError, match="password"):
        await handle.result(timeout=60)
    assert not _manifests(volume)


async def test_a_restore_that_differs_is_no_backup(
    pgbackup: ModuleType, volume: Path, source: EmbeddedPostgres
) -> None:
    context = _Uncancelled()
    dumped = await pgbackup.dump.fn(context, "20260101T000000Z-a", "odd=shop's")
    packed = pgbackup.pack.fn(context, "20260101T000000Z-a", dumped)
    packed.tables["public.part_1"] = 4
    with pytest.raises(ApplicationError) as failure:
        await pgbackup.verify.fn(context, "20260101T000000Z-a", dumped, packed)
    assert failure.value.details == {"public.part_1": [4, 3]}
    assert not failure.value.retryable
    assert not await _scratch(source)
    assert not _manifests(volume)


class _Uncancelled:
    """Enough of an ActivityContext to call a plain body."""

    is_cancelled = False
    cancel_reason = None

    def raise_if_cancelled(self) -> None:
        return

    async def wait_cancelled(self) -> str:
        await asyncio.Event().wait()
        return ""


async def test_cancel_kills_pg_dump_and_leaves_no_file(
    client: Client, pgbackup: ModuleType, volume: Path, source: EmbeddedPostgres
) -> None:
    async with _dump_held_up(source):
        handle = await client.start(pgbackup.pgbackup, only=["odd=shop's"])
        await _until(lambda: _dumps_running(source))
        await handle.cancel("enough")
        with pytest.raises(OrchestrationCancelledError):
            await handle.result(timeout=30)

        async def gone() -> bool:
            return await _dumps_running(source) == 0

        await _until(gone)  # though nobody let go of the lock

    async def tidy() -> bool:
        return not _names(volume, "*/*")

    await _until(tidy)


@contextmanager
def _executor(url: str) -> Iterator[None]:
    """The example's executor in a process of its own, as in a pod; killed at the end."""
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "perdure.cli.main", "executor", "--app", "pgbackup"),
            *("--tags", "io,cpu", "--slots", "4"),
        ],
        env=os.environ
        | {
            "PERDURE_DATABASE_URL": url,
            "PERDURE_LEASE_SECONDS": "2",
            "PERDURE_PROBE_PORT": "0",
            "PYTHONPATH": str(_ROOT / "examples" / "pgbackup"),
        },
        start_new_session=True,
    )
    try:
        yield
    finally:
        # With its session: what a killed executor had started would live on, unlike in a pod.
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


async def test_an_executor_killed_in_the_middle_costs_time_only(
    migrated_url: str,
    replaying: Client,
    pgbackup: ModuleType,
    volume: Path,
    source: EmbeddedPostgres,
) -> None:
    async with _dump_held_up(source):
        with _executor(migrated_url):
            handle = await replaying.start(pgbackup.pgbackup)
            await _until(lambda: _dumps_running(source))
        assert not _manifests(volume)
    with _executor(migrated_url):
        report = await handle.result(timeout=60)
    (manifest,) = _manifests(volume)
    assert manifest["backup"] == report.backup
    assert (report.databases, report.rows) == (2, 5003)
    assert not _names(volume, "*/.partial-*")
    assert not await _scratch(source)
    assert _check(volume).returncode == 0


async def test_a_sweep_removes_what_dead_runs_left_and_nothing_else(
    client: Client, pgbackup: ModuleType, volume: Path, source: EmbeddedPostgres
) -> None:
    whole = await (await client.start(pgbackup.pgbackup, only=["postgres"])).result(timeout=60)
    (volume / whole.backup / "stray.dump").touch()
    (volume / "20200101T000000Z-dead").mkdir()
    (volume / "20200101T000000Z-dead" / "postgres.dump.gz").touch()
    (volume / ".deleting-20190101T000000Z-old").mkdir()
    (volume / "something-of-others").mkdir()
    async with _connected(source) as connection:
        await connection.execute('create database "pgbackup_scratch_20200101T000000Z-dead_a_b"')
    swept = await pgbackup.sweep.fn(1.0)
    assert swept == [
        ".deleting-20190101T000000Z-old",
        "20200101T000000Z-dead",
        "pgbackup_scratch_20200101T000000Z-dead_a_b",
    ]
    assert _names(volume, "*") == {whole.backup, "something-of-others"}
    assert not _names(volume, "*/stray*")
    assert _check(volume).returncode == 0
