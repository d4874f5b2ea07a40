"""What an execution waits for, and where: for a test that waits in vain."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from perdure.model import events as ev
from perdure.providers.reading import InstanceInfo, InstanceStatus, OpenActivity

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["next_timer", "open_operations", "report"]

_ENDS = (
    ev.ActivityCompleted, ev.ActivityFailed, ev.ActivityCancelRequested, ev.TimerFired,
    ev.TimerCancelled, ev.EventSubscriptionCancelled, ev.SubOrchestrationCompleted,
    ev.SubOrchestrationFailed, ev.SubOrchestrationCancelRequested, ev.KeyRead,
)  # fmt: skip
_WAITS = (ev.EventSubscribed, ev.NextEventSubscribed, ev.QueueSubscribed)


def open_operations(events: Iterable[ev.Event]) -> list[ev.OperationEvent]:
    """Return what the last execution has begun and not finished, oldest first.

    A wait for an event counts until as many of that name have arrived as were waited for.
    """
    begun: dict[str, ev.OperationEvent] = {}
    for event in events:
        match event:
            case ev.OrchestrationStarted():
                begun.clear()
            case ev.ActivityScheduled() | ev.TimerCreated() | ev.SubOrchestrationScheduled():
                begun[event.operation] = event
            case ev.EventSubscribed() | ev.NextEventSubscribed() | ev.QueueSubscribed():
                begun[event.operation] = event
            case ev.EventRaised(name=name):
                _arrived(begun, name)
            case ev.EventQueued(queue=name):
                _arrived(begun, name)
            case ev.OperationEvent() if isinstance(event, _ENDS):
                begun.pop(event.operation, None)
            case _:
                pass
    return [*begun.values()]


def _arrived(begun: dict[str, ev.OperationEvent], name: str) -> None:
    for operation, event in begun.items():
        if isinstance(event, _WAITS) and _name_of(event) == name:
            del begun[operation]
            return


def _name_of(event: ev.OperationEvent) -> str:
    return event.queue if isinstance(event, ev.QueueSubscribed) else getattr(event, "name", "")


def next_timer(events: Iterable[ev.Event]) -> datetime | None:
    """Return when the next timer of the last execution fires."""
    timers = [each.fire_at for each in open_operations(events) if isinstance(each, ev.TimerCreated)]
    return min(timers, default=None)


def report(
    infos: Sequence[tuple[InstanceInfo, Sequence[ev.Event]]],
    activities: Sequence[OpenActivity],
    known: Iterable[str],
) -> str:
    """Say of each unfinished instance what it waits for."""
    lines: list[str] = []
    waiting = {(each.instance, each.operation): each for each in activities}
    for info, events in infos:
        lines.append(f"  {info.name} {info.instance!r} is {info.status.value}")
        if info.block is not None:
            lines.append(f"    {info.block.reason}: {info.block.message}")
        if info.status is InstanceStatus.PENDING:
            lines.append("    its first turn was not taken: is it registered?")
        for each in open_operations(events):
            lines.append(f"    {_said(each)}")
            activity = waiting.get((info.instance, each.operation))
            if activity is not None and activity.name not in set(known):
                lines.append(f"      nobody runs {activity.name!r}: register it")
            elif activity is not None and activity.last_failure is not None:
                lines.append(f"      failed {activity.failures} times: {activity.last_failure}")
    return "\n".join(lines) or "  no instance is unfinished"


def _said(event: ev.OperationEvent) -> str:
    where = f"at {getattr(event, 'line', '?')}"
    match event:
        case ev.ActivityScheduled(name=name):
            return f"waits for activity {name!r}, {where}"
        case ev.TimerCreated(fire_at=at):
            return f"waits for a timer until {at:%Y-%m-%d %H:%M:%S}, {where}"
        case ev.SubOrchestrationScheduled(name=name, instance=child):
            return f"waits for {name} {child!r}, {where}"
        case ev.QueueSubscribed(queue=queue):
            return f"waits for an item in queue {queue!r}, {where}"
        case _:
            return f"waits for event {_name_of(event)!r}, {where}"
