"""The steps of a backup. Each may be killed anywhere and run again.

`io` are those that wait for the server or the disk, `cpu` the one that computes: two pools, so
that neither waits for the other's machines.
"""

import asyncio
import hashlib
import secrets
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from perdure import ActivityContext, ApplicationError, Retry, activity

from . import server, volume

PERSISTENT = Retry(max_attempts=6, initial=timedelta(seconds=1), longest=timedelta(minutes=2))


@dataclass(frozen=True)
class Dump:
    """One database as `pg_dump` wrote it, and the rows of each table in it."""

    database: str
    file: str
    bytes: int
    tables: dict[str, int]


@dataclass(frozen=True)
class Packed:
    """A dump as it is kept."""

    database: str
    file: str
    bytes: int
    sha256: str
    unpacked_bytes: int
    tables: dict[str, int]


@asynccontextmanager
async def _until_cancelled(ctx: ActivityContext) -> AsyncGenerator[None]:
    """Stop the block when nobody wants its result any more, or the pod is told to go.

    The block is cancelled like any task: its `finally` kills what it started.
    """
    body = asyncio.current_task()

    async def watch() -> None:
        await ctx.wait_cancelled()
        if body is not None:
            body.cancel(ctx.cancel_reason)

    watcher = asyncio.create_task(watch())
    try:
        yield
    finally:
        watcher.cancel()


@activity(tag="io", retry=PERSISTENT)
async def sweep(abandoned_after_hours: float) -> list[str]:
    """Clean up after runs that died: partial folders, and scratch databases."""
    limit = timedelta(hours=abandoned_after_hours)
    swept = await asyncio.to_thread(volume.sweep, limit)
    for name in await server.scratch_databases():
        since = volume.age(name.removeprefix(server.SCRATCH))
        if since is None or since >= limit:
            await server.drop(name)
            swept.append(name)
    return swept


@activity(tag="io", retry=PERSISTENT)
async def list_databases() -> list[str]:
    return await server.databases()


@activity(tag="io", retry=PERSISTENT)
async def dump(ctx: ActivityContext, backup: str, database: str) -> Dump:
    path = volume.unique(backup, database, ".dump")
    async with _until_cancelled(ctx):
        with volume.written_whole(path) as partial:
            tables = await server.dump(database, partial)
    return Dump(database, path.name, path.stat().st_size, tables)


@activity(tag="cpu", retry=PERSISTENT)
def pack(ctx: ActivityContext, backup: str, dump: Dump) -> Packed:
    """Compress and digest in one pass: a body without `async` runs in a thread."""
    source = volume.folder(backup) / dump.file
    target = volume.unique(backup, dump.database, ".dump.gz")
    digest = volume.compress(source, target, ctx.raise_if_cancelled)
    size = target.stat().st_size
    return Packed(dump.database, target.name, size, digest, dump.bytes, dump.tables)


@activity(tag="io", retry=PERSISTENT)
async def verify(ctx: ActivityContext, backup: str, dump: Dump, packed: Packed) -> None:
    """Restore into a scratch database and compare. A backup that was never restored is a hope."""
    place = volume.folder(backup)
    (place / dump.file).unlink(missing_ok=True)  # its packed form is recorded: it may go
    mine = f"{server.SCRATCH}{backup}_{hashlib.sha256(packed.database.encode()).hexdigest()[:8]}_"
    scratch = mine + secrets.token_hex(3)  # 61 bytes: a name may have 63
    async with _until_cancelled(ctx):
        for left in await server.scratch_databases(mine):  # by an attempt that was killed
            await server.drop(left)
        async with server.scratch_database(scratch, like=packed.database):
            await server.restore(place / packed.file, into=scratch)
            found = await server.count(scratch)
    if found != packed.tables:
        tables = sorted(found.keys() | packed.tables.keys())
        differing = {
            table: [packed.tables.get(table), found.get(table)]
            for table in tables
            if found.get(table) != packed.tables.get(table)
        }
        raise ApplicationError(
            f"{packed.database}: what was restored differs from what was dumped",
            type="BackupDiffers",
            details=differing,
            retryable=False,
        )


@activity(tag="io", retry=PERSISTENT)
async def finish(backup: str, taken: datetime, packed: list[Packed]) -> None:
    """Write the manifest: from here on it is a backup."""
    manifest = {
        "backup": backup,
        "taken": taken.isoformat(),
        "server_version": await server.version(),
        "verified": True,
        "databases": [
            {
                "database": one.database,
                "file": one.file,
                "bytes": one.bytes,
                "sha256": one.sha256,
                "unpacked_bytes": one.unpacked_bytes,
                "rows": one.tables,
            }
            for one in packed
        ],
    }
    await asyncio.to_thread(volume.finish, backup, manifest)


@activity(tag="io", retry=PERSISTENT)
def discard(backup: str) -> None:
    """Remove what a failed run wrote."""
    volume.delete(backup)


@activity(tag="io", retry=PERSISTENT)
def surplus(keep: int) -> list[str]:
    """Whole backups beyond the newest `keep`."""
    return volume.whole_backups()[:-keep]


@activity(tag="io", retry=PERSISTENT)
def delete(backup: str, keep: int) -> None:
    """Delete an old backup, if even now `keep` newer ones are whole."""
    newer = [other for other in volume.whole_backups() if other > backup]
    if len(newer) < keep:
        raise ApplicationError(
            f"{backup} stays: {len(newer)} newer backups are whole, and {keep} must be",
            type="TooFewLeft",
            retryable=False,
        )
    volume.delete(backup)
