"""Does the code still decide what it decided? And if not, what exactly differs?

Decisions are compared operation by operation, not in their order: operations are named by task and
count, so another wake-up order of tasks is no difference. What must be equal is what the outside
saw: kind, name, version, arguments, tag, session, durations, ids, status, keys, answers, outcome.
What may differ is what explains (source lines, reasons, tracebacks), and how hard something is
tried (retry, timeouts, priority, limit): that is tuned while work is under way, and no decision
depends on it.

One shifted call makes every later one of its task differ, so only the first is reported, and the
report looks at the neighbours to say what kind of change it was:

* the same kind of call with other arguments, tag or duration: *changed*;
* the code's call is found further on in the task's history, and history's among the code's own
  later calls: *reordered*; only the former: *removed*; only the latter: *inserted*;
* the same arguments under another name: *renamed*; anything else: *replaced*.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic_core import from_json

from perdure.errors import NondeterminismError
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
    from collections.abc import Iterable, Sequence

    from perdure.model.ids import JsonText
    from perdure.model.records import Ending

__all__ = ["compare_actions", "compare_endings", "compare_versions"]

_REMEDY = (
    "Restore the code that this instance started with, or register the change as a new version, "
    '@orchestration(version="..."), beside the old one: running instances keep the version that '
    "they started with"
)


class _Facts(NamedTuple):
    """What must be equal, in words."""

    kind: str
    name: str
    details: dict[str, object]


def _facts(action: Action) -> _Facts:  # noqa: C901, PLR0911, PLR0912  one case for each kind
    match action:
        case ScheduleActivity():
            session = None if action.options is None else action.options.session
            details: dict[str, object] = {"input": action.input, "tag": action.tag}
            return _Facts("activity", action.name, details | {"session": session})
        case CreateTimer():
            return _Facts("timer", "", {"delay": action.delay})
        case StartChild() | StartDetached():
            kind = "sub-orchestration" if isinstance(action, StartChild) else "detached start"
            details = {"input": action.input, "version": action.version}
            return _Facts(kind, action.name, details | {"instance": action.instance})
        case WaitEvent():
            return _Facts("wait for event", action.name, {})
        case WaitNext():
            return _Facts("wait for the next event", action.name, {})
        case DequeueEvent():
            return _Facts("wait for a message of queue", action.queue, {})
        case SetAttributes():
            return _Facts("attributes", "", {"value": action.values})
        case SetKey():
            return _Facts("setting of key", action.key, {"value": action.value})
        case ClearKey():
            return _Facts("clearing of key", action.key, {})
        case ClearKeys():
            return _Facts("clearing of all keys", "", {})
        case ReadKey():
            return _Facts("reading of key", action.key, {"instance": action.instance})
        case RecordStep():
            return _Facts("step", action.name, {})
        case RefuseCall():
            return _Facts("refused call", action.call, {"message": action.message})
        case AnswerUpdate():
            failure = action.failure
            told = None if failure is None else (failure.category, failure.type, failure.message)
            return _Facts(
                "answer to update", action.update, {"value": action.result, "failure": told}
            )
        case SetCustomStatus():
            return _Facts("custom status", "", {"value": action.value})
        case ContinueAsNew():
            details = {"input": action.input, "version": action.version}
            return _Facts("continue-as-new", action.name, details)
        case MarkPatch():
            return _Facts("patch", action.patch, {})
        case CancelActivity():
            return _Facts("cancellation of the activity", "", {})
        case CancelTimer():
            return _Facts("cancellation of the timer", "", {})
        case CancelWait():
            return _Facts("cancellation of the wait", "", {})
        case CancelChild():
            return _Facts("cancellation of the child", "", {})
        case TerminateChild():
            return _Facts("termination of the child", "", {})


_CANCELS = (CancelActivity, CancelTimer, CancelWait, CancelChild, TerminateChild)


def _key(action: Action) -> tuple[str, str]:
    """Name an action within its turn: an operation may be asked for and cancelled in one."""
    if isinstance(action, ContinueAsNew | MarkPatch):
        return "", ""
    if isinstance(action, AnswerUpdate):
        return "", action.update
    return action.operation, "cancel" if isinstance(action, _CANCELS) else ""


def _same(one: Action, other: Action) -> bool:
    """Compare what the outside saw; arguments by value, for a store may respell JSON."""
    if one == other:
        return True
    if type(one) is not type(other):
        return False
    ours, theirs = _facts(one), _facts(other)
    return ours.name == theirs.name and not _differing(ours, theirs)


def _differing(ours: _Facts, theirs: _Facts) -> list[str]:
    return [
        field
        for field, value in ours.details.items()
        if not _same_detail(field, value, theirs.details.get(field))
    ]


def _same_detail(field: str, one: Any, other: Any) -> bool:
    if one == other:
        return True
    if field in ("input", "value") and one is not None and other is not None:
        return _same_json(one, other)
    return False


def _same_json(one: JsonText, other: JsonText) -> bool:
    return bool(from_json(one) == from_json(other))


# ------------------------------------------------------------------------- actions


def compare_actions(
    instance: str,
    recorded: Sequence[Action],
    decided: Sequence[Action],
    later: Iterable[Action],
) -> None:
    """Compare one turn's decisions with the recorded ones; `later` is what further turns hold.

    Patches are no calls, and are compared by `perdure.replay.patches`.

    Raises:
        NondeterminismError: they differ; the message names the first difference.
    """
    if len(recorded) == len(decided) and all(map(_in_place, recorded, decided)):
        return
    theirs, ours = _calls(recorded), _calls(decided)
    wrong = [
        key
        for key in (*theirs, *(key for key in ours if key not in theirs))
        if key not in ours or key not in theirs or not _same(theirs[key], ours[key])
    ]
    if not wrong:
        return
    first = min(wrong, key=_place)
    story = _story(first, theirs, ours, _calls(later))
    raise NondeterminismError(f"instance {instance!r}, {_where(first)}: {story}. {_REMEDY}")


def _calls(actions: Iterable[Action]) -> _Turn:
    return {_key(action): action for action in actions if not isinstance(action, MarkPatch)}


def _in_place(one: Action, other: Action) -> bool:
    return _key(one) == _key(other) and _same(one, other)


def _place(key: tuple[str, str]) -> tuple[object, ...]:
    """Sort operations: by count within a task, parents before their child tasks."""
    operation, cancel = key
    if not operation:
        return (2 if cancel else 3, (), 0, cancel)
    path, _, count = operation.rpartition(":")
    numbers = tuple(int(part) if part.isdecimal() else -1 for part in path.split("."))
    return (1 if cancel else 0, numbers, int(count), cancel)


def _where(key: tuple[str, str]) -> str:
    if key[0]:
        return f"operation {key[0]}"
    return f"update {key[1]!r}" if key[1] else "at its end"


type _Turn = dict[tuple[str, str], Action]


def _story(key: tuple[str, str], theirs: _Turn, ours: _Turn, later: _Turn) -> str:
    """Tell what kind of change the first difference is, with both sides."""
    recorded, decided = theirs.get(key), ours.get(key)
    if decided is None and recorded is not None:
        return (
            f"a call was removed: history has {_show(recorded)}, but the code asked for nothing "
            "there"
        )
    if recorded is None and decided is not None:
        return (
            f"a call was inserted: the code asked for {_show(decided)}, but history has nothing "
            "there"
        )
    if recorded is None or decided is None:  # pragma: no cover  a key is on one side at least
        return "history and code differ"
    sides = f"history has {_show(recorded)}, the code asked for {_show(decided)}"
    return f"{_verdict(key, recorded, decided, theirs | later, ours)}: {sides}"


def _verdict(
    key: tuple[str, str], recorded: Action, decided: Action, history: _Turn, ours: _Turn
) -> str:
    """Choose the word for two actions under one name."""
    then, now = _facts(recorded), _facts(decided)
    ahead, behind = _found(decided, history, key), _found(recorded, ours, key)
    alike = then.kind == now.kind
    if ahead and behind:
        return "calls were reordered"
    if alike and then.name == now.name:
        return f"the {' and the '.join(_differing(then, now))} of a call changed"
    if ahead:
        return "a call was removed or moved behind others"
    if behind:
        return "a call was inserted"
    if alike and not _differing(then, now):
        return "a call was renamed"
    return "a call was replaced, or another inserted before it"


def _found(action: Action, among: _Turn, key: tuple[str, str]) -> bool:
    """Look for an equal call further on in the same task."""
    path, _, count = key[0].rpartition(":")
    for other_key, other in among.items():
        other_path, _, other_count = other_key[0].rpartition(":")
        follows = path and other_path == path and int(other_count) > int(count)
        if follows and _same(action, other):
            return True
    return False


def _show(action: Action) -> str:
    """Show an action with its line."""
    facts = _facts(action)
    name = f" {facts.name!r}" if facts.name else ""
    shown = [f"{k} {_short(v)}" for k, v in facts.details.items() if v not in (None, "")]
    line = getattr(action, "line", "")
    details = f" with {', '.join(shown)}" if shown else ""
    return f"{facts.kind}{name}{details}{f' at {line}' if line else ''}"


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 120 else text[:117] + "..."  # noqa: PLR2004  one line


# --------------------------------------------------------------- versions, endings


def compare_versions(instance: str, recorded: str, running: str) -> None:
    """Refuse to replay a turn with other code than decided it.

    Raises:
        NondeterminismError: the versions differ.
    """
    if recorded != running:
        msg = (
            f"instance {instance!r} runs version {recorded}, but version {running} replays it; "
            "keep the recorded version registered until no instance runs it"
        )
        raise NondeterminismError(msg)


def compare_endings(instance: str, recorded: Ending | None, decided: Ending | None) -> None:
    """Compare how a turn ended the execution, if it did.

    Raises:
        NondeterminismError: outcome, output or failure differ.
    """
    if recorded == decided or _same_ending(recorded, decided):
        return
    msg = (
        f"instance {instance!r}, at the end of a turn: history has {_show_ending(recorded)}, the "
        f"code came to {_show_ending(decided)}. {_REMEDY}"
    )
    raise NondeterminismError(msg)


def _same_ending(one: Ending | None, other: Ending | None) -> bool:
    if one is None or other is None or one.outcome is not other.outcome:
        return False
    if one.output is not None and other.output is not None:
        return _same_json(one.output, other.output)
    if one.failure is not None and other.failure is not None:
        ours, theirs = one.failure, other.failure
        return (ours.category, ours.type, ours.message) == (
            theirs.category,
            theirs.type,
            theirs.message,
        )
    return one.output == other.output and one.failure == other.failure


def _show_ending(ending: Ending | None) -> str:
    if ending is None:
        return "an execution that goes on"
    if ending.failure is not None:
        return f"{ending.outcome} ({ending.failure.type}: {_short(ending.failure.message)})"
    return f"{ending.outcome} with {_short(ending.output)}"
