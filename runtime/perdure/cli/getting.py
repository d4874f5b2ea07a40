"""`perdure get`: everything about one instance but its history."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated

import typer
from rich.text import Text

from perdure.cli.connection import DatabaseUrlOption, SchemaOption, connect, read_instance
from perdure.cli.describe import (
    activity_document,
    ago,
    duration,
    instance_document,
    status_text,
    value_of,
)
from perdure.cli.output import (
    Output,
    OutputOption,
    data_console,
    dump_json,
    plain,
    print_document,
    print_table,
)
from perdure.model.ids import InstanceId, JsonText
from perdure.providers.reading import InstanceInfo, OpenActivity

__all__ = ["get"]

_VALUE_WIDTH = 400


def get(
    *,
    instance: Annotated[str, typer.Argument(metavar="INSTANCE", show_default=False)],
    output: OutputOption = Output.TABLE,
    database_url: DatabaseUrlOption = None,
    schema: SchemaOption = "perdure",
) -> None:
    """Show one instance: its status, result or failure, and the activities it waits for.

    Examples:
        perdure get order-17
        perdure get order-17 -o json | jq .status
    """

    async def go() -> None:
        async with connect(database_url, schema) as provider:
            info = await read_instance(provider, instance)
            activities = await provider.read_activities([InstanceId(instance)])
        if output in {Output.JSON, Output.YAML}:
            document = instance_document(info)
            document["activities"] = [activity_document(one) for one in activities]
            print_document(document, output)
        else:
            _print(info, activities, is_wide=output is Output.WIDE)

    asyncio.run(go())


def _print(info: InstanceInfo, activities: Sequence[OpenActivity], *, is_wide: bool) -> None:
    width = None if is_wide else _VALUE_WIDTH
    rows: list[tuple[str, str | Text | None]] = [
        ("Instance", str(info.instance)),
        ("Orchestration", info.name + (f" {info.version}" if info.version else "")),
        ("Status", status_text(info.status)),
        ("Blocked", f"{info.block.reason}: {info.block.message}" if info.block else None),
        ("Execution", str(info.execution)),
        ("Parent", info.parent),
        ("Tenant", info.tenant or None),
        ("Created", f"{info.created_at:%Y-%m-%d %H:%M:%S} UTC, {ago(info.created_at)} ago"),
        ("Ended", _ended(info)),
        ("History", f"{info.history_length} records"),
        ("Cancel", "requested" if info.cancel_requested else None),
        ("Custom status", _shown(info.custom_status, width)),
        ("Output", _shown(info.output, width)),
    ]
    if info.failure is not None:
        rows += [
            ("Failure", f"{info.failure.type}: {info.failure.message}"),
            ("Category", info.failure.category.value),
        ]
    console = data_console()
    for label, value in rows:
        if value is not None:
            text = value if isinstance(value, Text) else Text(plain(value))
            console.print(Text(f"{label + ':':<15}", style="bold") + text)
    if info.failure is not None and info.failure.traceback and is_wide:
        console.print(Text("Traceback:", style="bold"))
        for line in info.failure.traceback.rstrip().splitlines():
            console.print(Text(f"  {plain(line)}"))
    if activities:
        console.print()
        _print_activities(activities)


def _ended(info: InstanceInfo) -> str | None:
    if info.finished_at is None:
        return None
    took = duration(info.finished_at - info.created_at)
    return f"{info.finished_at:%Y-%m-%d %H:%M:%S} UTC, after {took}"


def _shown(text: JsonText | None, width: int | None) -> str | None:
    if text is None:
        return None
    return plain(dump_json(value_of(text), indent=None), width=width)


def _print_activities(activities: Sequence[OpenActivity]) -> None:
    rows = [
        (
            str(one.operation),
            one.name,
            one.tag or "-",
            "running" if one.leased else "waiting",
            str(one.attempt),
            str(one.failures),
            ago(one.queued_at),
            one.last_failure or "",
        )
        for one in activities
    ]
    print_table(
        ["OPERATION", "ACTIVITY", "TAG", "STATE", "ATTEMPT", "FAILURES", "AGE", "LAST FAILURE"],
        rows,
        right=("ATTEMPT", "FAILURES", "AGE"),
    )
