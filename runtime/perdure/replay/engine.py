"""The operations of one execution: what was asked for, what is open, what arrives.

An operation is named by where it was asked for: the path of its task and a count within that
task. Asking makes an action (collected until the turn ends) and, if there is something to await,
an open entry under that name. A message names the operation it answers; the entry is taken out and
woken. What is withdrawn is taken out too, so a late answer finds nothing and is passed over.

=====================  ======================================  ==========================
asked for by           action                                  answered by
=====================  ======================================  ==========================
an activity's call     ScheduleActivity, CancelActivity        ACTIVITY_COMPLETED, _FAILED
`asyncio`, timers      CreateTimer, CancelTimer                TIMER_FIRED
a child's call         StartChild, CancelChild                 CHILD_COMPLETED, _FAILED
`wait_event`           WaitEvent, CancelWait                   EVENT_RAISED, by name
=====================  ======================================  ==========================

Events differ in that the sender knows nothing of the operation: arrivals and waits of one name
queue for each other, first come first served, and whichever comes first waits for the other.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import zlib
from collections import deque
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from perdure.errors import AuthorError, ForbiddenCallError, NondeterminismError, PayloadError
from perdure.model.actions import (
    Action,
    CancelActivity,
    CancelChild,
    CancelTimer,
    CancelWait,
    ContinueAsNew,
    CreateTimer,
    ScheduleActivity,
    SetCustomStatus,
    StartChild,
    StartDetached,
    WaitEvent,
)
from perdure.model.codec import decode, decode_failure
from perdure.model.failure import Failure, FailureCategory
from perdure.model.ids import InstanceId, JsonText, OperationId, child_instance_id
from perdure.model.records import CarriedEvent, Record, RecordKind
from perdure.model.strictness import TripwirePolicy
from perdure.replay.failures import REACHES_USER_CODE, activity_error, orchestration_error
from perdure.replay.futures import DurableTask, DurableTimer, OperationHandle, OperationKind
from perdure.replay.lines import line_of_caller
from perdure.replay.loop import DeterministicLoop, ExecutionClosed
from perdure.replay.patches import Patches

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from perdure.model.policy import Retry
    from perdure.replay.futures import DurableFuture, Waiting

__all__ = ["Engine"]

_LOGGER = logging.getLogger("perdure.orchestration")
_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
_NUMBER_BITS = 40
"""Room for the numbers of one execution's futures beneath the digest that sets them apart."""


