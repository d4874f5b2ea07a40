"""The source line of a call, short enough to keep with every operation."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import CodeType, FrameType

__all__ = ["is_internal", "line_of_caller", "stack_of", "stop_at"]

_INTERNAL = (f"{Path(asyncio.__file__).parent}{os.sep}", f"{Path(__file__).parent}{os.sep}")
_PACKAGE = f"{Path(__file__).parent.parent}{os.sep}"
_FRAMES_MAX = 64
_STACK_MAX = 12
_LOOP = ">"
_shown: dict[CodeType, str] = {}
"""Short file name by code object; empty for asyncio's and the engine's own."""


def stop_at(code: CodeType) -> None:
    """Mark the function that runs callbacks: beyond it is whoever runs the turn."""
    _shown[code] = _LOOP


def line_of_caller() -> str:
    """Return `folder/file.py:line` of the innermost frame that is user code; empty for none."""
    frame = sys._getframe(1)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    for _ in range(_FRAMES_MAX):
        code = frame.f_code
        name = _shown.get(code)
        if name is None:
            name = _shown[code] = _short(code)
        if name:
            return "" if name is _LOOP else f"{name}:{frame.f_lineno}"
        if frame.f_back is None:
            break
        frame = frame.f_back
    return ""


def stack_of(frame: FrameType | None) -> str:
    """Show the frames of user code from `frame` outwards, the innermost first; empty for none."""
    found: list[str] = []
    while frame is not None and len(found) <= _STACK_MAX:
        code = frame.f_code
        name = _shown.get(code)
        if name is None:
            name = _short(code)
        if name is _LOOP:
            break
        if name and not code.co_filename.startswith(_PACKAGE):
            found.append(f"{name}:{frame.f_lineno} in {code.co_name}")
        frame = frame.f_back
    if len(found) > _STACK_MAX:
        found[_STACK_MAX:] = ["..."]
    return ", called by ".join(found)


def is_internal(code: CodeType | None) -> bool:
    """Tell whether a coroutine is asyncio's or the engine's own, and has no line to show."""
    return code is not None and not (_shown.get(code) or _short(code))


def _short(code: CodeType) -> str:
    """Keep the file and its folder: enough to find it, the same on every machine."""
    if code.co_filename.startswith(_INTERNAL):
        return ""
    return "/".join(code.co_filename.replace(os.sep, "/").rsplit("/", 2)[-2:])
