"""`perdure export` and `perdure import`: instances as lines of JSON, to keep or carry elsewhere."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator, Generator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import IO, Annotated

import typer

from perdure.cli.conditions import takes_conditions
from perdure.cli.connection import DatabaseUrlOption, SchemaOption, connect_client
from perdure.cli.control import InstancesArgument
from perdure.cli.describe import counted
from perdure.cli.exits import ExitCode
from perdure.cli.many import AllOption, chosen
from perdure.cli.output import Output, OutputOption, notes_console, print_document, warn
from perdure.client.client import Client
from perdure.client.queries import Where
from perdure.errors import ConfigurationError, InstanceNotFoundError
from perdure.providers.administering import ImportOutcome

__all__ = ["export", "import_archive"]

_SAID = {
    ImportOutcome.IMPORTED: "imported",
    ImportOutcome.EXISTS: "there already",
    ImportOutcome.UNFINISHED: "left, for they have not ended",
}


@takes_conditions
def export(
    *,
    instances: InstancesArgument = None,
    where: Where,
    everything: AllOption = False,
    file: Annotated[
        Path | None,
        typer.Option("--file", "-f", help="Write here, not to standard output."),
    ] = None,
    database_url: DatabaseUrlOption = None,
    schema: SchemaOption = "perdure",
) -> None:
    """Write instances with their whole histories as lines of JSON, one record a line.

    `perdure import` reads them elsewhere, and `perdure replay -f` checks code against them.

    Examples:
        perdure export order-17 > order-17.jsonl
        perdure export --name checkout --ended-until 90d -f old.jsonl
    """
    by_conditions = chosen(instances, where, everything=everything)

    async def go(out: IO[str]) -> int:
        count = 0
        async with connect_client(database_url, schema) as client:
            ids = _matching(client, where) if by_conditions else _named(instances or [])
            async for instance in ids:
                try:
                    async for line in client.export([instance]):
                        out.write(f"{line}\n")
                    count += 1
                except InstanceNotFoundError as error:
                    if not by_conditions:
                        raise
                    warn(f"{error}: it was deleted meanwhile")
        return count

    with _written(file) as out:
        count = asyncio.run(go(out))
    notes_console().print(f"{counted(count, 'instance')} written")


async def _named(instances: Sequence[str]) -> AsyncIterator[str]:
    for instance in instances:
        yield instance


async def _matching(client: Client, where: Where) -> AsyncIterator[str]:
    async for info in client.list(**where):
        yield info.instance


@contextmanager
def _written(file: Path | None) -> Generator[IO[str]]:
    """Open where to write; a file appears whole or not at all."""
    if file is None:
        yield sys.stdout
        return
    partial = file.with_name(f"{file.name}.partial")
    try:
        with partial.open("w", encoding="utf-8") as out:
            yield out
        partial.replace(file)
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be written: {error}") from error
    finally:
        partial.unlink(missing_ok=True)


def import_archive(
    *,
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="- is standard input.", show_default=False)
    ],
    output: OutputOption = Output.TABLE,
    database_url: DatabaseUrlOption = None,
    schema: SchemaOption = "perdure",
) -> None:
    """Add instances that were exported elsewhere; only those that have ended.

    One whose id is taken is left as it is. Exits with 1 if some have not ended.

    Examples:
        perdure import order-17.jsonl
        perdure export --all --database-url "$OLD" | perdure import - --database-url "$NEW"
    """

    async def go(lines: IO[str]) -> dict[str, ImportOutcome]:
        async with connect_client(database_url, schema) as client:
            return await client.bring_in(lines)

    try:
        with nullcontext(sys.stdin) if file == "-" else Path(file).open(encoding="utf-8") as lines:
            outcomes = asyncio.run(go(lines))
    except (FileNotFoundError, IsADirectoryError, PermissionError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{file} cannot be read: {error}") from error
    counts = Counter(outcomes.values())
    if output in {Output.JSON, Output.YAML}:
        print_document({name: outcome.value for name, outcome in outcomes.items()}, output)
    else:
        said = [f"{counts[one]} {_SAID[one]}" for one in ImportOutcome if counts[one]]
        typer.echo(f"Instances: {', '.join(said) or 'none in it'}")
    if counts[ImportOutcome.UNFINISHED]:
        left = [name for name, one in outcomes.items() if one is ImportOutcome.UNFINISHED]
        warn(f"{len(left)} have not ended and were left, {left[0]} among them")
        raise typer.Exit(ExitCode.FAILED)
