"""From what a turn decided to what storage is asked to do."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import assert_never

from perdure.errors import AuthorError, NotRegisteredError, PayloadError
from perdure.model.actions import (
    Action,
    AnswerUpdate,
    CancelActivity,
    CancelChild,
    CancelTimer,
    CancelWait,
    ClearKey,
    ClearKeys,
    ContinueAsNew,
    CreateTimer,
    DequeueEvent,
    MarkPatch,
    ReadKey,
    RecordStep,
    RefuseCall,
    ScheduleActivity,
    SetAttributes,
    SetCustomStatus,
    SetKey,
    StartChild,
    StartDetached,
    TerminateChild,
    WaitEvent,
    WaitNext,
)
from perdure.model.codec import encode_failure, encode_started
from perdure.model.failure import Failure, FailureCategory
from perdure.model.ids import InstanceId, JsonText, OperationId
from perdure.model.options import StartOptions
from perdure.model.records import (
    Ending,
    Outcome,
    ParentClose,
    ParentLink,
    RecordKind,
    StartedBody,
)
from perdure.providers.work import (
    AbandonTurn,
    Block,
    CustomStatus,
    KeyWrite,
    LeasedTurn,
    Message,
    NewActivity,
    NewInstance,
    NewTimer,
    TurnCommit,
    UpdateAnswer,
)
from perdure.replay.turn import TurnResult

__all__ = ["PoisonError", "abandonment", "ending_messages", "to_commit"]

_DELAY_SECONDS_LONGEST = 60.0
_USUAL = StartOptions()


class PoisonError(AuthorError):
    """A turn was given out again and again, and nobody ever handed it in."""


class _Sorted:
    """Actions by where they go."""

    __slots__ = (
        "activities",
        "answers",
        "attributes",
        "cancel_activities",
        "cancel_timers",
        "cancels",
        "children",
        "clear_keys",
        "custom_status",
        "detached",
        "keys",
        "reads",
        "terminate",
        "timers",
    )

    def __init__(self) -> None:
        self.activities: list[NewActivity] = []
        self.cancel_activities: list[tuple[OperationId, str]] = []
        self.timers: list[NewTimer] = []
        self.cancel_timers: list[OperationId] = []
        self.children: list[Message] = []
        self.cancels: list[Message] = []
        self.detached: list[Message] = []
        self.custom_status: CustomStatus | None = None
        self.keys: list[KeyWrite] = []
        self.clear_keys = False
        self.attributes: dict[str, object] = {}
        self.answers: list[UpdateAnswer] = []
        self.reads: list[ReadKey] = []
        self.terminate: list[InstanceId] = []


def to_commit(leased: LeasedTurn, result: TurnResult) -> tuple[TurnCommit, Sequence[ReadKey]]:
    """Say what storage has to do for one turn, and which keys it is to read first.

    A turn that ends its execution starts nothing that the end would only cancel: of what it
    scheduled, detached starts and children that nobody is to take along alone go out.
    """
    sorted_ = _Sorted()
    for action in result.actions:
        _sort(sorted_, leased, action)
    messages = sorted_.detached
    if result.ending is None:
        messages += [*sorted_.children, *sorted_.cancels]
    else:
        sorted_.activities, sorted_.timers, sorted_.reads = [], [], []
        unborn: set[InstanceId] = set()
        for child in sorted_.children:
            if child.start is not None and child.start.parent_close is ParentClose.ABANDON:
                messages.append(child)
            else:
                unborn.add(child.instance)
        messages += [m for m in sorted_.cancels if m.instance not in unborn]
        sorted_.terminate = [each for each in sorted_.terminate if each not in unborn]
        answer = _answer(leased, result.parent, result.ending)
        if answer is not None:
            messages.append(answer)
    commit = TurnCommit(
        instance=leased.instance,
        execution=leased.execution,
        token=leased.token,
        upto=leased.upto,
        version=result.version,
        body=result.body,
        activities=tuple(sorted_.activities),
        cancel_activities=tuple(sorted_.cancel_activities),
        timers=tuple(sorted_.timers),
        cancel_timers=tuple(sorted_.cancel_timers),
        messages=tuple(messages),
        custom_status=sorted_.custom_status,
        keys=tuple(sorted_.keys),
        clear_keys=sorted_.clear_keys,
        attributes=_json(sorted_.attributes) if sorted_.attributes else None,
        answers=tuple(sorted_.answers),
        terminate=tuple(sorted_.terminate),
        ending=result.ending,
        next_execution=result.next_execution,
    )
    return commit, sorted_.reads


def ending_messages(
    leased: LeasedTurn,
    parent: ParentLink | None,
    ending: Ending,
    cancels: Sequence[CancelChild],
) -> tuple[Message, ...]:
    """Tell children that they are cancelled, and the parent how its child ended."""
    messages = [_cancel(leased, action) for action in cancels]
    answer = _answer(leased, parent, ending)
    return tuple(messages if answer is None else [*messages, answer])


def _json(value: object) -> JsonText:
    return JsonText(json.dumps(value, ensure_ascii=False))


def _sort(sorted_: _Sorted, leased: LeasedTurn, action: Action) -> None:
    match action:
        case ScheduleActivity():
            sorted_.activities.append(
                NewActivity(
                    action.operation,
                    action.name,
                    action.tag,
                    action.input,
                    action.retry,
                    action.timeout,
                    action.options,
                )
            )
        case CancelActivity():
            sorted_.cancel_activities.append((action.operation, action.reason))
        case CreateTimer():
            sorted_.timers.append(NewTimer(action.operation, action.fire_at))
        case CancelTimer():
            sorted_.cancel_timers.append(action.operation)
        case StartChild():
            link = ParentLink(leased.instance, leased.execution, action.operation)
            sorted_.children.append(_start(action, link))
        case CancelChild():
            sorted_.cancels.append(_cancel(leased, action))
        case TerminateChild():
            sorted_.terminate.append(action.instance)
        case StartDetached():
            sorted_.detached.append(_start(action, None))
        case SetCustomStatus():
            sorted_.custom_status = CustomStatus(action.value)
        case _:
            _sort_rarer(sorted_, action)


def _sort_rarer(sorted_: _Sorted, action: _Rarer) -> None:
    match action:
        case SetKey():
            sorted_.keys.append(KeyWrite(action.key, action.value))
        case ClearKey():
            sorted_.keys.append(KeyWrite(action.key, None))
        case ClearKeys():
            sorted_.keys.clear()
            sorted_.clear_keys = True
        case SetAttributes():
            sorted_.attributes.update(json.loads(action.values))
        case AnswerUpdate():
            answer = UpdateAnswer(action.update, action.result, action.failure)
            sorted_.answers.append(answer)
        case ReadKey():
            sorted_.reads.append(action)
        case WaitEvent() | WaitNext() | DequeueEvent() | CancelWait():
            pass  # the TURN record says it all
        case RecordStep() | RefuseCall() | MarkPatch() | ContinueAsNew():
            pass  # likewise, and the ending
        case _:
            assert_never(action)


type _Rarer = (
    SetKey
    | ClearKey
    | ClearKeys
    | SetAttributes
    | AnswerUpdate
    | ReadKey
    | WaitEvent
    | WaitNext
    | DequeueEvent
    | CancelWait
    | RecordStep
    | RefuseCall
    | MarkPatch
    | ContinueAsNew
)


def _cancel(leased: LeasedTurn, action: CancelChild) -> Message:
    kind, parent = RecordKind.CANCEL_REQUESTED, leased.instance
    return Message(action.instance, kind, body=_json(action.reason), parent=parent)


def _start(action: StartChild | StartDetached, parent: ParentLink | None) -> Message:
    options = action.options or _USUAL
    body = StartedBody(
        action.name,
        action.version,
        action.input,
        parent=parent,
        priority=options.priority,
        timeout=options.timeout,
        attributes=options.attributes,
    )
    return Message(
        action.instance,
        RecordKind.STARTED,
        ref=None if parent is None else parent.operation,
        body=encode_started(body),
        start=NewInstance(
            action.name,
            action.version,
            parent=None if parent is None else parent.instance,
            parent_close=options.parent_close,
            attributes=options.attributes,
            limit=options.limit,
        ),
    )


def _answer(leased: LeasedTurn, parent: ParentLink | None, ending: Ending) -> Message | None:
    """Tell the parent how its child ended, whatever ended it."""
    if parent is None or ending.outcome is Outcome.CONTINUED_AS_NEW:
        return None
    if ending.outcome is Outcome.COMPLETED:
        kind, body = RecordKind.CHILD_COMPLETED, ending.output
    else:
        failure = ending.failure or Failure(
            _CATEGORIES.get(ending.outcome, FailureCategory.APPLICATION),
            ending.outcome.value,
            f"{leased.name} {leased.instance} ended as {ending.outcome.value}",
        )
        kind, body = RecordKind.CHILD_FAILED, encode_failure(failure)
    return Message(
        parent.instance, kind, ref=parent.operation, body=body, execution=parent.execution
    )


_CATEGORIES = {
    Outcome.CANCELLED: FailureCategory.CANCELLED,
    Outcome.TERMINATED: FailureCategory.TERMINATED,
    Outcome.TIMED_OUT: FailureCategory.TIMEOUT,
}


def abandonment(leased: LeasedTurn, error: BaseException, *, attempts_max: int) -> AbandonTurn:
    """Say what becomes of a turn that could not be taken.

    What only a person can mend blocks the run at once. Missing code may be on its way, so it is
    waited for without end; anything unexpected is tried again for a while.
    """
    block = _block_for(leased, error, attempts_max)
    if block is not None:
        return AbandonTurn(leased.instance, leased.token, block=block)
    seconds = min(2.0 ** min(leased.attempt - 1, 10), _DELAY_SECONDS_LONGEST)
    return AbandonTurn(leased.instance, leased.token, delay=timedelta(seconds=seconds))


def _block_for(leased: LeasedTurn, error: BaseException, attempts_max: int) -> Block | None:
    match error:
        case PayloadError():
            return Block("UndecodableHistory", str(error))
        case NotRegisteredError():
            return None
        case AuthorError():
            return Block(type(error).__name__.removesuffix("Error"), str(error))
        case _ if leased.attempt >= attempts_max:
            return Block(
                "Poison",
                f"{leased.attempt} attempts at this turn failed, the last with "
                f"{type(error).__name__}: {error}. Mend it, then resume the instance.",
            )
        case _:
            return None
