"""Live executions, kept between their turns.

A turn of an execution that is still in memory needs only the messages that are new; any other
needs its whole history. What is here is always as storage has it: an execution is taken out before
its turn and put back only when the turn is known to be committed. So losing any of it, or all of
it, costs reading histories again and nothing else.
"""

from __future__ import annotations

from collections import OrderedDict

from perdure.model.ids import InstanceId
from perdure.replay.turn import LiveExecution

__all__ = ["ExecutionCache"]


class ExecutionCache:
    """At most so many executions; those that had no turn for longest go first."""

    def __init__(self, executions_max: int) -> None:
        self._executions_max = executions_max
        self._kept: OrderedDict[tuple[InstanceId, int], LiveExecution] = OrderedDict()
        self._dropped: list[LiveExecution] = []

    def __len__(self) -> int:
        return len(self._kept)

    def take(self, instance: InstanceId, execution: int) -> LiveExecution | None:
        """Take an execution out, if it is there."""
        return self._kept.pop((instance, execution), None)

    def look(self, instance: InstanceId, execution: int) -> LiveExecution | None:
        """Look at an execution and leave it; what may be done to it is up to the turns' thread."""
        return self._kept.get((instance, execution))

    def forget(self, instance: InstanceId, execution: int, live: LiveExecution) -> None:
        """Let go of this execution, if it is there."""
        if self.abandon(instance, execution, live):
            self._dropped.append(live)

    def abandon(self, instance: InstanceId, execution: int, live: LiveExecution) -> bool:
        """Take this execution out, never to be closed: a thread is stuck in it."""
        is_here = self._kept.get((instance, execution)) is live
        if is_here:
            del self._kept[instance, execution]
        return is_here

    def put(self, instance: InstanceId, execution: int, live: LiveExecution) -> None:
        """Keep an execution whose last turn is committed."""
        older = self._kept.pop((instance, execution), None)
        if older is not None:
            self._dropped.append(older)
        self._kept[instance, execution] = live
        while len(self._kept) > self._executions_max:
            _, oldest = self._kept.popitem(last=False)
            self._dropped.append(oldest)

    def drop(self, live: LiveExecution) -> None:
        """Let go of an execution that was taken out."""
        self._dropped.append(live)

    def dropped(self) -> list[LiveExecution]:
        """Hand over what is to be closed, in the thread where turns run."""
        dropped, self._dropped = self._dropped, []
        return dropped

    def clear(self) -> None:
        """Let go of everything."""
        self._dropped.extend(self._kept.values())
        self._kept.clear()
