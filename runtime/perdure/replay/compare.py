"""Does the code still decide what it decided? And if not, what exactly differs?

Decisions are compared operation by operation, not in their order: operations are named by task and
count, so another wake-up order of tasks is no difference. What of each is compared, is in
`perdure.replay.facts`; how a turn ended is compared here.

One shifted call makes every later one of its task differ, so only the first is reported, as the
edit that it probably was: see `perdure.replay.edits`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from perdure.errors import NondeterminismError
from perdure.model.actions import Action, MarkPatch
from perdure.replay.edits import REMEDY, Calls, explain, place_of
from perdure.replay.facts import key_of, same, same_json, short

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from perdure.model.records import Ending
    from perdure.replay.facts import Key

__all__ = ["compare_actions", "compare_endings", "compare_versions"]

# ------------------------------------------------------------------------- actions


def compare_actions(
    instance: str,
    recorded: Sequence[Action],
    decided: Sequence[Action],
    *,
    earlier: Iterable[Action] = (),
    later: Iterable[Action] = (),
    is_over: bool = False,
) -> None:
    """Compare one turn's decisions with the recorded ones.

    Patches are no calls, and are compared by `perdure.replay.patches`.

    Args:
        instance: For the message.
        recorded: What history holds of this turn.
        decided: What the code decided.
        earlier: What the turns before decided, as far as it is at hand; for the message.
        later: What further turns hold; for the message.
        is_over: The code came to its end in this turn; for the message.

    Raises:
        NondeterminismError: they differ; the message names the first difference.
    """
    if len(recorded) == len(decided) and all(map(_in_place, recorded, decided)):
        return
    theirs, ours = _calls(recorded), _calls(decided)
    wrong = [
        key
        for key in (*theirs, *(key for key in ours if key not in theirs))
        if key not in ours or key not in theirs or not same(theirs[key], ours[key])
    ]
    if not wrong:
        return
    first = min(wrong, key=place_of)
    edit = explain(
        first, theirs, ours, earlier=_calls(earlier), later=_calls(later), is_over=is_over
    )
    raise NondeterminismError(f"instance {instance!r}, {_where(first)}: {edit}")


def _calls(actions: Iterable[Action]) -> Calls:
    return {key_of(action): action for action in actions if not isinstance(action, MarkPatch)}


def _in_place(one: Action, other: Action) -> bool:
    return key_of(one) == key_of(other) and same(one, other)


def _where(key: Key) -> str:
    if key[0]:
        return f"operation {key[0]}"
    return f"update {key[1]!r}" if key[1] else "at its end"


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
        f"code came to {_show_ending(decided)}. {REMEDY}"
    )
    raise NondeterminismError(msg)


def _same_ending(one: Ending | None, other: Ending | None) -> bool:
    if one is None or other is None or one.outcome is not other.outcome:
        return False
    if one.output is not None and other.output is not None:
        return same_json(one.output, other.output)
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
        return f"{ending.outcome} ({ending.failure.type}: {short(ending.failure.message)})"
    return f"{ending.outcome} with {short(ending.output)}"
