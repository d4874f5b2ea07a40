"""Asking an instance's own code: `perdure query` and `perdure update`."""

from __future__ import annotations

import asyncio
import json
import secrets
from datetime import timedelta
from typing import Annotated, Any

import typer

from perdure.cli.connection import DatabaseUrlOption, SchemaOption, connect_client
from perdure.cli.inputs import parse_arguments
from perdure.cli.output import Output, OutputOption, print_value
from perdure.errors import ConfigurationError, ResultTimeoutError

__all__ = ["query", "update"]

_RESERVED = frozenset({"result_type", "timeout", "update_id"})
"""Words of the client's own, beside which it takes the arguments."""

InstanceArgument = Annotated[str, typer.Argument(metavar="INSTANCE", show_default=False)]
ArgumentsArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="[NAME=VALUE]...", help="Arguments by name.", show_default=False),
]
InputOption = Annotated[
    str | None,
    typer.Option(
        "--input", "-i", metavar="JSON", help="All arguments as JSON; @FILE and - read it."
    ),
]
TimeoutOption = Annotated[
    float, typer.Option("--timeout", min=0, help="Seconds to wait for the answer.")
]


def query(
    *,
    instance: InstanceArgument,
    name: Annotated[str, typer.Argument(metavar="QUERY", show_default=False)],
    arguments: ArgumentsArgument = None,
    input_json: InputOption = None,
    timeout: TimeoutOption = 30.0,
    output: OutputOption = Output.TABLE,
    database_url: DatabaseUrlOption = None,
    schema: SchemaOption = "perdure",
) -> None:
    """Ask an instance for something it knows and print the answer as JSON; nothing is recorded.

    Any replayer with its code answers, for an instance that has ended too. Exits with 1 if the
    handler refuses or there is none, with 4 if nobody answers.

    Examples:
        perdure query order-17 total
        perdure query order-17 lines first=0 count=10 | jq length
    """
    given = _arguments(input_json, arguments)

    async def go() -> object:
        async with connect_client(database_url, schema) as client:
            answer: object = await client.query(
                instance, name, timeout=timedelta(seconds=timeout), **given
            )
            return answer

    print_value(asyncio.run(go()), output)


def update(
    *,
    instance: InstanceArgument,
    name: Annotated[str, typer.Argument(metavar="UPDATE", show_default=False)],
    arguments: ArgumentsArgument = None,
    input_json: InputOption = None,
    update_id: Annotated[
        str | None,
        typer.Option(
            "--update-id",
            help="Its id: asked again with the same, it is done once and answered the same.",
        ),
    ] = None,
    no_wait: Annotated[
        bool, typer.Option("--no-wait", help="Only record the request, and print its id.")
    ] = False,
    timeout: TimeoutOption = 30.0,
    output: OutputOption = Output.TABLE,
    database_url: DatabaseUrlOption = None,
    schema: SchemaOption = "perdure",
) -> None:
    """Ask an instance to do something, and print its answer as JSON.

    The request is recorded before this waits. Exits with 1 if the handler refuses or fails, with
    4 if no answer came in time: the message says how to go on waiting.

    Examples:
        perdure update cart-17 add sku=tea count=2
        perdure update cart-17 add sku=tea --update-id add-1 --timeout 120
    """
    given = _arguments(input_json, arguments)
    ident = secrets.token_hex(16) if update_id is None else update_id

    async def go() -> object:
        async with connect_client(database_url, schema) as client:
            seconds = timedelta(0) if no_wait else timedelta(seconds=timeout)
            answer: object = await client.update(
                instance, name, update_id=ident, timeout=seconds, **given
            )
            return answer

    try:
        answer = asyncio.run(go())
    except ResultTimeoutError as error:
        if no_wait:
            typer.echo(ident)
            return
        raise ResultTimeoutError(
            f"Update {name} of instance {instance} was not answered after {timeout:g} s; it is "
            f"recorded and will be: run it again with --update-id {ident}"
        ) from error
    if no_wait:
        typer.echo(ident)
        return
    print_value(answer, output)


def _arguments(input_json: str | None, pairs: list[str] | None) -> dict[str, Any]:
    given: dict[str, Any] = json.loads(parse_arguments(input_json, pairs or []))
    if taken := sorted(_RESERVED & given.keys()):
        raise ConfigurationError(
            f"An argument named {taken[0]!r} cannot be given from here: the client uses the word "
            "itself; name the handler's parameter otherwise"
        )
    return given
