"""`perdure list`: the instances of a database, newest first."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Annotated

import typer
from rich.text import Text

from perdure.cli.conditions import takes_conditions
from perdure.cli.connection import DatabaseUrlOption, SchemaOption, connect_client
from perdure.cli.describe import ago, duration, failure_line, instance_document, status_text
from perdure.cli.output import (
    Output,
    OutputOption,
    notes_console,
    plain,
    print_document,
    print_documents,
    print_table,
)
from perdure.client.queries import Where, listing
from perdure.providers.reading import InstanceInfo, InstancePage, InstanceStatus, ListInstances

__all__ = ["list_instances", "print_counts", "print_instances", "read_up_to"]

_PAGE = 200
_DETAIL_WIDTH = 60


@takes_conditions
def list_instances(
    *,
    where: Where,
    limit: Annotated[
        int, typer.Option("--limit", min=0, help="At most so many; 0 means all.")
    ] = 50,
    count: Annotated[
        bool, typer.Option("--count", help="Only how many there are, by status.")
    ] = False,
    output: OutputOption = Output.TABLE,
    database_url: DatabaseUrlOption = None,
    schema: SchemaOption = "perdure",
) -> None:
    """List instances, newest first, or count them.

    Examples:
        perdure list --status Running,Blocked
        perdure list --name checkout --version 2.0.0 --roots -o wide
        perdure list --since 2h --attribute customer=ada
        perdure list --status Failed --ended-since 2026-11-01 --count
        perdure list --limit 0 -o json | jq -r '.[].instance'
    """
    query = listing(where)

    async def go() -> None:
        async with connect_client(database_url, schema) as client:
            if count:
                print_counts(await client.count(**where), output)
                return
            instances, is_more = await read_up_to(client.list_page, query, limit)
        if output in {Output.JSON, Output.YAML}:
            print_documents([instance_document(info) for info in instances], output)
        elif instances:
            print_instances(instances, is_wide=output is Output.WIDE)
        else:
            notes_console().print("No instances.")
        if is_more:
            notes_console().print(
                Text(f"There are more than {limit}: see more with --limit", style="dim")
            )

    asyncio.run(go())


def print_counts(counts: Mapping[InstanceStatus, int], output: Output = Output.TABLE) -> None:
    """Print how many instances have each status, and how many there are in all."""
    by_status = {status.value: counts[status] for status in InstanceStatus if counts.get(status)}
    total = sum(by_status.values())
    if output in {Output.JSON, Output.YAML}:
        print_document({"total": total, "byStatus": by_status}, output)
        return
    rows: list[tuple[str | Text, str]] = [
        (status_text(InstanceStatus(status)), str(count)) for status, count in by_status.items()
    ]
    print_table(["STATUS", "INSTANCES"], [*rows, ("total", str(total))], right=("INSTANCES",))


async def read_up_to(
    read_page: Callable[[ListInstances], Awaitable[InstancePage]], query: ListInstances, limit: int
) -> tuple[list[InstanceInfo], bool]:
    """Read `limit` instances (0: all) page by page; tells whether there are more."""
    found: list[InstanceInfo] = []
    after: str | None = None
    while True:
        want = min(_PAGE, limit - len(found)) if limit else _PAGE
        page = await read_page(replace(query, limit=want, after=after))
        found += page.instances
        after = page.next
        if after is None or (limit and len(found) >= limit):
            return found, after is not None


def print_instances(instances: Sequence[InstanceInfo], *, is_wide: bool) -> None:
    """Print instances as a table."""
    columns = ["INSTANCE", "ORCHESTRATION", "STATUS", "AGE", "TOOK", "DETAIL"]
    if is_wide:
        columns[2:2] = ["VERSION", "EXECUTION", "HISTORY", "PARENT", "ATTRIBUTES"]
    rows: list[list[str | Text]] = []
    for info in instances:
        took = duration(info.finished_at - info.created_at) if info.finished_at else ""
        row: list[str | Text] = [
            str(info.instance),
            info.name,
            status_text(info.status),
            ago(info.created_at),
            took,
            _detail(info, None if is_wide else _DETAIL_WIDTH),
        ]
        if is_wide:
            row[2:2] = [
                info.version or "",
                str(info.execution),
                str(info.history_length),
                info.parent or "",
                info.attributes or "",
            ]
        rows.append(row)
    print_table(columns, rows, right=("AGE", "TOOK", "EXECUTION", "HISTORY"))


def _detail(info: InstanceInfo, width: int | None) -> str:
    """What a reader of a list wants to know besides: why it does not go on, or what it says."""
    if info.block is not None:
        return plain(f"{info.block.reason}: {info.block.message}", width=width)
    if info.failure is not None:
        return failure_line(info.failure, width=width)
    if info.awaits_limit:
        return plain(f"waits for limit {info.limit}", width=width)
    if info.cancel_requested and not info.status.is_terminal:
        return "cancel requested"
    return plain(info.custom_status or "", width=width)
