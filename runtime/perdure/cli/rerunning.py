"""`perdure rerun`: start again what was started once, with the same input and options."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Annotated

import typer

from perdure.cli.connection import DatabaseUrlOption, SchemaOption, connect, read_instance
from perdure.cli.following import wait_until_ended
from perdure.cli.output import Output, OutputOption, print_document, warn
from perdure.cli.results import finish_with
from perdure.cli.starting import enqueue_start, fresh_id
from perdure.client.instance_ids import checked_instance_id
from perdure.errors import CallerError
from perdure.model.codec import decode_started
from perdure.model.records import RecordKind
from perdure.providers.work import NewInstance
from perdure.replay.versions import check_version

__all__ = ["rerun"]


def rerun(
    *,
    instance: Annotated[str, typer.Argument(metavar="INSTANCE", show_default=False)],
    new_id: Annotated[
        str | None,
        typer.Option("--id", help="Of the new one; by default the name and a random ending."),
    ] = None,
    version: Annotated[
        str | None,
        typer.Option("--version", help="Another version than it was started with."),
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait for the result, print it, and exit by outcome.")
    ] = False,
    timeout: Annotated[
        float | None, typer.Option("--timeout", min=0, help="Of --wait, in seconds.")
    ] = None,
    output: OutputOption = Output.TABLE,
    database_url: DatabaseUrlOption = None,
    schema: SchemaOption = "perdure",
) -> None:
    """Start a new instance as another was started: its input, attributes, priority and limits.

    The old one stays as it is, whether it has ended or not. A child is started again on its own,
    without its parent.

    Examples:
        perdure rerun order-17
        perdure rerun order-17 --id order-17-again --version 2.1.0 --wait
    """
    if version is not None:
        check_version(f"instance {instance!r}", version)
    chosen = None if new_id is None else checked_instance_id(new_id)

    async def go() -> None:
        async with connect(database_url, schema) as provider:
            info = await read_instance(provider, instance)
            first = next(
                (
                    record
                    for record in await provider.read_history(info.instance)
                    if record.kind is RecordKind.STARTED and record.body is not None
                ),
                None,
            )
            if first is None or first.body is None:
                raise CallerError(f"Instance {instance} has no record of its start any more")
            if first.execution > 1:
                warn(
                    f"the first execution of {instance} was pruned: the new one starts with the "
                    f"input of execution {first.execution}"
                )
            # What an execution inherits from the one before it is none of the new one's.
            started = replace(
                decode_started(first.body), parent=None, carried=(), custom_status=None,
                keys=(), updates=(), deadline=None,
            )  # fmt: skip
            if version is not None:
                started = replace(started, version=version)
            new = NewInstance(
                started.name, started.version, tenant=info.tenant,
                attributes=started.attributes, limit=info.limit,
            )  # fmt: skip
            ident = chosen or fresh_id(started.name)
            await enqueue_start(provider, ident, started, new)
            if wait:
                ended = await wait_until_ended(provider, ident, timeout_seconds=timeout)
                finish_with(ended, output)
            elif output in {Output.JSON, Output.YAML}:
                print_document({"instance": str(ident)}, output)
            else:
                typer.echo(ident)

    asyncio.run(go())
