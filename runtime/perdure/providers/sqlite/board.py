"""Hints: what the providers of one store tell one another, within a process and between several.

All providers that a process has on one store share a board, and hear of a commit as soon as it is
made. Other processes look at the file: SQLite counts, in memory that they share, how often others
have written to it, and asking for that number touches no disk. When it moved they read what was
added to a small table of news, which every commit that concerns others writes in its own
transaction.

A line of news is the letter of its kind, then a tag or an id where there is one.
"""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

from perdure.model.ids import InstanceId
from perdure.providers.work import (
    ActivitiesHint,
    AnsweredHint,
    CancelHint,
    ChangedHint,
    FinishedHint,
    QuestionsHint,
    ResyncHint,
    TurnsHint,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from perdure.providers.work import Hint

__all__ = ["RESYNC", "Board", "Listener"]

_LETTERS: dict[type[Hint], str] = {
    TurnsHint: "t",
    ActivitiesHint: "a",
    CancelHint: "c",
    FinishedHint: "f",
    QuestionsHint: "q",
    AnsweredHint: "n",
    ChangedHint: "w",
}
RESYNC = "r"
_LINES_KEPT_MAX = 20_000


class Board:
    """Hands news to the listeners of one process, in whatever thread they are."""

    def __init__(self) -> None:
        self._listeners: dict[Listener, None] = {}
        """In the order in which they came, so that a simulation runs the same way every time."""
        self._lock = threading.Lock()

    def listen(self, kinds: Collection[type[Hint]] | None) -> Listener:
        """Begin to listen to these kinds (None: all), in the running loop."""
        letters = _LETTERS.values() if kinds is None else [_LETTERS[kind] for kind in kinds]
        listener = Listener(letters)
        with self._lock:
            self._listeners[listener] = None
        return listener

    def leave(self, listener: Listener) -> None:
        """Listen no more."""
        with self._lock:
            self._listeners.pop(listener, None)

    def post(self, lines: Iterable[str]) -> None:
        """Tell everybody; may be called in any thread."""
        fresh = list(lines)
        if not fresh or not self._listeners:
            return
        with self._lock:
            listeners = list(self._listeners)
        for listener in listeners:
            listener.add(fresh)


class Listener:
    """What one reader has not read yet, each line once."""

    __slots__ = ("_lines", "_loop", "_ready", "_thread", "is_closed", "letters")

    def __init__(self, letters: Iterable[str]) -> None:
        self.letters = frozenset(letters)
        self.is_closed = False
        self._lines: dict[str, None] = {}
        self._ready = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()

    def add(self, lines: Sequence[str]) -> None:
        """Add lines, of which those of other kinds are left out."""
        letters = self.letters
        mine = [line for line in lines if line[0] in letters or line == RESYNC]
        if not mine:
            return
        if threading.get_ident() == self._thread:
            self._take_in(mine)
        else:
            try:
                self._loop.call_soon_threadsafe(self._take_in, mine)
            except RuntimeError:  # the loop is closed, and nobody listens any more
                self.is_closed = True

    def _take_in(self, lines: Sequence[str]) -> None:
        if len(self._lines) + len(lines) > _LINES_KEPT_MAX:
            self._lines = {RESYNC: None}
        else:
            self._lines.update(dict.fromkeys(lines))
        self._ready.set()

    def close(self) -> None:
        """Wake the reader for the last time."""
        self.is_closed = True
        self._ready.set()

    async def take(self) -> Sequence[Hint]:
        """Wait for lines; return them as hints."""
        await self._ready.wait()
        lines, self._lines = self._lines, {}
        self._ready.clear()
        return _hints_of(lines)


_MAKERS: dict[str, Callable[[frozenset[str]], Hint]] = {
    "t": lambda _: TurnsHint(),
    "a": ActivitiesHint,
    "c": lambda ids: CancelHint(frozenset(map(InstanceId, ids))),
    "f": lambda ids: FinishedHint(frozenset(map(InstanceId, ids))),
    "q": lambda _: QuestionsHint(),
    "n": lambda ids: AnsweredHint(frozenset(map(InstanceId, ids))),
    "w": lambda _: ChangedHint(),
    RESYNC: lambda _: ResyncHint(),
}


def _hints_of(lines: Iterable[str]) -> Sequence[Hint]:
    by_letter: dict[str, list[str]] = {}
    for line in lines:
        by_letter.setdefault(line[0], []).append(line[1:])
    # A letter of a release to come says nothing to this one.
    return [
        _MAKERS[letter](frozenset(rest)) for letter, rest in by_letter.items() if letter in _MAKERS
    ]
