"""`perdure replay`: check code against histories, before it is deployed.

Replaying runs every recorded turn again and compares what the code decides with what was recorded.
Nothing is written and no activity runs; a history that the new code would block on is found here.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from perdure.cli.connection import DatabaseUrlOption, SchemaOption, connect, read_instance
from perdure.cli.exits import ExitCode
from perdure.cli.listing import StatusOption, parse_statuses, read_up_to
from perdure.cli.loading import App, load_app
from perdure.cli.output import Output, OutputOption, plain, print_documents, print_table
from perdure.errors import AuthorError, ConfigurationError, NotRegisteredError
from perdure.model.ids import InstanceId, JsonText
from perdure.model.records import Record, RecordKind
from perdure.providers.reading import InstanceStatus, ListInstances
from perdure.replay.turn import replay_history

__all__ = ["replay"]

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
            "--file", "-f", help="A history saved by `perdure history --raw -o json`, instead."
        ),
    ] = None,
    status: StatusOption = None,
    limit: Annotated[
        int, typer.Option("--limit", min=0, help="At most so many; 0 means all.")
    ] = 1000,
    output: OutputOption = Output.TABLE,
    database_url: DatabaseUrlOption = None,
    schema: SchemaOption = "perdure",
) -> None:
    """Check code against histories: would running instances go on with it?

    Runs every recorded turn again and compares; writes nothing, runs no activity. Exits with 1 if
    the code decides otherwise anywhere. Instances whose code the module lacks are told of, too.

    Examples:
        perdure replay shop.orders
        perdure replay shop.orders order-17 --database-url postgresql://replica.test/shop
        perdure replay shop.orders -f order-17.json
    """
    loaded = load_app(app)
    if file:
        verdicts = [_check(loaded, path.stem, _read_file(path)) for path in file]
    else:
        query = ListInstances(statuses=parse_statuses(status) or _OPEN)
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
            infos, _ = await read_up_to(provider, query, limit)
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


def _read_file(path: Path) -> list[Record]:
    try:
        rows: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
        records = [_record(row) for row in rows]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(
            f"{path} is no history: {error}. Save one by: perdure history INSTANCE --raw -o json"
        ) from error
    if not records:
        raise ConfigurationError(f"{path} is no history: it is empty")
    return records


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
