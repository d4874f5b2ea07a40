"""`perdure get`: everything about one instance but its history."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
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
from perdure.model.ids import JsonText
from perdure.providers.administering import ExecutionInfo, InstanceSize
from perdure.providers.reading import InstanceInfo, OpenActivity

__all__ = ["get"]

_VALUE_WIDTH = 400
_EXECUTIONS_MAX = 10
"""Of a table for people: the last ones."""


@dataclass(frozen=True, slots=True)
class _Found:
    """What is known of one instance."""

    info: InstanceInfo
    activities: Sequence[OpenActivity]
    executions: Sequence[ExecutionInfo]
    size: InstanceSize | None


def get(
    *,
    instance: Annotated[str, typer.Argument(metavar="INSTANCE", show_default=False)],
    output: OutputOption = Output.TABLE,
    database_url: DatabaseUrlOption = None,
    schema: SchemaOption = "perdure",
) -> None:
    """Show one instance: its status, result or failure, executions, and what it waits for.

    With -o wide also what it takes: records, bytes, unread messages, keys.

    Examples:
        perdure get order-17
        perdure get order-17 -o wide
        perdure get order-17 -o json | jq .status
    """

    async def go() -> _Found:
        async with connect(database_url, schema) as provider:
            info = await read_instance(provider, instance)
            ids = [info.instance]
            return _Found(
                info,
                await provider.read_activities(ids),
                await provider.read_executions(info.instance),
                (await provider.read_sizes(ids))[0],
            )

    found = asyncio.run(go())
    if output in {Output.JSON, Output.YAML}:
        print_document(_document(found), output)
    else:
        _print(found, is_wide=output is Output.WIDE)


def _document(found: _Found) -> dict[str, object]:
    document = instance_document(found.info)
    document["executions"] = [
        {
            "execution": one.execution,
            "outcome": one.outcome.value if one.outcome else None,
            "version": one.version,
            "startedAt": one.started_at.isoformat(),
            "finishedAt": one.finished_at.isoformat() if one.finished_at else None,
            "records": one.records,
        }
        for one in found.executions
    ]
    if found.size is not None:
        document["size"] = {
            "records": found.size.records,
            "bytes": found.size.bytes,
            "unread": found.size.unread,
            "keys": found.size.keys,
            "keyBytes": found.size.key_bytes,
        }
    document["activities"] = [activity_document(one) for one in found.activities]
    return document


def _print(found: _Found, *, is_wide: bool) -> None:
    info = found.info
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
        ("Attributes", _shown(info.attributes, width)),
        ("Limit", f"{info.limit}{_waits(info.awaits_limit)}" if info.limit else None),
        ("History", f"{info.history_length} records"),
        ("Size", _size(found.size) if is_wide and found.size is not None else None),
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
    if len(found.executions) > 1 or is_wide:
        console.print()
        _print_executions(found.executions[-_EXECUTIONS_MAX:] if not is_wide else found.executions)
    if found.activities:
        console.print()
        _print_activities(found.activities, is_wide=is_wide)


def _ended(info: InstanceInfo) -> str | None:
    if info.finished_at is None:
        return None
    took = duration(info.finished_at - info.created_at)
    return f"{info.finished_at:%Y-%m-%d %H:%M:%S} UTC, after {took}"


def _shown(text: JsonText | None, width: int | None) -> str | None:
    if text is None:
        return None
    return plain(dump_json(value_of(text), indent=None), width=width)


def _waits(is_waiting: bool) -> str:
    return ", waits to be admitted" if is_waiting else ""


def _size(size: InstanceSize) -> str:
    said = f"{size.records} records of {size.bytes} bytes, {size.unread} unread messages"
    return f"{said}, {size.keys} keys of {size.key_bytes} bytes"


def _print_executions(executions: Sequence[ExecutionInfo]) -> None:
    rows = [
        (
            str(one.execution),
            one.outcome.value if one.outcome else "-",
            one.version or "",
            ago(one.started_at),
            duration(one.finished_at - one.started_at) if one.finished_at else "",
            str(one.records),
        )
        for one in executions
    ]
    print_table(
        ["EXECUTION", "OUTCOME", "VERSION", "AGE", "TOOK", "RECORDS"],
        rows,
        right=("EXECUTION", "AGE", "TOOK", "RECORDS"),
    )


def _print_activities(activities: Sequence[OpenActivity], *, is_wide: bool) -> None:
    columns = ["OPERATION", "ACTIVITY", "TAG", "STATE", "ATTEMPT", "FAILURES", "AGE"]
    columns += ["PRIORITY", "LIMIT", "PROGRESS"] if is_wide else []
    rows: list[list[str | Text]] = []
    for one in activities:
        row: list[str | Text] = [
            str(one.operation),
            one.name,
            one.tag or "-",
            "running" if one.leased else "limited" if one.awaits_limit else "waiting",
            str(one.attempt),
            str(one.failures),
            ago(one.queued_at),
        ]
        if is_wide:
            row += [str(one.priority), one.limit or "-", _shown(one.details, None) or ""]
        rows.append([*row, one.last_failure or ""])
    print_table([*columns, "LAST FAILURE"], rows, right=("ATTEMPT", "FAILURES", "AGE", "PRIORITY"))
