"""The source line of a call, short enough to keep with every operation."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import CodeType, FrameType

__all__ = ["is_internal", "line_of_caller", "stack_of", "stack_of_waiting", "stop_at"]

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
    frames: list[FrameType] = []
    while frame is not None and _shown.get(frame.f_code) is not _LOOP:
        frames.append(frame)
        frame = frame.f_back
    return _stack(frames)


def stack_of_waiting(coroutine: Any) -> str:
    """Show where a suspended coroutine waits, and through which it got there, as `stack_of`."""
    frames: list[FrameType] = []
    while coroutine is not None and len(frames) < _FRAMES_MAX:
        frame = getattr(coroutine, "cr_frame", None) or getattr(coroutine, "gi_frame", None)
        if frame is not None:
            frames.append(frame)
        coroutine = getattr(coroutine, "cr_await", None) or getattr(coroutine, "gi_yieldfrom", None)
    return _stack(frames[::-1])


def _stack(frames: Sequence[FrameType]) -> str:
    found = [
        f"{_short(frame.f_code)}:{frame.f_lineno} in {frame.f_code.co_name}"
        for frame in frames
        if _short(frame.f_code) and not frame.f_code.co_filename.startswith(_PACKAGE)
    ]
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
