"""Where activities run whose bodies are plain functions.

Python cannot end a thread. A body that ignores its cancellation goes on after its result has been
given up, and it must neither take the place of another nor keep the process from ending. So these
are daemon threads, at most as many as there are slots, and a body keeps its thread and its slot
until it returns. (The standard pool would wait for them at exit, for ever.)

A simulation has one thread, whose order of events it decides: there bodies run on the loop itself,
each as a callback of its own.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from contextvars import Context
from typing import Protocol

__all__ = ["Bodies", "BodyThreads", "InlineBodies"]


class Bodies(Protocol):
    """Runs bodies."""

    def submit(self, context: Context, work: Callable[[], None]) -> None:
        """Run `work` in `context` as soon as it can be; it must not raise."""
        ...

    def close(self) -> None:
        """Take no more; a body that still runs goes on until it returns."""
        ...


class InlineBodies:
    """Runs bodies on the loop that submits them; one that waits for another waits for ever."""

    def submit(self, context: Context, work: Callable[[], None]) -> None:
        """Run `work` when the loop comes to it."""
        asyncio.get_running_loop().call_soon(work, context=context)

    def close(self) -> None:
        """Do nothing: there is nothing to end."""


class BodyThreads:
    """Runs callables, each in a thread of its own, over and over in the same few threads."""

    def __init__(self, threads_max: int, name: str = "perdure-activity") -> None:
        self._threads_max = threads_max
        self._name = name
        self._queue: queue.SimpleQueue[tuple[Context, Callable[[], None]] | None] = (
            queue.SimpleQueue()
        )
        self._lock = threading.Lock()
        self._threads = 0
        self._idle = 0
        self._is_closed = False

    def submit(self, context: Context, work: Callable[[], None]) -> None:
        """Run `work` in `context` as soon as a thread is free; it must not raise."""
        with self._lock:
            if self._idle:
                self._idle -= 1
            elif self._threads < self._threads_max:
                self._threads += 1
                name = f"{self._name}-{self._threads}"
                threading.Thread(target=self._serve, name=name, daemon=True).start()
        self._queue.put((context, work))

    def close(self) -> None:
        """Let idle threads end; a body that still runs keeps its thread until it returns."""
        with self._lock:
            self._is_closed = True
            threads = self._threads
        for _ in range(threads):
            self._queue.put(None)

    def _serve(self) -> None:
        while (item := self._queue.get()) is not None:
            context, work = item
            context.run(work)
            del item, context, work  # nothing of a finished body stays alive in an idle thread
            with self._lock:
                self._idle += 1
