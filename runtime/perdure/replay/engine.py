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
`schedule_wait`        WaitNext, CancelWait                    EVENT_RAISED, by name
`dequeue_event`        DequeueEvent, CancelWait                EVENT_QUEUED, by name
`kv_of(...).get`       ReadKey                                 KEY_READ
=====================  ======================================  ==========================

What is done at once (status, attributes, keys, steps) is an action without an entry. Messages are
handed over by `perdure.replay.inbox`, updates served by `perdure.replay.requests`.

A call that goes beyond a limit raises. Limits may be set otherwise before the history is replayed,
so a refusal is a decision too, recorded under the operation that the call would have been; on
replay the record alone decides.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import zlib
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from perdure.errors import (
    AuthorError,
    ForbiddenCallError,
    PayloadError,
    SpinningTurnError,
)
from perdure.model.actions import (
    Action,
    CancelActivity,
    CancelChild,
    CancelTimer,
    ContinueAsNew,
    CreateTimer,
    RecordStep,
    RefuseCall,
    ScheduleActivity,
    SetAttributes,
    SetCustomStatus,
    StartChild,
    StartDetached,
    TerminateChild,
)
from perdure.model.codec import decode_object, raw_json
from perdure.model.failure import Failure, FailureCategory
from perdure.model.ids import InstanceId, JsonText, OperationId, child_instance_id
from perdure.model.options import ActivityOptions, StartOptions
from perdure.model.records import ParentClose
from perdure.model.strictness import TripwirePolicy
from perdure.replay.bounds import arguments_fault, size_fault
from perdure.replay.futures import DurableTask, DurableTimer, OperationHandle, OperationKind
from perdure.replay.inbox import DEADLINE, Inbox
from perdure.replay.keys import Keys
from perdure.replay.lines import line_of_caller
from perdure.replay.loop import DeterministicLoop, ExecutionClosed
from perdure.replay.patches import Patches
from perdure.replay.requests import Requests

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from perdure.model.limits import Limits
    from perdure.model.policy import Retry
    from perdure.model.records import StartedBody
    from perdure.replay.futures import DurableFuture, Waiting

__all__ = ["Engine", "cancelled", "timed_out"]

_LOGGER = logging.getLogger("perdure.orchestration")
_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
_NUMBER_BITS = 40
"""Room for the numbers of one execution's futures beneath the digest that sets them apart."""


