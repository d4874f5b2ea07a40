"""`perdure kv`: what instances keep for others to read."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated

import typer

from perdure.cli.connection import (
    DatabaseUrlOption,
    SchemaOption,
    connect,
    connect_client,
    read_instance,
)
from perdure.cli.describe import ago, value_of
from perdure.cli.output import (
    Output,
    OutputOption,
    dump_json,
    notes_console,
    plain,
    print_document,
    print_table,
    print_value,
)
from perdure.errors import InstanceNotFoundError, ResultTimeoutError
from perdure.model.ids import InstanceId
from perdure.model.records import KeyValue

__all__ = ["get_key", "wait_key"]

_VALUE_WIDTH = 100

InstanceArgument = Annotated[str, typer.Argument(metavar="INSTANCE", show_default=False)]


def get_key(
    *,
    instance: InstanceArgument,
    key: Annotated[
        str | None,
        typer.Argument(metavar="[KEY]", help="Without one: all of them.", show_default=False),
    ] = None,
    output: OutputOption = Output.TABLE,
    database_url: DatabaseUrlOption = None,
    schema: SchemaOption = "perdure",
) -> None:
    """Print a value that an instance keeps, as JSON, or all of them; exits with 3 without it.

    Examples:
        perdure kv get order-17
        perdure kv get order-17 receipt | jq .number
    """

    async def go() -> Sequence[KeyValue]:
        async with connect(database_url, schema) as provider:
            await read_instance(provider, instance)
            return (await provider.read_keys([InstanceId(instance)], key))[0]

    found = asyncio.run(go())
    if key is not None:
        if not found:
            raise InstanceNotFoundError(
                f"Instance {instance} has no key {key!r}. See which it has: perdure kv get "
                f"{instance}. Wait for it: perdure kv wait {instance} {key}"
            )
        print_value(value_of(found[0].value), output)
    elif output in {Output.JSON, Output.YAML}:
        print_document({one.key: value_of(one.value) for one in found}, output)
    elif found:
        width = None if output is Output.WIDE else _VALUE_WIDTH
        rows = [
            (one.key, ago(one.updated_at), plain(dump_json(value_of(one.value), indent=None),
             width=width)) for one in found
        ]  # fmt: skip
        print_table(["KEY", "AGE", "VALUE"], rows, right=("AGE",))
    else:
        notes_console().print("No keys.")


def wait_key(
    *,
    instance: InstanceArgument,
    key: Annotated[str, typer.Argument(metavar="KEY", show_default=False)],
    timeout: Annotated[
        float | None,
        typer.Option("--timeout", min=0, help="Seconds to wait; by default without end."),
    ] = None,
    output: OutputOption = Output.TABLE,
    database_url: DatabaseUrlOption = None,
    schema: SchemaOption = "perdure",
) -> None:
    """Wait until an instance has set a key, which may be before it starts, and print the value.

    Examples:
        perdure kv wait order-17 receipt --timeout 60
    """

    async def go() -> object:
        async with connect_client(database_url, schema) as client:
            return await client.wait_key(instance, key, object, timeout)

    try:
        found = asyncio.run(go())
    except TimeoutError as error:
        raise ResultTimeoutError(
            f"Instance {instance} has not set key {key!r} after {timeout:g} s"
        ) from error
    print_value(found, output)
