"""What comes in by name: events, and messages of queues.

The sender of an event knows nothing of the operation that will take it. So arrivals and waits of
one name queue for each other, first come first served, and whichever comes first waits for the
other. There are three ways to wait, and two sorts of arrivals:

=================  ==============  =========================================================
wait               arrivals        takes
=================  ==============  =========================================================
`wait_event`       raised events   the oldest that nobody has taken, from before the start on
`schedule_wait`    raised events   the first that arrives while it waits
`dequeue_event`    queued          the oldest of its queue, from before the start on
=================  ==============  =========================================================

Waits for events of one name stand in one line, whichever sort they are. What a wait that was
withdrawn might have taken goes to the next one. What is left when an execution ends goes on to the
next, or is listed as unread.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from perdure.model.records import CarriedEvent
    from perdure.replay.engine import Engine
    from perdure.replay.futures import OperationHandle

__all__ = ["Arrivals", "Queue"]


class Arrivals:
    """Arrivals of one sort that nobody has taken, and the waits that nothing has come for."""

    __slots__ = ("_kept", "_waits")

    def __init__(self) -> None:
        """Begin with neither."""
        self._kept: dict[str, deque[tuple[int, CarriedEvent]]] = {}
        self._waits: dict[str, OrderedDict[OperationHandle[Any], None]] = {}
        """A line that one may leave from the middle, however long it is."""

    def take(self, name: str) -> CarriedEvent | None:
        """Take the oldest of a name, if there is one."""
        kept = self._kept.get(name)
        return kept.popleft()[1] if kept else None

    def wait(self, name: str, handle: OperationHandle[Any]) -> None:
        """Stand in line for a name."""
        self._waits.setdefault(name, OrderedDict())[handle] = None

    def withdraw(self, name: str, handle: OperationHandle[Any]) -> None:
        """Leave the line."""
        del self._waits[name][handle]

    def arrive(self, number: int, event: CarriedEvent) -> OperationHandle[Any] | None:
        """Return who takes an arrival; None: nobody waits, and it is kept."""
        waits = self._waits.get(event.name)
        if waits:
            return waits.popitem(last=False)[0]
        self._kept.setdefault(event.name, deque()).append((number, event))
        return None

    def stop_waiting(self) -> None:
        """Let arrivals pass by whoever still waits: the execution has ended."""
        self._waits.clear()

    def kept(self) -> list[tuple[int, CarriedEvent]]:
        """Return what nobody has taken, with the numbers that it arrived by."""
        return [item for kept in self._kept.values() for item in kept] if self._kept else []


class Queue[T]:
    """A durable queue of this instance: others enqueue to it, its code takes from it in order."""

    __slots__ = ("_as_type", "_engine", "name")

    def __init__(self, engine: Engine, name: str, as_type: Any) -> None:
        """Made by `OrchestrationContext.queue`."""
        self._engine = engine
        self._as_type = as_type
        self.name = name

    def get(self) -> OperationHandle[T]:
        """Take the next message, or wait for it.

        Messages are kept from before the start and across continue-as-new. Awaiting raises
        `PayloadError` if one does not fit the type; it is consumed all the same.
        """
        return self._engine.inbox.dequeue_event(self.name, self._as_type)

    def __aiter__(self) -> Self:
        """Take message after message, without end."""
        return self

    async def __anext__(self) -> T:
        """Take the next message."""
        return await self.get()
