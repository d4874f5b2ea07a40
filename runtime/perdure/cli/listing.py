"""`perdure list`: the instances of a database, newest first."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated

import typer
from rich.text import Text

from perdure.cli.connection import DatabaseUrlOption, SchemaOption, connect
from perdure.cli.describe import ago, duration, failure_line, instance_document, status_text
from perdure.cli.output import (
    Output,
    OutputOption,
    notes_console,
    plain,
    print_documents,
    print_table,
)
from perdure.errors import ConfigurationError
from perdure.providers.protocol import ClientProvider
from perdure.providers.reading import InstanceInfo, InstanceStatus, ListInstances

__all__ = ["StatusOption", "list_instances", "parse_statuses", "print_instances", "read_up_to"]

_PAGE = 200
_DETAIL_WIDTH = 60

StatusOption = Annotated[
    list[str] | None,
    typer.Option(
        "--status",
        metavar="STATUS",
        help=f"Only these ({', '.join(InstanceStatus)}); may be repeated or a comma list.",
        show_default=False,
    ),
]


def list_instances(
    *,
    status: StatusOption = None,
    name: Annotated[str | None, typer.Option("--name", help="Only of this orchestration.")] = None,
    prefix: Annotated[
        str | None, typer.Option("--prefix", help="Only ids that start with this.")
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", min=0, help="At most so many; 0 means all.")
    ] = 50,
    output: OutputOption = Output.TABLE,
    database_url: DatabaseUrlOption = None,
    schema: SchemaOption = "perdure",
) -> None:
    """List instances, newest first.

    Examples:
        perdure list --status Running,Blocked
        perdure list --name checkout --prefix order- -o wide
        perdure list --limit 0 -o json | jq -r '.[].instance'
    """
    query = ListInstances(name=name, prefix=prefix, statuses=parse_statuses(status))

    async def go() -> None:
        async with connect(database_url, schema) as provider:
            instances, is_more = await read_up_to(provider, query, limit)
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


def parse_statuses(given: Sequence[str] | None) -> tuple[InstanceStatus, ...]:
    """Read statuses, whatever their case.

    Raises:
        ConfigurationError: One of them is none.
    """
    by_name = {status.value.lower(): status for status in InstanceStatus}
    words = [word for text in given or () for word in text.split(",") if word]
    unknown = [word for word in words if word.lower() not in by_name]
    if unknown:
        raise ConfigurationError(
            f"There is no status {', '.join(unknown)}; there are {', '.join(InstanceStatus)}"
        )
    return tuple(by_name[word.lower()] for word in words)


async def read_up_to(
    provider: ClientProvider, query: ListInstances, limit: int
) -> tuple[list[InstanceInfo], bool]:
    """Read `limit` instances (0: all) page by page; tells whether there are more."""
    found: list[InstanceInfo] = []
    after: str | None = None
    while True:
        want = min(_PAGE, limit - len(found)) if limit else _PAGE
        page = await provider.list_instances(
            ListInstances(
                limit=want,
                after=after,
                tenant=query.tenant,
                name=query.name,
                statuses=query.statuses,
                prefix=query.prefix,
                parent=query.parent,
            )
        )
        found += page.instances
        after = page.next
        if after is None or (limit and len(found) >= limit):
            return found, after is not None


def print_instances(instances: Sequence[InstanceInfo], *, is_wide: bool) -> None:
    """Print instances as a table."""
    columns = ["INSTANCE", "ORCHESTRATION", "STATUS", "AGE", "TOOK", "DETAIL"]
    if is_wide:
        columns[2:2] = ["VERSION", "EXECUTION", "HISTORY", "PARENT"]
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
            ]
        rows.append(row)
    print_table(columns, rows, right=("AGE", "TOOK", "EXECUTION", "HISTORY"))


def _detail(info: InstanceInfo, width: int | None) -> str:
    """What a reader of a list wants to know besides: why it does not go on, or what it says."""
    if info.block is not None:
        return plain(f"{info.block.reason}: {info.block.message}", width=width)
    if info.failure is not None:
        return failure_line(info.failure, width=width)
    if info.cancel_requested and not info.status.is_terminal:
        return "cancel requested"
    return plain(info.custom_status or "", width=width)
