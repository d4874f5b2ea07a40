"""Waiting for an instance to end, and seeing its events as they happen.

Both poll, first quickly and then ever more slowly up to half a second: a command line is one
reader among many, and needs no connection for hints of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

from perdure.cli.connection import read_instance
from perdure.errors import ResultTimeoutError
from perdure.model.events import Event, events_of
from perdure.model.ids import InstanceId
from perdure.model.records import Record
from perdure.providers.protocol import ClientProvider
from perdure.providers.reading import InstanceInfo, InstanceStatus

__all__ = ["follow", "wait_until_ended"]

_FIRST_PAUSE = 0.02
_LONGEST_PAUSE = 0.5
_FACTOR = 1.5


async def wait_until_ended(
    provider: ClientProvider, instance: str, *, timeout_seconds: float | None = None
) -> InstanceInfo:
    """Return the instance once it has ended, however it did.

    Raises:
        InstanceNotFoundError: There is none of that id.
        ResultTimeoutError: It still ran after `timeout_seconds`; it goes on running.
    """
    info: InstanceInfo | None = None
    try:
        async with asyncio.timeout(timeout_seconds):
            for pause in _pauses():
                info = await read_instance(provider, instance)
                if info.status.is_terminal:
                    return info
                await asyncio.sleep(pause)
    except TimeoutError as error:
        raise ResultTimeoutError(
            f"Instance {instance} has not ended after {timeout_seconds:g} s{_state_of(info)}"
        ) from error
    raise AssertionError("pauses do not end")


def _state_of(info: InstanceInfo | None) -> str:
    """Say what an instance does instead of ending, and what would make it end."""
    if info is None:
        return ""
    if info.block is not None:
        why = f"{info.block.reason}: {info.block.message}"
        return f"; it is Blocked, and stays so until it is mended and resumed: {why}"
    if info.status is InstanceStatus.SUSPENDED:
        return f"; it is Suspended until resumed: perdure resume {info.instance}"
    return f"; it is {info.status.value} and goes on"


async def follow(
    provider: ClientProvider,
    instance: str,
    show: Callable[[Event], None],
    *,
    tick: Callable[[InstanceInfo], None] | None = None,
) -> InstanceInfo:
    """Show the events of an instance in order, those that were and those to come, to its end.

    `tick` is called after every look, so that a display can show what changes between events.
    """
    records: list[Record] = []
    shown = 0
    pauses = _pauses()
    while True:
        # The status is read before the history: an end seen here has its events there.
        info = await read_instance(provider, instance)
        after = records[-1].seq if records else 0
        fresh = await provider.read_history(InstanceId(instance), after=after)
        if fresh:
            records.extend(fresh)
            events = list(events_of(records))
            for event in events[shown:]:
                show(event)
            shown = len(events)
            pauses = _pauses()
        if tick is not None:
            tick(info)
        if info.status.is_terminal:
            return info
        await asyncio.sleep(next(pauses))


def _pauses() -> Iterator[float]:
    pause = _FIRST_PAUSE
    while True:
        yield pause
        pause = min(pause * _FACTOR, _LONGEST_PAUSE)
