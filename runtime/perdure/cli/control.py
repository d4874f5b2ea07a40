"""Steering: `perdure cancel`, `terminate`, `suspend`, `resume` and `event raise`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, assert_never

import typer

from perdure.cli.connection import DatabaseUrlOption, SchemaOption, connect, read_instance
from perdure.cli.inputs import parse_value, read_json
from perdure.cli.output import warn
from perdure.cli.starting import fresh_token
from perdure.client.instance_ids import checked_event_name, stored_instance_id
from perdure.errors import (
    CallerError,
    ConfigurationError,
    InboxFullError,
    InstanceFinishedError,
    InstanceNotFoundError,
)
from perdure.model.codec import encode
from perdure.model.records import RecordKind
from perdure.providers.protocol import ClientProvider
from perdure.providers.work import (
    Control,
    ControlOutcome,
    ControlVerb,
    EnqueueOutcome,
    Message,
)

__all__ = ["cancel", "raise_event", "resume", "suspend", "terminate"]

InstancesArgument = Annotated[list[str], typer.Argument(metavar="INSTANCE...", show_default=False)]
ReasonOption = Annotated[
    str, typer.Option("--reason", help="Kept in the history, for whoever wonders.")
]


def cancel(
    *,
    instances: InstancesArgument,
    reason: ReasonOption = "",
    database_url: DatabaseUrlOption = None,
    schema: SchemaOption = "perdure",
) -> None:
    """Ask instances to cancel: their code sees it and may clean up.

    Examples:
        perdure cancel order-17 --reason "customer called"
    """

    async def one(provider: ClientProvider, instance: str) -> str:
        await _refuse_ended(provider, instance)
        await _send(
            provider,
            Message(
                instance=stored_instance_id(instance),
                kind=RecordKind.CANCEL_REQUESTED,
                body=encode(reason, what="--reason"),
                token=fresh_token(),
            ),
        )
        return f"{instance}: cancel requested"

    _each(instances, one, (database_url, schema))


def terminate(
    *,
    instances: InstancesArgument,
    reason: ReasonOption = "",
    database_url: DatabaseUrlOption = None,
    schema: SchemaOption = "perdure",
) -> None:
    """End instances at once, and their children, without running their code.

    Examples:
        perdure terminate order-17 --reason "stuck since the outage"
    """
    _control(instances, ControlVerb.TERMINATE, reason, (database_url, schema))


def suspend(
    *,
    instances: InstancesArgument,
    reason: ReasonOption = "",
    database_url: DatabaseUrlOption = None,
    schema: SchemaOption = "perdure",
) -> None:
    """Let instances rest: no turns until resumed; messages are still taken.

    Examples:
        perdure suspend order-17
    """
    _control(instances, ControlVerb.SUSPEND, reason, (database_url, schema))


def resume(
    *,
    instances: InstancesArgument,
    reason: ReasonOption = "",
    database_url: DatabaseUrlOption = None,
    schema: SchemaOption = "perdure",
) -> None:
    """Let suspended or blocked instances go on.

    Examples:
        perdure resume order-17
        perdure list --status Blocked -o json | jq -r '.[].instance' | xargs perdure resume
    """
    _control(instances, ControlVerb.RESUME, reason, (database_url, schema))


def raise_event(
    *,
    instance: Annotated[str, typer.Argument(metavar="INSTANCE", show_default=False)],
    name: Annotated[str, typer.Argument(metavar="EVENT", show_default=False)],
    data: Annotated[
        str | None,
        typer.Argument(metavar="[DATA]", help="JSON, or a plain string.", show_default=False),
    ] = None,
    data_json: Annotated[
        str | None,
        typer.Option("--data", metavar="JSON", help="The data as JSON; @FILE and - read it."),
    ] = None,
    ahead: Annotated[
        bool,
        typer.Option("--ahead", help="Also to an instance yet to start: kept for it some days."),
    ] = False,
    database_url: DatabaseUrlOption = None,
    schema: SchemaOption = "perdure",
) -> None:
    """Raise an event: the instance's next wait for that name gets it, in order, once.

    Examples:
        perdure event raise order-17 approved
        perdure event raise order-17 approved '{"by": "ada"}'
    """
    if data is not None and data_json is not None:
        raise ConfigurationError("Give the data once: as an argument or as --data")
    value = (
        read_json(data_json, option="--data")
        if data_json is not None
        else None
        if data is None
        else parse_value(data)
    )

    async def one(provider: ClientProvider, instance: str) -> str:
        if not ahead:
            await _refuse_ended(provider, instance)
        outcome = await _send(
            provider,
            Message(
                instance=stored_instance_id(instance),
                kind=RecordKind.EVENT_RAISED,
                ref=checked_event_name(name),
                body=encode(value, what=f"the data of event {name!r}"),
                token=fresh_token(),
            ),
        )
        if outcome is EnqueueOutcome.KEPT:
            return f"{instance}: event {name} kept for its start"
        return f"{instance}: event {name} raised"

    _each([instance], one, (database_url, schema))


def _control(
    instances: list[str], verb: ControlVerb, reason: str, database: tuple[str | None, str]
) -> None:
    done = {
        ControlVerb.SUSPEND: "suspended",
        ControlVerb.RESUME: "resumed",
        ControlVerb.TERMINATE: "terminated",
    }[verb]

    async def one(provider: ClientProvider, instance: str) -> str:
        command = Control(instance=stored_instance_id(instance), verb=verb, reason=reason)
        (outcome,) = await provider.control([command])
        match outcome:
            case ControlOutcome.DONE:
                return f"{instance}: {done}"
            case ControlOutcome.UNCHANGED:
                return f"{instance}: nothing to {verb.value}"
            case ControlOutcome.FINISHED:
                raise InstanceFinishedError(f"Instance {instance} has ended already")
            case ControlOutcome.NOT_FOUND:
                await read_instance(provider, instance)  # says how to look for it
                raise InstanceNotFoundError(f"No instance has the id {instance!r}")
        assert_never(outcome)

    _each(instances, one, database)


def _each(
    instances: list[str],
    act: Callable[[ClientProvider, str], Awaitable[str]],
    database: tuple[str | None, str],
) -> None:
    """Act on each, telling of it; one that cannot be does not keep the others from it.

    Raises:
        CallerError: The first thing that could not be, once all have been tried.
    """

    async def go() -> None:
        refused: list[CallerError] = []
        async with connect(*database) as provider:
            for instance in instances:
                try:
                    typer.echo(await act(provider, instance))
                except CallerError as error:
                    refused.append(error)
        for other in refused[1:]:
            warn(str(other))
        if refused:
            raise refused[0]

    asyncio.run(go())


async def _refuse_ended(provider: ClientProvider, instance: str) -> None:
    """A person who names an instance means one that is there: a typo must not be kept for later."""
    info = await read_instance(provider, instance)
    if info.status.is_terminal:
        raise InstanceFinishedError(
            f"Instance {instance} ended as {info.status.value}; it takes no more messages"
        )


async def _send(provider: ClientProvider, message: Message) -> EnqueueOutcome:
    (outcome,) = await provider.enqueue([message])
    match outcome:
        case EnqueueOutcome.FINISHED:
            raise InstanceFinishedError(
                f"Instance {message.instance} has ended; it takes no more messages"
            )
        case EnqueueOutcome.FULL:
            raise InboxFullError(
                f"Instance {message.instance} has too many unread messages; nothing was added"
            )
        case EnqueueOutcome.ACCEPTED | EnqueueOutcome.KEPT | EnqueueOutcome.EXISTS:
            return outcome
    assert_never(outcome)
