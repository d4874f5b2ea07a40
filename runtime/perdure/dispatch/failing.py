"""Ending a run whose code cannot end it.

By default a run that its code cannot go on with is parked. Where it is to fail instead, the code
cannot be asked what to do about it, so the history is: it says which children still run, which
updates nobody answered, and who waits for the outcome.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from perdure.dispatch.commits import ending_messages
from perdure.model.actions import Action, AnswerUpdate, CancelChild, StartChild, TerminateChild
from perdure.model.codec import decode_started
from perdure.model.failure import Failure, FailureCategory
from perdure.model.ids import JsonText
from perdure.model.options import StartOptions
from perdure.model.records import (
    Ending,
    Outcome,
    ParentClose,
    Record,
    RecordKind,
    StartedBody,
)
from perdure.model.turns import TurnBody, decode_turn, encode_turn
from perdure.providers.work import Block, LeasedTurn, TurnCommit, UpdateAnswer

__all__ = ["failing_commit"]

_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
_USUAL = StartOptions()
_REASON = "the run that started this one failed"


class _Left:
    """What the history of one execution leaves open."""

    def __init__(self, leased: LeasedTurn, records: Sequence[Record]) -> None:
        self.started = StartedBody(leased.name, leased.version, JsonText("{}"))
        self.version = leased.version or ""
        self.children: dict[str, StartChild] = {}
        self.updates: dict[str, None] = {}
        for record in records:
            if record.execution == leased.execution and record.seq <= leased.upto:
                self._note(record)

    def _note(self, record: Record) -> None:
        match record.kind:
            case RecordKind.STARTED:
                self.started = decode_started(record.body or JsonText("{}"))
                self.updates.update((each.update, None) for each in self.started.updates)
            case RecordKind.UPDATE_REQUESTED:
                self.updates[record.ref or ""] = None
            case RecordKind.CHILD_COMPLETED | RecordKind.CHILD_FAILED:
                self.children.pop(record.ref or "", None)
            case RecordKind.TURN:
                body = decode_turn(record.body or JsonText("null"))
                self.version = body.version
                for action in body.actions:
                    self._note_action(action)
            case _:
                pass

    def _note_action(self, action: object) -> None:
        match action:
            case StartChild():
                self.children[action.operation] = action
            case CancelChild() | TerminateChild():
                self.children.pop(action.operation, None)
            case AnswerUpdate():
                self.updates.pop(action.update, None)
            case _:
                pass


def failing_commit(
    leased: LeasedTurn, records: Sequence[Record], block: Block, *, build: str
) -> TurnCommit:
    """Say what storage has to do to fail a run for the reason that would have parked it.

    Args:
        leased: The turn that could not be taken.
        records: All of the execution.
        block: The reason.
        build: Of the code, for the record.

    Raises:
        PayloadError: the history cannot be read, so that only a person can tell what it left open.
    """
    left = _Left(leased, records)
    version = left.version or left.started.version or ""
    failure = Failure(FailureCategory.CONFIGURATION, block.reason, block.message, retryable=False)
    ending = Ending(Outcome.FAILED, failure=failure)
    cancels: list[CancelChild] = []
    terminate: list[TerminateChild] = []
    for child in left.children.values():
        match (child.options or _USUAL).parent_close:
            case ParentClose.CANCEL:
                cancels.append(CancelChild(child.operation, child.instance, _REASON))
            case ParentClose.TERMINATE:
                terminate.append(TerminateChild(child.operation, child.instance, _REASON))
            case ParentClose.ABANDON:
                pass
    unanswered = Failure(
        FailureCategory.APPLICATION,
        "RunEnded",
        f"the run ended as {ending.outcome} before it answered",
        retryable=False,
    )
    answers = [AnswerUpdate(update, failure=unanswered) for update in left.updates]
    actions: tuple[Action, ...] = (*cancels, *terminate, *answers)
    return TurnCommit(
        instance=leased.instance,
        execution=leased.execution,
        token=leased.token,
        upto=leased.upto,
        version=version,
        body=encode_turn(
            TurnBody(leased.upto, leased.now, version, _PYTHON, build, actions, ending)
        ),
        messages=ending_messages(leased, left.started.parent, ending, cancels),
        answers=tuple(UpdateAnswer(each.update, failure=each.failure) for each in answers),
        terminate=tuple(each.instance for each in terminate),
        ending=ending,
    )
