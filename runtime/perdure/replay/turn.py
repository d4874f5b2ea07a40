"""One turn: history and code meet.

`take_turn` is a function of an execution's records and the time it is given. It answers with
decisions and touches nothing else. An execution that is *live* has its coroutines at hand and is
given only what arrived since its last turn; one that is *cold* is given everything, and comes to
the same state by repeating every recorded turn: it is given the messages that turn had, at the
time that turn had, and must decide what that turn decided. After that it is live.

Within a turn messages are delivered one at a time, in the order of their records, and the code
runs until it rests after each. So who wins a race is decided by the history alone: neither by how
many messages came in one turn, nor by whether the execution was live.

The end. An execution ends when its root task does, or when it asks to continue as new, or when a
failure arrives that no code may see. Messages after that point are not delivered: events among
them go on to the next execution or are listed as unread, and a cancel request among them still
turns a continue-as-new into a cancellation, for else it would be lost.

What an execution leaves to the next one is all in that one's start: what came in and was not read,
updates that were not answered, the status, the keys, the attributes, the deadline. So an execution
can be replayed from its own records alone.
"""

from __future__ import annotations

import logging
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from perdure.errors import AuthorError, HistoryLimitError, NondeterminismError, PayloadError
from perdure.model.actions import Action
from perdure.model.codec import decode_started
from perdure.model.failure import Failure, FailureCategory
from perdure.model.ids import InstanceId, JsonText
from perdure.model.limits import DEFAULT_LIMITS, HISTORY_WARNINGS, Limits
from perdure.model.records import (
    CarriedEvent,
    Ending,
    Outcome,
    ParentLink,
    Record,
    RecordKind,
    StartedBody,
)
from perdure.model.strictness import LENIENT, Strictness
from perdure.model.turns import TurnBody, decode_turn, encode_turn
from perdure.replay.amendments import amend
from perdure.replay.compare import compare_actions, compare_endings, compare_versions
from perdure.replay.context import OrchestrationContext
from perdure.replay.engine import Engine, cancelled, timed_out
from perdure.replay.failures import explain_foreign, failure_from
from perdure.replay.inbox import reason_of
from perdure.replay.tripwire import watch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from perdure.replay.definitions import OrchestrationDef
    from perdure.replay.registry import Registry

__all__ = ["Limits", "LiveExecution", "TurnResult", "open_execution", "replay_history"]

_LOGGER = logging.getLogger("perdure.orchestration")
_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
_CONTINUED = Ending(Outcome.CONTINUED_AS_NEW)

amend()


@dataclass(slots=True)
class TurnResult:
    """What one turn decided.

    Everything that storage has to do is in `actions`, in the order in which it was asked for:

    * of `SetKey`, `ClearKey` and `ClearKeys` the last word on each key counts, of `SetAttributes`
      the last word on each attribute, of `SetCustomStatus` the last;
    * `ReadKey` is read before the commit and comes back by `KEY_READ`;
    * `AnswerUpdate` goes to whoever sent the update, `TerminateChild` to the child, past its code;
    * `RecordStep`, `RefuseCall`, `MarkPatch`, `ContinueAsNew` and waits ask for nothing.

    With an ending, what this very turn scheduled is not wanted any more. Two things still start:
    `StartDetached`, and a `StartChild` whose `parent_close` is `ABANDON`.
    """

    version: str
    body: JsonText
    """The `TURN` record."""
    actions: tuple[Action, ...]
    ending: Ending | None
    next_execution: StartedBody | None
    """With `Outcome.CONTINUED_AS_NEW`: what the next execution starts with."""
    parent: ParentLink | None
    """Who is told how it ended, if this is a child."""
    history_records: int = 0
    """Records of this execution up to this turn, itself included."""
    history_fraction: float = 0.0
    """Of `Limits.history_records`: 1.0 is as long as it may become."""


@dataclass(slots=True)
class _Recorded:
    """A recorded turn and the messages that it consumed."""

    record: Record
    body: TurnBody
    batch: list[Record]


def _actions_of(turns: Sequence[_Recorded], numbers: range) -> Iterator[Action]:
    """Go through the decisions of some turns, if it comes to that."""
    return (action for number in numbers for action in turns[number].body.actions)


