"""`perdure run`: run an orchestration here and now, everything in this one process.

For trying things out, for scripts, and for the first five minutes: no service has to be there
before. The history lives in memory (or in a file in `--data-dir`, to go on with later; or in any
database, by `--database-url`).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import typer
from rich.console import Console
from rich.text import Text

from perdure.cli.describe import duration
from perdure.cli.events import EventLines
from perdure.cli.following import follow
from perdure.cli.inputs import parse_arguments
from perdure.cli.loading import App, choose_orchestration, load_app
from perdure.cli.loops import runner
from perdure.cli.output import Output, OutputOption, notes_console
from perdure.cli.results import finish_with
from perdure.cli.starting import enqueue_start, fresh_id
from perdure.client.instance_ids import checked_instance_id
from perdure.errors import ConfigurationError, InstanceExistsError, OutcomeError
from perdure.executor import LocalRuntime
from perdure.model.events import Event
from perdure.model.ids import InstanceId
from perdure.model.records import StartedBody
from perdure.providers.opening import open_provider
from perdure.providers.protocol import Provider
from perdure.providers.reading import InstanceInfo
from perdure.telemetry import configure_logging

__all__ = ["run"]

_MEMORY = "sqlite://"
_FILE = "perdure.db"


def run(
    *,
    app: Annotated[
        str,
        typer.Argument(
            metavar="MODULE[:ORCHESTRATION]",
            help="A module or FILE.py; the name may be left out if it defines just one.",
            show_default=False,
        ),
    ],
    arguments: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME=VALUE]...", help="Arguments by name.", show_default=False),
    ] = None,
    input_json: Annotated[
        str | None,
        typer.Option(
            "--input", "-i", metavar="JSON", help="All arguments as JSON; @FILE and - read it."
        ),
    ] = None,
    instance_id: Annotated[
        str | None,
        typer.Option(
            "--instance-id", help="Its id; one that is there already goes on where it was."
        ),
    ] = None,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print the result and nothing else.")
    ] = False,
    data_dir: Annotated[
        Path | None,
        typer.Option("--data-dir", help="Keep the data in a file in this folder."),
    ] = None,
    database_url: Annotated[
        str | None,
        typer.Option(
            "--database-url",
            metavar="URL",
            help="Run on this database (on Postgres, its schema is there: perdure db migrate).",
            show_default=False,
        ),
    ] = None,
    schema: Annotated[str, typer.Option("--schema", help="Its schema.")] = "perdure",
    output: OutputOption = Output.TABLE,
) -> None:
    """Run an orchestration in this process, show its events, and print its result.

    Needs no service: without --database-url the history is in memory, or in a file in --data-dir.
    The result is printed to standard output as JSON, the events to standard error. Exits with 0
    if it Completed, 1 if it ended otherwise.

    Examples:
        perdure run hello.py name=Ada
        perdure run shop.orders:checkout --input @order.json
        perdure run hello.py -q name=Ada | jq -r .
        perdure run long.py --data-dir ./state --instance-id trial    again after Ctrl-C: goes on
    """
    loaded = load_app(app)
    name = choose_orchestration(loaded)
    definition = loaded.registry.resolve(name, None)
    body = parse_arguments(input_json, arguments or [], definition.fn)
    if not quiet:
        configure_logging(style="text")
    definition.decode_arguments(body)  # refuse bad input before anything starts
    instance = fresh_id(name) if instance_id is None else checked_instance_id(instance_id)
    url = _database(database_url, data_dir)
    with runner() as loop:
        info = loop.run(
            _run(
                loaded,
                StartedBody(name=name, version=None, input=body),
                instance,
                url=url,
                schema=schema,
                may_exist=instance_id is not None,
                is_quiet=quiet,
            )
        )
    finish_with(info, output)


async def _run(
    app: App,
    started: StartedBody,
    instance: InstanceId,
    *,
    url: str,
    schema: str,
    may_exist: bool,
    is_quiet: bool,
) -> InstanceInfo:
    async with (
        open_provider(url, schema=schema, application_name="perdure-run") as provider,
        _runtime(provider, app),
    ):
        console = notes_console()
        try:
            await enqueue_start(provider, instance, started)
        except InstanceExistsError:
            if not may_exist:
                raise
            if not is_quiet:
                console.print(Text(f"{instance} is there already: going on", style="dim"))
        progress = _Progress(console, instance, is_quiet=is_quiet)
        info = await follow(provider, instance, progress.show, tick=_refuse_parked)
        progress.end(info)
        return info


def _refuse_parked(info: InstanceInfo) -> None:
    """Wait for nothing that this process, with the code that it has, cannot bring about.

    Raises:
        OutcomeError: the instance is parked; the message says why.
    """
    if info.block is not None:
        raise OutcomeError(
            f"Instance {info.instance} is Blocked: {info.block.reason}: {info.block.message}"
        )


@asynccontextmanager
async def _runtime(provider: Provider, app: App) -> AsyncGenerator[None]:
    async with LocalRuntime(provider, app.registry):
        yield


class _Progress:
    """Prints each event as it happens, with the time since the first."""

    def __init__(self, console: Console, instance: InstanceId, *, is_quiet: bool) -> None:
        self._console = console
        self._is_quiet = is_quiet
        self._lines = EventLines()
        self._began: datetime | None = None
        if not is_quiet:
            console.print(Text("instance ", style="dim") + Text(instance, style="bold"))

    def show(self, event: Event) -> None:
        if not self._is_quiet:
            self._began = self._began or event.at
            since = event.at - self._began
            self._console.print(
                Text(f"{duration(since):>8}  ", style="dim") + self._lines.text(event)
            )

    def end(self, info: InstanceInfo) -> None:
        if not self._is_quiet and info.finished_at is not None:
            took = duration(info.finished_at - info.created_at)
            self._console.print(Text(f"{info.status.value} after {took}", style="dim"))


def _database(url: str | None, data_dir: Path | None) -> str:
    """Choose the database to run on."""
    if url is not None:
        if data_dir is not None:
            raise ConfigurationError("Give either --data-dir or --database-url, not both")
        return url
    if data_dir is None:
        return _MEMORY
    data_dir.mkdir(parents=True, exist_ok=True)
    return f"sqlite:///{quote(str(data_dir / _FILE))}"
