"""The event loop of commands that work hard."""

from __future__ import annotations

import asyncio
import importlib.util

__all__ = ["runner"]


def runner() -> asyncio.Runner:
    """Make a runner: of the fast loop where the extra `fast` is installed, else of asyncio's."""
    if importlib.util.find_spec("uvloop") is None:
        return asyncio.Runner()
    import uvloop  # noqa: PLC0415  an extra

    return asyncio.Runner(loop_factory=uvloop.new_event_loop)
