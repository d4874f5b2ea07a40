"""One execution's history in memory, written by hand.

For tests of an orchestration's decisions: say what arrives, take a turn, look at what it asked
for. Nothing else runs: no storage, no executor, no clock. `replay` gives the whole history to
fresh code, which must decide the same.

    history = ScriptedHistory(Registry(greet, hello), greet, "bob")
    turn = history.turn()                      # asks for hello("bob")
    history.complete("0:1", "hello bob")
    assert history.turn().ending == Ending(Outcome.COMPLETED, '"hello bob"')
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from perdure.model.actions import AnswerUpdate, CreateTimer
from perdure.model.codec import decode, encode, encode_failure, encode_started, encode_update
from perdure.model.failure import Failure, FailureCategory
from perdure.model.ids import InstanceId, JsonText
from perdure.model.records import Record, RecordKind, StartedBody, UpdateBody
from perdure.model.strictness import STRICT, Strictness
from perdure.replay.inbox import DEADLINE
from perdure.replay.turn import LiveExecution, TurnResult, open_execution, replay_history

if TYPE_CHECKING:
    from collections.abc import Callable

    from perdure.model.actions import Action
    from perdure.model.limits import Limits
    from perdure.replay.definitions import OrchestrationDef
    from perdure.replay.registry import Registry

__all__ = ["ScriptedHistory"]

_START = datetime(2026, 1, 1, tzinfo=UTC)


class ScriptedHistory:
    """A history that grows by messages and turns."""

    def __init__(
        self,
        registry: Registry,
        definition: OrchestrationDef[..., Any],
        *args: object,
        instance: str = "scripted",
        execution: int = 1,
        started: StartedBody | None = None,
        limits: Limits | None = None,
        strictness: Strictness = STRICT,
        cached: bool = True,
        now: datetime = _START,
        **kwargs: object,
    ) -> None:
        """Start `definition` with these arguments, or from a whole `started` body.

        `cached=False` replays everything at every turn, as a process does that has never seen it.
        """
        self.registry = registry
        self.instance = InstanceId(instance)
        self.execution = execution
        self.records: list[Record] = []
        self.now = now
        self.decided: list[TurnResult] = []
        self._limits = limits
        self._strictness = strictness
        self._cached = cached
        self._live: LiveExecution | None = None
        self._given = 0
        if started is None:
            arguments = definition.signature.encode(args, kwargs)
            started = StartedBody(definition.name, definition.asked_version, arguments)
        self.add(RecordKind.STARTED, None, encode_started(started))

    # ------------------------------------------------------------------- arriving

    def add(self, kind: RecordKind, ref: str | None = None, body: str | None = None) -> Record:
        """Add a record, its body as JSON text."""
        text = None if body is None else JsonText(body)
        record = Record(len(self.records) + 1, self.execution, kind, ref, text, self.now)
        self.records.append(record)
        return record

    def complete(self, operation: str, result: object = None) -> Record:
        """Let an activity return."""
        return self.add(RecordKind.ACTIVITY_COMPLETED, operation, encode(result))

    def fail(
        self,
        operation: str,
        message: str = "no",
        *,
        kind: str = "ValueError",
        category: FailureCategory = FailureCategory.APPLICATION,
    ) -> Record:
        """Let an activity fail for good."""
        failure = Failure(category, kind, message)
        return self.add(RecordKind.ACTIVITY_FAILED, operation, encode_failure(failure))

    def fire(self, operation: str) -> Record:
        """Let a timer fire, moving time to when it was due if that is later."""
        for action in self.actions():
            if isinstance(action, CreateTimer) and action.operation == operation:
                self.now = max(self.now, action.fire_at)
        return self.add(RecordKind.TIMER_FIRED, operation)

    def raise_event(self, name: str, data: object = None) -> Record:
        """Raise an event."""
        return self.add(RecordKind.EVENT_RAISED, name, encode(data))

    def enqueue_event(self, queue: str, data: object = None) -> Record:
        """Put a message into a queue."""
        return self.add(RecordKind.EVENT_QUEUED, queue, encode(data))

    def update(self, update: str, name: str, **arguments: object) -> Record:
        """Send an update under an id."""
        body = encode_update(UpdateBody(name, encode(arguments)))
        return self.add(RecordKind.UPDATE_REQUESTED, update, body)

    def read(self, operation: str, value: object = None) -> Record:
        """Answer the reading of another instance's key."""
        return self.add(RecordKind.KEY_READ, operation, encode(value))

    def pass_deadline(self) -> Record:
        """Let the deadline of the run pass."""
        return self.fire(DEADLINE)

    def complete_child(self, operation: str, result: object = None) -> Record:
        """Let a sub-orchestration complete."""
        return self.add(RecordKind.CHILD_COMPLETED, operation, encode(result))

    def fail_child(self, operation: str, category: FailureCategory, message: str = "no") -> Record:
        """Let a sub-orchestration end otherwise."""
        failure = Failure(category, "Ended", message)
        return self.add(RecordKind.CHILD_FAILED, operation, encode_failure(failure))

    def cancel(self, reason: str = "") -> Record:
        """Ask the instance to cancel."""
        return self.add(RecordKind.CANCEL_REQUESTED, None, encode(reason))

    def wait(self, time: timedelta) -> None:
        """Move time on."""
        self.now += time

    # --------------------------------------------------------------------- turns

    def turn(self) -> TurnResult:
        """Take a turn over all that arrived, and record it."""
        upto = len(self.records)
        if self._live is None or not self._cached:
            self.close()
            self._live = self.open()
            self._given = 0
        tail = self.records[self._given :]
        result = self._live.take_turn(tail, upto=upto, now=self.now)
        self.add(RecordKind.TURN, None, result.body)
        self._given = len(self.records)
        self.decided.append(result)
        return result

    def query(self, name: str, **arguments: object) -> object:
        """Ask a query after the last turn; return its value, or the `Failure`."""
        if self._live is None or not self._cached:
            self.close()
            self._live = self.open()
            self._live.repeat(self.records)
            self._given = len(self.records)
        answer = self._live.answer_query(name, encode(arguments))
        return answer if isinstance(answer, Failure) else decode(answer, object)

    def answers(self) -> dict[str, AnswerUpdate]:
        """Return the answers to updates so far, by their ids."""
        found = [action for action in self.actions() if isinstance(action, AnswerUpdate)]
        return {action.update: action for action in found}

    def follow(self) -> ScriptedHistory:
        """Go on with the next execution, after a continue-as-new.

        Raises:
            ValueError: the last turn did not continue as new.
        """
        started = self.decided[-1].next_execution if self.decided else None
        if started is None:
            msg = f"{self.instance} did not continue as new"
            raise ValueError(msg)
        definition = self.registry.resolve(started.name, started.version)
        following = ScriptedHistory(
            self.registry,
            definition,
            instance=self.instance,
            execution=self.execution + 1,
            started=started,
            limits=self._limits,
            strictness=self._strictness,
            cached=self._cached,
            now=self.now,
        )
        self.close()
        return following

    def open(self, registry: Registry | None = None) -> LiveExecution:
        """Open the execution cold."""
        return open_execution(
            registry or self.registry,
            self.instance,
            self.execution,
            self.records,
            limits=self._limits,
            strictness=self._strictness,
        )

    def replay(self, registry: Registry | None = None) -> None:
        """Give the whole history to fresh code.

        Raises:
            NondeterminismError: it decides otherwise.
        """
        replay_history(registry or self.registry, self.instance, self.records)

    def drive(self, answer: Callable[[Action], object], *, turns: int = 1000) -> TurnResult:
        """Take turns until the end; `answer` adds what comes of each action.

        Raises:
            RuntimeError: it has not ended after so many turns.
        """
        for _ in range(turns):
            result = self.turn()
            if result.ending is not None:
                return result
            for action in result.actions:
                answer(action)
        msg = f"{self.instance} has not ended after {turns} turns"
        raise RuntimeError(msg)

    def actions(self) -> list[Action]:
        """Return everything asked for so far."""
        return [action for result in self.decided for action in result.actions]

    def close(self) -> None:
        """Throw the live execution away."""
        if self._live is not None:
            self._live.close()
            self._live = None
