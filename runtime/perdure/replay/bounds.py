"""What is wrong with a call that goes beyond a limit: what it is, how much, how much it may be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perdure.model.codec import decode_object, raw_json

if TYPE_CHECKING:
    from perdure.model.ids import JsonText

__all__ = ["arguments_fault", "size_fault"]


def arguments_fault(call: str, text: JsonText, limit: int) -> str | None:
    """Say why the arguments of a call are too much, naming the largest; None if they are not."""
    size = len(text.encode())
    if size <= limit:
        return None
    sizes = {name: len(raw_json(value).encode()) for name, value in decode_object(text).items()}
    largest = max(sizes, key=lambda name: sizes[name])
    return (
        f"the arguments of {call} are {size:,} bytes of JSON, {sizes[largest]:,} of them in "
        f"{largest!r}; the limit is {limit:,}. Put the data into a store and pass its address"
    )


def size_fault(what: str, text: JsonText | None, limit: int) -> str | None:
    """Say why a value is too large; None if it is not."""
    size = 0 if text is None else len(text.encode())
    return f"{what} {size:,} bytes of JSON; the limit is {limit:,}" if size > limit else None
