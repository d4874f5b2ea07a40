"""`perdure replay`: check code against histories, before it is deployed.

Replaying runs every recorded turn again and compares what the code decides with what was recorded.
Nothing is written and no activity runs; a history that the new code would block on is found here.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from perdure.cli.conditions import takes_conditions
from perdure.cli.connection import DatabaseUrlOption, SchemaOption, connect, read_instance
from perdure.cli.exits import ExitCode
from perdure.cli.listing import read_up_to
from perdure.cli.loading import App, load_app
from perdure.cli.output import Output, OutputOption, plain, print_documents, print_table
from perdure.client.archives import read_archives
from perdure.client.queries import Where, listing
from perdure.errors import AuthorError, ConfigurationError, NotRegisteredError, PayloadError
from perdure.model.ids import InstanceId, JsonText
from perdure.model.records import Record, RecordKind
from perdure.providers.reading import InstanceStatus, ListInstances
from perdure.replay.turn import replay_history

__all__ = ["replay"]

_HEAD = 64
"""Characters that tell one form of a file from the other."""
_OPEN = (
    InstanceStatus.PENDING,
    InstanceStatus.RUNNING,
    InstanceStatus.SUSPENDED,
    InstanceStatus.BLOCKED,
)


@dataclass(frozen=True, slots=True)
class _Verdict:
    """What replaying one history said."""

    instance: str
    turns: int
    problem: str
    """Empty: the code decides what was recorded."""
    is_divergent: bool


@takes_conditions
def replay(
    *,
    app: Annotated[
        str, typer.Argument(metavar="MODULE", help="The code to check.", show_default=False)
    ],
    instances: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[INSTANCE]...",
            help="By default all that have not ended, the newest first.",
            show_default=False,
        ),
    ] = None,
    file: Annotated[
        list[Path] | None,
        typer.Option(
            "--file",
            "-f",
            help="Histories saved by `perdure export` (or `history --raw -o json`), instead.",
        ),
    ] = None,
    where: Where,
    limit: Annotated[
        int, typer.Option("--limit", min=0, help="At most so many; 0 means all.")
    ] = 1000,
    output: OutputOption = Output.TABLE,
    database_url: DatabaseUrlOption = None,
    schema: SchemaOption = "perdure",
) -> None:
    """Check code against histories: would running instances go on with it?

    Runs every recorded turn again and compares; writes nothing, runs no activity. Exits with 1 if
    the code decides otherwise anywhere, so that a pipeline stops. Instances whose code the module
    lacks are told of, too.

    Examples:
        perdure replay shop.orders
        perdure replay shop.orders order-17 --database-url postgresql://replica.test/shop
        perdure replay shop.orders --name checkout --since 7d --limit 0
        perdure export --name checkout --status Running -f running.jsonl
        perdure replay shop.orders -f running.jsonl
    """
    if (file or instances) and where:
        raise ConfigurationError("Name instances or files, or give conditions, not both of them")
    loaded = load_app(app)
    if file:
        histories = (one for path in file for one in _read_file(path))
        verdicts = [_check(loaded, instance, records) for instance, records in histories]
    else:
        query = listing({"statuses": _OPEN, **where})
        database = (database_url, schema)
        verdicts = asyncio.run(_all(loaded, instances or [], query, limit, database))
    _print(verdicts, output)
    if any(verdict.is_divergent for verdict in verdicts):
        raise typer.Exit(ExitCode.FAILED)


async def _all(
    app: App,
    names: Sequence[str],
    query: ListInstances,
    limit: int,
    database: tuple[str | None, str],
) -> list[_Verdict]:
    verdicts: list[_Verdict] = []
    async with connect(*database) as provider:
        if names:
            infos = [await read_instance(provider, name) for name in names]
        else:
            infos, _ = await read_up_to(provider.list_instances, query, limit)
        for info in infos:
            records = await provider.read_history(info.instance)
            # Turns run where no loop runs.
            verdicts.append(await asyncio.to_thread(_check, app, info.instance, records))
    return verdicts


def _check(app: App, instance: str, records: Sequence[Record]) -> _Verdict:
    turns = sum(record.kind is RecordKind.TURN for record in records)
    try:
        replay_history(app.registry, InstanceId(instance), records)
    except NotRegisteredError as error:
        return _Verdict(instance, turns, str(error), is_divergent=False)
    except AuthorError as error:
        return _Verdict(instance, turns, str(error), is_divergent=True)
    return _Verdict(instance, turns, "", is_divergent=False)


def _read_file(path: Path) -> Iterator[tuple[str, Sequence[Record]]]:
    """Yield what a file holds: exported instances, or the records of the one it is called after."""
    try:
        with path.open(encoding="utf-8") as file:
            head = file.read(_HEAD).lstrip()
            file.seek(0)
            if head.startswith("["):
                records = [_record(row) for row in json.load(file)]
                archives: list[tuple[str, Sequence[Record]]]
                archives = [(path.stem, records)] if records else []
            else:
                archives = [(one.info.instance, one.records) for one in read_archives(file)]
    except (OSError, ValueError, KeyError, TypeError, PayloadError) as error:
        raise ConfigurationError(
            f"{path} is no history: {error}. Save one by: perdure export INSTANCE -f FILE"
        ) from error
    if not archives:
        raise ConfigurationError(f"{path} is no history: it is empty")
    yield from archives


def _record(row: dict[str, Any]) -> Record:
    kind = RecordKind[row["kind"]]
    body = row["body"]
    return Record(
        seq=row["seq"],
        execution=row["execution"],
        kind=kind,
        ref=row["ref"],
        # What has no body was saved as null, and reads as null all the same.
        body=JsonText(json.dumps(body, ensure_ascii=False, separators=(",", ":"))),
        at=datetime.fromisoformat(row["at"]),
    )


def _print(verdicts: Iterable[_Verdict], output: Output) -> None:
    if output in {Output.JSON, Output.YAML}:
        documents = [
            {
                "instance": one.instance,
                "turns": one.turns,
                "agrees": not one.problem,
                "divergent": one.is_divergent,
                "problem": one.problem or None,
            }
            for one in verdicts
        ]
        print_documents(documents, output)
        return
    rows: list[list[str | Text]] = []
    for one in verdicts:
        said = Text("agrees", style="green")
        if one.problem:
            style = "bold red" if one.is_divergent else "yellow"
            said = Text("diverges" if one.is_divergent else "no code", style=style)
        rows.append([one.instance, str(one.turns), said, plain(one.problem)])
    print_table(["INSTANCE", "TURNS", "CODE", "WHY"], rows, right=("TURNS",))
