"""Actions in words: what of each is compared, and how it is shown.

What must be equal is what the outside saw: kind, name, version, arguments, tag, session, durations,
ids, status, keys, answers. What may differ is what explains (source lines, reasons), and how hard
something is tried (retry, timeouts, priority, limit): that is tuned while work is under way, and no
decision depends on it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic_core import from_json

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

if TYPE_CHECKING:
    from perdure.model.ids import JsonText

__all__ = [
    "Facts",
    "Key",
    "differing",
    "facts_of",
    "key_of",
    "line_of",
    "same",
    "same_json",
    "short",
    "show",
]

type Key = tuple[str, str]
"""An operation, and what of it: an operation may be asked for and cancelled in one turn."""


class Facts(NamedTuple):
    """What must be equal, in words."""

    kind: str
    name: str
    details: dict[str, object]


def facts_of(action: Action) -> Facts:  # noqa: C901, PLR0911, PLR0912  one case for each kind
    """Say what an action is, and what of it must be equal."""
    match action:
        case ScheduleActivity():
            session = None if action.options is None else action.options.session
            details: dict[str, object] = {"input": action.input, "tag": action.tag}
            return Facts("activity", action.name, details | {"session": session})
        case CreateTimer():
            return Facts("timer", "", {"delay": action.delay})
        case StartChild() | StartDetached():
            kind = "sub-orchestration" if isinstance(action, StartChild) else "detached start"
            details = {"input": action.input, "version": action.version}
            return Facts(kind, action.name, details | {"instance": action.instance})
        case WaitEvent():
            return Facts("wait for event", action.name, {})
        case WaitNext():
            return Facts("wait for the next event", action.name, {})
        case DequeueEvent():
            return Facts("wait for a message of queue", action.queue, {})
        case SetAttributes():
            return Facts("attributes", "", {"value": action.values})
        case SetKey():
            return Facts("setting of key", action.key, {"value": action.value})
        case ClearKey():
            return Facts("clearing of key", action.key, {})
        case ClearKeys():
            return Facts("clearing of all keys", "", {})
        case ReadKey():
            return Facts("reading of key", action.key, {"instance": action.instance})
        case RecordStep():
            return Facts("step", action.name, {})
        case RefuseCall():
            return Facts("refused call", action.call, {"message": action.message})
        case AnswerUpdate():
            failure = action.failure
            told = None if failure is None else (failure.category, failure.type, failure.message)
            return Facts(
                "answer to update", action.update, {"value": action.result, "failure": told}
            )
        case SetCustomStatus():
            return Facts("custom status", "", {"value": action.value})
        case ContinueAsNew():
            details = {"input": action.input, "version": action.version}
            return Facts("continue-as-new", action.name, details)
        case MarkPatch():
            return Facts("patch", action.patch, {})
        case CancelActivity():
            return Facts("cancellation of the activity", "", {})
        case CancelTimer():
            return Facts("cancellation of the timer", "", {})
        case CancelWait():
            return Facts("cancellation of the wait", "", {})
        case CancelChild():
            return Facts("cancellation of the child", "", {})
        case TerminateChild():
            return Facts("termination of the child", "", {})


_CANCELS = (CancelActivity, CancelTimer, CancelWait, CancelChild, TerminateChild)


def key_of(action: Action) -> Key:
    """Name an action within its turn."""
    if isinstance(action, ContinueAsNew | MarkPatch):
        return "", ""
    if isinstance(action, AnswerUpdate):
        return "", action.update
    return action.operation, "cancel" if isinstance(action, _CANCELS) else ""


def same(one: Action, other: Action) -> bool:
    """Compare what the outside saw; arguments by value, for a store may respell JSON."""
    if one == other:
        return True
    if type(one) is not type(other):
        return False
    ours, theirs = facts_of(one), facts_of(other)
    return ours.name == theirs.name and not differing(ours, theirs)


def differing(ours: Facts, theirs: Facts) -> list[str]:
    """Name the details that differ."""
    return [
        field
        for field, value in ours.details.items()
        if not _same_detail(field, value, theirs.details.get(field))
    ]


def _same_detail(field: str, one: Any, other: Any) -> bool:
    if one == other:
        return True
    if field in ("input", "value") and one is not None and other is not None:
        return same_json(one, other)
    return False


def same_json(one: JsonText, other: JsonText) -> bool:
    """Compare values, whatever their spelling."""
    return bool(from_json(one) == from_json(other))


def line_of(action: Action) -> str:
    """Return the source line that asked; empty where none is kept."""
    return str(getattr(action, "line", ""))


def show(action: Action) -> str:
    """Show an action with its line."""
    facts = facts_of(action)
    name = f" {facts.name!r}" if facts.name else ""
    shown = [f"{k} {short(v)}" for k, v in facts.details.items() if v not in (None, "")]
    line = line_of(action)
    details = f" with {', '.join(shown)}" if shown else ""
    return f"{facts.kind}{name}{details}{f' at {line}' if line else ''}"


def short(value: object) -> str:
    """Show a value in one line."""
    text = str(value)
    return text if len(text) <= 120 else text[:117] + "..."  # noqa: PLR2004  one line
