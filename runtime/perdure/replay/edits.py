"""Which edit of the code explains that it decides otherwise than its history.

Of a difference only its first place is certain: operation 3 of some task was the activity `charge`,
and is now `audit`. What was done to the code is guessed from the neighbours. The history is known
to its end; of the code only what it asked for in this one turn, for what it would do later depends
on answers that it has not had. So with `await audit(...)` before `await charge(...)` the code stops
at `audit`, and whether `charge` comes after it, nobody can know. The words say as much as is known:

==============================================  ==============================================
the code's call / history's call                is told as
==============================================  ==============================================
the same, with other arguments                  *changed*; from the same line: maybe no edit
further on in history / later in the code       *reordered*
further on in history / not to be seen          *removed*
nowhere in history / later in the code          *inserted*
nowhere, but with the same arguments            *renamed*, or *inserted*
in another task / in another task               *moved*
nowhere / not to be seen                        *inserted, or put in its place*
none, the code has ended / waits                *removed* / *removed, or asked for later*
there is one, history has none                  *inserted*, or *asked for earlier*
==============================================  ==============================================

A call is named by its name and a count within its task: `charge#2` is the second call of `charge`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from perdure.replay.facts import differing, facts_of, key_of, line_of, same, show

if TYPE_CHECKING:
    from collections.abc import Iterator

    from perdure.model.actions import Action
    from perdure.replay.facts import Key

__all__ = ["REMEDY", "Calls", "explain", "place_of"]

type Calls = dict[Key, Action]

REMEDY = (
    "Or restore the code that this instance started with, or register the change as a new version, "
    '@orchestration(version="..."), beside the old one: running instances keep the version that '
    "they started with. Then resume the instance"
)
_NEW = 'Let running instances pass by the new call: `if ctx.patched("..."):` around it'
_OLD = 'Keep the call for running instances: `if not ctx.patched("..."):` around it'
_BOTH = (
    'Keep the old branch for running instances: `if ctx.patched("..."):` the new one, `else:` the '
    "old one"
)
_SAME_LINE = (
    "Both come from the same line: if the code was not changed, a value was, which replay cannot "
    "repeat. `perdure check` and PERDURE_TRIPWIRE=error look for it"
)


def place_of(key: Key) -> tuple[object, ...]:
    """Sort operations: by count within a task, parents before their child tasks."""
    operation, what = key
    if not operation:
        return (2 if what else 3, (), 0, what)
    path, count = _parts(key)
    numbers = tuple(int(part) if part.isdecimal() else -1 for part in path.split("."))
    return (1 if what else 0, numbers, count, what)


def _parts(key: Key) -> tuple[str, int]:
    """Part an operation into its task and its count there."""
    path, _, count = key[0].rpartition(":")
    return path, int(count) if count.isdecimal() else 0


def explain(
    key: Key, theirs: Calls, ours: Calls, *, earlier: Calls, later: Calls, is_over: bool
) -> str:
    """Tell the edit, both sides, and what to do.

    Args:
        key: Where the first difference is.
        theirs: What history holds of this turn.
        ours: What the code asked for.
        earlier: What both asked for before.
        later: What history holds of the turns after this one.
        is_over: The code came to its end in this turn.
    """
    recorded, decided = theirs.get(key), ours.get(key)
    history = earlier | theirs | later
    if recorded is not None and decided is not None:
        verdict, remedy = _replaced(key, recorded, decided, history, earlier | ours)
        sides = f"history has {show(recorded)}, the code asked for {show(decided)}"
    elif recorded is not None:
        verdict, remedy = _removed(key, recorded, history, ours, is_over=is_over)
        sides = f"history has {show(recorded)}, but the code asked for nothing there"
    elif decided is not None:
        verdict, remedy = _added(key, decided, history, earlier | ours, later)
        sides = f"the code asked for {show(decided)}, but history has nothing there"
    else:
        raise AssertionError("a difference is on one side at least")
    return f"{verdict}: {sides}. {remedy}. {REMEDY}"


# ------------------------------------------------------------------------- one of both


def _removed(
    key: Key, recorded: Action, history: Calls, ours: Calls, *, is_over: bool
) -> tuple[str, str]:
    name = label(key, history)
    moved = _elsewhere(recorded, key, ours, history)
    if moved is not None:
        return f"{name} was moved from {_task(key)} to {_task(moved)}", _BOTH
    before = _before(key, history)
    if before is not None and _is_round(recorded, history[before]):
        return f"a loop made a round less: {name} was removed, after {label(before, history)}", _OLD
    return f"{name} was removed{'' if is_over else ', or is asked for later'}", _OLD


def _added(key: Key, decided: Action, history: Calls, code: Calls, later: Calls) -> tuple[str, str]:
    name = label(key, code)
    if key in later and same(later[key], decided):
        return f"{name} is asked for earlier: it waited for something before", _BOTH
    moved = _elsewhere(decided, key, history, code)
    if moved is not None:
        return f"{label(moved, history)} was moved from {_task(moved)} to {_task(key)}", _BOTH
    before = _before(key, history)
    if before is None:
        where = "" if _parts(key)[0] == "0" else f" of {_task(key)}"
        return f"{name} was inserted, as the first call{where}", _NEW
    if _is_round(decided, history[before]):
        after = label(before, history)
        return f"a loop made a round more: {name} was inserted, after {after}", _NEW
    return f"{name} was inserted after {label(before, history)}", _NEW


# ------------------------------------------------------------------------- both sides


def _replaced(  # noqa: PLR0911  one for each kind of edit
    key: Key, recorded: Action, decided: Action, history: Calls, code: Calls
) -> tuple[str, str]:
    """Tell two calls of one name apart; `history` and `code` begin with what they share."""
    then, now = facts_of(recorded), facts_of(decided)
    old, new = label(key, history), label(key, code)
    ahead, behind = _ahead(decided, key, history), _ahead(recorded, key, code)
    alike = then.kind == now.kind
    if ahead is not None and behind is not None:
        return f"calls were reordered: {label(ahead, history)} now comes before {old}", _BOTH
    if ahead is not None:
        return f"{old} was removed, or moved behind {label(ahead, history)}", _OLD
    if behind is not None:
        return f"{new} was inserted before {old}", _NEW
    if alike and then.name == now.name:
        what = " and the ".join(differing(then, now))
        is_same_line = bool(line_of(decided)) and line_of(decided) == line_of(recorded)
        return f"the {what} of {old} changed", _SAME_LINE if is_same_line else _BOTH
    gone = _elsewhere(recorded, key, code, history)
    if gone is not None:
        return f"{old} was moved from {_task(key)} to {_task(gone)}", _BOTH
    if alike and not differing(then, now):
        waits = not any(_parts(k)[1] > _parts(key)[1] for k, _ in _of_task(_parts(key)[0], code))
        perhaps = f", or {new} inserted before it" if waits else ""
        return f"{old} was renamed to {now.name!r}{perhaps}", _BOTH
    come = _elsewhere(decided, key, history, code)
    if come is not None:
        return f"{label(come, history)} was moved from {_task(come)} to {_task(key)}", _BOTH
    return f"{new} was inserted before {old}, or put in its place", _NEW


# ------------------------------------------------------------------------- neighbours


def label(key: Key, calls: Calls) -> str:
    """Name a call by its name and count within its task: `charge#2`."""
    action = calls[key]
    if key[1] and key[0]:
        asked = calls.get((key[0], ""))
        return (
            "a cancellation"
            if asked is None
            else f"the cancellation of {label(key_of(asked), calls)}"
        )
    facts = facts_of(action)
    if not key[0]:
        return f"the {facts.kind}"
    path, count = _parts(key)
    number = sum(
        facts_of(other)[:2] == facts[:2]
        for _, other in _of_task(path, calls)
        if _parts(key_of(other))[1] <= count
    )
    return f"`{facts.name or facts.kind.replace(' ', '-')}#{number}`"


def _of_task(path: str, calls: Calls) -> Iterator[tuple[Key, Action]]:
    return ((key, action) for key, action in calls.items() if not key[1] and _parts(key)[0] == path)


def _before(key: Key, calls: Calls) -> Key | None:
    """Find the call before this one in the same task."""
    path, count = _parts(key)
    keys = [each for each, _ in _of_task(path, calls) if _parts(each)[1] < count]
    return max(keys, key=_parts, default=None)


def _ahead(action: Action, key: Key, calls: Calls) -> Key | None:
    """Find an equal call further on in the same task."""
    path, count = _parts(key)
    found = [k for k, a in _of_task(path, calls) if _parts(k)[1] > count and same(action, a)]
    return min(found, key=_parts, default=None)


def _elsewhere(action: Action, key: Key, calls: Calls, others: Calls) -> Key | None:
    """Find an equal call in another task, where the other side does not have it."""
    if key[1] or not key[0]:
        return None
    path = _parts(key)[0]
    found = [
        k
        for k, a in calls.items()
        if k[0] and not k[1] and _parts(k)[0] != path and same(action, a)
        if k not in others or not same(others[k], a)
    ]
    return min(found, key=place_of, default=None)


def _is_round(action: Action, before: Action) -> bool:
    """Tell a further round of a loop: the same call from the same line as the one before."""
    line = line_of(action)
    return bool(line) and line == line_of(before) and facts_of(action)[:2] == facts_of(before)[:2]


def _task(key: Key) -> str:
    path = _parts(key)[0]
    return "the orchestration itself" if path == "0" else f"task {path}"