class Engine:
    """One execution, between its code and its history."""

    __slots__ = (
        "_arrived",
        "_events",
        "_fresh_timers",
        "_silenced",
        "_started_at",
        "_waits",
        "aborted",
        "actions",
        "blocked",
        "cancel_reason",
        "closed",
        "continuing",
        "custom_status",
        "execution",
        "history_length",
        "instance",
        "loop",
        "now",
        "open",
        "patches",
        "replaying",
        "root",
        "timestamp",
        "tripwire",
    )

    def __init__(self, instance: InstanceId, execution: int, started_at: datetime) -> None:
        """Begin with nothing open; `started_at` is when the start was recorded."""
        self.instance = instance
        self.execution = execution
        self._started_at = started_at
        digest = zlib.crc32(f"{instance}/{execution}".encode()) & 0xFFFF
        self.loop = DeterministicLoop(self, digest << _NUMBER_BITS)  # type: ignore[abstract]  # filled in by surface
        self.root: DurableTask[Any] | None = None
        self.now = started_at
        self.timestamp = 0.0
        self.replaying = False
        self.closed = False
        self.history_length = 0
        self.actions: list[Action | None] = []
        self.open: dict[str, Waiting] = {}
        self.custom_status: JsonText | None = None
        self.patches = Patches()
        self.cancel_reason: str | None = None
        self.continuing: ContinueAsNew | None = None
        self.aborted: Failure | None = None
        """A failure that ends the run without reaching its code."""
        self.blocked: AuthorError | None = None
        """What parks the run: raised by the turn, whatever the code made of it."""
        self.tripwire = TripwirePolicy.OFF
        self._fresh_timers: dict[str, int] = {}
        self._waits: dict[str, deque[OperationHandle[Any]]] = {}
        self._events: dict[str, deque[tuple[int, CarriedEvent]]] = {}
        self._arrived = 0
        self._silenced = 0

    # -------------------------------------------------------------- the turn's frame

    def begin(self, now: datetime, history_length: int, *, replaying: bool) -> None:
        """Begin a turn. Time never runs backwards, whatever the database's clock did."""
        self.now = max(now, self.now)
        self.timestamp = (self.now - _EPOCH).total_seconds()
        self.history_length = history_length
        self.replaying = replaying
        self.actions = []
        self._fresh_timers.clear()

    def block(self, error: AuthorError) -> None:
        """Park the run: stop here, and let the turn raise `error`."""
        if self.blocked is None:
            self.blocked = error
        self.loop.stopping = True

    def abort(self, failure: Failure) -> None:
        """End the run as Failed, past its code."""
        if self.aborted is None:
            self.aborted = failure
        self.loop.stopping = True

    @contextmanager
    def silenced(self) -> Generator[None]:
        """Let nothing be asked for: clean-up runs at a moment that is not the program's."""
        self._silenced += 1
        try:
            yield
        finally:
            self._silenced -= 1

    @property
    def is_silenced(self) -> bool:
        """True while nothing may be asked for, see `silenced`."""
        return self._silenced > 0

    def report(self, context: dict[str, Any]) -> None:
        """Log an error that nobody awaited, unless it was logged when it first happened."""
        if self.replaying or self.closed:
            return
        error = context.get("exception")
        _LOGGER.error(
            "%s", context.get("message", "unhandled"), exc_info=error, extra=self.log_fields()
        )

    def log_fields(self) -> dict[str, object]:
        """Return what every line of log tells of this execution."""
        return {"instance_id": self.instance, "execution_id": self.execution}

    # ------------------------------------------------------------------- asking

    def _task(self) -> DurableTask[Any]:
        """Return the task that asks; refuse whoever may not ask."""
        if self.closed or self._silenced:
            raise ExecutionClosed
        task = asyncio.current_task(self.loop) if self.loop.running else None
        if isinstance(task, DurableTask):
            return task
        what = "outside its turn" if not self.loop.running else "in a callback, not in a task"
        if task is not None:
            what = "in a task that asyncio.Task(...) made"
        msg = (
            f"instance {self.instance!r}: an operation was asked for {what}; only the tasks of an "
            "orchestration may: call it in the orchestration or in asyncio.create_task(...)"
        )
        error = ForbiddenCallError(msg)
        if self.loop.running:
            self.block(error)
        raise error

    def _next(self) -> tuple[OperationId, str]:
        """Name the next operation of the current task, and the line that asks."""
        task = self._task()
        task.operations = count = task.operations + 1
        return OperationId(f"{task.path}:{count}"), line_of_caller() or task.line

    def schedule_activity[R](  # noqa: PLR0917  the hot path, with few callers
        self,
        name: str,
        input_: JsonText,
        tag: str,
        retry: Retry | None,
        timeout: timedelta | None,
        decode_result: Callable[[JsonText | None], R],
    ) -> OperationHandle[R]:
        """Ask for an activity."""
        operation, line = self._next()
        self.actions.append(ScheduleActivity(operation, name, input_, tag, retry, timeout, line))
        handle = OperationHandle(self, OperationKind.ACTIVITY, operation, name, decode_result)
        self.open[operation] = handle
        return handle

    def start_child[R](
        self,
        name: str,
        version: str | None,
        instance: InstanceId | None,
        input_: JsonText,
        decode_result: Callable[[JsonText | None], R],
    ) -> OperationHandle[R]:
        """Ask for a sub-orchestration."""
        operation, line = self._next()
        child = instance or child_instance_id(self.instance, self.execution, operation)
        self.actions.append(StartChild(operation, name, version, child, input_, line))
        handle = OperationHandle(self, OperationKind.CHILD, operation, child, decode_result)
        self.open[operation] = handle
        return handle

    def start_detached(
        self, name: str, version: str | None, instance: InstanceId | None, input_: JsonText
    ) -> InstanceId:
        """Ask for an instance that nobody waits for."""
        operation, line = self._next()
        child = instance or child_instance_id(self.instance, self.execution, operation)
        self.actions.append(StartDetached(operation, name, version, child, input_, line))
        return child

    def start_timer(self, timer: DurableTimer, delay: float) -> None:
        """Ask for a timer that wakes a callback."""
        try:
            span = timedelta(seconds=delay)
        except OverflowError:
            raise ValueError(_too_late(delay)) from None
        operation = self._create_timer(span)
        timer.operation = operation
        self.open[operation] = timer

    def schedule_timer(self, delay: timedelta) -> OperationHandle[None]:
        """Ask for a timer that is awaited by itself."""
        operation = self._create_timer(delay)
        handle = OperationHandle(self, OperationKind.TIMER, operation, "", _nothing)
        self.open[operation] = handle
        return handle

    def _create_timer(self, delay: timedelta) -> OperationId:
        operation, line = self._next()
        try:
            fire_at = self.now + delay
        except OverflowError:
            raise ValueError(_too_late(delay.total_seconds())) from None
        self._fresh_timers[operation] = len(self.actions)
        self.actions.append(CreateTimer(operation, delay, fire_at, line))
        return operation

    def wait_event[T](
        self, name: str, decode_event: Callable[[JsonText | None], T]
    ) -> OperationHandle[T]:
        """Ask for the next event of that name."""
        operation, line = self._next()
        self.actions.append(WaitEvent(operation, name, line))
        handle = OperationHandle(self, OperationKind.EVENT, operation, name, decode_event)
        if arrived := self._events.get(name):
            _deliver_event(handle, arrived.popleft()[1].data)
            return handle
        self.open[operation] = handle
        self._waits.setdefault(name, deque()).append(handle)
        return handle

    def set_custom_status(self, value: JsonText | None) -> None:
        """Ask to show a status."""
        operation, _line = self._next()
        self.custom_status = value
        self.actions.append(SetCustomStatus(operation, value))

    def patched(self, patch: str, *, deprecated: bool = False) -> bool:
        """Ask whether this execution takes a patch; not an operation, so it counts as none."""
        self._task()
        taken, mark = self.patches.ask(
            patch, line_of_caller(), deprecated=deprecated, replaying=self.replaying
        )
        if mark is not None:
            self.actions.append(mark)
        return taken

    def continue_as_new(
        self, name: str, version: str | None, input_: JsonText
    ) -> DurableFuture[Any]:
        """End this execution where it stands; the future is never done."""
        self._task()
        self.continuing = ContinueAsNew(name, version, input_)
        self.loop.stopping = True
        return self.loop.create_future()

    def derive(self, purpose: str) -> bytes:
        """Return 32 bytes that only this call of this execution derives, on every replay.

        The time of the start is part of it: an instance that is deleted and started again under
        the same id must not repeat the ids that it gave to the outside.
        """
        task = self._task()
        task.derived += 1
        start = f"{self.instance}/{self.execution}/{self._started_at.isoformat()}"
        place = f"{purpose}/{task.path}/{task.derived}"
        return hashlib.sha256(f"{start}/{place}".encode()).digest()

    # --------------------------------------------------------------- withdrawing

    def withdraw(self, handle: OperationHandle[Any], reason: str) -> None:
        """Record that a result is no longer wanted."""
        if self.open.pop(handle.operation, None) is None or self.closed or self._silenced:
            return
        match handle.kind:
            case OperationKind.ACTIVITY:
                self.actions.append(CancelActivity(handle.operation, reason))
            case OperationKind.CHILD:
                child = InstanceId(handle.subject)
                self.actions.append(CancelChild(handle.operation, child, reason))
            case OperationKind.EVENT:
                self._waits[handle.subject].remove(handle)
                self.actions.append(CancelWait(handle.operation))
            case OperationKind.TIMER:
                self._cancel_timer(handle.operation)

    def withdraw_timer(self, timer: DurableTimer) -> None:
        """Record that a timer need not fire; one that fired is left alone."""
        operation = getattr(timer, "operation", None)
        if operation is None or self.open.pop(operation, None) is None or self.closed:
            return
        self._cancel_timer(operation)

    def _cancel_timer(self, operation: OperationId) -> None:
        """A timer of this very turn leaves nothing behind."""
        index = self._fresh_timers.pop(operation, None)
        if index is None:
            self.actions.append(CancelTimer(operation))
        else:
            self.actions[index] = None

    def withdraw_all(self, reason: str) -> None:
        """Withdraw what an ended execution leaves open; its timers and waits end with it."""
        for operation, waiting in self.open.items():
            if not isinstance(waiting, OperationHandle):
                continue
            if waiting.kind is OperationKind.ACTIVITY:
                self.actions.append(CancelActivity(OperationId(operation), reason))
            elif waiting.kind is OperationKind.CHILD:
                child = InstanceId(waiting.subject)
                self.actions.append(CancelChild(OperationId(operation), child, reason))
        self.open.clear()

    # ---------------------------------------------------------------- delivering

    def deliver(self, record: Record) -> None:
        """Hand one message to whoever awaits it."""
        match record.kind:
            case RecordKind.EVENT_RAISED:
                self.arrive(CarriedEvent(record.ref or "", record.body))
            case RecordKind.CANCEL_REQUESTED:
                self._cancel(record)
            case _:
                self._answer(record)

    def _answer(self, record: Record) -> None:
        """Wake the operation that a message names; none is open if it was withdrawn."""
        waiting = self.open.pop(record.ref or "", None)
        if waiting is None:
            return
        if waiting.kind is not _ANSWERED[record.kind]:
            self.block(_mismatch(self.instance, waiting, record))
            return
        if isinstance(waiting, DurableTimer):
            self.loop.wake(waiting)
            return
        match record.kind:
            case RecordKind.ACTIVITY_FAILED:
                self._fail_activity(waiting, record)
            case RecordKind.CHILD_FAILED:
                failure = decode_failure(record.body or JsonText("null"))
                waiting.set_exception(orchestration_error(waiting.subject, failure))
            case _:
                try:
                    waiting.deliver(record.body)
                except PayloadError as error:
                    self.block(_misfit(self.instance, waiting, error))

    def _fail_activity(self, waiting: OperationHandle[Any], record: Record) -> None:
        failure = decode_failure(record.body or JsonText("null"))
        if failure.category in REACHES_USER_CODE:
            waiting.set_exception(activity_error(waiting.subject, failure))
        else:
            self.abort(failure)

    def arrive(self, event: CarriedEvent) -> None:
        """Hand an event to the first wait of its name, or keep it for the next."""
        waits = self._waits.get(event.name)
        if not waits:
            self._arrived += 1
            self._events.setdefault(event.name, deque()).append((self._arrived, event))
            return
        handle = waits.popleft()
        self.open.pop(handle.operation, None)
        _deliver_event(handle, event.data)

    def stop_waiting(self) -> None:
        """Let events pass by the waits of an execution that has ended."""
        self._waits.clear()

    def _cancel(self, record: Record) -> None:
        """Cancel the root task; only the first request counts."""
        if self.cancel_reason is not None or self.root is None:
            return
        reason = reason_of(record)
        self.cancel_reason = reason
        self.root.cancel(reason)

    def unread(self) -> tuple[CarriedEvent, ...]:
        """Return the events that nobody has waited for, oldest first."""
        kept = sorted((item for queue in self._events.values() for item in queue), key=_order)
        return tuple(event for _, event in kept)


def _too_late(seconds: float) -> str:
    return f"a timer of {seconds} s ends after the year 9999; for no end, set no timeout"


def _order(item: tuple[int, CarriedEvent]) -> int:
    return item[0]


def reason_of(record: Record) -> str:
    """Read the reason of a cancel request."""
    return decode(record.body, str, what="the reason of a cancel request") if record.body else ""


def _nothing(_body: JsonText | None) -> None:
    return None


def _deliver_event(handle: OperationHandle[Any], data: JsonText | None) -> None:
    """An event comes from outside: data of the wrong type is the code's to handle."""
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
    """A recorded result that no longer reads as its type: the code has changed."""
    return PayloadError(
        f"instance {instance!r}, operation {waiting.operation}: {error}. The declared type has "
        "changed since the result was recorded: let it read the old form too"
    )


def cancelled(reason: str) -> Failure:
    """Make the failure of a run that ended because it was asked to."""
    return Failure(
        FailureCategory.CANCELLED,
        "OrchestrationCancelledError",
        reason or "cancelled without a reason",
        retryable=False,
    )
