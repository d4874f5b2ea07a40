"""`perdure limit`: how many of a key may run at once, and be admitted in a time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated

import typer

from perdure.cli.connection import DatabaseUrlOption, SchemaOption, connect_client
from perdure.cli.describe import duration
from perdure.cli.output import Output, OutputOption, notes_console, print_documents, print_table
from perdure.cli.spans import parse_span
from perdure.providers.administering import LimitState

__all__ = ["delete_limits", "limit_document", "list_limits", "print_limits", "set_limit"]


def set_limit(
    *,
    key: Annotated[str, typer.Argument(metavar="KEY", show_default=False)],
    concurrency: Annotated[
        int | None,
        typer.Option("--concurrency", min=0, help="At most so many at once; 0 is a pause."),
    ] = None,
    rate: Annotated[
        int | None, typer.Option("--rate", min=1, help="At most so many admitted in --per.")
    ] = None,
    per: Annotated[
        str, typer.Option("--per", metavar="SPAN", help="The time of --rate, as 1s, 1m or 1h.")
    ] = "1s",
    database_url: DatabaseUrlOption = None,
    schema: SchemaOption = "perdure",
) -> None:
    """Limit the activities and instances that carry a key; what it is now is replaced whole.

    What waits is admitted by priority and then by arrival, at once if there is room now.

    Examples:
        perdure limit set gpu --concurrency 4
        perdure limit set mail --rate 100 --per 1m
        perdure limit set mail --concurrency 0
    """
    period = parse_span(per, option="--per")

    async def go() -> None:
        async with connect_client(database_url, schema) as client:
            await client.set_limit(key, concurrency=concurrency, rate=rate, period=period)

    asyncio.run(go())
    typer.echo(f"{key}: limit set")


def list_limits(
    *,
    output: OutputOption = Output.TABLE,
    database_url: DatabaseUrlOption = None,
    schema: SchemaOption = "perdure",
) -> None:
    """List limits, and how far each is used.

    Examples:
        perdure limit list
        perdure limit list -o json | jq '.[] | select(.waiting > 0)'
    """

    async def go() -> Sequence[LimitState]:
        async with connect_client(database_url, schema) as client:
            return await client.limits()

    found = asyncio.run(go())
    if output in {Output.JSON, Output.YAML}:
        print_documents([limit_document(one) for one in found], output)
    elif found:
        print_limits(found)
    else:
        notes_console().print("No limits.")


def delete_limits(
    *,
    keys: Annotated[list[str], typer.Argument(metavar="KEY...", show_default=False)],
    database_url: DatabaseUrlOption = None,
    schema: SchemaOption = "perdure",
) -> None:
    """Lift limits: everything that waits for them is admitted.

    Examples:
        perdure limit delete gpu
    """

    async def go() -> None:
        async with connect_client(database_url, schema) as client:
            for key in keys:
                await client.drop_limit(key)
                typer.echo(f"{key}: limit lifted")

    asyncio.run(go())


def limit_document(one: LimitState) -> dict[str, object]:
    """Write a limit and its use as a document."""
    limit = one.limit
    return {
        "key": limit.key,
        "concurrency": limit.concurrency,
        "rate": limit.rate,
        "periodSeconds": limit.period.total_seconds() if limit.rate is not None else None,
        "running": one.running,
        "waiting": one.waiting,
    }


def print_limits(found: Sequence[LimitState]) -> None:
    """Print limits and their use as a table."""
    rows = [
        (
            one.limit.key,
            "-" if one.limit.concurrency is None else str(one.limit.concurrency),
            "-" if one.limit.rate is None else f"{one.limit.rate} in {duration(one.limit.period)}",
            str(one.running),
            str(one.waiting),
        )
        for one in found
    ]
    print_table(
        ["LIMIT", "AT ONCE", "RATE", "RUNNING", "WAITING"],
        rows,
        right=("AT ONCE", "RATE", "RUNNING", "WAITING"),
    )
