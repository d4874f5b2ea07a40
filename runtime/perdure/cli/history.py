"""`perdure history`: what happened to an instance, event by event."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Annotated

import typer

from perdure.cli.connection import DatabaseUrlOption, SchemaOption, connect, read_instance
from perdure.cli.describe import duration
from perdure.cli.events import EVENT_COLUMNS, EventLines, event_document
from perdure.cli.output import Output, OutputOption, plain, print_documents, print_table
from perdure.model.events import Event, events_of
from perdure.model.ids import InstanceId
from perdure.model.records import Record

__all__ = ["history"]

_BODY_WIDTH = 100


def history(
    *,
    instance: Annotated[str, typer.Argument(metavar="INSTANCE", show_default=False)],
    execution: Annotated[
        int | None,
        typer.Option(
            "--execution", min=1, help="Only this execution (continue-as-new starts another)."
        ),
    ] = None,
    tail: Annotated[
        int | None, typer.Option("--tail", min=1, help="Only so many, the last ones.")
    ] = None,
    raw: Annotated[
        bool, typer.Option("--raw", help="The records as they are stored, not the events.")
    ] = False,
    output: OutputOption = Output.TABLE,
    database_url: DatabaseUrlOption = None,
    schema: SchemaOption = "perdure",
) -> None:
    """Show what happened to an instance, event by event.

    Examples:
        perdure history order-17
        perdure history order-17 --execution 2 --tail 20
        perdure history order-17 --raw -o json > order-17.json
    """

    async def go() -> Sequence[Record]:
        async with connect(database_url, schema) as provider:
            await read_instance(provider, instance)
            return await provider.read_history(InstanceId(instance), execution=execution)

    records = asyncio.run(go())
    if raw:
        _print_records(records[-tail:] if tail else records, output)
    else:
        _print_events(list(events_of(records)), tail, output)


def _print_events(events: Sequence[Event], tail: int | None, output: Output) -> None:
    if output in {Output.JSON, Output.YAML}:
        print_documents([event_document(event) for event in events[-(tail or 0) :]], output)
        return
    lines = EventLines()
    start = events[0].at
    width = None if output is Output.WIDE else _BODY_WIDTH
    rows = [lines.row(event, start, width=width) for event in events]
    # All are gone through, since the last ones may complete what the first ones named.
    print_table(EVENT_COLUMNS, rows[-(tail or 0) :], right=("EVENT", "SINCE START"))


def _print_records(records: Sequence[Record], output: Output) -> None:
    if output in {Output.JSON, Output.YAML}:
        print_documents([_record_document(record) for record in records], output)
        return
    width = None if output is Output.WIDE else _BODY_WIDTH
    rows = [
        (
            str(record.seq),
            str(record.execution),
            duration(record.at - records[0].at),
            record.kind.name,
            record.ref or "",
            plain(record.body or "", width=width),
        )
        for record in records
    ]
    print_table(
        ["SEQ", "EXECUTION", "SINCE FIRST", "KIND", "REF", "BODY"],
        rows,
        right=("SEQ", "EXECUTION", "SINCE FIRST"),
    )


def _record_document(record: Record) -> dict[str, object]:
    body: object = None if record.body is None else json.loads(record.body)
    return {
        "seq": record.seq,
        "execution": record.execution,
        "kind": record.kind.name,
        "ref": record.ref,
        "body": body,
        "at": record.at.isoformat(),
    }
