"""Which orchestration is running here: what a call of an activity finds its way by.

The variable is set in the context of an execution's root task, and tasks inherit it. Code of
two executions never sees the other's, whatever thread either runs on.
"""

from __future__ import annotations

import gc
import threading
from contextvars import ContextVar
from typing import TYPE_CHECKING

from perdure.errors import ForbiddenCallError

if TYPE_CHECKING:
    from perdure.replay.context import OrchestrationContext

__all__ = ["current", "find_current", "forbid_in_collector"]

CURRENT: ContextVar[OrchestrationContext | None] = ContextVar("perdure_current", default=None)


def find_current() -> OrchestrationContext | None:
    """Return the context of the orchestration that runs here, or None outside of one."""
    return CURRENT.get()


def current() -> OrchestrationContext:
    """Return the context of the orchestration that runs here: for inner functions and libraries.

    Raises:
        ForbiddenCallError: no orchestration runs here.
    """
    found = CURRENT.get()
    if found is None:
        msg = (
            "perdure.current() was called where no orchestration runs; call it from a function "
            "decorated with @orchestration, or from one that it awaits"
        )
        raise ForbiddenCallError(msg)
    return found


# The garbage collector runs finalisers whenever it likes, in the middle of any turn of any
# execution. What such a finaliser asks for would land in whatever history is open at that
# moment, on one machine and not on the next. So the collector's own thread is noted while it
# works, and nothing is scheduled from there. (Only one collection runs in a process at a time.)
_collecting: list[int] = []


def _note_collection(phase: str, _info: dict[str, int]) -> None:
    if phase == "start":
        _collecting.append(threading.get_ident())
    else:
        _collecting.clear()


gc.callbacks.append(_note_collection)


def forbid_in_collector(what: str) -> None:
    """Raise if the garbage collector called us."""
    if _collecting and _collecting[0] == threading.get_ident():
        msg = (
            f"{what} was called from a finaliser while garbage was collected; that happens at "
            "another moment on every machine. Use `try`/`finally` or `async with` instead"
        )
        raise ForbiddenCallError(msg)
