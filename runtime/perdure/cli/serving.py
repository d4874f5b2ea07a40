"""`perdure replayer` and `perdure executor`: the processes that do the work.

Settings come from the environment, as pods have them; an option given here stands for its variable.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Annotated

import typer

from perdure.cli.connection import DatabaseUrlOption, SchemaOption
from perdure.cli.loading import load_app
from perdure.errors import ConfigurationError
from perdure.executor import ExecutorSettings, ReplayerSettings, run_executor, run_replayer
from perdure.replay.registry import Registry

__all__ = ["executor", "replayer"]

_PROCESS = "Process"

AppOption = Annotated[
    str | None,
    typer.Option(
        "--app",
        envvar="PERDURE_APP",
        metavar="MODULE",
        help="The module with the orchestrations and activities.",
        show_default=False,
    ),
]
LeaseOption = Annotated[
    str | None,
    typer.Option(
        "--lease-seconds",
        envvar="PERDURE_LEASE_SECONDS",
        metavar="SECONDS",
        help="How long work waits when this process is killed; renewed while it works.",
    ),
]
DrainOption = Annotated[
    str | None,
    typer.Option(
        "--drain-seconds",
        envvar="PERDURE_DRAIN_SECONDS",
        metavar="SECONDS",
        help="How long what runs may take to finish after SIGTERM.",
    ),
]
ProbePortOption = Annotated[
    str | None,
    typer.Option(
        "--probe-port",
        envvar="PERDURE_PROBE_PORT",
        metavar="PORT",
        help="Where /livez, /readyz and /metrics are served (8080); 0: nowhere.",
        rich_help_panel=_PROCESS,
    ),
]
NameOption = Annotated[
    str | None,
    typer.Option(
        "--name",
        envvar="PERDURE_EXECUTOR_NAME",
        help="What it is known by; by default the host's name.",
        rich_help_panel=_PROCESS,
    ),
]
BuildOption = Annotated[
    str | None,
    typer.Option(
        "--build",
        envvar="PERDURE_BUILD",
        help="Which build of the code this is, for whoever reads a history.",
        rich_help_panel=_PROCESS,
    ),
]
LogLevelOption = Annotated[
    str | None,
    typer.Option(
        "--log-level",
        envvar="PERDURE_LOG_LEVEL",
        metavar="LEVEL",
        help="debug, info, warning or error.",
        rich_help_panel=_PROCESS,
    ),
]
LogFormatOption = Annotated[
    str | None,
    typer.Option(
        "--log-format",
        envvar="PERDURE_LOG_FORMAT",
        metavar="FORMAT",
        help="text or json; in a pod json.",
        rich_help_panel=_PROCESS,
    ),
]


def replayer(
    *,
    app: AppOption = None,
    lease_seconds: LeaseOption = None,
    drain_seconds: DrainOption = None,
    probe_port: ProbePortOption = None,
    name: NameOption = None,
    build: BuildOption = None,
    log_level: LogLevelOption = None,
    log_format: LogFormatOption = None,
    database_url: DatabaseUrlOption = None,
    schema: SchemaOption = "perdure",
) -> None:
    """Take turns: run the code of orchestrations, whenever something happened to an instance.

    Runs until SIGTERM or Ctrl-C. Any number may run; the database decides who takes which turn.

    Examples:
        perdure replayer --app shop.orders
    """
    environment = _environment(
        {
            "PERDURE_APP": app,
            "PERDURE_LEASE_SECONDS": lease_seconds,
            "PERDURE_DRAIN_SECONDS": drain_seconds,
            "PERDURE_PROBE_PORT": probe_port,
            "PERDURE_EXECUTOR_NAME": name,
            "PERDURE_BUILD": build,
            "PERDURE_LOG_LEVEL": log_level,
            "PERDURE_LOG_FORMAT": log_format,
            "PERDURE_DATABASE_URL": database_url,
            "PERDURE_SCHEMA": schema,
        }
    )
    settings = ReplayerSettings.from_env(environment)
    raise typer.Exit(run_replayer(settings, lambda: _registry(settings.process.app)))


def executor(
    *,
    app: AppOption = None,
    tags: Annotated[
        str | None,
        typer.Option(
            "--tags",
            envvar="PERDURE_TAGS",
            metavar="TAG,...",
            help="Take activities of these tags.",
        ),
    ] = None,
    untagged: Annotated[
        bool | None,
        typer.Option(
            "--untagged/--no-untagged",
            envvar="PERDURE_UNTAGGED",
            help="Take those without a tag too; by default if no tag is named.",
            show_default=False,
        ),
    ] = None,
    slots: Annotated[
        str | None,
        typer.Option("--slots", envvar="PERDURE_SLOTS", metavar="N", help="How many at once (64)."),
    ] = None,
    lease_seconds: LeaseOption = None,
    drain_seconds: DrainOption = None,
    cancel_grace_seconds: Annotated[
        str | None,
        typer.Option(
            "--cancel-grace-seconds",
            envvar="PERDURE_CANCEL_GRACE_SECONDS",
            metavar="SECONDS",
            help="How long a cancelled activity may take to stop by itself.",
        ),
    ] = None,
    probe_port: ProbePortOption = None,
    name: NameOption = None,
    build: BuildOption = None,
    log_level: LogLevelOption = None,
    log_format: LogFormatOption = None,
    database_url: DatabaseUrlOption = None,
    schema: SchemaOption = "perdure",
) -> None:
    """Run activities of some tags.

    Runs until SIGTERM or Ctrl-C: then it takes no more, lets what runs finish, and hands the rest
    back to be run elsewhere.

    Examples:
        perdure executor --app shop.orders
        perdure executor --app shop.models --tags gpu --slots 1
        perdure executor --app shop.orders --tags io,mail --untagged
    """
    environment = _environment(
        {
            "PERDURE_APP": app,
            "PERDURE_TAGS": tags,
            "PERDURE_UNTAGGED": None if untagged is None else str(untagged).lower(),
            "PERDURE_SLOTS": slots,
            "PERDURE_LEASE_SECONDS": lease_seconds,
            "PERDURE_DRAIN_SECONDS": drain_seconds,
            "PERDURE_CANCEL_GRACE_SECONDS": cancel_grace_seconds,
            "PERDURE_PROBE_PORT": probe_port,
            "PERDURE_EXECUTOR_NAME": name,
            "PERDURE_BUILD": build,
            "PERDURE_LOG_LEVEL": log_level,
            "PERDURE_LOG_FORMAT": log_format,
            "PERDURE_DATABASE_URL": database_url,
            "PERDURE_SCHEMA": schema,
        }
    )
    settings = ExecutorSettings.from_env(environment)
    raise typer.Exit(run_executor(settings, lambda: _registry(settings.process.app)))


def _environment(given: Mapping[str, str | None]) -> dict[str, str]:
    """The environment, with what was given in its place."""
    return {**os.environ, **{name: value for name, value in given.items() if value is not None}}


def _registry(app: str) -> Registry:
    if not app:
        raise ConfigurationError("No code is named: give --app MODULE or set PERDURE_APP")
    return load_app(app).registry
