"""Steering: `perdure cancel`, `terminate`, `suspend` and `resume`, of one or many."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Annotated, assert_never

import typer

from perdure.cli.conditions import takes_conditions
from perdure.cli.connection import (
    DatabaseUrlOption,
    SchemaOption,
    connect_client,
    read_instance,
)
from perdure.cli.many import (
    UNFINISHED,
    AllOption,
    DryRunOption,
    YesOption,
    chosen,
    narrowed,
    steer,
)
from perdure.cli.sending import each, refuse_ended, send
from perdure.cli.starting import fresh_token
from perdure.client.bulk import BulkReport
from perdure.client.instance_ids import stored_instance_id
from perdure.client.queries import Where
from perdure.errors import InstanceFinishedError, InstanceNotFoundError
from perdure.model.codec import encode
from perdure.model.records import RecordKind
from perdure.providers.protocol import ClientProvider
from perdure.providers.reading import InstanceStatus
from perdure.providers.work import Control, ControlOutcome, ControlVerb, Message

__all__ = ["InstancesArgument", "cancel", "resume", "suspend", "terminate"]

InstancesArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="INSTANCE", help="Or choose many by conditions.", show_default=False),
]
ReasonOption = Annotated[
    str, typer.Option("--reason", help="Kept in the history, for whoever wonders.")
]


@takes_conditions
def cancel(
    *,
    instances: InstancesArgument = None,
    where: Where,
    reason: ReasonOption = "",
    everything: AllOption = False,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    database_url: DatabaseUrlOption = None,
    schema: SchemaOption = "perdure",
) -> None:
    """Ask instances to cancel: their code sees it and may clean up.

    Many are chosen by conditions: they are counted and shown before it asks.

    Examples:
        perdure cancel order-17 --reason "customer called"
        perdure cancel --name checkout --since 2h --dry-run
        perdure cancel --name checkout --attribute shop=berlin --yes
    """
    many = _Many(everything=everything, dry_run=dry_run, yes=yes)
    _steer(_Verb.CANCEL, instances, where, reason, many, (database_url, schema))


@takes_conditions
def terminate(
    *,
    instances: InstancesArgument = None,
    where: Where,
    reason: ReasonOption = "",
    everything: AllOption = False,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    database_url: DatabaseUrlOption = None,
    schema: SchemaOption = "perdure",
) -> None:
    """End instances at once, and their children, without running their code.

    Many are chosen by conditions: they are counted and shown before it asks.

    Examples:
        perdure terminate order-17 --reason "stuck since the outage"
        perdure terminate --name checkout --status Blocked
    """
    many = _Many(everything=everything, dry_run=dry_run, yes=yes)
    _steer(_Verb.TERMINATE, instances, where, reason, many, (database_url, schema))


@takes_conditions
def suspend(
    *,
    instances: InstancesArgument = None,
    where: Where,
    reason: ReasonOption = "",
    everything: AllOption = False,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    database_url: DatabaseUrlOption = None,
    schema: SchemaOption = "perdure",
) -> None:
    """Let instances rest: no turns until resumed; messages are still taken.

    Many are chosen by conditions: they are counted and shown before it asks.

    Examples:
        perdure suspend order-17
        perdure suspend --name checkout --yes
    """
    many = _Many(everything=everything, dry_run=dry_run, yes=yes)
    _steer(_Verb.SUSPEND, instances, where, reason, many, (database_url, schema))


@takes_conditions
def resume(
    *,
    instances: InstancesArgument = None,
    where: Where,
    everything: AllOption = False,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    database_url: DatabaseUrlOption = None,
    schema: SchemaOption = "perdure",
) -> None:
    """Let suspended or blocked instances go on.

    Many are chosen by conditions: they are counted and shown before it asks.

    Examples:
        perdure resume order-17
        perdure resume --status Blocked --name checkout --yes
    """
    many = _Many(everything=everything, dry_run=dry_run, yes=yes)
    _steer(_Verb.RESUME, instances, where, "", many, (database_url, schema))


class _Verb(StrEnum):
    """What is done, and how it is said afterwards."""

    CANCEL = "asked to cancel"
    TERMINATE = "terminated"
    SUSPEND = "suspended"
    RESUME = "resumed"


@dataclass(frozen=True, slots=True)
class _Many:
    everything: bool
    dry_run: bool
    yes: bool


_PARKED = (InstanceStatus.SUSPENDED, InstanceStatus.BLOCKED)
_COMMANDS = {
    _Verb.TERMINATE: ControlVerb.TERMINATE,
    _Verb.SUSPEND: ControlVerb.SUSPEND,
    _Verb.RESUME: ControlVerb.RESUME,
}


def _steer(
    verb: _Verb,
    instances: list[str] | None,
    where: Where,
    reason: str,
    many: _Many,
    database: tuple[str | None, str],
) -> None:
    if chosen(instances, where, everything=many.everything):
        asyncio.run(_all(verb, where, reason, many, database))
    elif verb is _Verb.CANCEL:
        each(instances or [], partial(_cancel, reason=reason), database)
    else:
        each(instances or [], partial(_control, verb=verb, reason=reason), database)


async def _all(
    verb: _Verb, where: Where, reason: str, many: _Many, database: tuple[str | None, str]
) -> None:
    where = narrowed(where, _PARKED if verb is _Verb.RESUME else UNFINISHED, verb)

    async with connect_client(*database) as client:
        bulk = client.bulk(**where)

        async def act(tell: Callable[[int], None]) -> BulkReport:
            match verb:
                case _Verb.CANCEL:
                    return await bulk.cancel(reason, progress=tell)
                case _Verb.TERMINATE:
                    return await bulk.terminate(reason, progress=tell)
                case _Verb.SUSPEND:
                    return await bulk.suspend(reason, progress=tell)
                case _Verb.RESUME:
                    return await bulk.resume(progress=tell)
            assert_never(verb)

        await steer(client, where, verb, act, dry_run=many.dry_run, yes=many.yes)


async def _cancel(provider: ClientProvider, instance: str, reason: str) -> str:
    await refuse_ended(provider, instance)
    await send(
        provider,
        Message(
            instance=stored_instance_id(instance),
            kind=RecordKind.CANCEL_REQUESTED,
            body=encode(reason, what="--reason"),
            token=fresh_token(),
        ),
    )
    return f"{instance}: cancel requested"


async def _control(provider: ClientProvider, instance: str, verb: _Verb, reason: str) -> str:
    command = Control(instance=stored_instance_id(instance), verb=_COMMANDS[verb], reason=reason)
    (outcome,) = await provider.control([command])
    match outcome:
        case ControlOutcome.DONE:
            return f"{instance}: {verb}"
        case ControlOutcome.UNCHANGED:
            return f"{instance}: nothing to {command.verb.value}"
        case ControlOutcome.FINISHED:
            raise InstanceFinishedError(f"Instance {instance} has ended already")
        case ControlOutcome.NOT_FOUND:
            await read_instance(provider, instance)  # says how to look for it
            raise InstanceNotFoundError(f"No instance has the id {instance!r}")
    assert_never(outcome)
