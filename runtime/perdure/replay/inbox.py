"""What arrives for one execution, and what its code waits for by name.

A message names the operation that it answers, or a name that somebody may wait for, or it is for
the run as a whole. It is handed over here, one at a time; the code then runs until it rests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perdure.errors import NondeterminismError, PayloadError
from perdure.model.actions import CancelWait, DequeueEvent, ReadKey, WaitEvent, WaitNext
from perdure.model.codec import decode, decode_failure
from perdure.model.ids import JsonText, OperationId
from perdure.model.records import CarriedEvent, Record, RecordKind
from perdure.replay.failures import REACHES_USER_CODE, activity_error, orchestration_error
from perdure.replay.futures import DurableTimer, OperationHandle, OperationKind
from perdure.replay.queues import Arrivals

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from perdure.model.ids import InstanceId
    from perdure.replay.engine import Engine
    from perdure.replay.futures import Waiting

__all__ = ["DEADLINE", "Inbox", "reason_of"]

DEADLINE = OperationId("deadline:1")
"""The operation of the timer that ends a run which takes too long."""


class Inbox:
    """Between the messages of one execution and whoever awaits them."""

    __slots__ = ("_arrived", "_engine", "_events", "_queued")

    def __init__(self, engine: Engine, carried: Iterable[CarriedEvent]) -> None:
        """Begin with what the last execution did not read."""
        self._engine = engine
        self._events = Arrivals()
        self._queued = Arrivals()
        self._arrived = 0
        for event in carried:
            self.arrive(event)

    # ----------------------------------------------------------------- waiting

    def wait_event[T](
        self, name: str, decode_event: Callable[[JsonText | None], T]
    ) -> OperationHandle[T]:
        """Ask for the next event of that name, buffered ones first."""
        operation, line = self._engine.next_operation()
        self._engine.record(WaitEvent(operation, name, line))
        handle = OperationHandle(self._engine, OperationKind.EVENT, operation, name, decode_event)
        return self._receive(self._events, name, handle, self._events.take(name))

    def wait_next[T](
        self, name: str, decode_event: Callable[[JsonText | None], T]
    ) -> OperationHandle[T]:
        """Ask for an event of that name that arrives from now on."""
        operation, line = self._engine.next_operation()
        self._engine.record(WaitNext(operation, name, line))
        handle = OperationHandle(self._engine, OperationKind.EVENT, operation, name, decode_event)
        return self._receive(self._events, name, handle, None)

    def dequeue_event(self, queue: str, as_type: Any) -> OperationHandle[Any]:
        """Ask for the next message of a queue, buffered ones first."""
        operation, line = self._engine.next_operation()
        self._engine.record(DequeueEvent(operation, queue, line))

        def decode_message(text: JsonText | None) -> Any:
            return decode(text, as_type, what=f"a message of queue {queue!r}")

        handle = OperationHandle(
            self._engine, OperationKind.QUEUE, operation, queue, decode_message
        )
        return self._receive(self._queued, queue, handle, self._queued.take(queue))

    def _receive[T](
        self, arrivals: Arrivals, name: str, handle: OperationHandle[T], event: CarriedEvent | None
    ) -> OperationHandle[T]:
        if event is not None:
            _deliver_from_outside(handle, event.data)
        else:
            self._engine.open[handle.operation] = handle
            arrivals.wait(name, handle)
        return handle

    def read_key(self, instance: InstanceId, key: str, as_type: Any) -> OperationHandle[Any]:
        """Ask for a key of another instance."""
        operation, line = self._engine.next_operation()
        self._engine.record(ReadKey(operation, instance, key, line))
        what = f"the value of key {key!r} of instance {instance!r}"

        def decode_value(text: JsonText | None) -> Any:
            return None if text in (None, "null") else decode(text, as_type, what=what)

        handle = OperationHandle(self._engine, OperationKind.KEY, operation, key, decode_value)
        self._engine.open[operation] = handle
        return handle

    def withdraw(self, handle: OperationHandle[Any]) -> None:
        """Record that nobody waits here any more."""
        arrivals = self._queued if handle.kind is OperationKind.QUEUE else self._events
        arrivals.withdraw(handle.subject, handle)
        self._engine.record(CancelWait(handle.operation))

    # ---------------------------------------------------------------- delivering

    def deliver(self, record: Record) -> None:
        """Hand one message to whoever awaits it."""
        match record.kind:
            case RecordKind.EVENT_RAISED:
                self.arrive(CarriedEvent(record.ref or "", record.body))
            case RecordKind.EVENT_QUEUED:
                self.arrive(CarriedEvent(record.ref or "", record.body, queued=True))
            case RecordKind.CANCEL_REQUESTED:
                self._engine.cancel(reason_of(record))
            case RecordKind.UPDATE_REQUESTED:
                self._engine.requests.deliver(record.ref or "", record.body or JsonText("null"))
            case RecordKind.TIMER_FIRED if record.ref == DEADLINE:
                self._engine.time_out()
            case _:
                self._answer(record)

    def _answer(self, record: Record) -> None:
        """Wake the operation that a message names; none is open if it was withdrawn."""
        waiting = self._engine.open.pop(record.ref or "", None)
        if waiting is None:
            return
        if waiting.kind is not _ANSWERED[record.kind]:
            self._engine.block(_mismatch(self._engine.instance, waiting, record))
            return
        if isinstance(waiting, DurableTimer):
            self._engine.loop.wake(waiting)
            return
        match record.kind:
            case RecordKind.ACTIVITY_FAILED:
                self._fail_activity(waiting, record)
            case RecordKind.CHILD_FAILED:
                failure = decode_failure(record.body or JsonText("null"))
                waiting.set_exception(orchestration_error(waiting.subject, failure))
            case RecordKind.KEY_READ:
                _deliver_from_outside(waiting, record.body)
            case _:
                try:
                    waiting.deliver(record.body)
                except PayloadError as error:
                    self._engine.block(_misfit(self._engine.instance, waiting, error))

    def _fail_activity(self, waiting: OperationHandle[Any], record: Record) -> None:
        failure = decode_failure(record.body or JsonText("null"))
        if failure.category in REACHES_USER_CODE:
            waiting.set_exception(activity_error(waiting.subject, failure))
        else:
            self._engine.abort(failure)

    def arrive(self, event: CarriedEvent) -> None:
        """Hand an event to the first wait of its name, or keep it for the next."""
        arrivals = self._queued if event.queued else self._events
        self._arrived += 1
        handle = arrivals.arrive(self._arrived, event)
        if handle is not None:
            self._engine.open.pop(handle.operation, None)
            _deliver_from_outside(handle, event.data)

    def stop_waiting(self) -> None:
        """Let events pass by the waits of an execution that has ended."""
        self._events.stop_waiting()
        self._queued.stop_waiting()

    def unread(self) -> tuple[CarriedEvent, ...]:
        """Return the events and messages that nobody has taken, oldest first."""
        kept = self._events.kept() + self._queued.kept()
        kept.sort(key=_order)
        return tuple(event for _, event in kept)


def _order(item: tuple[int, CarriedEvent]) -> int:
    return item[0]


def reason_of(record: Record) -> str:
    """Read the reason of a cancel request."""
    return decode(record.body, str, what="the reason of a cancel request") if record.body else ""


def _deliver_from_outside(handle: OperationHandle[Any], data: JsonText | None) -> None:
    """What comes from outside may be of the wrong type, which is the code's to handle."""
    try:
        handle.deliver(data)
    except PayloadError as error:
        handle.set_exception(error)


