"""The plan of a backup: it only decides; what it decides is done by `activities`."""

import asyncio
from dataclasses import dataclass

from perdure import ActivityError, OrchestrationContext, orchestration

from . import activities, volume
from .activities import Packed


@dataclass(frozen=True)
class Report:
    """What a run did: the result of the orchestration."""

    backup: str
    databases: int
    tables: int
    rows: int
    bytes: int
    deleted: list[str]
    kept: list[str]
    """Old backups that nobody approved to delete."""


@orchestration(version="1.0.0")
async def pgbackup(
    ctx: OrchestrationContext,
    keep: int = 7,
    only: list[str] | None = None,
    approval_hours: float = 24,
    abandoned_after_hours: float = 24,
) -> Report:
    """Back up every database (or `only` some), verified; then ask before deleting old backups."""
    if keep < 1:
        raise ValueError(f"keep is {keep}; at least the backup just made is kept: 1")
    taken = ctx.now()
    backup = volume.backup_id(taken, str(ctx.uuid4()))
    await activities.sweep(abandoned_after_hours)
    databases = await activities.list_databases() if only is None else only
    ctx.set_custom_status(f"{backup}: backing up {len(databases)} databases")

    each = [asyncio.ensure_future(back_up(backup, database)) for database in databases]
    try:
        packed = await asyncio.gather(*each)
        await activities.finish(backup, taken, packed)
    except ActivityError:
        for one in each:
            one.cancel()
        await activities.discard(backup)
        raise

    deleted, kept = await delete_surplus(ctx, backup, keep, approval_hours)
    ctx.set_custom_status(f"{backup}: whole and verified")
    return Report(
        backup=backup,
        databases=len(packed),
        tables=sum(len(one.tables) for one in packed),
        rows=sum(sum(one.tables.values()) for one in packed),
        bytes=sum(one.bytes for one in packed),
        deleted=deleted,
        kept=kept,
    )


async def back_up(backup: str, database: str) -> Packed:
    dumped = await activities.dump(backup, database)
    packed = await activities.pack(backup, dumped)
    await activities.verify(backup, dumped, packed)
    return packed


async def delete_surplus(
    ctx: OrchestrationContext, backup: str, keep: int, approval_hours: float
) -> tuple[list[str], list[str]]:
    """Delete what is beyond `keep` once somebody says so; keep everything if nobody does.

    Returns what was deleted and what was kept for want of approval.
    """
    old = await activities.surplus(keep)
    if not old:
        return [], []
    ctx.set_custom_status(
        f"{backup}: whole and verified; the event `approve-delete` would delete {', '.join(old)}"
    )
    try:
        async with asyncio.timeout(approval_hours * 3600):
            await ctx.wait_event("approve-delete")
    except TimeoutError:
        return [], old
    for name in old:
        await activities.delete(name, keep)
    return old, []