class LiveExecution:
    """One execution with its coroutines, from its first turn until it ends or is dropped."""

    __slots__ = (
        "_build",
        "_closed",
        "_context",
        "_definition",
        "_engine",
        "_failed",
        "_first_seq",
        "_limits",
        "_started",
        "ended",
        "position",
        "spoiled",
    )

    def __init__(
        self,
        definition: OrchestrationDef[..., Any],
        instance: InstanceId,
        execution: int,
        start: Record,
        started: StartedBody,
        *,
        limits: Limits = DEFAULT_LIMITS,
        build: str = "",
        strictness: Strictness = LENIENT,
    ) -> None:
        """Prepare; the code does not run before the first turn. See `open_execution`."""
        self._definition = definition
        self._started = started
        self._first_seq = start.seq
        self._limits = limits
        self._build = build
        self._engine = Engine(instance, execution, start.at, started, limits)
        self._engine.tripwire = strictness.tripwire
        watch(definition.fn, strictness.tripwire)
        self._context = OrchestrationContext(self._engine, definition)
        self._failed: AuthorError | None = None
        self._closed = False
        self.position = start.seq - 1
        """Sequence number up to which messages are consumed."""
        self.ended = False
        self.spoiled = False
        """True once a query changed what it may only look at: close it and open it again."""

    @property
    def instance(self) -> InstanceId:
        """The instance."""
        return self._engine.instance

    @property
    def execution(self) -> int:
        """Which of its executions."""
        return self._engine.execution

    @property
    def name(self) -> str:
        """Name of the orchestration."""
        return self._definition.name

    @property
    def version(self) -> str:
        """Version of the orchestration."""
        return self._definition.version

    @property
    def parent(self) -> ParentLink | None:
        """Who is told how it ends, if this is a child."""
        return self._started.parent

    # --------------------------------------------------------------------- turns

    def take_turn(self, records: Sequence[Record], *, upto: int, now: datetime) -> TurnResult:
        """Consume the messages up to `upto` and decide.

        Args:
            records: In order: all of the execution if it is cold, else what came since.
            upto: Sequence number of the last message of this turn.
            now: The turn's time, to be recorded.

        Raises:
            NondeterminismError: the code no longer decides what a recorded turn decided.
            AuthorError: any other reason to park the run until its code is mended: the name of
                the class, less `Error`, is the reason. The execution can only be closed then.
        """
        if self._failed is not None:
            raise self._failed
        if self._closed or self.ended:
            msg = f"instance {self.instance!r}: execution {self.execution} is over; open it again"
            raise RuntimeError(msg)
        if upto - self._first_seq + 1 > self._limits.history_records:
            raise self._too_long(upto)
        try:
            with self._engine.loop:
                batch = self._catch_up(records, upto)
                body, after = self._run(batch, upto, now, replaying=False)
        except AuthorError as error:
            self._failed = error
            raise
        if upto - self._first_seq + 1 >= HISTORY_WARNINGS[0] * self._limits.history_records:
            self._warn_of_length(self.position, upto)
        self.position = upto
        return TurnResult(
            version=self._definition.version,
            body=encode_turn(body),
            actions=body.actions,
            ending=body.ending,
            next_execution=after,
            parent=self._started.parent,
            history_records=(length := upto - self._first_seq + 2),
            history_fraction=length / self._limits.history_records,
        )

    def repeat(self, records: Sequence[Record]) -> None:
        """Repeat the recorded turns and take none: to check code against a history.

        Raises:
            NondeterminismError: the code decides otherwise.
            AuthorError: any other reason that would park the run.
        """
        try:
            with self._engine.loop:
                self._catch_up(records, self.position)
        except AuthorError as error:
            self._failed = error
            raise

    def _too_long(self, upto: int) -> HistoryLimitError:
        return HistoryLimitError(
            f"instance {self.instance!r}, execution {self.execution} has "
            f"{upto - self._first_seq + 1:,} records; the limit is "
            f"{self._limits.history_records:,}. Raise the limit and resume; in the code, "
            "`await ctx.continue_as_new(...)` when `ctx.should_continue_as_new`"
        )

    def _warn_of_length(self, before: int, upto: int) -> None:
        """Warn once for each part of the limit that this turn's records pass."""
        limit = self._limits.history_records
        for part in HISTORY_WARNINGS:
            if before - self._first_seq + 1 < part * limit <= upto - self._first_seq + 1:
                _LOGGER.warning(
                    "the history has reached %d %% of its limit of %d records; "
                    "`await ctx.continue_as_new(...)` when `ctx.should_continue_as_new`",
                    *(round(part * 100), limit),
                    extra=self._engine.log_fields(),
                )

    def answer_query(self, name: str, input_: JsonText) -> JsonText | Failure:
        """Ask a query handler of the code, in the state after the last turn.

        Nothing is recorded. What the handler asks for is refused, and is its failure. If it woke a
        task all the same, `spoiled` says so, and this execution can only be closed.

        Args:
            name: Of the handler.
            input_: Its arguments as one JSON object, by parameter name.
        """
        if self._closed or self._failed is not None:
            msg = f"instance {self.instance!r}: execution {self.execution} is over; open it again"
            raise RuntimeError(msg)
        engine = self._engine
        with engine.loop:
            answer = engine.requests.ask(name, input_)
            self.spoiled |= not engine.loop.is_resting and not engine.loop.stopping
        return answer

    def _catch_up(self, records: Sequence[Record], upto: int) -> list[Record]:
        """Repeat recorded turns that are new to this execution; return the messages after them."""
        waiting: list[Record] = []
        turns: list[_Recorded] = []
        consumed = self.position
        for record in records:
            if record.execution != self._engine.execution:
                continue
            if record.kind is not RecordKind.TURN:
                if record.seq > self.position and record.kind is not RecordKind.TERMINATED:
                    waiting.append(record)
                continue
            body = decode_turn(record.body or JsonText("null"))
            if body.upto <= consumed:
                continue
            consumed = body.upto
            batch = [message for message in waiting if message.seq <= consumed]
            waiting = waiting[len(batch) :]
            turns.append(_Recorded(record, body, batch))
        for index in range(len(turns)):
            self._repeat(turns, index)
        return [message for message in waiting if message.seq <= upto]

    def _repeat(self, turns: Sequence[_Recorded], index: int) -> None:
        """Run a recorded turn again and compare."""
        turn = turns[index]
        recorded = turn.body
        if self.ended:
            msg = f"instance {self.instance!r}: history has a turn after its execution ended"
            raise NondeterminismError(msg)
        if _was_given_up(recorded.ending):
            self.ended, self.position = True, recorded.upto
            return  # whoever took this turn decided it without the code
        compare_versions(self.instance, recorded.version, self.version)
        self._engine.repeat(recorded.actions)
        decided, _ = self._run(turn.batch, recorded.upto, recorded.now, replaying=True)
        self._engine.patches.compare(self.instance)
        compare_actions(
            self.instance,
            recorded.actions,
            decided.actions,
            earlier=_actions_of(turns, range(index)),
            later=_actions_of(turns, range(index + 1, len(turns))),
            is_over=decided.ending is not None,
        )
        compare_endings(self.instance, recorded.ending, decided.ending)
        self.position = recorded.upto

    def _run(
        self, batch: Sequence[Record], upto: int, now: datetime, *, replaying: bool
    ) -> tuple[TurnBody, StartedBody | None]:
        """Deliver messages one at a time, letting the code come to rest after each."""
        engine = self._engine
        engine.begin(now, upto - self._first_seq + 1, replaying=replaying)
        budget = self._limits.callbacks_per_turn
        rest: Sequence[Record] = ()
        if self._started.updates and batch and batch[0].kind is RecordKind.STARTED:
            batch = [batch[0], *self._carried_updates(batch[0]), *batch[1:]]
        for index, message in enumerate(batch):
            if message.kind is RecordKind.STARTED:
                self._start()
            else:
                engine.inbox.deliver(message)
            budget = engine.loop.run_until_idle(budget)
            if engine.blocked is not None:
                raise engine.blocked
            if engine.loop.stopping or (engine.root is not None and engine.root.done()):
                rest = batch[index + 1 :]
                self.ended = True
                break
        ending = self._ending(rest) if self.ended else None
        after = self._after(ending) if ending is not None else None
        actions = tuple([action for action in engine.actions if action is not None])
        unread = engine.inbox.unread() if ending is not None and after is None else ()
        events, queued = _unread_names(unread) if unread else ((), ())
        place = (upto, engine.now, self.version, _PYTHON, self._build)
        return TurnBody(*place, actions, ending, events, queued), after

    def _carried_updates(self, start: Record) -> list[Record]:
        """Let updates of the last execution arrive right after the start of this one."""
        kind = RecordKind.UPDATE_REQUESTED
        return [
            Record(start.seq, start.execution, kind, each.update, each.body, start.at)
            for each in self._started.updates
        ]

    def _start(self) -> None:
        """Start the root task; arguments that do not fit end the run at once."""
        engine = self._engine
        try:
            arguments = self._definition.decode_arguments(self._started.input)
        except PayloadError as error:
            engine.abort(failure_from(error))
            return
        engine.requests.author = self._context
        if engine.deadline is not None:
            engine.watch_deadline()
        coroutine = self._definition.fn(self._context, **arguments)
        engine.root = engine.loop.start_root(coroutine, engine.requests.context())

    # ------------------------------------------------------------------ the end

    def _ending(self, rest: Sequence[Record]) -> Ending:
        """Decide how the execution ended; `rest` is what was not delivered any more."""
        engine = self._engine
        engine.loop.stopping = True
        engine.inbox.stop_waiting()
        for message in rest:
            match message.kind:
                case RecordKind.EVENT_RAISED | RecordKind.EVENT_QUEUED:
                    queued = message.kind is RecordKind.EVENT_QUEUED
                    engine.inbox.arrive(CarriedEvent(message.ref or "", message.body, queued))
                case RecordKind.UPDATE_REQUESTED:
                    engine.requests.hold(message.ref or "", message.body or JsonText("null"))
                case _:
                    pass
        ending = self._outcome()
        if ending is _CONTINUED:
            for message in rest:
                if message.kind is RecordKind.CANCEL_REQUESTED:
                    engine.cancel_reason = reason_of(message)
                    ending = _cancelled_ending(engine.cancel_reason)
                    break
        engine.withdraw_all(_REASONS.get(ending.outcome, "the orchestration ended"))
        if ending is not _CONTINUED:
            engine.requests.refuse_all(ending.outcome)
        elif engine.continuing is not None:
            engine.actions.append(engine.continuing)
        return ending

    def _outcome(self) -> Ending:  # noqa: PLR0911  one for each way to end
        engine, root = self._engine, self._engine.root
        if engine.aborted is not None:
            return Ending(Outcome.FAILED, failure=engine.aborted)
        if root is None or not root.done():
            return _CONTINUED
        if root.cancelled():
            if engine.timed_out:
                return Ending(Outcome.TIMED_OUT, failure=timed_out(engine.cancel_reason or ""))
            if engine.cancel_reason is not None:
                return _cancelled_ending(engine.cancel_reason)
            return Ending(Outcome.FAILED, failure=failure_from(_cancellation(root)))
        error = root.exception()
        if error is not None:
            foreign = explain_foreign(self.instance, error)
            if foreign is not None:
                raise foreign
            return Ending(Outcome.FAILED, failure=failure_from(error))
        if engine.continuing is not None:
            return _CONTINUED
        try:
            output = self._definition.encode_result(root.result())
        except PayloadError as problem:
            return Ending(Outcome.FAILED, failure=failure_from(problem))
        return Ending(Outcome.COMPLETED, output)

    def _after(self, ending: Ending) -> StartedBody | None:
        """Say what the next execution starts with, if there is one."""
        continuing = self._engine.continuing
        if ending.outcome is not Outcome.CONTINUED_AS_NEW or continuing is None:
            return None
        engine = self._engine
        carried = engine.inbox.unread()
        limit = self._limits.carried_events
        if len(carried) > limit and not engine.replaying:
            msg = (
                f"instance {self.instance!r} would continue as new with {len(carried):,} unread "
                f"events; the limit is {limit:,}. Read them, or raise Limits.carried_events, and "
                "resume"
            )
            raise HistoryLimitError(msg)
        return StartedBody(
            name=continuing.name,
            version=continuing.version,
            input=continuing.input,
            parent=self._started.parent,
            carried=carried,
            custom_status=engine.custom_status,
            keys=tuple(engine.keys.entries.values()),
            updates=engine.requests.carry(),
            deadline=engine.deadline,
            priority=engine.priority,
            attributes=engine.attributes,
        )

    def close(self) -> None:
        """Throw the coroutines away; nothing that their clean-up asks for is recorded."""
        if self._closed:
            return
        self._closed = True
        engine = self._engine
        engine.closed = True
        engine.loop.close_all(engine.open.values())
        engine.root = None
        engine.open.clear()
        # Each holds the other: freed now, not when garbage is next collected.
        del engine.loop, engine.inbox, engine.requests


