"""Getting rid of what is over: `perdure delete`, `retire` and `prune`."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Annotated

import typer

from perdure.cli.conditions import StatusOption, parse_statuses, takes_conditions
from perdure.cli.connection import DatabaseUrlOption, SchemaOption, connect_client
from perdure.cli.control import InstancesArgument
from perdure.cli.describe import counted
from perdure.cli.many import (
    TERMINAL,
    AllOption,
    DryRunOption,
    YesOption,
    agreed,
    chosen,
    narrowed,
    preview,
    progress,
    steer,
)
from perdure.cli.output import warn
from perdure.cli.spans import parse_span, parse_time
from perdure.client.client import Client
from perdure.client.queries import Where
from perdure.errors import CallerError, ConfigurationError
from perdure.providers.administering import Pruned

__all__ = ["delete", "prune", "retire"]

_STEP = 500

BeforeOption = Annotated[
    str | None,
    typer.Option("--before", metavar="WHEN", help="Only what ended before: a time, or 30d ago."),
]


@takes_conditions
def delete(
    *,
    instances: InstancesArgument = None,
    where: Where,
    force: Annotated[
        bool, typer.Option("--force", help="Running ones too; only of instances by name.")
    ] = False,
    everything: AllOption = False,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    database_url: DatabaseUrlOption = None,
    schema: SchemaOption = "perdure",
) -> None:
    """Delete instances that have ended, with their histories and all their children.

    A child goes with its root alone. Many are chosen by conditions: they are counted and shown
    before it asks.

    Examples:
        perdure delete order-17
        perdure delete order-17 --force
        perdure delete --name checkout --status Completed --ended-until 30d --dry-run
    """
    by_conditions = chosen(instances, where, everything=everything)
    if by_conditions and force:
        raise ConfigurationError(
            "--force is for instances by name; of many, terminate those that run first"
        )

    async def go() -> None:
        async with connect_client(database_url, schema) as client:
            if not by_conditions:
                await _delete_each(client, instances or [], force=force)
                return
            roots: Where = {**narrowed(where, TERMINAL, "deleted"), "roots": True}
            bulk = client.bulk(**roots)
            await steer(
                client,
                roots,
                "deleted",
                lambda tell: bulk.delete(progress=tell),
                dry_run=dry_run,
                yes=yes,
            )

    asyncio.run(go())


async def _delete_each(client: Client, instances: list[str], *, force: bool) -> None:
    refused: list[CallerError] = []
    for instance in instances:
        try:
            gone = await client.delete(instance, force=force)
        except CallerError as error:
            refused.append(error)
            continue
        beneath = f" with {gone.instances - 1} beneath it" if gone.instances > 1 else ""
        typer.echo(f"{instance}: deleted{beneath}, {counted(gone.records, 'record')}")
    for other in refused[1:]:
        warn(str(other))
    if refused:
        raise refused[0]


def retire(
    *,
    older_than: Annotated[
        str | None,
        typer.Option("--older-than", metavar="SPAN", help="Ended so long ago, as 30d or 12h."),
    ] = None,
    before: BeforeOption = None,
    name: Annotated[str | None, typer.Option("--name", help="Only of this orchestration.")] = None,
    status: StatusOption = None,
    tenant: Annotated[str | None, typer.Option("--tenant", help="Only of this tenant.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many trees.")] = 10_000,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    database_url: DatabaseUrlOption = None,
    schema: SchemaOption = "perdure",
) -> None:
    """Delete what ended long ago, oldest first: whole trees, none in which anything still runs.

    Examples:
        perdure retire --older-than 30d --dry-run
        perdure retire --older-than 12h --name checkout --status Completed --yes
    """
    if (older_than is None) == (before is None):
        raise ConfigurationError("Say what may go: either --older-than SPAN or --before WHEN")
    now = datetime.now(UTC)
    span = None if older_than is None else parse_span(older_than, option="--older-than")
    end = now - span if span is not None else parse_time(before or "", option="--before", now=now)
    where: Where = {"roots": True, "finished_before": end}
    if name is not None:
        where["name"] = name
    if tenant is not None:
        where["tenant"] = tenant
    if statuses := parse_statuses(status):
        where["statuses"] = statuses
    where = narrowed(where, TERMINAL, "deleted")

    async def go() -> None:
        async with connect_client(database_url, schema) as client:
            total = await preview(client, where, "deleted with all beneath them")
            if dry_run or not total:
                return
            total = min(total, limit)
            if agreed(f"Shall the oldest {total} be deleted?", is_sure=yes):
                await _retire(client, where, end, limit=limit, total=total)

    asyncio.run(go())


async def _retire(client: Client, where: Where, end: datetime, *, limit: int, total: int) -> None:
    roots = instances = records = 0
    with progress("deleted", total) as tell:
        while roots < limit:
            step = min(_STEP, limit - roots)
            gone = await client.retire(
                finished_before=end,
                name=where.get("name"),
                tenant=where.get("tenant"),
                statuses=parse_statuses([str(one) for one in where.get("statuses", ())]),
                limit=step,
            )
            roots, instances = roots + gone.roots, instances + gone.instances
            records += gone.records
            tell(roots)
            if gone.roots < step:
                break
    typer.echo(
        f"{counted(roots, 'tree')} deleted: {counted(instances, 'instance')}, "
        f"{counted(records, 'record')}"
    )


@takes_conditions
def prune(
    *,
    instances: InstancesArgument = None,
    where: Where,
    keep_last: Annotated[
        int | None,
        typer.Option("--keep-last", min=1, help="Keep so many executions, the last ones."),
    ] = None,
    before: BeforeOption = None,
    everything: AllOption = False,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    database_url: DatabaseUrlOption = None,
    schema: SchemaOption = "perdure",
) -> None:
    """Delete the records of old executions (continue-as-new makes them); never of the last one.

    With both --keep-last and --before, both must allow it.

    Examples:
        perdure prune monitor-3 --keep-last 10
        perdure prune --name monitor --before 7d --yes
    """
    if keep_last is None and before is None:
        raise ConfigurationError("Say what may go: --keep-last N, --before WHEN, or both")
    by_conditions = chosen(instances, where, everything=everything)
    end = None if before is None else parse_time(before, option="--before")

    async def go() -> None:
        async with connect_client(database_url, schema) as client:
            if not by_conditions:
                for instance in instances or []:
                    gone = await client.prune(instance, keep_last=keep_last, finished_before=end)
                    typer.echo(f"{instance}: {_said(gone)}")
                return
            total = await preview(client, where, "pruned")
            question = "Shall their old executions be deleted?"
            if dry_run or not total or not agreed(question, is_sure=yes):
                return
            gone = await client.prune_many(
                keep_last=keep_last, executions_finished_before=end, **where
            )
            typer.echo(_said(gone))

    asyncio.run(go())


def _said(gone: Pruned) -> str:
    return f"{counted(gone.executions, 'execution')} pruned, {counted(gone.records, 'record')}"