_ANSWERED = {
    RecordKind.ACTIVITY_COMPLETED: OperationKind.ACTIVITY,
    RecordKind.ACTIVITY_FAILED: OperationKind.ACTIVITY,
    RecordKind.TIMER_FIRED: OperationKind.TIMER,
    RecordKind.CHILD_COMPLETED: OperationKind.CHILD,
    RecordKind.CHILD_FAILED: OperationKind.CHILD,
    RecordKind.KEY_READ: OperationKind.KEY,
}
"""Which messages answer which operations; events are matched by name instead."""


def _mismatch(instance: str, waiting: Waiting, record: Record) -> NondeterminismError:
    """A message answers an operation of another kind than the code asked for."""
    return NondeterminismError(
        f"instance {instance!r}, operation {record.ref}: history has {record.kind.name}, but the "
        f"code asked for a wait of kind {waiting.kind.value!r} there; restore the code that this "
        "instance started with"
    )


def _misfit(instance: str, waiting: OperationHandle[Any], error: PayloadError) -> PayloadError:
    """A recorded result that does not read as its type: another code, or a token, gave it."""
    return PayloadError(
        f"instance {instance!r}, operation {waiting.operation}: {error}. The declared type has "
        "changed since the result was recorded, or somebody gave another with a completion token: "
        "let it read that form too"
    )
