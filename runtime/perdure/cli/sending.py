"""Sending: `perdure event raise` and `event enqueue`, and what sending to instances needs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
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
)
from perdure.model.codec import encode
from perdure.model.records import RecordKind
from perdure.providers.protocol import ClientProvider
from perdure.providers.work import EnqueueOutcome, Message

__all__ = ["each", "enqueue_event", "raise_event", "refuse_ended", "send"]

InstanceArgument = Annotated[str, typer.Argument(metavar="INSTANCE", show_default=False)]
DataArgument = Annotated[
    str | None,
    typer.Argument(metavar="[DATA]", help="JSON, or a plain string.", show_default=False),
]
DataOption = Annotated[
    str | None,
    typer.Option("--data", metavar="JSON", help="The data as JSON; @FILE and - read it."),
]
AheadOption = Annotated[
    bool,
    typer.Option("--ahead", help="Also to an instance yet to start: kept for it some days."),
]


def raise_event(
    *,
    instance: InstanceArgument,
    name: Annotated[str, typer.Argument(metavar="EVENT", show_default=False)],
    data: DataArgument = None,
    data_json: DataOption = None,
    ahead: AheadOption = False,
    database_url: DatabaseUrlOption = None,
    schema: SchemaOption = "perdure",
) -> None:
    """Raise an event: the instance's next wait for that name gets it, in order, once.

    Examples:
        perdure event raise order-17 approved
        perdure event raise order-17 approved '{"by": "ada"}'
    """
    message = _message(RecordKind.EVENT_RAISED, instance, name, (data, data_json))
    _deliver(message, ("event", "raised"), (database_url, schema), ahead=ahead)


def enqueue_event(
    *,
    instance: InstanceArgument,
    queue: Annotated[str, typer.Argument(metavar="QUEUE", show_default=False)],
    data: DataArgument = None,
    data_json: DataOption = None,
    ahead: AheadOption = False,
    database_url: DatabaseUrlOption = None,
    schema: SchemaOption = "perdure",
) -> None:
    """Put an item into one of an instance's queues: taken first in, first out, each once.

    Examples:
        perdure event enqueue cart-17 items '{"sku": "tea", "count": 2}'
        perdure event enqueue cart-17 items --data @item.json --ahead
    """
    message = _message(RecordKind.EVENT_QUEUED, instance, queue, (data, data_json))
    _deliver(message, ("item for queue", "added"), (database_url, schema), ahead=ahead)


def _message(
    kind: RecordKind, instance: str, name: str, given: tuple[str | None, str | None]
) -> Message:
    data, data_json = given
    if data is not None and data_json is not None:
        raise ConfigurationError("Give the data once: as an argument or as --data")
    value = (
        read_json(data_json, option="--data")
        if data_json is not None
        else None
        if data is None
        else parse_value(data)
    )
    return Message(
        instance=stored_instance_id(instance),
        kind=kind,
        ref=checked_event_name(name),
        body=encode(value, what=f"the data of {name!r}"),
        token=fresh_token(),
    )


def _deliver(
    message: Message, said: tuple[str, str], database: tuple[str | None, str], *, ahead: bool
) -> None:
    what, done = said

    async def one(provider: ClientProvider, instance: str) -> str:
        if not ahead:
            await refuse_ended(provider, instance)
        if await send(provider, message) is EnqueueOutcome.KEPT:
            return f"{instance}: {what} {message.ref} kept for its start"
        return f"{instance}: {what} {message.ref} {done}"

    each([message.instance], one, database)


def each(
    instances: Sequence[str],
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


async def refuse_ended(provider: ClientProvider, instance: str) -> None:
    """A person who names an instance means one that is there: a typo must not be kept for later."""
    info = await read_instance(provider, instance)
    if info.status.is_terminal:
        raise InstanceFinishedError(
            f"Instance {instance} ended as {info.status.value}; it takes no more messages"
        )


async def send(provider: ClientProvider, message: Message) -> EnqueueOutcome:
    """Send one message; raises where the instance does not take it."""
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