def _was_given_up(ending: Ending | None) -> bool:
    """Tell the end of a run that was failed where it would have been parked."""
    failure = None if ending is None else ending.failure
    return (
        failure is not None
        and failure.category is FailureCategory.CONFIGURATION
        and failure.type in _PARKED
    )


_PARKED = frozenset(
    {
        "Definition",
        "ForbiddenCall",
        "HistoryLimit",
        "Nondeterminism",
        "Poison",
        "SpinningTurn",
        "UndecodableHistory",
    }
)
"""Reasons of a Block."""


def _unread_names(unread: Sequence[CarriedEvent]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    events = tuple([event.name for event in unread if not event.queued])
    return events, tuple([event.name for event in unread if event.queued])


_REASONS = {
    Outcome.CANCELLED: "the orchestration was cancelled",
    Outcome.CONTINUED_AS_NEW: "the orchestration continued as new",
    Outcome.TIMED_OUT: "the orchestration timed out",
}


def _cancelled_ending(reason: str) -> Ending:
    return Ending(Outcome.CANCELLED, failure=cancelled(reason))


def _cancellation(root: Any) -> BaseException:
    """Return the `CancelledError` that nobody asked for."""
    try:
        root.result()
    except BaseException as error:  # noqa: BLE001  the one that ended the task
        return error
    return RuntimeError("a cancelled task returned a result")


def open_execution(
    registry: Registry,
    instance: InstanceId,
    execution: int,
    records: Sequence[Record],
    *,
    limits: Limits | None = None,
    build: str = "",
    strictness: Strictness = LENIENT,
) -> LiveExecution:
    """Prepare an execution from its records; `take_turn` is then given the same records.

    Without `limits` those of the registry hold.

    The version is that of its recorded turns, or if there are none yet the one that its start
    asked for, or else the latest registered.

    Raises:
        NotRegisteredError: this process does not have that code.
        PayloadError: a record is damaged.
    """
    start: Record | None = None
    version: str | None = None
    for record in records:
        if record.execution != execution:
            continue
        if record.kind is RecordKind.STARTED:
            start = record
        elif record.kind is RecordKind.TURN:
            version = decode_turn(record.body or JsonText("null")).version
            break
    if start is None:
        msg = f"instance {instance!r}, execution {execution}: its history has no start"
        raise PayloadError(msg)
    started = decode_started(start.body or JsonText("null"))
    definition = registry.resolve(started.name, version or started.version)
    return LiveExecution(
        definition,
        instance,
        execution,
        start,
        started,
        limits=limits or registry.limits,
        build=build,
        strictness=strictness,
    )


def replay_history(registry: Registry, instance: InstanceId, records: Sequence[Record]) -> int:
    """Check code against a whole history, execution by execution; return how many turns agreed.

    Raises:
        NondeterminismError: the code no longer decides what was recorded.
        NotRegisteredError: this process does not have that code.
        AuthorError: any other reason that would park the run.
    """
    for number in sorted({record.execution for record in records}):
        part = [record for record in records if record.execution == number]
        execution = open_execution(registry, instance, number, part)
        try:
            execution.repeat(part)
        finally:
            execution.close()
    return sum(record.kind is RecordKind.TURN for record in records)
