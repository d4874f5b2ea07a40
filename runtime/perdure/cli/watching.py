"""`perdure watch`: see things change, one instance's events or the list."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Annotated

import typer
from rich.text import Text

from perdure.cli.conditions import StatusOption, parse_statuses
from perdure.cli.connection import DatabaseUrlOption, SchemaOption, connect
from perdure.cli.describe import duration, failure_line, instance_document, status_text
from perdure.cli.events import EventLines, event_document
from perdure.cli.exits import InstanceEndedError
from perdure.cli.following import follow
from perdure.cli.listing import read_up_to
from perdure.cli.output import Output, OutputOption, data_console, plain
from perdure.errors import ConfigurationError
from perdure.model.events import Event
from perdure.model.ids import InstanceId
from perdure.providers.protocol import ClientProvider
from perdure.providers.reading import InstanceInfo, InstanceStatus, ListInstances

__all__ = ["watch"]

_LIST_MAX = 200


def watch(
    *,
    instance: Annotated[
        str | None,
        typer.Argument(
            metavar="[INSTANCE]", help="Without one: every instance.", show_default=False
        ),
    ] = None,
    status: StatusOption = None,
    name: Annotated[
        str | None, typer.Option("--name", help="Only instances of this orchestration.")
    ] = None,
    prefix: Annotated[
        str | None, typer.Option("--prefix", help="Only ids that start with this.")
    ] = None,
    interval: Annotated[
        float, typer.Option("--interval", min=0.1, help="Seconds between looks at the list.")
    ] = 1.0,
    output: OutputOption = Output.TABLE,
    database_url: DatabaseUrlOption = None,
    schema: SchemaOption = "perdure",
) -> None:
    """Follow one instance's events to its end, or the changes of many until Ctrl-C.

    With an instance it exits with 0 if that Completed and 1 if it ended otherwise. With -o json
    each line is one document. Without an instance it follows the 200 newest that match.

    Examples:
        perdure watch order-17
        perdure watch --name checkout --status Failed,Blocked
    """
    if output is Output.YAML:
        raise ConfigurationError("watch prints line by line: use -o table or -o json")

    async def go() -> None:
        async with connect(database_url, schema) as provider:
            if instance is not None:
                await _one(provider, instance, output)
                return
            query = ListInstances(name=name, prefix=prefix, statuses=parse_statuses(status))
            await _many(provider, query, interval, output)

    asyncio.run(go())


async def _one(provider: ClientProvider, instance: str, output: Output) -> None:
    console = data_console()
    lines = EventLines()
    is_json = output is Output.JSON

    def show(event: Event) -> None:
        if is_json:
            _print_line(event_document(event))
        else:
            console.print(Text(f"{event.at:%H:%M:%S}  ", style="dim") + lines.text(event))

    info = await follow(provider, instance, show)
    if not is_json:
        took = duration((info.finished_at or info.created_at) - info.created_at)
        console.print(status_text(info.status) + Text(f" after {took}", style="dim"))
    if info.status is not InstanceStatus.COMPLETED:
        why = failure_line(info.failure)
        raise InstanceEndedError(
            f"Instance {info.instance} ended as {info.status.value}{f': {why}' if why else ''}"
        )


async def _many(
    provider: ClientProvider, query: ListInstances, interval: float, output: Output
) -> None:
    """Print each instance when it is first seen, and again whenever its status changes."""
    console = data_console()
    seen: dict[InstanceId, tuple[object, ...]] = {}
    while True:
        instances, _ = await read_up_to(provider.list_instances, query, _LIST_MAX)
        for info in reversed(instances):
            now = (info.status, info.execution, info.custom_status_version)
            if seen.get(info.instance) == now:
                continue
            seen[info.instance] = now
            if output is Output.JSON:
                _print_line(instance_document(info))
            else:
                console.print(_change(info))
        await asyncio.sleep(interval)


def _change(info: InstanceInfo) -> Text:
    at = info.finished_at or info.created_at
    line = Text(f"{at:%H:%M:%S}  ", style="dim") + Text(plain(info.instance)) + Text("  ")
    line += Text(f"{plain(info.name)}  ", style="dim") + status_text(info.status)
    if info.failure is not None:
        line += Text(f"  {failure_line(info.failure, width=100)}", style="dim")
    elif info.custom_status is not None:
        line += Text(f"  {plain(info.custom_status, width=100)}", style="dim")
    return line


def _print_line(document: dict[str, object]) -> None:
    sys.stdout.write(f"{json.dumps(document, ensure_ascii=False)}\n")
    sys.stdout.flush()
