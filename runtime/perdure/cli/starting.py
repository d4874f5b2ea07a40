"""`perdure start`: start an instance that the replayers of a database will run."""

from __future__ import annotations

import asyncio
import secrets
from typing import Annotated

import typer

from perdure.cli.conditions import parse_attributes
from perdure.cli.connection import DatabaseUrlOption, SchemaOption, connect
from perdure.cli.following import wait_until_ended
from perdure.cli.inputs import parse_arguments
from perdure.cli.output import Output, OutputOption, print_document, warn
from perdure.cli.results import finish_with
from perdure.cli.spans import parse_span
from perdure.client.instance_ids import checked_instance_id
from perdure.errors import InstanceExistsError
from perdure.model.codec import encode_started
from perdure.model.ids import INSTANCE_ID_BYTES_MAX, InstanceId, LeaseToken
from perdure.model.options import PRIORITY_MAX, PRIORITY_MIN
from perdure.model.records import RecordKind, StartedBody
from perdure.providers.protocol import ClientProvider
from perdure.providers.reading import Role
from perdure.providers.work import EnqueueOutcome, Message, NewInstance
from perdure.replay.checks import (
    checked_attributes,
    checked_label,
    checked_name,
    checked_timeout,
)
from perdure.replay.versions import check_version

__all__ = ["enqueue_start", "fresh_id", "fresh_token", "start"]

_TOKEN_BITS = 63


def start(
    *,
    name: Annotated[str, typer.Argument(metavar="ORCHESTRATION", show_default=False)],
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
        typer.Option("--instance-id", help="Its id; by default the name and a random ending."),
    ] = None,
    version: Annotated[
        str | None,
        typer.Option("--version", help="By default the latest that the replayers have."),
    ] = None,
    priority: Annotated[
        int,
        typer.Option(
            "--priority",
            min=PRIORITY_MIN,
            max=PRIORITY_MAX,
            help="Of its activities and children; the greater goes first.",
        ),
    ] = 0,
    attribute: Annotated[
        list[str] | None,
        typer.Option(
            "--attribute",
            metavar="NAME=VALUE",
            help="What it is found by (perdure list --attribute); may be repeated.",
            show_default=False,
        ),
    ] = None,
    limit: Annotated[
        str | None,
        typer.Option("--limit", metavar="KEY", help="It starts when this limit admits it."),
    ] = None,
    run_timeout: Annotated[
        str | None,
        typer.Option(
            "--run-timeout", metavar="SPAN", help="It ends as TimedOut after so long, as 2h."
        ),
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
    """Start an instance and print its id.

    Examples:
        perdure start checkout order=17 express=true
        perdure start checkout --input @order.json --instance-id order-17
        perdure start checkout order=17 --wait --timeout 60
        perdure start render film=3 --limit gpu --attribute customer=ada
        perdure start checkout order=17 --run-timeout 2h
    """
    body = parse_arguments(input_json, arguments or [])
    checked_name("orchestration", name)
    if version is not None:
        check_version(f"orchestration {name!r}", version)
    what = f"orchestration {name!r}"
    span = None if run_timeout is None else parse_span(run_timeout, option="--run-timeout")
    attributes = checked_attributes(what, parse_attributes(attribute)) if attribute else None
    started = StartedBody(
        name=name,
        version=version,
        input=body,
        timeout=checked_timeout(what, span, "--run-timeout"),
        priority=priority,
        attributes=attributes,
    )
    asyncio.run(
        _start(
            started,
            NewInstance(
                name, version, attributes=attributes, limit=checked_label(what, "limit", limit)
            ),
            fresh_id(name) if instance_id is None else checked_instance_id(instance_id),
            wait=wait,
            timeout_seconds=timeout,
            output=output,
            database=(database_url, schema),
        )
    )


async def _start(
    started: StartedBody,
    new: NewInstance,
    instance: InstanceId,
    *,
    wait: bool,
    timeout_seconds: float | None,
    output: Output,
    database: tuple[str | None, str],
) -> None:
    async with connect(*database) as provider:
        await enqueue_start(provider, instance, started, new)
        if problem := await _nobody_runs(provider, started):
            warn(problem)
        if wait:
            info = await wait_until_ended(provider, instance, timeout_seconds=timeout_seconds)
            finish_with(info, output)
        elif output in {Output.JSON, Output.YAML}:
            print_document({"instance": str(instance)}, output)
        else:
            typer.echo(instance)


async def enqueue_start(
    provider: ClientProvider,
    instance: InstanceId,
    started: StartedBody,
    new: NewInstance | None = None,
) -> None:
    """Start one instance; `new` is what storage itself is told of it beside its name.

    Raises:
        InstanceExistsError: The id is taken.
    """
    message = Message(
        instance=instance,
        kind=RecordKind.STARTED,
        body=encode_started(started),
        start=new or NewInstance(name=started.name, version=started.version),
        token=fresh_token(),
    )
    (outcome,) = await provider.enqueue([message])
    if outcome is not EnqueueOutcome.ACCEPTED:
        raise InstanceExistsError(
            f"Instance {instance} exists already; nothing was started. "
            f"See it: perdure get {instance}. Choose another with --instance-id"
        )


def fresh_id(name: str) -> InstanceId:
    """Make an id that nobody has; a name that would make it too long is cut in it."""
    ending = f"-{secrets.token_hex(5)}"
    head = name.replace("::", ":").encode()[: INSTANCE_ID_BYTES_MAX - len(ending)]
    return checked_instance_id(f"{head.decode(errors='ignore')}{ending}")


def fresh_token() -> LeaseToken:
    """Make the token of a message, so that sending it again adds nothing."""
    return LeaseToken(secrets.randbits(_TOKEN_BITS))


async def _nobody_runs(provider: ClientProvider, started: StartedBody) -> str | None:
    """Say why no live replayer will take the instance; None when one will."""
    replayers = [
        live.info for live in await provider.read_executors() if live.info.role is Role.REPLAY
    ]
    if not replayers:
        return "no replayer is alive: the instance waits until one is (perdure replayer --app …)"
    versions = {code.version for one in replayers for code in one.code if code.name == started.name}
    if not versions:
        names = sorted({code.name for one in replayers for code in one.code})
        return (
            f"no live replayer has an orchestration {started.name!r}; the instance waits until one "
            f"has (they have {', '.join(names) or 'none'})"
        )
    if started.version is not None and started.version not in versions:
        return (
            f"no live replayer has version {started.version} of {started.name!r}; the instance "
            f"waits until one has (they have {', '.join(sorted(versions))})"
        )
    return None
