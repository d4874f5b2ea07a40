"""What asyncio's loop offers and a deterministic one refuses, each with what to write instead.

`AbstractEventLoop` has some seventy methods. Those about time, tasks and futures are in
`perdure.replay.loop`; all others reach outside, and raise an error that names the remedy. They are
filled in from the class itself, so that a method that a later Python adds is refused too.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from perdure.errors import ForbiddenCallError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ForbiddingLoop"]

_ACTIVITY = "make it an activity, and await that"
_REMEDIES = {
    "run_in_executor": "threads are not replayed (asyncio.to_thread uses them): " + _ACTIVITY,
    "set_default_executor": "threads are not replayed",
    "call_soon_threadsafe": "no other thread may wake an orchestration: raise an event to it; from "
    "within use call_soon or asyncio.create_task",
    "run_forever": "the loop is run by the engine",
    "run_until_complete": "`await` the coroutine instead",
    "stop": "return from the orchestration, or await ctx.continue_as_new(...)",
    "close": "the loop is closed by the engine",
    "shutdown_asyncgens": "the loop is closed by the engine",
    "shutdown_default_executor": "the loop is closed by the engine",
    "add_signal_handler": "signals belong to the process",
    "remove_signal_handler": "signals belong to the process",
}


def _forbidden(name: str) -> Callable[..., Any]:
    """Make the method that refuses."""
    remedy = _REMEDIES.get(name, f"it reaches outside the orchestration: {_ACTIVITY}")

    def method(self: ForbiddingLoop, *_args: object, **_kwargs: object) -> Any:
        raise self.forbid(f"an orchestration may not use loop.{name}(): {remedy}")

    method.__name__ = name
    method.__doc__ = f"Refuse: {remedy}."
    return method


class ForbiddingLoop(asyncio.AbstractEventLoop):
    """A loop of which every method refuses."""

    def forbid(self, message: str) -> ForbiddenCallError:
        """Return the error to raise; the loop that runs also remembers it."""
        return ForbiddenCallError(message)


for _name, _method in vars(asyncio.AbstractEventLoop).items():
    if callable(_method) and not _name.startswith("_"):
        setattr(ForbiddingLoop, _name, _forbidden(_name))
