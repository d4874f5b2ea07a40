"""`perdure complete` and `perdure fail`: the end of an activity that its body deferred."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from perdure.cli.connection import DatabaseUrlOption, SchemaOption, connect_client
from perdure.cli.inputs import parse_value, read_json
from perdure.errors import ConfigurationError
from perdure.providers.tokens import lease_of

__all__ = ["complete", "fail"]

TokenArgument = Annotated[
    str,
    typer.Argument(metavar="TOKEN", help="What `defer` returned, whole.", show_default=False),
]


def complete(
    *,
    token: TokenArgument,
    result: Annotated[
        str | None,
        typer.Argument(metavar="[RESULT]", help="JSON, or a plain string.", show_default=False),
    ] = None,
    data_json: Annotated[
        str | None,
        typer.Option("--data", metavar="JSON", help="The result as JSON; @FILE and - read it."),
    ] = None,
    database_url: DatabaseUrlOption = None,
    schema: SchemaOption = "perdure",
) -> None:
    """Give the result of an activity that its body deferred, by its completion token.

    Examples:
        perdure complete pd1.WyJvcmRlci0xNyIs '{"approved": true}'
    """
    if result is not None and data_json is not None:
        raise ConfigurationError("Give the result once: as an argument or as --data")
    value = None if result is None else parse_value(result)
    if data_json is not None:
        value = read_json(data_json, option="--data")
    lease = lease_of(token)

    async def go() -> None:
        async with connect_client(database_url, schema) as client:
            await client.complete_activity(token, value)

    asyncio.run(go())
    typer.echo(f"{lease.instance}: activity {lease.operation} completed")


def fail(
    *,
    token: TokenArgument,
    message: Annotated[str, typer.Argument(metavar="MESSAGE", show_default=False)],
    kind: Annotated[
        str, typer.Option("--type", help="Of the failure, for the code that catches it.")
    ] = "ApplicationError",
    details: Annotated[
        str | None,
        typer.Option("--details", metavar="JSON", help="More of it; @FILE and - read it."),
    ] = None,
    database_url: DatabaseUrlOption = None,
    schema: SchemaOption = "perdure",
) -> None:
    """Let an activity that its body deferred fail for good, by its completion token.

    Examples:
        perdure fail pd1.WyJvcmRlci0xNyIs "the approver refused" --type Refused
    """
    more = None if details is None else read_json(details, option="--details")
    lease = lease_of(token)

    async def go() -> None:
        async with connect_client(database_url, schema) as client:
            await client.fail_activity(token, message, type=kind, details=more)

    asyncio.run(go())
    typer.echo(f"{lease.instance}: activity {lease.operation} failed")
