"""`perdure result`: wait for an instance and print what it returned."""

from __future__ import annotations

import asyncio
import sys
from typing import Annotated

import typer

from perdure.cli.connection import DatabaseUrlOption, SchemaOption, connect, read_instance
from perdure.cli.describe import failure_line, instance_document, value_of
from perdure.cli.exits import InstanceEndedError
from perdure.cli.following import wait_until_ended
from perdure.cli.output import Output, OutputOption, dump_json, print_document
from perdure.errors import ResultTimeoutError
from perdure.providers.reading import InstanceInfo, InstanceStatus

__all__ = ["finish_with", "result"]


def result(
    *,
    instance: Annotated[str, typer.Argument(metavar="INSTANCE", show_default=False)],
    timeout: Annotated[
        float | None,
        typer.Option("--timeout", min=0, help="Seconds to wait; by default without end."),
    ] = None,
    no_wait: Annotated[
        bool, typer.Option("--no-wait", help="Do not wait: exit with 4 if it still runs.")
    ] = False,
    output: OutputOption = Output.TABLE,
    database_url: DatabaseUrlOption = None,
    schema: SchemaOption = "perdure",
) -> None:
    """Wait until an instance has ended and print what it returned, as JSON.

    Exits with 0 if it Completed, 1 if it ended otherwise, 4 if it still ran.

    Examples:
        perdure result order-17 --timeout 60 | jq .total
    """

    async def go() -> None:
        async with connect(database_url, schema) as provider:
            if no_wait:
                info = await read_instance(provider, instance)
                if not info.status.is_terminal:
                    raise ResultTimeoutError(f"Instance {instance} is {info.status.value}")
            else:
                info = await wait_until_ended(provider, instance, timeout_seconds=timeout)
            finish_with(info, output)

    asyncio.run(go())


def finish_with(info: InstanceInfo, output: Output) -> None:
    """Print the result of an instance that has ended.

    Raises:
        InstanceEndedError: It ended as anything but Completed; the message says how.
    """
    if output in {Output.JSON, Output.YAML}:
        print_document(instance_document(info), output)
    elif info.status is InstanceStatus.COMPLETED:
        sys.stdout.write(f"{dump_json(value_of(info.output))}\n")
    if info.status is not InstanceStatus.COMPLETED:
        why = failure_line(info.failure)
        raise InstanceEndedError(
            f"Instance {info.instance} ended as {info.status.value}{f': {why}' if why else ''}"
        )
