"""What is changed in asyncio itself, while a turn runs; outside of turns it is as it was.

A loop of our own is not enough in three places, where asyncio goes past the loop that runs. Names
are bound in asyncio's modules, rather than functions replaced: that also reaches code which
imported the functions before this package.

* `wait` and `as_completed` put what they are given through `set(...)`, `wait` answers with two
  sets, and a `TaskGroup` cancels what it has in one. Raw coroutines and the futures of `gather`
  hash by address, so their order would differ from process to process. In `asyncio.tasks` and
  `asyncio.taskgroups`, `set` keeps the order when it is called in a turn.
* `asyncio.run` and `Runner.run` raise `RuntimeError` in a running loop, which does not say what to
  do instead, and which user code may take for its own. In `asyncio.runners`, `events` answers the
  question for the running loop by raising the error that names the remedy.
* A second loop may be made anywhere, and its parts work unseen. Making one in a turn is refused.
"""

from __future__ import annotations

import asyncio
from asyncio import base_events, events, runners, taskgroups, tasks
from typing import TYPE_CHECKING, Any

from perdure.replay.loop import DeterministicLoop

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["amend"]

_NOTHING: Any = object()
_ACTIVITY = "make it an activity, and await that"


def _running() -> DeterministicLoop | None:
    """Return the loop of the turn that runs in this thread."""
    loop = asyncio._get_running_loop()  # noqa: SLF001  may be None, which is no error here
    return loop if isinstance(loop, DeterministicLoop) else None


# ------------------------------------------------------------------------- sets


class _OrderedSet(set[Any]):
    """A set that is walked in the order in which it was filled."""

    __slots__ = ("_added", "_places")

    def __init__(self) -> None:
        super().__init__()
        self._added = 0
        self._places: dict[Any, int] = {}
        """Of what was added; what came in by other ways follows."""

    def add(self, element: Any, /) -> None:
        self._added += 1
        self._places.setdefault(element, self._added)
        super().add(element)

    def discard(self, element: Any, /) -> None:
        self._places.pop(element, None)
        super().discard(element)

    def remove(self, element: Any, /) -> None:
        super().remove(element)
        self._places.pop(element, None)

    def __iter__(self) -> Iterator[Any]:
        places, last = self._places, self._added + 1
        return iter(sorted(super().__iter__(), key=lambda each: places.get(each, last)))

    def __repr__(self) -> str:
        return repr(set(self))

    def pop(self) -> Any:
        for first in self:
            self.discard(first)
            return first
        return super().pop()  # raises what an empty set raises


def _set_in_order(items: Iterable[Any] = _NOTHING) -> Any:
    """Be `set`, or in a turn a collection that keeps the order."""
    if items is _NOTHING:
        return set[Any]() if _running() is None else _OrderedSet()
    return set(items) if _running() is None else dict.fromkeys(items)


# ------------------------------------------------------------------------ loops


class _RefusingEvents:
    """The module `asyncio.events`, as `asyncio.runners` sees it."""

    def __getattr__(self, name: str) -> Any:
        return getattr(events, name)

    def _get_running_loop(self) -> Any:
        loop = _running()
        if loop is not None:
            raise loop.forbid(f"an orchestration may not use asyncio.run(): {_ACTIVITY}")
        return asyncio._get_running_loop()  # noqa: SLF001  as above


_make_loop: Any = base_events.BaseEventLoop.__init__


def _make_loop_outside(self: Any, *args: Any, **kwargs: Any) -> None:
    """Be `BaseEventLoop.__init__`, and in a turn refuse."""
    loop = _running()
    if loop is not None:
        self._closed = True  # what its finaliser reads
        raise loop.forbid(f"an orchestration may not make an event loop: {_ACTIVITY}")
    _make_loop(self, *args, **kwargs)


def amend() -> None:
    """Bind the names; once for the process."""
    for module in (tasks, taskgroups):
        with_sets: Any = module
        with_sets.set = _set_in_order
    in_runners: Any = runners
    in_runners.events = _RefusingEvents()
    of_loops: Any = base_events.BaseEventLoop
    of_loops.__init__ = _make_loop_outside