class Engine:
    """One execution, between its code and its history."""

    __slots__ = (
        "_fresh_timers",
        "_parent_close",
        "_reading",
        "_recorded",
        "_silenced",
        "_started_at",
        "aborted",
        "actions",
        "attributes",
        "blocked",
        "cancel_reason",
        "closed",
        "continuing",
        "custom_status",
        "deadline",
        "execution",
        "history_length",
        "inbox",
        "instance",
        "keys",
        "limits",
        "loop",
        "now",
        "open",
        "patches",
        "priority",
        "replaying",
        "requests",
        "root",
        "timed_out",
        "timestamp",
        "tripwire",
    )

    def __init__(
        self,
        instance: InstanceId,
        execution: int,
        started_at: datetime,
        started: StartedBody,
        limits: Limits,
    ) -> None:
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
        self.limits = limits
        self.priority = started.priority
        self.custom_status = started.custom_status
        self.attributes = started.attributes
        self.keys = Keys(started.keys)
        self.inbox = Inbox(self, started.carried)
        self.requests = Requests(self)
        self.deadline = started.deadline
        if self.deadline is None and started.timeout is not None:
            self.deadline = started_at + started.timeout
        self.timed_out = False
        """The deadline passed, and the code was told so."""
        self.patches = Patches()
        self.cancel_reason: str | None = None
        self.continuing: ContinueAsNew | None = None
        self.aborted: Failure | None = None
        """A failure that ends the run without reaching its code."""
        self.blocked: AuthorError | None = None
        """What parks the run: raised by the turn, whatever the code made of it."""
        self.tripwire = TripwirePolicy.OFF
        self._fresh_timers: dict[str, int] = {}
        self._parent_close: dict[str, ParentClose] = {}
        self._recorded: dict[str, RecordStep | RefuseCall] = {}
        self._silenced = 0
        self._reading = 0

    # -------------------------------------------------------------- the turn's frame

    def begin(self, now: datetime, history_length: int, *, replaying: bool) -> None:
        """Begin a turn. Time never runs backwards, whatever the database's clock did."""
        self.now = max(now, self.now)
        self.timestamp = (self.now - _EPOCH).total_seconds()
        self.history_length = history_length
        self.replaying = replaying
        self.actions = []
        self._fresh_timers.clear()

    def repeat(self, actions: Sequence[Action]) -> None:
        """Take note of what a recorded turn holds that its repetition is given."""
        self.patches.replay(actions)
        self._recorded = {
            each.operation: each for each in actions if isinstance(each, RecordStep | RefuseCall)
        }

    def recorded(self, operation: OperationId) -> RecordStep | RefuseCall | None:
        """Return what the repeated turn holds under an operation; None on a first run."""
        return self._recorded.get(operation) if self.replaying else None

    def block(self, error: AuthorError) -> None:
        """Park the run: stop here, and let the turn raise `error`.

        Not for code that may only look: to it `error` is raised, and the run goes on.
        """
        if self._reading:
            return
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

    @contextmanager
    def reading(self) -> Generator[None]:
        """Refuse whatever is asked for, and go on: code that may only look."""
        self._reading += 1
        try:
            yield
        finally:
            self._reading -= 1

    @property
    def is_reading(self) -> bool:
        """True while code runs that may only look, see `reading`."""
        return self._reading > 0

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
        if self._reading:
            msg = (
                f"instance {self.instance!r}: queries, validators and steps may look at the run, "
                "and ask it for nothing"
            )
            raise ForbiddenCallError(msg)
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

    def next_operation(self) -> tuple[OperationId, str]:
        """Name the next operation of the current task, and the line that asks."""
        task = self._task()
        if len(self.actions) >= self.limits.actions_per_turn and not self.replaying:
            raise self._too_many()
        task.operations = count = task.operations + 1
        return OperationId(f"{task.path}:{count}"), line_of_caller() or task.line

    def _too_many(self) -> SpinningTurnError:
        error = SpinningTurnError(
            f"instance {self.instance!r}: one turn asked for more than "
            f"{self.limits.actions_per_turn:,} things. Await some before asking for more, or "
            "raise Limits.actions_per_turn and resume"
        )
        self.block(error)
        return error

    def record(self, action: Action) -> None:
        """Add a decision to the turn's."""
        self.actions.append(action)

    def admit(self, call: str, fault: str | None, operation: OperationId, line: str) -> None:
        """Raise if a call goes beyond a limit; on replay, if it did so when it was recorded.

        Args:
            call: What is asked for, in a word or two: the history shows it.
            fault: What is wrong, by the limits of today.
            operation: The operation that it would have been.
            line: The line that asks.

        Raises:
            PayloadError: it is refused.
        """
        if self.replaying:
            found = self._recorded.get(operation)
            if not isinstance(found, RefuseCall) or found.call != call:
                return
            fault = found.message
        elif fault is None:
            return
        self.actions.append(RefuseCall(operation, call, fault, line))
        raise PayloadError(fault)

    def _admit_payload(self, call: str, text: JsonText, operation: OperationId, line: str) -> None:
        """Admit arguments, see `admit`."""
        fault = arguments_fault(call, text, self.limits.payload_bytes)
        self.admit(call, fault, operation, line)

    def schedule_activity[R](  # noqa: PLR0917  the hot path, with few callers
        self,
        name: str,
        input_: JsonText,
        tag: str,
        retry: Retry | None,
        timeout: timedelta | None,
        decode_result: Callable[[JsonText | None], R],
        options: ActivityOptions | None = None,
        priority: int | None = None,
    ) -> OperationHandle[R]:
        """Ask for an activity; without a priority it has the instance's."""
        operation, line = self.next_operation()
        if len(input_) * 4 > self.limits.payload_bytes or self._recorded:
            self._admit_payload(f"activity {name!r}", input_, operation, line)
        level = self.priority if priority is None else priority
        if level != (0 if options is None else options.priority):
            options = replace(options or ActivityOptions(), priority=level)
        self.actions.append(
            ScheduleActivity(operation, name, input_, tag, retry, timeout, line, options)
        )
        handle = OperationHandle(self, OperationKind.ACTIVITY, operation, name, decode_result)
        self.open[operation] = handle
        return handle

    def start_child[R](  # noqa: PLR0917  few callers, and the fields that there are
        self,
        name: str,
        version: str | None,
        instance: InstanceId | None,
        input_: JsonText,
        decode_result: Callable[[JsonText | None], R],
        options: StartOptions | None = None,
        priority: int | None = None,
    ) -> OperationHandle[R]:
        """Ask for a sub-orchestration; without a priority it has the instance's."""
        operation, line = self.next_operation()
        self._admit_payload(f"orchestration {name!r}", input_, operation, line)
        child = instance or child_instance_id(self.instance, self.execution, operation)
        options = self._start_options(options, priority)
        self.actions.append(StartChild(operation, name, version, child, input_, line, options))
        if options is not None and options.parent_close is not ParentClose.CANCEL:
            self._parent_close[operation] = options.parent_close
        handle = OperationHandle(self, OperationKind.CHILD, operation, child, decode_result)
        self.open[operation] = handle
        return handle

    def start_detached(  # noqa: PLR0917  as above
        self,
        name: str,
        version: str | None,
        instance: InstanceId | None,
        input_: JsonText,
        options: StartOptions | None = None,
        priority: int | None = None,
    ) -> InstanceId:
        """Ask for an instance that nobody waits for; without a priority it has this one's."""
        operation, line = self.next_operation()
        self._admit_payload(f"orchestration {name!r}", input_, operation, line)
        child = instance or child_instance_id(self.instance, self.execution, operation)
        options = self._start_options(options, priority)
        self.actions.append(StartDetached(operation, name, version, child, input_, line, options))
        return child

    def _start_options(
        self, options: StartOptions | None, priority: int | None
    ) -> StartOptions | None:
        level = self.priority if priority is None else priority
        if level == (0 if options is None else options.priority):
            return options
        return replace(options or StartOptions(), priority=level)

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
        operation, line = self.next_operation()
        try:
            fire_at = self.now + delay
        except OverflowError:
            raise ValueError(_too_late(delay.total_seconds())) from None
        self._fresh_timers[operation] = len(self.actions)
        self.actions.append(CreateTimer(operation, delay, fire_at, line))
        return operation

    def set_custom_status(self, value: JsonText | None) -> None:
        """Ask to show a status."""
        operation, line = self.next_operation()
        fault = size_fault("the custom status is", value, self.limits.custom_status_bytes)
        self.admit("custom status", fault, operation, line)
        self.custom_status = value
        self.actions.append(SetCustomStatus(operation, value, line))

    def set_attributes(self, values: JsonText) -> None:
        """Ask to be found by other attributes; a null takes one away."""
        operation, line = self.next_operation()
        there = {} if self.attributes is None else decode_object(self.attributes)
        there.update(decode_object(values))
        kept = raw_json({name: found for name, found in there.items() if found is not None})
        fault = size_fault("the attributes are", kept, self.limits.attribute_bytes)
        self.admit("attributes", fault, operation, line)
        self.attributes = kept
        self.actions.append(SetAttributes(operation, values, line))

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
        operation, line = self.next_operation()
        self._admit_payload("continue-as-new", input_, operation, line)
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
            case OperationKind.EVENT | OperationKind.QUEUE:
                self.inbox.withdraw(handle)
            case OperationKind.KEY:
                pass  # what was read finds nobody
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
        """Withdraw what an ended execution leaves open; its timers and waits end with it.

        Children are treated as they were started to be.
        """
        for operation, waiting in self.open.items():
            if not isinstance(waiting, OperationHandle):
                continue
            if waiting.kind is OperationKind.ACTIVITY:
                self.actions.append(CancelActivity(waiting.operation, reason))
            elif waiting.kind is OperationKind.CHILD:
                child = InstanceId(waiting.subject)
                match self._parent_close.get(operation, ParentClose.CANCEL):
                    case ParentClose.CANCEL:
                        self.actions.append(CancelChild(waiting.operation, child, reason))
                    case ParentClose.TERMINATE:
                        self.actions.append(TerminateChild(waiting.operation, child, reason))
                    case ParentClose.ABANDON:
                        pass
        self.open.clear()

    def cancel(self, reason: str) -> bool:
        """Cancel the root task; only the first request counts."""
        if self.cancel_reason is not None or self.root is None:
            return False
        self.cancel_reason = reason
        self.root.cancel(reason)
        return True

    def watch_deadline(self) -> None:
        """Ask for the timer that ends a run which takes too long."""
        if self.deadline is not None:
            delay = max(self.deadline - self.now, timedelta(0))
            self.actions.append(CreateTimer(DEADLINE, delay, self.deadline, ""))

    def time_out(self) -> None:
        """Cancel the run for its deadline; one that is being cancelled goes on with that."""
        if self.deadline is not None and self.cancel(f"the deadline {self.deadline} has passed"):
            self.timed_out = True


def _too_late(seconds: float) -> str:
    return f"a timer of {seconds} s ends after the year 9999; for no end, set no timeout"


def _nothing(_body: JsonText | None) -> None:
    return None


def timed_out(reason: str) -> Failure:
    """Make the failure of a run that ended because it took too long."""
    return Failure(FailureCategory.TIMEOUT, "OrchestrationTimedOutError", reason, retryable=False)


def cancelled(reason: str) -> Failure:
    """Make the failure of a run that ended because it was asked to."""
    return Failure(
        FailureCategory.CANCELLED,
        "OrchestrationCancelledError",
        reason or "cancelled without a reason",
        retryable=False,
    )
